//! Whatever order operations come in, and however often, every hub ends with the same group.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::fold::State;
use super::log::place_of;
use super::op::{Body, Place, Who, Written, new_uid};
use crate::hub::Turn;
use crate::{
    Effects, GroupId, Hub, HubConfig, Ids, Keys as _, Member, MemoryStore, PlainKeys, Store as _,
    Tunables,
};
use ecorelay_protocol::{Name, PeerId};
use proptest::prelude::*;

const HUBS: u8 = 3;

struct Counting(u64);

impl Ids for Counting {
    fn uuid(&mut self) -> String {
        self.0 += 1;
        format!("id-{}", self.0)
    }

    fn secret(&mut self) -> [u8; 32] {
        [0; 32]
    }
}

/// A hub that has one group.
struct Replica {
    hub: Hub,
    store: MemoryStore,
    group: GroupId,
    /// Came before what they follow.
    early: Vec<Written>,
}

fn peer(n: u8) -> PeerId {
    PlainKeys::numbered(n).peer_id().clone()
}

fn name(n: u8) -> Name {
    format!("s{n}").parse().unwrap()
}

impl Replica {
    fn new(n: u8) -> Self {
        let config = HubConfig {
            hub_id: format!("hub{n}").parse().unwrap(),
            tunables: Tunables::default(),
            started: 1,
            mesh_key: None,
            about: serde_json::Map::new(),
        };
        let mut store = MemoryStore::default();
        let keys = Box::new(PlainKeys::numbered(n));
        let ids = Box::new(Counting(u64::from(n) * 1_000_000));
        let hub = Hub::new(config, ids, keys, &mut store).unwrap();
        let mut replica = Self {
            hub,
            store,
            group: GroupId(0),
            early: Vec::new(),
        };
        let uid = new_uid("u", &peer(0));
        let admin = Member {
            name: name(0),
            hub: (n > 0).then(|| peer(0)),
        };
        replica.group = replica.turn(|hub, t| hub.add_group(t, uid, name(0), admin, 1).unwrap());
        replica
    }

