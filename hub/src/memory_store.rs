//! A store in memory, for tests and the simulator: the reference for what every store does.

mod groups;

use crate::store::{
    AskRow, Durable, EntryPlace, Found, GoneRow, GroupChangeRow, GroupEntryRow, GroupId, HubRow,
    MailboxId, MailboxLoad, MailboxRow, Member, MeshRow, MessageKey, MessageRow, OutboxLoad,
    OutgoingRow, Store, StoreError, TicketRow, Write,
};
use ecorelay_protocol::link::{RendezvousEntry, Signed};
use ecorelay_protocol::{Bytes, DeliveryState, PeerId, PushResult};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A store in memory that forgets exactly what was not committed.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    working: Tables,
    committed: Tables,
    /// Writes since the last commit.
    redo: Vec<Write>,
    /// Every write fails with this error while it is set.
    failing: Option<StoreError>,
}

#[derive(Debug, Clone, Default)]
struct Tables {
    mailboxes: BTreeMap<MailboxId, MailboxRow>,
    messages: BTreeMap<MessageKey, Arc<MessageRow>>,
    keys: BTreeMap<String, MessageKey>,
    gone: BTreeMap<String, GoneRow>,
    asks: BTreeMap<String, AskRow>,
    groups: groups::GroupTables,
    mesh: Option<MeshRow>,
    hubs: BTreeMap<PeerId, HubRow>,
    roster: BTreeMap<(PeerId, bool, PeerId), Signed>,
    tickets: BTreeMap<Bytes, TicketRow>,
    joining: Option<String>,
    rendezvous: BTreeMap<String, RendezvousEntry>,
    outgoing: BTreeMap<(PeerId, u64), Arc<OutgoingRow>>,
    outgoing_ids: BTreeMap<String, (PeerId, u64)>,
    last_outgoing: BTreeMap<PeerId, u64>,
    last_mailbox: u32,
}

impl MemoryStore {
    /// Makes the writes since the last commit durable.
    ///
    /// # Errors
    /// While the store is set to fail.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.failing {
            return Err(error.clone());
        }
        for write in self.redo.drain(..) {
            self.committed.apply(write);
        }
        Ok(())
    }

    /// Forgets the writes since the last commit; what a crash does.
    pub fn rollback(&mut self) {
        if !self.redo.is_empty() {
            self.redo.clear();
            self.working = self.committed.clone();
        }
    }

    /// Makes every commit fail with this error, or no longer.
    pub fn set_failing(&mut self, error: Option<StoreError>) {
        self.failing = error;
    }

    /// Returns every message in every mailbox, in order.
    pub fn messages(&self) -> impl Iterator<Item = &MessageRow> {
        self.working.messages.values().map(AsRef::as_ref)
    }

    /// Returns every message for other hubs that is remembered, by hub and number.
    pub fn outgoing(&self) -> impl Iterator<Item = &OutgoingRow> {
        self.working.outgoing.values().map(AsRef::as_ref)
    }

    /// Returns how many rows the store holds, for bounds.
    pub fn rows(&self) -> usize {
        let t = &self.working;
        t.mailboxes.len()
            + t.messages.len()
            + t.gone.len()
            + t.asks.len()
            + t.groups.rows()
            + t.hubs.len()
            + t.roster.len()
            + t.tickets.len()
            + t.rendezvous.len()
            + t.outgoing.len()
    }
}

impl Tables {
    fn mailbox(&self, id: MailboxId) -> impl DoubleEndedIterator<Item = &Arc<MessageRow>> {
        self.after(id, 0)
    }

    fn after(&self, id: MailboxId, seq: u32) -> impl DoubleEndedIterator<Item = &Arc<MessageRow>> {
        let from = MessageKey {
            mailbox: id,
            seq: seq.saturating_add(1),
        };
        let to = MessageKey {
            mailbox: id,
            seq: u32::MAX,
        };
        self.messages.range(from..=to).map(|(_, row)| row)
    }

    fn of_hub(
        &self,
        peer: &PeerId,
        after: u64,
    ) -> impl DoubleEndedIterator<Item = &Arc<OutgoingRow>> {
        let from = (peer.clone(), after.saturating_add(1));
        let to = (peer.clone(), u64::MAX);
        self.outgoing.range(from..=to).map(|(_, row)| row)
    }

