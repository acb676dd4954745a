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
pub(super) struct Roster {
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
    pub(super) fn load(root: Option<&PeerId>, stored: &[Signed]) -> Self {
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
    pub(super) fn is_member(&self, peer: &PeerId) -> bool {
        self.places.contains_key(peer) && !self.revoked.contains_key(peer)
    }

    pub(super) fn is_revoked(&self, peer: &PeerId) -> bool {
        self.revoked.contains_key(peer)
    }

    /// Returns whether a hub was ever admitted.
    pub(super) fn was_admitted(&self, peer: &PeerId) -> bool {
        self.known.contains(peer)
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
    pub(super) fn len(&self) -> usize {
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
