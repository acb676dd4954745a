//! How a link begins: both sides say hello, each decides whether it takes the other in.

use crate::hub::{Done, Turn};
use crate::mesh::links::Stage;
use crate::mesh::{Known, LinkId, roster};
use crate::{Hub, HubRow, Store};
use ecorelay_protocol::link::{Binding, Hello, Refuse, RefuseCode, Signed};
use ecorelay_protocol::{HubId, HubPolicy, PeerId, limits, visible};

/// Clocks that differ by more than this are told of, in ms. Half of it would do for a person
/// who compares times; links do not care.
const SKEW_MS: u64 = 60_000;

impl Hub {
    /// Returns this hub's hello.
    pub(super) fn hello(&self, now: u64) -> Hello {
        let row = self.mesh.row.as_ref();
        let binding = Binding {
            hub_id: self.config.hub_id.clone(),
            since: row.map_or(self.config.started, |row| row.since),
        };
        let me = self.keys.peer_id().clone();
        Hello {
            oldest: limits::LINK_VERSION,
            newest: limits::LINK_VERSION,
            software: self.software(),
            binding: Signed::new(me.clone(), &binding, |m| self.keys.sign(m)),
            epoch: self.mesh.epoch,
            now,
            root: row.map(|row| row.root.clone()),
            admissions: self.mesh.roster.chain(&me),
            features: Vec::new(),
        }
    }

    fn software(&self) -> String {
        let version = self.config.about.get("version").and_then(|v| v.as_str());
        version.unwrap_or_default().to_owned()
    }

    /// Takes the other side's hello.
    pub(super) fn greeted(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: PeerId,
        hello: Hello,
    ) -> Done {
        let binding = match self.check_hello(&peer, &hello) {
            Ok(binding) => binding,
            Err(refuse) => {
                self.note_refusal(t, &peer, &refuse);
                self.refuse_link(t, link, refuse);
                return Ok(());
            }
        };
        self.take_roster(t, link, hello.admissions)?;
        let stage = self.mesh.links.get(&link).map(|entry| entry.stage);
        if stage != Some(Stage::Greeting) {
            return Ok(());
        }
        if self.mesh.is_admitted() && !self.mesh.is_member(&peer) {
            self.refuse_link(t, link, not_admitted());
            return Ok(());
        }
        self.pin(t, &peer, binding, &hello.software, hello.epoch);
        self.check_clock(t, &peer, hello.now);
        if let Some(entry) = self.mesh.links.get_mut(&link) {
            entry.stage = Stage::Joining;
        }
        self.accept_waiting(t, link)?;
        let stage = self.mesh.links.get(&link).map(|entry| entry.stage);
        if stage == Some(Stage::Joining) {
            // This hub may have been admitted after it said hello.
            roster::send_roster(t, link, self.mesh.roster.chain(&self.mesh.me));
        }
        Ok(())
    }

    /// Takes a link into use if both said hello and both are on the roster by now.
    pub(super) fn accept_waiting(&mut self, t: &mut Turn<'_, impl Store>, link: LinkId) -> Done {
        let admitted = self.mesh.is_admitted();
        let Some(entry) = self.mesh.links.get(&link) else {
            return Ok(());
        };
        let (peer, stage) = (entry.peer.clone(), entry.stage);
        if stage != Stage::Joining || !admitted {
            return Ok(());
        }
        if self.mesh.is_member(&peer) && self.mesh.hubs.contains_key(&peer) {
            return self.accept_link(t, link, &peer);
        }
        Ok(())
    }

