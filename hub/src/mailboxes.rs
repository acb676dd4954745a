//! Mailboxes: whose they are, how full, which names are known.

use crate::hub::{Done, Turn, refuse};
use crate::{Durable, Hub, MailboxId, MailboxRow, MessageKey, Store, Write};
use ecorelay_protocol::{ErrorCode, Name, iso_ms, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Read messages are evicted in steps, so that not every send pays for it.
const EVICT_STEP: usize = 32;
/// How often expired things are looked for, in ms.
const HOUSEKEEPING_MS: u64 = 60 * 60 * 1_000;
/// How many names that are alike are told.
const NEAR_MATCHES: usize = 3;

/// A mailbox without its messages.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    pub(crate) row: MailboxRow,
    pub(crate) last_seq: u32,
    pub(crate) unread: usize,
    pub(crate) read: usize,
    /// Messages whose page is on its way to a version "5" reader: not read yet, not shown again.
    pub(crate) in_flight: BTreeSet<u32>,
    /// The row in memory is newer than the stored one.
    changed: bool,
}

/// All mailboxes of a hub.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    boxes: BTreeMap<MailboxId, Mailbox>,
    by_name: BTreeMap<Name, MailboxId>,
    last: u32,
    changed: BTreeSet<MailboxId>,
}

impl Mailboxes {
    pub(crate) fn new(durable: &Durable) -> Self {
        let mut mail = Self {
            boxes: BTreeMap::new(),
            by_name: BTreeMap::new(),
            last: durable.last_mailbox,
            changed: BTreeSet::new(),
        };
        for load in &durable.mailboxes {
            mail.by_name.insert(load.row.name.clone(), load.row.id);
            mail.boxes.insert(
                load.row.id,
                Mailbox {
                    row: load.row.clone(),
                    last_seq: load.last_seq,
                    unread: load.unread,
                    read: load.read,
                    in_flight: BTreeSet::new(),
                    changed: false,
                },
            );
        }
        mail
    }

    pub(crate) fn id(&self, name: &Name) -> Option<MailboxId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, id: MailboxId) -> Option<&Mailbox> {
        self.boxes.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: MailboxId) -> Option<&mut Mailbox> {
        self.boxes.get_mut(&id)
    }

    pub(crate) fn of(&self, name: &Name) -> Option<&Mailbox> {
        self.boxes.get(self.by_name.get(name)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mailbox> {
        self.boxes.values()
    }

    /// Returns the unread messages of a name.
    pub(crate) fn unread(&self, name: &Name) -> usize {
        self.of(name).map_or(0, |m| m.unread)
    }

    /// Returns whether a session of this name was ever here.
    pub(crate) fn is_known(&self, name: &Name) -> bool {
        self.of(name).is_some_and(|m| m.row.owned.is_some())
    }

    /// Makes the mailbox of a name its owner's, new or not. Stored with the next
    /// [`Hub::save_mailboxes`].
    pub(crate) fn own(&mut self, name: &Name, now: u64) -> MailboxId {
        let id = self
            .by_name
            .get(name)
            .copied()
            .unwrap_or_else(|| self.insert(name, now));
        if let Some(mailbox) = self.boxes.get_mut(&id) {
            mailbox.row.owned.get_or_insert(now);
            mailbox.row.renamed_to = None;
        }
        self.note_seen(name, now);
        id
    }

    /// Notes that the owner of a name was there.
    pub(crate) fn note_seen(&mut self, name: &Name, now: u64) {
        if let Some(mailbox) = self.by_name.get(name).and_then(|id| self.boxes.get_mut(id)) {
            mailbox.row.last_seen = now;
            mailbox.changed = true;
            self.changed.insert(mailbox.row.id);
        }
    }

    pub(crate) fn note_read(&mut self, id: MailboxId, count: usize) {
        if let Some(mailbox) = self.boxes.get_mut(&id) {
            mailbox.unread = mailbox.unread.saturating_sub(count);
            mailbox.read += count;
        }
    }

    /// Notes the pages that are on their way.
    pub(crate) fn note_pages<'a>(
        &mut self,
        pages: impl Iterator<Item = (MailboxId, &'a [MessageKey])>,
    ) {
        for (id, keys) in pages {
            if let Some(mailbox) = self.boxes.get_mut(&id) {
                mailbox.in_flight.extend(keys.iter().map(|key| key.seq));
            }
        }
    }

    fn insert(&mut self, name: &Name, now: u64) -> MailboxId {
        self.last += 1;
        let id = MailboxId(self.last);
        let row = MailboxRow {
            id,
            name: name.clone(),
            created: now,
            owned: None,
            last_seen: now,
            renamed_to: None,
        };
        self.by_name.insert(name.clone(), id);
        self.boxes.insert(
            id,
            Mailbox {
                row,
                last_seq: 0,
                unread: 0,
                read: 0,
                in_flight: BTreeSet::new(),
                changed: true,
            },
        );
        self.changed.insert(id);
        id
    }

    fn remove(&mut self, id: MailboxId) {
        self.changed.remove(&id);
        if let Some(mailbox) = self.boxes.remove(&id)
            && self.by_name.get(&mailbox.row.name) == Some(&id)
        {
            self.by_name.remove(&mailbox.row.name);
        }
    }

    /// Returns the names that a never-seen one was perhaps meant to be.
    pub(crate) fn near_matches<'a>(&'a self, wanted: &Name) -> Vec<&'a Name> {
        let wanted = wanted.as_str().to_ascii_lowercase();
        let mut near: Vec<(usize, &Name)> = self
            .boxes
            .values()
            .filter(|m| m.row.owned.is_some())
            .filter_map(|m| {
                let name = m.row.name.as_str().to_ascii_lowercase();
                let distance = strsim::damerau_levenshtein(&name, &wanted);
                let alike = distance <= 1 + wanted.len() / 5
                    || (wanted.len() >= 3
                        && (name.starts_with(&wanted) || wanted.starts_with(&name)));
                alike.then_some((distance, &m.row.name))
            })
            .collect();
        near.sort();
        near.into_iter()
            .take(NEAR_MATCHES)
            .map(|(_, name)| name)
            .collect()
    }
}

