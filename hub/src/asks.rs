//! Broadcast questions and where their answers go: [`Asks`] remembers who asked, `broadcast`
//! asks.

mod broadcast;

pub(crate) use broadcast::{Broadcast, ask_line};

use crate::hub::{Done, Turn};
use crate::{AskRow, Asker, Durable, Hub, MailboxId, Store, Write};
use ecorelay_protocol::{PeerId, limits};
use std::collections::BTreeMap;

/// The broadcasts that can still be answered.
#[derive(Debug)]
pub(crate) struct Asks {
    rows: BTreeMap<String, AskRow>,
    /// How many sessions were asked, where this start of the hub asked them.
    counts: BTreeMap<String, usize>,
}

impl Asks {
    pub(crate) fn new(durable: &Durable) -> Self {
        let rows = durable
            .asks
            .iter()
            .map(|row| (row.broadcast_id.clone(), row.clone()));
        Self {
            rows: rows.collect(),
            counts: BTreeMap::new(),
        }
    }

    /// Returns the one who asked; `id` is an ask id or a broadcast id. A hub chooses the ids of
    /// its asks, but cannot take the answers to another's: the ask ids of this hub's own asks
    /// end with a bare name, those of others with an address.
    pub(crate) fn asker(&self, id: &str) -> Option<&Asker> {
        let own = |row: &&AskRow| matches!(row.asker, Asker::Mailbox(_));
        if let Some(row) = self.rows.get(id).filter(own) {
            return Some(&row.asker);
        }
        let (broadcast_id, recipient) = id.rsplit_once(':').unwrap_or((id, ""));
        let remote = recipient.contains('@');
        let row = self.rows.get(broadcast_id);
        let row = row.filter(|row| own(row) != remote);
        Some(&row.or_else(|| self.rows.get(id))?.asker)
    }

    /// Returns the mailbox a broadcast of this hub was asked from; `ask_id` is the one a session
    /// of another hub answers.
    pub(crate) fn asked_here(&self, ask_id: &str) -> Option<MailboxId> {
        match self.rows.get(broadcast_of(ask_id))?.asker {
            Asker::Mailbox(mailbox) => Some(mailbox),
            Asker::Remote { .. } => None,
        }
    }

    /// Notes that a mailbox was merged into another.
    pub(crate) fn move_asker(&mut self, from: MailboxId, to: MailboxId) {
        for row in self.rows.values_mut() {
            if row.asker == Asker::Mailbox(from) {
                row.asker = Asker::Mailbox(to);
            }
        }
    }

    /// Returns the id another hub's broadcast gets here: its own, if no other has that; `None`
    /// if it was asked before, or no id is left for it.
    fn id_for(&self, peer: &PeerId, name: &str) -> Option<String> {
        let from = |row: &&AskRow| matches!(&row.asker, Asker::Remote { peer: p, broadcast_id, .. } if p == peer && broadcast_id == name);
        if self.rows.values().any(|row| from(&row)) {
            return None;
        }
        let others = (2..10).map(|n| format!("{name}~{n}"));
        std::iter::once(name.to_owned())
            .chain(others)
            .find(|id| !self.rows.contains_key(id))
    }

    /// Returns the broadcast that must go so that another fits.
    fn surplus(&self, asker: &Asker) -> Option<String> {
        let of = |kind: &dyn Fn(&Asker) -> bool, most: usize| {
            let rows = self.rows.values().filter(|row| kind(&row.asker));
            let oldest = rows.clone().min_by_key(|row| row.ts)?;
            (rows.count() >= most).then(|| oldest.broadcast_id.clone())
        };
        match asker {
            Asker::Mailbox(_) => of(&|a| matches!(a, Asker::Mailbox(_)), limits::ASKS),
            Asker::Remote { peer, .. } => of(
                &|a| matches!(a, Asker::Remote { peer: p, .. } if p == peer),
                limits::HUB_ASKS,
            )
            .or_else(|| of(&|a| matches!(a, Asker::Remote { .. }), limits::REMOTE_ASKS)),
        }
    }
}