    /// Returns the name that the other hub is bound to, or why there is no link.
    fn check_hello(&self, peer: &PeerId, hello: &Hello) -> Result<Binding, Refuse> {
        if hello.oldest > limits::LINK_VERSION || hello.newest < limits::LINK_VERSION {
            let (theirs, ours) = (hello.newest, limits::LINK_VERSION);
            let (older, newer) = if theirs < ours {
                ("the hub that is refused", "the other")
            } else {
                ("the hub that refuses", "the other")
            };
            return Err(Refuse {
                code: RefuseCode::Version,
                message: format!(
                    "The hubs speak different versions of the link protocol ({ours} and {theirs}). Update {older}; it is older than {newer}."
                ),
            });
        }
        if self.mesh.roster.is_revoked(peer) {
            return Err(roster::revoked());
        }
        let keys = &self.keys;
        let binding = hello
            .binding
            .open::<Binding>(|by, m, s| by == peer && keys.verify(by, m, s))
            .map_err(|_| Refuse {
                code: RefuseCode::BadFrame,
                message: "The name in the hello is not signed by the key of the link.".into(),
            })?;
        let own_root = self.mesh.row.as_ref().map(|row| &row.root);
        if let (Some(own), Some(theirs)) = (own_root, &hello.root)
            && own != theirs
        {
            return Err(Refuse {
                code: RefuseCode::OtherMesh,
                message: "The two hubs have the same mesh key but belong to different meshes. Let one of them join the other's: ecorelay pair on both.".into(),
            });
        }
        if let Some(known) = self.mesh.hubs.get(peer)
            && hello.epoch < known.row.epoch
        {
            return Err(Refuse {
                code: RefuseCode::IdentityInUse,
                message: format!(
                    "Another machine, or a copy of this one, uses the same identity.key ({peer}) and started later. Remove identity.key on the copy and let it join anew."
                ),
            });
        }
        if self.holds_name(&binding.hub_id, peer) {
            return Err(Refuse {
                code: RefuseCode::HubIdTaken,
                message: format!(
                    "Another hub of this mesh is called \"{}\" already. Set another hub_id in config.toml of one of the two, then: ecorelay node restart",
                    binding.hub_id
                ),
            });
        }
        let pinned = self.mesh.hubs.get(peer).map(|known| &known.row);
        if let Some(row) = pinned
            && row.hub_id != binding.hub_id
            && row.since > binding.since
        {
            // An old name of the same key; the newer one stays.
            let (hub_id, since) = (row.hub_id.clone(), row.since);
            return Ok(Binding { hub_id, since });
        }
        Ok(binding)
    }

    /// Returns whether a hub of the mesh other than `peer` has this name.
    pub(crate) fn holds_name(&self, hub_id: &HubId, peer: &PeerId) -> bool {
        let holder = self.mesh.by_id.get(hub_id).filter(|holder| *holder != peer);
        holder.is_some_and(|holder| *holder == self.mesh.me || self.mesh.is_member(holder))
    }

    /// Pins a hub's name to its key.
    pub(crate) fn pin(
        &mut self,
        t: &Turn<'_, impl Store>,
        peer: &PeerId,
        binding: Binding,
        software: &str,
        epoch: u64,
    ) {
        let known = self.mesh.hubs.entry(peer.clone()).or_insert_with(|| Known {
            row: HubRow {
                peer: peer.clone(),
                hub_id: binding.hub_id.clone(),
                since: binding.since,
                epoch,
                entry: None,
                last_seen: 0,
                label: None,
                policy: HubPolicy::default(),
            },
            entry: None,
            link: None,
            offline_since: t.now,
            why: None,
            software: None,
            changed: true,
        });
        if known.row.hub_id != binding.hub_id {
            let old = std::mem::replace(&mut known.row.hub_id, binding.hub_id.clone());
            if self.mesh.by_id.get(&old) == Some(peer) {
                self.mesh.by_id.remove(&old);
            }
        }
        known.row.since = binding.since;
        known.row.epoch = known.row.epoch.max(epoch);
        if !software.is_empty() {
            known.software = Some(
                visible(software)
                    .chars()
                    .take(limits::LABEL_CHARS)
                    .collect(),
            );
        }
        known.changed = true;
        self.mesh.by_id.insert(binding.hub_id, peer.clone());
    }

    fn check_clock(&mut self, t: &Turn<'_, impl Store>, peer: &PeerId, theirs: u64) {
        let skew = theirs.abs_diff(t.now);
        if skew <= SKEW_MS {
            return self.mesh.troubles.over_for("clock_skew", peer.as_str());
        }
        let name = self.hub_name(peer);
        let amount = match skew / 1_000 {
            s if s >= 2 * 86_400 => format!("{} days", s / 86_400),
            s if s >= 7_200 => format!("{} hours", s / 3_600),
            s => format!("{s} s"),
        };
        let way = if theirs > t.now { "ahead of" } else { "behind" };
        self.mesh.troubles.raise(
            "clock_skew",
            peer.as_str(),
            format!(
                "The clock of {name} is {amount} {way} this machine's: times and expiries are off."
            ),
            "Set the clock of the machine that is wrong (on Linux: timedatectl set-ntp true).",
            t.now,
        );
    }

