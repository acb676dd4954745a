//! Making a mesh, coming into one, and addresses that a person gave.

use super::{Roster, roster};
use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::mesh::links::Stage;
use crate::{Effect, Hub, MeshEffect, MeshRow, Store, Write};
use ecorelay_protocol::link::{Admission, Signed};
use ecorelay_protocol::{ErrorCode, PeerId, Psk, limits};

/// A place in a mesh that another hub gave; everything was checked.
pub(crate) struct NewPlace {
    pub(crate) root: PeerId,
    pub(crate) psk: Psk,
    /// How often the key was changed.
    pub(crate) generation: u64,
    /// The change that brought the key, if it was changed.
    pub(crate) rekey: Option<Signed>,
    /// The roster; this hub is on it.
    pub(crate) roster: Vec<(Admission, Signed)>,
    /// Where hubs of the mesh listen.
    pub(crate) hints: Vec<(PeerId, Vec<String>)>,
    /// What stays of the mesh before, whose other hubs come along.
    pub(crate) along: Option<Along>,
}

/// What stays of a mesh that was merged into another.
#[derive(Default)]
pub(crate) struct Along {
    /// Its first hub, and those of the meshes that were merged before.
    pub(crate) merged: Vec<PeerId>,
    /// Its keys, newest first: under them the hubs that come later look for those that came.
    pub(crate) keys: Vec<Psk>,
    /// Where its hubs listen.
    pub(crate) hints: Vec<(PeerId, Vec<String>)>,
}

impl Hub {
    /// Makes a mesh with this hub as its first.
    pub(crate) fn create_mesh(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let secret = self.ids.secret();
        let own = self.mesh.key.clone().filter(|_| self.mesh.row.is_none());
        let psk = own.unwrap_or_else(|| Psk::new(secret));
        let me = self.keys.peer_id().clone();
        self.set_mesh(t, me.clone(), (psk, 0, None), Vec::new(), None)?;
        let admission = Admission {
            root: me.clone(),
            subject: me,
            ts: t.now,
            revoked: false,
            ticket: None,
            keeps: Vec::new(),
        };
        self.make_admission(t, admission)?;
        self.status_changed(t);
        Ok(())
    }

    fn set_mesh(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        root: PeerId,
        (psk, generation, rekey): (Psk, u64, Option<Signed>),
        mut hints: Vec<(PeerId, Vec<String>)>,
        along: Option<Along>,
    ) -> Done {
        let mut along = along.unwrap_or_default();
        hints.append(&mut along.hints);
        along.keys.truncate(limits::FORMER_KEYS);
        let row = MeshRow {
            root: root.clone(),
            psk: psk.clone(),
            since: self.config.started,
            hub_id: self.config.hub_id.clone(),
            epoch: self.mesh.epoch,
            addresses: Vec::new(),
            generation,
            rekey,
            former_keys: along.keys,
            hints,
            merged: along.merged,
        };
        self.write(t, Write::ClearRoster)?;
        self.mesh.roster = Roster::load(Some(&root), &[]);
        self.mesh.row = Some(row);
        self.mesh.row_changed = true;
        self.save_mesh(t)?;
        self.set_key(psk.clone());
        t.effects.after.push(Effect::Mesh(MeshEffect::Key(psk)));
        Ok(())
    }

    /// Takes a place in a mesh; the mesh before is left, if it was another.
    pub(crate) fn come_in(&mut self, t: &mut Turn<'_, impl Store>, place: NewPlace) -> Done {
        let row = self.mesh.row.as_ref();
        let same = row.is_some_and(|row| row.root == place.root);
        if !same {
            self.drop_links(t);
            let key = (place.psk, place.generation, place.rekey.clone());
            self.set_mesh(t, place.root, key, place.hints, place.along)?;
        }
        self.put_roster(t, place.roster)?;
        if !same {
            self.forget_strangers(t)?;
        } else if let Some(signed) = place.rekey {
            self.consider_stored_key(t, signed)?;
        }
        self.mesh.troubles.over("not_admitted");
        self.mesh.troubles.over("mesh_key_differs");
        self.peers_changed(t);
        self.status_changed(t);
        Ok(())
    }

    /// Ends every link: this hub leaves its mesh.
    fn drop_links(&mut self, t: &mut Turn<'_, impl Store>) {
        for (link, entry) in &mut self.mesh.links {
            entry.stage = Stage::Refused;
            roster::close(t, *link);
        }
        for (peer, known) in &mut self.mesh.hubs {
            if known.link.take().is_some() {
                known.offline_since = t.now;
                if let Some(outbox) = self.mesh.outboxes.get_mut(peer) {
                    outbox.link_lost();
                }
            }
        }
    }

    /// Forgets the hubs of the mesh that was left, unless messages wait for them.
    fn forget_strangers(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let mesh = &self.mesh;
        let outbox = |peer| mesh.outboxes.get(peer);
        let waits = |peer| outbox(peer).is_some_and(|outbox| outbox.waiting > 0);
        let strangers = mesh.hubs.keys();
        let strangers = strangers.filter(|peer| !mesh.roster.is_member(peer) && !waits(peer));
        for peer in strangers.cloned().collect::<Vec<_>>() {
            self.mesh.hubs.remove(&peer);
            self.mesh.by_id.retain(|_, holder| *holder != peer);
            self.write(t, Write::DeleteHub(peer))?;
        }
        Ok(())
    }

    /// The hub listens on other addresses than before.
    pub(super) fn listening(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        addresses: Vec<String>,
    ) -> Done {
        self.mesh.listening = addresses;
        self.directory_changed(t.now);
        self.status_changed(t);
        Ok(())
    }

    pub(crate) fn connect_to(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        address: &str,
    ) -> Done {
        let address = address.trim();
        let plausible = address.starts_with('/')
            && address.contains("/tcp/")
            && address.chars().count() <= limits::MULTIADDR_CHARS
            && address.chars().all(|c| c.is_ascii_graphic());
        if !plausible {
            return refuse(
                ErrorCode::BadArgs,
                "An address is a multiaddr such as /ip4/192.168.1.7/tcp/4001, with /p2p/ and the PeerId behind it where that is known.",
            );
        }
        let Some(row) = &mut self.mesh.row else {
            return refuse(
                ErrorCode::NotMember,
                "This hub is in no mesh yet: pair it with another machine first (ecorelay pair on both), or use a ticket (ecorelay join).",
            );
        };
        if !row.addresses.iter().any(|known| known == address) {
            if row.addresses.len() >= limits::STATIC_ADDRESSES {
                return refuse(
                    ErrorCode::BadArgs,
                    "This hub has as many addresses as it keeps.",
                );
            }
            row.addresses.push(address.to_owned());
            self.mesh.row_changed = true;
            self.save_mesh(t)?;
        }
        self.peers_changed(t);
        self.status_changed(t);
        self.answer_ack(t, caller);
        Ok(())
    }
}