    fn turn<T>(&mut self, f: impl FnOnce(&mut Hub, &mut Turn<'_, MemoryStore>) -> T) -> T {
        let mut effects = Effects::default();
        let mut t = Turn {
            now: 1,
            store: &mut self.store,
            effects: &mut effects,
        };
        f(&mut self.hub, &mut t)
    }

    /// Writes an operation of this hub.
    fn write(&mut self, body: Body) -> Written {
        let id = self.group;
        self.turn(|hub, t| {
            let written = hub.next_op(t, id, body).unwrap();
            hub.take_ops(t, id, vec![written.clone()]).unwrap();
            written
        })
    }

    /// Takes operations of other hubs once those before them are there, as many at once as
    /// there are then.
    fn take(&mut self, written: &[Written]) {
        self.early.extend_from_slice(written);
        let id = self.group;
        let mut early = std::mem::take(&mut self.early);
        let (mut ready, ended) = (Vec::new(), self.state().deleted.is_some());
        let authors = self.turn(|hub, t| hub.log(t, id).unwrap().authors.clone());
        let had = |w: &Written| {
            let author = authors.get(&w.author).copied().unwrap_or_default();
            let changes = w.op.body.is_change();
            if changes {
                author.changes
            } else {
                author.texts
            }
        };
        early.retain(|w| w.op.seq > had(w) && (w.op.body.is_change() || !ended));
        loop {
            let same = |w: &Written, r: &Written| {
                w.author == r.author && w.op.body.is_change() == r.op.body.is_change()
            };
            let of = |w: &Written| ready.iter().filter(|r| same(w, r)).count() as u64;
            early.retain(|w| w.op.seq > had(w) + of(w));
            let Some(next) = early.iter().position(|w| w.op.seq == had(w) + of(w) + 1) else {
                break;
            };
            ready.push(early.remove(next));
        }
        self.early = early;
        if !ready.is_empty() {
            self.turn(|hub, t| hub.take_ops(t, id, ready).unwrap());
            // What waits may have come to its end with that.
            self.take(&[]);
        }
    }

    fn state(&mut self) -> State {
        let id = self.group;
        self.turn(|hub, t| hub.log(t, id).unwrap().state.clone())
    }

    /// Returns everything that has to be the same on every hub.
    fn view(&mut self) -> (State, Vec<Who>, Vec<(Place, bool, Who)>) {
        let state = self.state();
        let own = self.hub.own_peer();
        let group = &self.hub.groups.all[&self.group];
        let mut members: Vec<Who> = group.members.keys().map(|m| self.hub.who_is(m)).collect();
        members.sort();
        let places = self.store.group_places(self.group).unwrap();
        let entry =
            |e: &crate::EntryPlace| (place_of(&e.op, &own), e.void, self.hub.who_is(&e.from));
        let mut entries: Vec<_> = places.iter().map(entry).collect();
        entries.sort();
        (state, members, entries)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Invite(u8, u8),
    Remove(u8, u8),
    Leave(u8, u8),
    Rename(u8, u8, u8),
    Text(u8, u8),
    Delete,
    /// One hub hears all another has.
    Hear(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (h, n) = (|| 0..HUBS, || 0_u8..3);
    prop_oneof![
        4 => (h(), n()).prop_map(|(h, n)| Step::Invite(h, n)),
        3 => (h(), n()).prop_map(|(h, n)| Step::Remove(h, n)),
        1 => (h(), n()).prop_map(|(h, n)| Step::Leave(h, n)),
        2 => (h(), n(), n()).prop_map(|(h, a, b)| Step::Rename(h, a, b)),
        8 => (h(), n()).prop_map(|(h, n)| Step::Text(h, n)),
        1 => (0..30_u8).prop_map(|n| if n == 0 { Step::Delete } else { Step::Text(0, 0) }),
        3 => (h(), h()).prop_map(|(a, b)| Step::Hear(a, b)),
    ]
}

/// Lets hubs that follow the rules act, and returns them and everything they wrote.
fn play(steps: &[Step]) -> (Vec<Replica>, Vec<Written>) {
    let mut replicas: Vec<Replica> = (0..HUBS).map(Replica::new).collect();
    let create = Body::Create {
        name: name(0),
        admin: name(0),
        members: vec![(name(0), peer(1)), (name(0), peer(2))],
    };
    let mut log = vec![replicas[0].write(create)];
    for replica in replicas.iter_mut().skip(1) {
        replica.take(&log[..1]);
    }
    let mut msg = 0;
    for step in steps {
        let admin = replicas[0].state().admin.unwrap().0;
        let (by, body, acts) = match step.clone() {
            Step::Hear(from, to) => {
                // What a hub has is all it was told of and its own; here simply all of its own.
                let of: Vec<Written> = log
                    .iter()
                    .filter(|w| w.author == peer(from))
                    .cloned()
                    .collect();
                replicas[usize::from(to)].take(&of);
                continue;
            }
            Step::Invite(hub, n) => {
                let who = (name(n), peer(hub));
                (
                    0,
                    Body::Invite {
                        by: admin.clone(),
                        who,
                    },
                    (admin, peer(0)),
                )
            }
            Step::Remove(hub, n) => {
                let who = (name(n), peer(hub));
                let reason = "x".into();
                (
                    0,
                    Body::Remove {
                        by: admin.clone(),
                        who,
                        reason,
                    },
                    (admin, peer(0)),
                )
            }
            Step::Delete => (0, Body::Delete { by: admin.clone() }, (admin, peer(0))),
            Step::Leave(hub, n) => (hub, Body::Leave { who: name(n) }, (name(n), peer(hub))),
            Step::Rename(hub, old, new) if old != new => {
                let (old, new) = (name(old), name(new));
                let acts = (old.clone(), peer(hub));
                (hub, Body::Rename { old, new }, acts)
            }
            Step::Rename(..) => continue,
            Step::Text(hub, n) => {
                msg += 1;
                let (from, msg_id, text) = (name(n), format!("m-{msg}"), format!("text {msg}"));
                (hub, Body::Text { from, msg_id, text }, (name(n), peer(hub)))
            }
        };
        let replica = &mut replicas[usize::from(by)];
        let state = replica.state();
        if state.deleted.is_none() && state.members.contains_key(&acts) {
            log.push(replica.write(body));
        }
    }
    (replicas, log)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_arrival_ends_in_the_same_group(
        steps in proptest::collection::vec(step(), 0..80),
        seed in any::<u64>(),
    ) {
        let (mut replicas, log) = play(&steps);
        replicas.push(Replica::new(HUBS));
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut views = Vec::new();
        for replica in &mut replicas {
            let mut order: Vec<Written> = log.iter().chain(&log).cloned().collect();
            rng.shuffle(&mut order);
            let mut rest = order.as_slice();
            while !rest.is_empty() {
                let (some, others) = rest.split_at(rng.usize(1..=rest.len().min(9)));
                replica.take(some);
                rest = others;
            }
            prop_assert!(replica.early.is_empty());
            views.push(replica.view());
        }
        let (state, members, _) = &views[0];
        let folded: Vec<Who> = state.members.keys().cloned().collect();
        if state.deleted.is_none() {
            prop_assert_eq!(members, &folded);
        }
        for view in &views {
            prop_assert_eq!(view, &views[0]);
        }
        // What is kept is what is in memory.
        for replica in &mut replicas {
            let before = replica.view();
            let group = replica.group;
            if let Some(group) = replica.hub.groups.all.get_mut(&group) {
                group.log = None;
            }
            prop_assert_eq!(replica.view(), before);
        }
    }
}