    /// Notes why this hub refused another.
    fn note_refusal(&mut self, t: &Turn<'_, impl Store>, peer: &PeerId, refuse: &Refuse) {
        let (code, message) = match refuse.code {
            RefuseCode::HubIdTaken => (
                "hub_id_taken",
                format!(
                    "The hub with the key {peer} was refused: it uses a hub id that belongs to another key."
                ),
            ),
            RefuseCode::IdentityInUse => (
                "cloned_identity",
                format!(
                    "Two machines use the identity of {}: the one that started earlier was refused.",
                    self.hub_name(peer)
                ),
            ),
            RefuseCode::Version => (
                "version_skew",
                format!(
                    "{} speaks another version of the link protocol.",
                    self.hub_name(peer)
                ),
            ),
            RefuseCode::OtherMesh => (
                "other_mesh",
                format!(
                    "The hub with the key {peer} has this mesh's key but belongs to another mesh."
                ),
            ),
            _ => return,
        };
        let remedy = &refuse.message;
        self.mesh
            .troubles
            .raise(code, peer.as_str(), message, remedy, t.now);
    }

    /// The other hub refused this one.
    pub(super) fn refused(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        refuse: Refuse,
    ) -> Done {
        let name = self.hub_name(peer);
        let words: String = visible(&refuse.message).chars().take(400).collect();
        let anew = "On one of the two: stop the hub, move identity.key, mesh.key and relay.db away, and use a new ticket: ecorelay join";
        let (code, about, remedy) = match refuse.code {
            RefuseCode::Version => (
                "version_skew",
                peer.as_str(),
                "Update the older of the two (ecorelay --version), then: ecorelay node restart",
            ),
            RefuseCode::NotAdmitted => (
                "not_admitted",
                "",
                "Make a new ticket on a hub of the mesh (ecorelay invite) and use it here: ecorelay join",
            ),
            RefuseCode::Revoked => ("revoked", "", anew),
            RefuseCode::OtherMesh => (
                "other_mesh",
                peer.as_str(),
                "Let one of the two join the other's mesh: ecorelay invite there, ecorelay join here",
            ),
            RefuseCode::HubIdTaken => (
                "hub_id_taken",
                "",
                "Set another hub_id in config.toml, then: ecorelay node restart",
            ),
            RefuseCode::IdentityInUse => ("cloned_identity", "", anew),
            RefuseCode::BadFrame => (
                "bad_frame",
                peer.as_str(),
                "Update the older of the two (ecorelay --version), then: ecorelay node restart",
            ),
            RefuseCode::Other => (
                "refused",
                peer.as_str(),
                "ecorelay doctor, on both machines",
            ),
        };
        self.mesh.troubles.raise(
            code,
            about,
            format!("{name} refuses this hub: {words}"),
            remedy,
            t.now,
        );
        if let Some(known) = self.mesh.hubs.get_mut(peer) {
            known.why = Some(words);
        }
        if let Some(entry) = self.mesh.links.get_mut(&link) {
            entry.stage = Stage::Refused;
        }
        roster::close(t, link);
        self.status_changed(t);
        Ok(())
    }

    /// Returns what a person calls a hub.
    pub(crate) fn hub_name(&self, peer: &PeerId) -> String {
        let by_name = self.mesh.hub_id(peer).map(HubId::to_string);
        by_name.unwrap_or_else(|| peer.to_string())
    }
}

/// Returns what a hub is told that has the mesh's key and no place on the roster.
fn not_admitted() -> Refuse {
    Refuse {
        code: RefuseCode::NotAdmitted,
        message: "This hub has the mesh's key but was never admitted. Pair it with a hub of the mesh (ecorelay pair on both), or use a ticket (ecorelay invite there, ecorelay join here).".into(),
    }
}