    fn waiting(&self, peer: &PeerId, after: u64) -> impl Iterator<Item = &Arc<OutgoingRow>> {
        self.of_hub(peer, after).filter(|row| row.acked.is_none())
    }

    fn change(&mut self, key: MessageKey, change: impl FnOnce(&mut MessageRow)) {
        if let Some(row) = self.messages.get_mut(&key) {
            change(Arc::make_mut(row));
        }
    }

    fn remove(&mut self, keys: &[MessageKey], ts: u64) -> usize {
        for key in keys {
            if let Some(row) = self.messages.remove(key) {
                self.keys.remove(&row.msg_id);
                let gone = GoneRow {
                    msg_id: row.msg_id.clone(),
                    kind: row.kind,
                    from: row.from.clone(),
                    to: row.to.clone(),
                    ts: row.ts,
                    read: row.read,
                    handed: is_handed(&row),
                    left: ts,
                };
                self.gone.insert(row.msg_id.clone(), gone);
            }
        }
        keys.len()
    }

    fn apply(&mut self, write: Write) -> usize {
        match write {
            Write::PutMailbox(row) => {
                self.last_mailbox = self.last_mailbox.max(row.id.0);
                self.mailboxes.insert(row.id, row);
            }
            Write::DeleteMailbox { id, ts } => {
                self.mailboxes.remove(&id);
                let keys: Vec<_> = self.mailbox(id).map(|m| m.key).collect();
                return self.remove(&keys, ts);
            }
            Write::AppendMessage(row) => {
                self.keys.insert(row.msg_id.clone(), row.key);
                self.messages.insert(row.key, Arc::new(*row));
            }
            Write::MarkPushed { key, pushed } => self.change(key, |row| row.pushed = Some(pushed)),
            Write::MarkRead { keys, ts } => {
                let mut fresh = 0;
                for key in keys {
                    self.change(key, |row| {
                        fresh += usize::from(row.read.is_none());
                        row.read = row.read.or(Some(ts));
                    });
                }
                return fresh;
            }
            Write::MarkAnswered { key, ts, by } => {
                self.change(key, |row| row.answered = Some((ts, by)));
            }
            Write::EvictRead { mailbox, count, ts } => {
                let read = self.mailbox(mailbox).filter(|m| m.read.is_some());
                let keys: Vec<_> = read.take(count).map(|m| m.key).collect();
                return self.remove(&keys, ts);
            }
            Write::EvictHanded { mailbox, count, ts } => {
                let handed = self
                    .mailbox(mailbox)
                    .filter(|m| m.read.is_none() && is_handed(m));
                let keys: Vec<_> = handed.take(count).map(|m| m.key).collect();
                return self.remove(&keys, ts);
            }
            Write::MoveMessages {
                from,
                to,
                first_seq,
            } => {
                let rows: Vec<_> = self.mailbox(from).cloned().collect();
                for (row, seq) in rows.iter().zip(first_seq..) {
                    let mut moved = MessageRow::clone(row);
                    moved.key = MessageKey { mailbox: to, seq };
                    self.messages.remove(&row.key);
                    self.keys.insert(moved.msg_id.clone(), moved.key);
                    self.messages.insert(moved.key, Arc::new(moved));
                }
                return rows.len();
            }
            Write::PutMesh(row) => self.mesh = Some(*row),
            Write::PutHub(row) => {
                self.hubs.insert(row.peer.clone(), *row);
            }
            Write::DeleteHub(peer) => {
                self.hubs.remove(&peer);
            }
            Write::PutRoster {
                subject,
                revoked,
                entry,
            } => {
                let by = entry.by.clone();
                self.roster.insert((subject, revoked, by), *entry);
            }
            Write::DeleteRoster {
                subject,
                revoked,
                by,
            } => {
                self.roster.remove(&(subject, revoked, by));
            }
            Write::ClearRoster => self.roster.clear(),
            Write::PutTicket(row) => {
                self.tickets.insert(row.id.clone(), *row);
            }
            Write::DeleteTicket(id) => {
                self.tickets.remove(&id);
            }
            Write::SetJoining(ticket) => self.joining = ticket,
            Write::SetRendezvous(entries) => {
                let by_address = entries.into_iter().map(|e| (e.address.clone(), e));
                self.rendezvous = by_address.collect();
            }
            Write::AppendOutgoing(row) => {
                let key = (row.peer.clone(), row.seq);
                self.last_outgoing.insert(row.peer.clone(), row.seq);
                self.outgoing_ids.insert(row.msg_id.clone(), key.clone());
                self.outgoing.insert(key, Arc::new(*row));
            }
            Write::MarkOutgoing {
                msg_id,
                acked,
                state,
                ts,
                detail,
                refused,
            } => {
                let key = self.outgoing_ids.get(&msg_id);
                if let Some(row) = key.and_then(|key| self.outgoing.get_mut(key)) {
                    let row = Arc::make_mut(row);
                    if acked.is_some() {
                        row.acked = row.acked.or(acked);
                        row.text.clear();
                    }
                    row.state = state;
                    row.state_ts = ts;
                    row.detail = detail;
                    row.refused = refused;
                }
            }
            Write::ForgetOutgoing { before } => {
                let ids = &mut self.outgoing_ids;
                self.outgoing.retain(|_, row| {
                    let stays = row.acked.is_none() || row.state_ts >= before;
                    if !stays {
                        ids.remove(&row.msg_id);
                    }
                    stays
                });
            }
            Write::RenameAuthor { old, new } => {
                if old.hub.is_none() && new.hub.is_none() {
                    for row in self.outgoing.values_mut().filter(|m| m.from == old.name) {
                        Arc::make_mut(row).from = new.name.clone();
                    }
                }
                for row in self.messages.values_mut().filter(|m| m.from == old) {
                    Arc::make_mut(row).from = new.clone();
                }
                for row in self.gone.values_mut().filter(|m| m.from == old) {
                    row.from = new.clone();
                }
            }
            Write::ForgetGone { before } => self.gone.retain(|_, row| row.left >= before),
            Write::PutAsk(row) => {
                self.asks.insert(row.broadcast_id.clone(), row);
            }
            Write::DeleteAsk { broadcast_id } => {
                self.asks.remove(&broadcast_id);
            }
            write => self.groups.apply(write),
        }
        0
    }
}

