//! What the entries of the roster come to: who belongs to the mesh, and how near to its first
//! hub. The same on every hub that has the same entries, in whatever order they came.
//!
//! - The first hub belongs to the mesh. Whoever is admitted by one that does, does.
//! - Revocations are weighed one by one, the weightiest first: that of the hub nearest to the
//!   first (by admissions), then the oldest, then by the order of the keys. One counts if its
//!   author still belongs to the mesh by then. So of two hubs that revoke each other, the nearer
//!   stays.
//! - What a revoked hub had admitted counts only where a revocation that counts keeps it. Who
//!   revokes a hub signs that hub's own revocations anew, so that these go on counting.

use ecorelay_protocol::link::{Admission, Signed};
use ecorelay_protocol::{Bytes, PeerId, from_cbor, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Roster entries of one frame, and the longest chain of admissions.
pub(super) const CHUNK: usize = 64;
/// All entries together, in bytes: a thousand hubs need a third of a megabyte.
const BYTES: usize = 8 * 1024 * 1024;

/// About whom an entry is, whether it revokes, and whose it is.
type Key = (PeerId, bool, PeerId);

#[derive(Debug)]
struct Entry {
    admission: Admission,
    signed: Signed,
    digest: Bytes,
}

/// The roster with what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    pub(super) root: Option<PeerId>,
    entries: BTreeMap<Key, Entry>,
    digests: BTreeSet<Bytes>,
    bytes: usize,
    /// Everyone an admission ever reached: their entries are kept.
    known: BTreeSet<PeerId>,
    /// Everyone an admission that counts reaches.
    places: BTreeMap<PeerId, Place>,
    /// Who is revoked, and whom their admissions still let in.
    revoked: BTreeMap<PeerId, BTreeSet<PeerId>>,
    /// The revocations that count.
    counted: BTreeSet<(PeerId, PeerId)>,
}

/// Where a hub stands in the tree of admissions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    depth: usize,
    by: Option<PeerId>,
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new, or takes the place of another of its author about the same hub.
    Fresh,
    /// It is there, or a better one is.
    Known,
    /// Its author was never admitted, as far as is known.
    Unknown,
    /// There is no room.
    Full,
}

impl Roster {
    /// Returns the roster that was stored; its signatures were checked before that.
    pub(crate) fn load(root: Option<&PeerId>, stored: &[Signed]) -> Self {
        let mut roster = Self {
            root: root.cloned(),
            known: root.into_iter().cloned().collect(),
            ..Self::default()
        };
        let mut waiting: Vec<(Admission, Signed)> = stored
            .iter()
            .filter_map(|signed| Some((from_cbor(&signed.payload.0).ok()?, signed.clone())))
            .collect();
        let mut before = usize::MAX;
        while waiting.len() < before {
            before = waiting.len();
            waiting.retain(|(admission, signed)| {
                roster.add(admission.clone(), signed.clone()) == Added::Unknown
            });
        }
        roster.derive();
        roster
    }

    /// Returns whether a hub belongs to the mesh.
    pub(crate) fn is_member(&self, peer: &PeerId) -> bool {
        self.places.contains_key(peer) && !self.revoked.contains_key(peer)
    }

    pub(crate) fn is_revoked(&self, peer: &PeerId) -> bool {
        self.revoked.contains_key(peer)
    }

    /// Returns whether a hub was ever admitted.
    pub(super) fn was_admitted(&self, peer: &PeerId) -> bool {
        self.known.contains(peer)
    }

    /// Returns who was admitted with a ticket, also if they were revoked since.
    pub(super) fn admitted_with(&self, ticket: &Bytes) -> BTreeSet<PeerId> {
        let entries = self.entries.values().map(|entry| &entry.admission);
        let with = entries.filter(|a| !a.revoked && a.ticket.as_ref() == Some(ticket));
        with.map(|a| a.subject.clone()).collect()
    }

