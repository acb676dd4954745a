//! What a person sets of another hub on this machine: its label, and what its sessions may do
//! here. And the commands about other hubs as a whole.

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Hub, Store, Write};
use ecorelay_protocol::{Address, ErrorCode, HubChange, HubPolicy, PeerId, limits, visible};
use std::collections::BTreeSet;

/// How many hubs a refusal names at most.
const NAMED: usize = 8;

impl Hub {
    /// Changes what this hub holds of another.
    pub(crate) fn change_hub(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        hub: &str,
        change: HubChange,
    ) -> Done {
        let peer = self.find_hub(hub)?;
        match change {
            HubChange::Revoke => return self.revoke_hub(t, caller, &peer),
            HubChange::Forget => self.forget_hub(t, &peer)?,
            HubChange::Label(label) => self.label_hub(t, &peer, label)?,
            HubChange::Policy(policy) => {
                self.hub_row(&peer)?.policy = policy;
                self.save_hub(t, &peer)?;
            }
        }
        self.status_changed(t);
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Returns the hub that a person means by a hub id, a label or a PeerId.
    fn find_hub(&self, wanted: &str) -> Done<PeerId> {
        let mesh = &self.mesh;
        let roster = mesh.roster.members().chain(mesh.roster.revoked());
        let all: BTreeSet<&PeerId> = mesh.hubs.keys().chain(roster).chain([&mesh.me]).collect();
        let wanted = wanted.trim();
        let called = |peer: &PeerId, same: fn(&str, &str) -> bool| {
            let row = mesh.hubs.get(peer).map(|known| &known.row);
            let own = (*peer == mesh.me).then_some(&self.config.hub_id);
            let hub_id = row.map(|row| &row.hub_id).or(own);
            let label = row.and_then(|row| row.label.as_deref());
            hub_id.is_some_and(|id| same(id.as_str(), wanted))
                || label.is_some_and(|label| same(label, wanted))
        };
        if let Some(peer) = all.iter().find(|peer| peer.as_str() == wanted) {
            return Ok((*peer).clone());
        }
        let exact: fn(&str, &str) -> bool = |a, b| a == b;
        let loose: fn(&str, &str) -> bool = |a, b| a.eq_ignore_ascii_case(b);
        for same in [exact, loose] {
            let matches: Vec<&PeerId> = all.iter().copied().filter(|p| called(p, same)).collect();
            match matches.as_slice() {
                [] => {}
                [one] => return Ok((*one).clone()),
                several => {
                    let named: Vec<String> = several.iter().map(|p| self.described(p)).collect();
                    return refuse(
                        ErrorCode::BadArgs,
                        format!(
                            "\"{}\" is more than one hub: {}. Say which by its PeerId.",
                            visible(wanted),
                            named.join(", ")
                        ),
                    );
                }
            }
        }
        let others = all.iter().filter(|peer| ***peer != mesh.me);
        let named: Vec<String> = others.take(NAMED).map(|p| self.described(p)).collect();
        let known = match named.as_slice() {
            [] => "This hub knows no others.".to_owned(),
            named => format!("It knows {}.", named.join(", ")),
        };
        refuse(
            ErrorCode::PeerNotFound,
            format!("This hub knows no hub \"{}\". {known}", visible(wanted)),
        )
    }

    fn described(&self, peer: &PeerId) -> String {
        let row = self.mesh.hubs.get(peer).map(|known| &known.row);
        let label = row.and_then(|row| row.label.as_ref());
        let label = label
            .map(|label| format!(" \"{label}\""))
            .unwrap_or_default();
        match row {
            Some(row) => format!("{}{label} ({peer})", row.hub_id),
            None => peer.to_string(),
        }
    }

    fn hub_row(&mut self, peer: &PeerId) -> Done<&mut crate::HubRow> {
        let own = *peer == self.mesh.me;
        match self.mesh.hubs.get_mut(peer) {
            Some(known) => Ok(&mut known.row),
            None if own => refuse(
                ErrorCode::BadArgs,
                "This is the hub of this machine; labels and policies are for others.",
            ),
            None => refuse(
                ErrorCode::PeerNotFound,
                "This hub was admitted, but nothing has been heard of it yet.",
            ),
        }
    }

    fn save_hub(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) -> Done {
        if let Some(known) = self.mesh.hubs.get_mut(peer) {
            known.changed = true;
        }
        self.save_hubs(t)
    }

    fn label_hub(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        peer: &PeerId,
        label: Option<String>,
    ) -> Done {
        let label = label.map(|label| label.trim().to_owned());
        if let Some(label) = &label {
            if label.is_empty()
                || label.chars().count() > limits::HUB_LABEL_CHARS
                || visible(label) != *label
                || label.contains(char::is_control)
            {
                return refuse(
                    ErrorCode::BadArgs,
                    format!(
                        "A label has 1 to {} visible characters.",
                        limits::HUB_LABEL_CHARS
                    ),
                );
            }
            let mut others = self.mesh.hubs.values().map(|known| &known.row);
            let taken = others.find(|row| {
                let named = [Some(row.hub_id.as_str()), row.label.as_deref()];
                let mut named = named.into_iter().flatten();
                row.peer != *peer && named.any(|name| name.eq_ignore_ascii_case(label))
            });
            let taken = taken.map(|row| row.peer.clone());
            if let Some(other) = taken {
                let other = self.described(&other);
                return refuse(
                    ErrorCode::BadArgs,
                    format!("\"{label}\" is another hub already: {other}."),
                );
            }
        }
        self.hub_row(peer)?.label = label;
        self.save_hub(t, peer)
    }

    /// Forgets a hub that was revoked or never came.
    fn forget_hub(&mut self, t: &mut Turn<'_, impl Store>, peer: &PeerId) -> Done {
        let name = self.hub_name(peer);
        let came = self
            .mesh
            .hubs
            .get(peer)
            .is_some_and(|known| known.link.is_some() || known.row.last_seen > 0);
        if *peer == self.mesh.me || (self.mesh.is_member(peer) && came) {
            return refuse(
                ErrorCode::BadArgs,
                format!(
                    "{name} belongs to the mesh. Only a hub that was revoked, or that never came, can be forgotten: ecorelay hubs revoke {name}"
                ),
            );
        }
        self.mesh.publishing.forget(peer);
        if let Some(known) = self.mesh.hubs.remove(peer)
            && self.mesh.by_id.get(&known.row.hub_id) == Some(peer)
        {
            self.mesh.by_id.remove(&known.row.hub_id);
        }
        self.mesh
            .dials
            .retain(|_, dial| dial.peer.as_ref() != Some(peer));
        self.write(t, Write::DeleteHub(peer.clone()))?;
        self.peers_changed(t);
        Ok(())
    }

    /// Returns what sessions on the hub of an address may do here.
    pub(crate) fn policy_for(&self, from: &Address) -> HubPolicy {
        let peer = from.hub.as_ref().and_then(|hub| self.mesh.peer_of(hub));
        let known = peer.and_then(|peer| self.mesh.hubs.get(peer));
        known.map(|known| known.row.policy).unwrap_or_default()
    }

    /// Returns why what comes from an address is not pushed here, if the person has said so.
    pub(crate) fn held_back(&self, from: &Address) -> Option<String> {
        (self.policy_for(from) == HubPolicy::Quiet).then(|| {
            format!(
                "The person at {} has set that nothing from your hub wakes a session there; the message is in the inbox.",
                self.config.hub_id
            )
        })
    }
}