impl Hub {
    /// Returns the mailbox for mail to a name, made if the name was never seen.
    pub(crate) fn mailbox_for(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
    ) -> Done<MailboxId> {
        let id = match self.mail.id(name) {
            Some(id) => id,
            None => {
                let unknown = self.unknown_names();
                if unknown >= limits::UNKNOWN_NAMES {
                    return refuse(
                        ErrorCode::MailboxError,
                        format!(
                            "No session called \"{name}\" has been here, and mail waits for {unknown} such names already. relay_peers lists who is here."
                        ),
                    );
                }
                self.make_room_for_name(t)?;
                self.mail.insert(name, t.now)
            }
        };
        self.save_mailboxes(t)?;
        Ok(id)
    }

    /// Makes the mailbox of a name its owner's, and room for it if it is new.
    pub(crate) fn own_mailbox(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        name: &Name,
    ) -> Done<MailboxId> {
        if self.mail.id(name).is_none() {
            self.make_room_for_name(t)?;
        }
        Ok(self.mail.own(name, t.now))
    }

    fn unknown_names(&self) -> usize {
        self.mail.iter().filter(|m| m.row.owned.is_none()).count()
    }

    /// Stores the mailbox rows that changed in memory.
    pub(crate) fn save_mailboxes(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        for id in std::mem::take(&mut self.mail.changed) {
            if let Some(mailbox) = self.mail.boxes.get_mut(&id)
                && std::mem::take(&mut mailbox.changed)
            {
                let row = mailbox.row.clone();
                self.write(t, Write::PutMailbox(row))?;
            }
        }
        Ok(())
    }

    /// Makes room for one more message, or says why there is none.
    pub(crate) fn make_room(&mut self, t: &mut Turn<'_, impl Store>, id: MailboxId) -> Done {
        let Some(mailbox) = self.mail.get(id) else {
            return Ok(());
        };
        let (unread, read, name) = (mailbox.unread, mailbox.read, mailbox.row.name.clone());
        let known = mailbox.row.owned.is_some();
        let kept = self.config.tunables.mailbox_read_kept;
        if read >= kept + EVICT_STEP {
            let evicted = self.write(
                t,
                Write::EvictRead {
                    mailbox: id,
                    count: read - kept,
                    ts: t.now,
                },
            )?;
            if let Some(mailbox) = self.mail.get_mut(id) {
                mailbox.read = mailbox.read.saturating_sub(evicted);
            }
        }
        let most = if known {
            self.config.tunables.mailbox_unread
        } else {
            limits::UNKNOWN_NAME_MESSAGES.min(self.config.tunables.mailbox_unread)
        };
        if unread < most {
            return Ok(());
        }
        // What a push path confirmed has reached its session, fetched or not.
        let evicted = self.write(
            t,
            Write::EvictHanded {
                mailbox: id,
                count: EVICT_STEP,
                ts: t.now,
            },
        )?;
        if let Some(mailbox) = self.mail.get_mut(id) {
            mailbox.unread = mailbox.unread.saturating_sub(evicted);
        }
        if evicted > 0 {
            return Ok(());
        }
        let since = t.store.unread(id, 1, 0)?.first().map_or(t.now, |m| m.ts);
        refuse(
            ErrorCode::MailboxError,
            format!(
                "The mailbox of \"{name}\" is full: {unread} messages that nobody has read since {}. It takes more when its session calls relay_inbox.",
                iso_ms(since)
            ),
        )
    }