    /// Returns how far a hub of the mesh is from the first one.
    pub(super) fn depth(&self, peer: &PeerId) -> Option<usize> {
        let place = self.places.get(peer);
        place.filter(|_| self.is_member(peer)).map(|p| p.depth)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &PeerId> {
        let reached = self.places.keys();
        reached.filter(|peer| !self.revoked.contains_key(*peer))
    }

    pub(super) fn revoked(&self) -> impl Iterator<Item = &PeerId> {
        self.revoked.keys()
    }

    /// Returns whom a hub has revoked with effect.
    pub(super) fn revoked_by<'a>(&'a self, by: &'a PeerId) -> impl Iterator<Item = &'a PeerId> {
        let counted = self.counted.iter().filter(move |(author, _)| author == by);
        counted.map(|(_, subject)| subject)
    }

    /// Returns the revoked hubs that one answers for: whom it has revoked, and whom those had
    /// revoked before, for they are no longer there to see to it.
    pub(super) fn answered_by(&self, by: &PeerId) -> BTreeSet<PeerId> {
        let (mut all, mut todo) = (BTreeSet::new(), vec![by]);
        while let Some(author) = todo.pop() {
            for subject in self.revoked_by(author) {
                if all.insert(subject.clone()) {
                    todo.push(subject);
                }
            }
        }
        all
    }

    /// Returns whom the admissions of a revoked hub still let in.
    pub(super) fn kept(&self, peer: &PeerId) -> Vec<PeerId> {
        let kept = self.revoked.get(peer).into_iter().flatten();
        kept.cloned().collect()
    }

    /// Returns whom hubs that are revoked now had revoked, where that counts for nothing any more.
    pub(super) fn overruled(&self) -> impl Iterator<Item = (&PeerId, &PeerId)> {
        let revocations = self.entries.keys().filter(|(_, revoked, _)| *revoked);
        revocations
            .filter(|(subject, _, by)| self.is_revoked(by) && self.is_member(subject))
            .map(|(subject, _, by)| (by, subject))
    }

    /// Returns whom a hub let in that would be out without it.
    pub(super) fn admitted_by<'a>(&'a self, by: &'a PeerId) -> impl Iterator<Item = &'a PeerId> {
        let admitted = self.entries.keys();
        admitted
            .filter(move |(subject, revoked, author)| {
                author == by && !revoked && self.is_member(subject) && subject != by
            })
            .map(|(subject, ..)| subject)
    }

    /// Returns how many hubs are known, revoked ones included.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Returns the digest of every entry.
    pub(super) fn digests(&self) -> Vec<Bytes> {
        self.digests.iter().cloned().collect()
    }

    pub(super) fn contains(&self, digest: &Bytes) -> bool {
        self.digests.contains(digest)
    }

    /// Returns the admissions that lead from the first hub of the mesh to this one, in that order.
    pub(super) fn chain(&self, peer: &PeerId) -> Vec<Signed> {
        let mut chain = Vec::new();
        let mut at = peer;
        while chain.len() < CHUNK
            && let Some(Place { by: Some(by), .. }) = self.places.get(at)
            && let Some(entry) = self.entries.get(&(at.clone(), false, by.clone()))
        {
            chain.push(entry.signed.clone());
            at = by;
        }
        chain.reverse();
        chain
    }

    /// Returns the entries that are not among these, each behind an admission of its author: they
    /// go out in several frames, and count only in that order.
    pub(super) fn missing(&self, has: &[Bytes]) -> Vec<Signed> {
        let has: BTreeSet<&Bytes> = has.iter().collect();
        let mut known: BTreeSet<&PeerId> = self.root.iter().collect();
        let mut left: Vec<(&Key, &Entry)> = self.entries.iter().collect();
        let mut missing = Vec::new();
        loop {
            let before = left.len();
            left.retain(|((subject, revoked, by), entry)| {
                let counts = known.contains(by);
                if counts {
                    if !revoked {
                        known.insert(subject);
                    }
                    if !has.contains(&entry.digest) {
                        missing.push(entry.signed.clone());
                    }
                }
                !counts
            });
            if left.is_empty() || left.len() == before {
                return missing;
            }
        }
    }

    /// Returns whether an entry would be of no effect now: its author is revoked.
    pub(super) fn is_void(&self, admission: &Admission, by: &PeerId) -> bool {
        let kept = self.revoked.get(by);
        kept.is_some_and(|kept| admission.revoked || !kept.contains(&admission.subject))
    }

    /// Adds an entry of this mesh whose signature was checked. [`Roster::derive`] is due then.
    pub(super) fn add(&mut self, admission: Admission, signed: Signed) -> Added {
        if !self.known.contains(&signed.by) {
            return Added::Unknown;
        }
        let digest = signed.digest();
        if self.digests.contains(&digest) {
            return Added::Known;
        }
        if admission.keeps.len() > limits::HUBS {
            return Added::Full;
        }
        let key = (
            admission.subject.clone(),
            admission.revoked,
            signed.by.clone(),
        );
        // Of two entries of one author about the same, every hub keeps the same one.
        let order = |a: &Admission, s: &Signed| (a.ts, s.payload.0.clone());
        if let Some(old) = self.entries.get(&key) {
            if order(&old.admission, &old.signed) <= order(&admission, &signed) {
                return Added::Known;
            }
            self.drop_entry(&key);
        } else if self.is_full(&key, signed.payload.0.len()) {
            return Added::Full;
        }
        if !admission.revoked {
            self.known.insert(admission.subject.clone());
        }
        self.bytes += signed.payload.0.len();
        self.digests.insert(digest.clone());
        let entry = Entry {
            admission,
            signed,
            digest,
        };
        self.entries.insert(key, entry);
        Added::Fresh
    }

    /// Returns whether one more entry has no room: half of it is left to other authors.
    fn is_full(&self, key: &Key, bytes: usize) -> bool {
        let same = self.entries.keys().filter(|other| other.1 == key.1);
        let of_author = same.clone().filter(|other| other.2 == key.2).count();
        same.count() >= limits::ROSTER
            || of_author >= limits::ROSTER / 2
            || self.bytes + bytes > BYTES
    }

    fn drop_entry(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.signed.payload.0.len());
            self.digests.remove(&entry.digest);
        }
    }

    /// Takes out the entries of no effect, and returns what they were about.
    pub(super) fn drop_void(&mut self) -> Vec<(PeerId, bool, PeerId)> {
        let all = self.entries.iter();
        let void: Vec<Key> = all
            .filter(|((.., by), entry)| self.is_void(&entry.admission, by))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &void {
            self.drop_entry(key);
        }
        void
    }

    /// Works out who belongs to the mesh.
    pub(super) fn derive(&mut self) {
        let mut admissions: BTreeMap<&PeerId, Vec<&PeerId>> = BTreeMap::new();
        let mut open = Vec::new();
        for ((subject, revoked, by), entry) in &self.entries {
            if *revoked {
                open.push((by, subject, &entry.admission));
            } else {
                admissions.entry(by).or_default().push(subject);
            }
        }
        let mut revoked = BTreeMap::new();
        let mut counted = BTreeSet::new();
        let places = loop {
            let places = walk(self.root.as_ref(), &admissions, &revoked);
            let weight =
                |(_, (by, subject, admission)): &(usize, &(&PeerId, &PeerId, &Admission))| {
                    let depth = places.get(*by).map_or(usize::MAX, |place| place.depth);
                    (depth, admission.ts, (*by).clone(), (*subject).clone())
                };
            let valid = open
                .iter()
                .enumerate()
                .filter(|(_, (by, ..))| places.contains_key(*by) && !revoked.contains_key(*by));
            let Some((at, _)) = valid.min_by_key(weight) else {
                break places;
            };
            let (by, subject, admission) = open.swap_remove(at);
            let kept: &mut BTreeSet<PeerId> = revoked.entry(subject.clone()).or_default();
            kept.extend(admission.keeps.iter().cloned());
            counted.insert((by.clone(), subject.clone()));
        };
        self.places = places;
        self.revoked = revoked;
        self.counted = counted;
    }
}

