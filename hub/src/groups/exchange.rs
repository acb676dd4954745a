//! Sending operations of a group's log to other hubs.

use super::log::Author;
use super::op::{Body, Op, Written};
use super::pace::LARGE;
use crate::hub::{Done, Turn};
use crate::mesh::{LinkId, frame_effect};
use crate::{GroupEntryRow, GroupId, Hub, Store};
use ecorelay_protocol::link::{Frame, GroupOps, GroupVersions, Signable as _, Signed};
use ecorelay_protocol::{Bytes, GroupEntryType, PeerId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Operations in one frame, in bytes, and how many; one is always sent.
const FRAME_OPS_BYTES: usize = 1024 * 1024;
pub(super) const FRAME_OPS: usize = 2_048;
impl Hub {
    /// Sends an operation of this hub to the linked hubs it concerns, after the commit: a number
    /// that was sent must not be used again.
    pub(super) fn share_op(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        id: GroupId,
        written: &Written,
    ) -> Done {
        let Some(group) = self.groups.all.get(&id).filter(|g| g.hubs.len() > 1) else {
            return Ok(());
        };
        let hubs: Vec<(PeerId, LinkId)> = group
            .hubs
            .keys()
            .flatten()
            .filter_map(|peer| Some((peer.clone(), self.mesh.link_to(peer)?)))
            .collect();
        if hubs.is_empty() {
            return Ok(());
        }
        let ops = GroupOps {
            group: written.op.group.clone(),
            ops: vec![self.signed(written.payload.clone())],
            kept: Vec::new(),
            more: false,
        };
        let bytes: Arc<[u8]> = Frame::GroupOps(ops).encode().into();
        let is_text = !written.op.body.is_change();
        for (peer, link) in hubs {
            if is_text && !self.log(t, id)?.state.has_members_of(&peer) {
                continue;
            }
            t.effects.after.push(frame_effect(link, bytes.clone()));
        }
        Ok(())
    }

    /// Returns an operation of this hub, signed.
    fn signed(&self, payload: Bytes) -> Signed {
        let message = Signed::message(Op::DOMAIN, &payload.0);
        Signed {
            by: self.own_peer(),
            signature: Bytes(self.keys.sign(&message)),
            payload,
        }
    }

    /// Sends what another hub lacks of a group, as much as fits into one frame. Returns whether
    /// that is so much that an answer is to be waited for.
    pub(super) fn send_missing(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        peer: &PeerId,
        id: GroupId,
        versions: &GroupVersions,
    ) -> Done<bool> {
        let has: BTreeMap<&PeerId, (u64, u64)> = versions
            .authors
            .iter()
            .map(|v| (&v.author, (v.changes, v.texts)))
            .collect();
        let has = |author: &PeerId| has.get(author).copied().unwrap_or_default();
        let own = self.own_peer();
        let log = self.log(t, id)?;
        let takes_texts = log.state.has_members_of(peer);
        let authors: Vec<(PeerId, Author)> =
            log.authors.iter().map(|(a, l)| (a.clone(), *l)).collect();
        let mut frame = Filling::default();
        if authors
            .iter()
            .any(|(author, log)| log.changes > has(author).0)
        {
            for change in super::log::in_order(t.store.group_changes(id)?, &own) {
                if change.op.seq > has(&change.author).0 {
                    let signed = self.as_signed(change.author, change.payload, change.signature);
                    frame.add(signed);
                }
            }
        }
        for (author, log) in authors {
            let (_, texts) = has(&author);
            if !takes_texts || log.texts <= texts {
                continue;
            }
            if frame.full {
                break;
            }
            let of = self.foreign(&author);
            let rows = t
                .store
                .group_texts(id, of.as_ref(), texts, FRAME_OPS, frame.left())?;
            if let Some(first) = rows.first().filter(|row| row.op.seq > texts + 1) {
                frame.kept.push((author.clone(), first.op.seq));
            }
            frame.full |= rows.last().is_some_and(|row| row.op.seq < log.texts);
            for row in rows {
                let signed = self.text_signed(id, &author, row);
                frame.add(signed);
            }
        }
        if frame.ops.is_empty() {
            return Ok(false);
        }
        let answered = frame.full || frame.bytes >= LARGE;
        let ops = GroupOps {
            group: versions.group.clone(),
            ops: frame.ops,
            kept: frame.kept,
            more: answered,
        };
        t.effects.frame_after(link, &Frame::GroupOps(ops));
        Ok(answered)
    }

    fn as_signed(&self, author: PeerId, payload: Bytes, signature: Bytes) -> Signed {
        if signature.0.is_empty() && author == *self.keys.peer_id() {
            return self.signed(payload);
        }
        Signed {
            by: author,
            payload,
            signature,
        }
    }

    /// Returns a text as the operation it is.
    fn text_signed(&self, id: GroupId, author: &PeerId, row: GroupEntryRow) -> Signed {
        if let Some(proof) = row.proof {
            let payload = [proof.head.0.as_slice(), row.text.as_bytes()].concat();
            return self.as_signed(author.clone(), Bytes(payload), proof.signature);
        }
        let group = self.groups.all.get(&id);
        let op = Op {
            group: group.map_or_else(String::new, |g| g.row.uid.clone()),
            seq: row.op.seq,
            lamport: row.op.lamport,
            ts: row.ts,
            body: Body::Old {
                from: row.wrote,
                system: row.entry_type == GroupEntryType::System,
                msg_id: row.msg_id,
                text: row.text,
            },
        };
        let written = Written::own(author.clone(), op);
        self.as_signed(author.clone(), written.payload, written.signature)
    }
}

/// A frame that is being filled.
#[derive(Default)]
struct Filling {
    ops: Vec<Signed>,
    kept: Vec<(PeerId, u64)>,
    bytes: usize,
    /// Something did not fit.
    full: bool,
}

impl Filling {
    fn left(&self) -> usize {
        FRAME_OPS_BYTES.saturating_sub(self.bytes)
    }

    fn add(&mut self, signed: Signed) {
        self.bytes += signed.payload.0.len();
        let fits = self.bytes <= FRAME_OPS_BYTES && self.ops.len() < FRAME_OPS;
        self.full |= !fits;
        if self.ops.is_empty() || !self.full {
            self.ops.push(signed);
        }
    }
}