    /// Moves a mailbox to a new name; mail that waits for the new name is put behind it.
    pub(crate) fn move_mailbox(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        old: &Name,
        new: &Name,
    ) -> Done {
        let id = self.mail.own(old, t.now);
        if let Some(other) = self.mail.id(new)
            && other != id
        {
            let first_seq = self.mail.get(id).map_or(0, |m| m.last_seq) + 1;
            self.save_mailboxes(t)?;
            let moved = self.write(
                t,
                Write::MoveMessages {
                    from: other,
                    to: id,
                    first_seq,
                },
            )?;
            let (unread, read) = self.mail.get(other).map_or((0, 0), |m| (m.unread, m.read));
            if let Some(mailbox) = self.mail.get_mut(id) {
                mailbox.last_seq += u32::try_from(moved).unwrap_or(u32::MAX - mailbox.last_seq);
                mailbox.unread += unread;
                mailbox.read += read;
            }
            self.write(
                t,
                Write::DeleteMailbox {
                    id: other,
                    ts: t.now,
                },
            )?;
            self.mail.remove(other);
            self.asks.move_asker(other, id);
            self.save_asks(t, id)?;
        }
        self.mail.by_name.remove(old);
        self.mail.by_name.insert(new.clone(), id);
        if let Some(mailbox) = self.mail.get_mut(id) {
            mailbox.row.name = new.clone();
            mailbox.row.renamed_to = None;
        }
        self.mail.note_seen(new, t.now);
        // The old name is free and knows only where its owner went.
        if self.unknown_names() < limits::UNKNOWN_NAMES {
            let tombstone = self.mail.insert(old, t.now);
            if let Some(mailbox) = self.mail.get_mut(tombstone) {
                mailbox.row.renamed_to = Some(new.clone());
            }
        }
        self.save_mailboxes(t)
    }

    /// Forgets the mailbox that was unused longest and holds no unread mail, if there are too many.
    fn make_room_for_name(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if self.mail.boxes.len() < limits::MAILBOXES {
            return Ok(());
        }
        let idle = self
            .mail
            .iter()
            .filter(|m| m.unread == 0 && !self.sessions.contains_key(&m.row.name));
        let Some(id) = idle.min_by_key(|m| m.row.last_seen).map(|m| m.row.id) else {
            return refuse(
                ErrorCode::MailboxError,
                format!(
                    "This hub keeps mail for {} names, its limit.",
                    limits::MAILBOXES
                ),
            );
        };
        self.delete_mailbox(t, id)
    }

    fn delete_mailbox(&mut self, t: &mut Turn<'_, impl Store>, id: MailboxId) -> Done {
        self.write(t, Write::DeleteMailbox { id, ts: t.now })?;
        self.mail.remove(id);
        Ok(())
    }

    /// Forgets what has waited long enough: mail for names that never came, asks, old ids.
    pub(crate) fn housekeeping(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        if self.housekeeping_due > t.now {
            return Ok(());
        }
        self.housekeeping_due = t.now + HOUSEKEEPING_MS;
        let expired = |m: &&Mailbox| {
            m.row.owned.is_none() && m.row.created + limits::UNKNOWN_NAME_MS <= t.now
        };
        let ids: Vec<_> = self.mail.iter().filter(expired).map(|m| m.row.id).collect();
        for id in ids {
            self.delete_mailbox(t, id)?;
        }
        self.expire_asks(t)?;
        self.expire_outgoing(t)?;
        if t.now > limits::DEDUP_MS {
            self.write_lazily(
                t,
                Write::ForgetGone {
                    before: t.now - limits::DEDUP_MS,
                },
            )?;
        }
        Ok(())
    }

    /// Adds a number to a mailbox and returns the key of its next message.
    pub(crate) fn next_key(&mut self, id: MailboxId) -> MessageKey {
        let seq = match self.mail.get_mut(id) {
            Some(mailbox) => {
                mailbox.last_seq += 1;
                mailbox.unread += 1;
                mailbox.last_seq
            }
            None => 0,
        };
        MessageKey { mailbox: id, seq }
    }
}