/// Returns everyone that admissions reach from the first hub, by the shortest way; through a
/// revoked hub only to those that are kept.
fn walk(
    root: Option<&PeerId>,
    admissions: &BTreeMap<&PeerId, Vec<&PeerId>>,
    revoked: &BTreeMap<PeerId, BTreeSet<PeerId>>,
) -> BTreeMap<PeerId, Place> {
    let mut places = BTreeMap::new();
    let Some(root) = root else {
        return places;
    };
    let first = Place { depth: 0, by: None };
    places.insert(root.clone(), first);
    let (mut layer, mut depth) = (BTreeSet::from([root]), 0);
    while !layer.is_empty() {
        depth += 1;
        let mut next = BTreeSet::new();
        for by in layer {
            let kept = revoked.get(by);
            for subject in admissions.get(by).into_iter().flatten() {
                let counts = kept.is_none_or(|kept| kept.contains(*subject));
                if counts && !places.contains_key(*subject) {
                    let by = Some(by.clone());
                    places.insert((*subject).clone(), Place { depth, by });
                    next.insert(*subject);
                }
            }
        }
        layer = next;
    }
    places
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Keys as _, PlainKeys};
    use proptest::prelude::*;

    fn peer(n: u8) -> PeerId {
        PlainKeys::numbered(n + 1).peer_id().clone()
    }

    fn entry(by: u8, subject: u8, ts: u64, revoked: bool, keeps: &[u8]) -> (Admission, Signed) {
        let admission = Admission {
            root: peer(0),
            subject: peer(subject),
            ts,
            revoked,
            ticket: None,
            keeps: keeps.iter().copied().map(peer).collect(),
        };
        let keys = PlainKeys::numbered(by + 1);
        let signed = Signed::new(peer(by), &admission, |m| keys.sign(m));
        (admission, signed)
    }

    fn admits(by: u8, subject: u8) -> (Admission, Signed) {
        entry(by, subject, 1, false, &[])
    }

    fn revokes(by: u8, subject: u8, ts: u64, keeps: &[u8]) -> (Admission, Signed) {
        entry(by, subject, ts, true, keeps)
    }

    /// Adds the entries in this order, each again until all that can be known are.
    fn roster(entries: &[(Admission, Signed)]) -> Roster {
        let mut roster = Roster::load(Some(&peer(0)), &[]);
        for _ in 0..=entries.len() {
            for (admission, signed) in entries {
                roster.add(admission.clone(), signed.clone());
                roster.derive();
            }
        }
        roster
    }

    fn members(roster: &Roster, of: u8) -> Vec<u8> {
        (0..of).filter(|n| roster.is_member(&peer(*n))).collect()
    }

    #[test]
    fn a_revoked_hubs_admissions_count_only_where_they_are_kept() {
        let chain = [admits(0, 1), admits(1, 2), admits(1, 3), admits(3, 4)];
        assert_eq!(members(&roster(&chain), 5), [0, 1, 2, 3, 4]);
        let kept = [&chain[..], &[revokes(0, 1, 5, &[3])]].concat();
        assert_eq!(members(&roster(&kept), 5), [0, 3, 4]);
        let forged = [&kept[..], &[admits(1, 5), revokes(1, 4, 2, &[])]].concat();
        assert_eq!(members(&roster(&forged), 6), [0, 3, 4]);
        let taken_back = [&kept[..], &[admits(4, 2)]].concat();
        assert_eq!(members(&roster(&taken_back), 5), [0, 2, 3, 4]);
        // The chain leads through the revoked hub to the kept one, and no further.
        let roster = roster(&kept);
        assert_eq!(roster.chain(&peer(4)).len(), 3);
        assert!(roster.chain(&peer(2)).is_empty());
    }

    #[test]
    fn of_two_hubs_that_revoke_each_other_the_nearer_stays() {
        let deep = [admits(0, 1), admits(1, 2), admits(0, 3)];
        let both = [revokes(1, 2, 9, &[]), revokes(2, 1, 3, &[2])];
        assert_eq!(members(&roster(&[&deep[..], &both].concat()), 4), [0, 1, 3]);
        let level = [revokes(1, 3, 9, &[2]), revokes(3, 1, 3, &[2])];
        let at_once = [&deep[..], &level].concat();
        assert_eq!(members(&roster(&at_once), 4), [0, 2, 3]);
        // Nobody takes the first hub out against its will; with it, anybody does.
        let first = [&deep[..], &[revokes(2, 0, 3, &[1, 3])]].concat();
        assert_eq!(members(&roster(&first), 4), [1, 2, 3]);
        let not = [&first[..], &[revokes(0, 2, 9, &[])]].concat();
        assert_eq!(members(&roster(&not), 4), [0, 1, 3]);
    }

    #[test]
    fn a_revocation_ends_with_its_author_unless_it_was_taken_over() {
        let mesh = [
            admits(0, 1),
            admits(0, 2),
            admits(0, 3),
            revokes(2, 3, 4, &[]),
        ];
        assert_eq!(members(&roster(&mesh), 4), [0, 1, 2]);
        let lost = [&mesh[..], &[revokes(0, 2, 5, &[])]].concat();
        assert_eq!(members(&roster(&lost), 4), [0, 1, 3]);
        assert_eq!(roster(&lost).overruled().count(), 1);
        let kept = [&lost[..], &[revokes(0, 3, 5, &[])]].concat();
        assert_eq!(members(&roster(&kept), 4), [0, 1]);
    }

    #[test]
    fn one_author_cannot_fill_the_roster() {
        let mut roster = Roster::load(Some(&peer(0)), &[]);
        for n in 1..=2 {
            let (admission, signed) = admits(0, n);
            assert_eq!(roster.add(admission, signed), Added::Fresh);
        }
        let strange = |n: usize| format!("{}{n:04}", "1".repeat(48)).replace('0', "z");
        let mut full = 0;
        for n in 0..limits::ROSTER {
            let mut admission = admits(1, 1).0;
            admission.subject = strange(n).parse().unwrap();
            let signed = Signed::new(peer(1), &admission, |m| m.to_vec());
            full += usize::from(roster.add(admission, signed) == Added::Full);
        }
        assert!(full > 0 && roster.entries.len() <= 2 + limits::ROSTER / 2);
        let (admission, signed) = admits(2, 9);
        assert_eq!(roster.add(admission, signed), Added::Fresh);
        // With its author revoked there is room again.
        let (admission, signed) = revokes(2, 1, 9, &[]);
        assert_eq!(roster.add(admission, signed), Added::Fresh);
        roster.derive();
        assert!(roster.drop_void().len() >= limits::ROSTER / 2 - 1);
        assert!(roster.is_revoked(&peer(1)) && roster.is_member(&peer(9)));
    }

    proptest! {
        /// Whatever hubs say of each other: every order, and every way through the store, comes
        /// to the same.
        #[test]
        fn every_order_of_the_entries_comes_to_the_same(
            made in proptest::collection::vec((0..6_u8, 0..6_u8, 0..4_u64, any::<bool>(), proptest::collection::vec(0..6_u8, 0..3)), 0..16),
            seed in any::<u64>(),
        ) {
            let all: Vec<_> = made.iter().map(|(by, of, ts, revoked, keeps)| entry(*by, *of, *ts, *revoked, keeps)).collect();
            let one = roster(&all);
            let mut other = all.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut other);
            let other = roster(&other);
            let stored: Vec<Signed> = one.missing(&[]);
            let loaded = Roster::load(Some(&peer(0)), &stored);
            for same in [&other, &loaded] {
                prop_assert_eq!(&one.digests, &same.digests);
                prop_assert_eq!(&one.places, &same.places);
                prop_assert_eq!(&one.revoked, &same.revoked);
            }
            // What is sent to a hub that knows nothing counts in the order in which it comes.
            let mut fresh = Roster::load(Some(&peer(0)), &[]);
            for signed in stored {
                let admission = from_cbor(&signed.payload.0).unwrap();
                prop_assert_eq!(fresh.add(admission, signed), Added::Fresh);
            }
        }
    }
}