/// Returns the broadcast id in an ask id `<broadcast_id>:<recipient>`.
pub(crate) fn broadcast_of(ask_id: &str) -> &str {
    ask_id
        .rsplit_once(':')
        .map_or(ask_id, |(broadcast, _)| broadcast)
}

impl Hub {
    fn keep_ask(&mut self, t: &mut Turn<'_, impl Store>, row: AskRow) -> Done {
        if let Some(surplus) = self.asks.surplus(&row.asker) {
            self.drop_ask(t, surplus)?;
        }
        self.write(t, Write::PutAsk(row.clone()))?;
        self.asks.rows.insert(row.broadcast_id.clone(), row);
        Ok(())
    }

    fn drop_ask(&mut self, t: &mut Turn<'_, impl Store>, broadcast_id: String) -> Done {
        self.asks.rows.remove(&broadcast_id);
        self.asks.counts.remove(&broadcast_id);
        self.write(t, Write::DeleteAsk { broadcast_id }).map(drop)
    }

    /// Stores where the answers to an asker's broadcasts go after its mailbox has moved.
    pub(crate) fn save_asks(&mut self, t: &mut Turn<'_, impl Store>, asker: MailboxId) -> Done {
        let rows: Vec<AskRow> = self
            .asks
            .rows
            .values()
            .filter(|r| r.asker == Asker::Mailbox(asker))
            .cloned()
            .collect();
        for row in rows {
            self.write(t, Write::PutAsk(row))?;
        }
        Ok(())
    }

    /// Forgets broadcasts that are too old to be answered.
    pub(crate) fn expire_asks(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        let old = self
            .asks
            .rows
            .values()
            .filter(|row| row.ts + limits::ASK_MS <= t.now);
        let old: Vec<String> = old.map(|row| row.broadcast_id.clone()).collect();
        for id in old {
            self.drop_ask(t, id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Keys as _, PlainKeys};

    fn remote(n: u8, id: &str) -> Asker {
        Asker::Remote {
            peer: PlainKeys::numbered(n).peer_id().clone(),
            name: "api".parse().unwrap(),
            broadcast_id: id.into(),
        }
    }

    fn asks(rows: &[(&str, Asker)]) -> Asks {
        let row = |(id, asker): &(&str, Asker)| AskRow {
            broadcast_id: (*id).into(),
            asker: asker.clone(),
            ts: 1,
        };
        Asks::new(&Durable {
            asks: rows.iter().map(row).collect(),
            ..Durable::default()
        })
    }

    #[test]
    fn another_hub_cannot_take_the_answers_to_an_ask_by_its_id() {
        let own = Asker::Mailbox(MailboxId(3));
        let asks = asks(&[
            ("b", own.clone()),
            ("b:me", remote(1, "b:me")),
            ("r", remote(2, "r")),
        ]);
        assert_eq!(asks.asker("b:me"), Some(&own));
        assert_eq!(asks.asker("b"), Some(&own));
        assert_eq!(asks.asker("b:me@here"), None);
        assert_eq!(asks.asker("b:me:x@here"), Some(&remote(1, "b:me")));
        assert_eq!(asks.asker("r:x@here"), Some(&remote(2, "r")));
        assert_eq!(asks.asker("r:x"), None);
        assert_eq!(asks.asker("r"), Some(&remote(2, "r")));
        assert_eq!(asks.asked_here("b:x@desk"), Some(MailboxId(3)));
        assert_eq!(asks.asked_here("r:x@desk"), None);
    }

    #[test]
    fn the_same_id_of_two_hubs_is_told_apart() {
        let asks = asks(&[("b", remote(1, "b"))]);
        let peer = |n| PlainKeys::numbered(n).peer_id().clone();
        assert_eq!(asks.id_for(&peer(1), "b"), None);
        assert_eq!(asks.id_for(&peer(2), "b").as_deref(), Some("b~2"));
        assert_eq!(asks.id_for(&peer(1), "c").as_deref(), Some("c"));
    }
}