fn is_handed(row: &MessageRow) -> bool {
    row.pushed
        .as_ref()
        .is_some_and(|p| p.result == PushResult::Handed)
}

/// Returns the first rows: at most `limit`, no more text than `max_bytes`, but at least one.
fn bounded<T: Clone>(
    rows: impl Iterator<Item = T>,
    limit: usize,
    max_bytes: usize,
    bytes: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut sum = 0;
    rows.take(limit)
        .enumerate()
        .take_while(|(n, row)| {
            sum += bytes(row);
            *n == 0 || sum <= max_bytes
        })
        .map(|(_, row)| row)
        .collect()
}

fn page<'a>(
    rows: impl Iterator<Item = &'a Arc<MessageRow>>,
    limit: usize,
    max_bytes: usize,
) -> Vec<MessageRow> {
    bounded(rows.cloned(), limit, max_bytes, |row| row.text.len())
        .into_iter()
        .map(|row| MessageRow::clone(&row))
        .collect()
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Durable, StoreError> {
        let t = &self.working;
        let mailboxes = t.mailboxes.values().map(|row| {
            let messages = || t.mailbox(row.id);
            MailboxLoad {
                row: row.clone(),
                last_seq: messages().next_back().map_or(0, |m| m.key.seq),
                unread: messages().filter(|m| m.read.is_none()).count(),
                read: messages().filter(|m| m.read.is_some()).count(),
                oldest_unread: messages().find(|m| m.read.is_none()).map(|m| m.ts),
            }
        });
        let outboxes = t.last_outgoing.iter().map(|(peer, last_seq)| {
            let waiting = || t.waiting(peer, 0);
            OutboxLoad {
                peer: peer.clone(),
                last_seq: *last_seq,
                waiting: waiting().count(),
                first_waiting: waiting().next().map(|row| row.seq),
                oldest: waiting().next().map(|row| row.ts),
            }
        });
        Ok(Durable {
            mailboxes: mailboxes.collect(),
            groups: t.groups.load(),
            asks: t.asks.values().cloned().collect(),
            mesh: t.mesh.clone(),
            hubs: t.hubs.values().cloned().collect(),
            roster: t.roster.values().cloned().collect(),
            tickets: t.tickets.values().cloned().collect(),
            joining: t.joining.clone(),
            rendezvous: t.rendezvous.values().cloned().collect(),
            outboxes: outboxes.collect(),
            last_mailbox: t.last_mailbox,
            last_group: t.groups.last,
        })
    }

    fn write(&mut self, write: Write) -> Result<usize, StoreError> {
        self.redo.push(write.clone());
        Ok(self.working.apply(write))
    }

    fn find(&mut self, msg_id: &str) -> Result<Option<Found>, StoreError> {
        let t = &self.working;
        if let Some(key) = t.keys.get(msg_id) {
            let row = t
                .messages
                .get(key)
                .map(|row| Box::new(MessageRow::clone(row)));
            return Ok(row.map(Found::Message));
        }
        if let Some(gone) = t.gone.get(msg_id) {
            return Ok(Some(Found::Gone(gone.clone())));
        }
        if let Some(row) = t
            .outgoing_ids
            .get(msg_id)
            .and_then(|key| t.outgoing.get(key))
        {
            return Ok(Some(Found::Outgoing(Box::new(OutgoingRow::clone(row)))));
        }
        Ok(t.groups.find(msg_id).map(Found::Group))
    }

    fn unread(
        &mut self,
        mailbox: MailboxId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let rows = self.working.mailbox(mailbox).filter(|m| m.read.is_none());
        Ok(page(rows, limit, max_bytes))
    }

    fn after(
        &mut self,
        mailbox: MailboxId,
        seq: u32,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        Ok(page(self.working.after(mailbox, seq), limit, max_bytes))
    }

    fn count_after(&mut self, mailbox: MailboxId, seq: u32) -> Result<usize, StoreError> {
        Ok(self.working.after(mailbox, seq).count())
    }

    fn unpushed(
        &mut self,
        mailbox: MailboxId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let rows = self
            .working
            .mailbox(mailbox)
            .filter(|m| m.read.is_none() && !is_handed(m));
        Ok(page(rows, limit, max_bytes))
    }

    fn group_entries(
        &mut self,
        group: GroupId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError> {
        let rows = self.working.groups.counting(group, after).cloned();
        Ok(bounded(rows, limit, max_bytes, |e| e.text.len()))
    }

    fn count_group_entries(
        &mut self,
        group: GroupId,
        after: u64,
        except: &Member,
    ) -> Result<usize, StoreError> {
        let rows = self.working.groups.counting(group, after);
        Ok(rows.filter(|e| e.from != *except).count())
    }

    fn group_places(&mut self, group: GroupId) -> Result<Vec<EntryPlace>, StoreError> {
        Ok(self.working.groups.places(group))
    }

    fn group_texts(
        &mut self,
        group: GroupId,
        author: Option<&PeerId>,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError> {
        let rows = self.working.groups.texts(group, author, after);
        Ok(bounded(rows.into_iter(), limit, max_bytes, |e| {
            e.text.len()
        }))
    }

    fn group_changes(&mut self, group: GroupId) -> Result<Vec<GroupChangeRow>, StoreError> {
        Ok(self.working.groups.changes(group))
    }

    fn outbox(
        &mut self,
        peer: &PeerId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        let rows = self.working.waiting(peer, after).cloned();
        let rows = bounded(rows, limit, max_bytes, |row| row.text.len());
        Ok(rows
            .into_iter()
            .map(|row| OutgoingRow::clone(&row))
            .collect())
    }

    fn unsettled(&mut self, peer: &PeerId, limit: usize) -> Result<Vec<OutgoingRow>, StoreError> {
        let open = |row: &&Arc<OutgoingRow>| {
            row.acked.is_some() && !row.refused && row.state != DeliveryState::Read
        };
        let rows = self.working.of_hub(peer, 0).rev().filter(open).take(limit);
        Ok(rows.map(|row| OutgoingRow::clone(row)).collect())
    }
}
