//! Rooms and broadcasts: what goes over gossip, and how gaps are filled over links.

use crate::Name;
use crate::limits::{BROADCAST_ID_CHARS, ID_CHARS, TEXT_BYTES, TEXT_UTF16};
use serde::{Deserialize, Serialize};

/// One room message or broadcast. Its author is the hub that signed the gossip message, or the
/// other end of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The author's boot counter.
    pub epoch: u64,
    /// Its number among the author's publications of this epoch, from 1.
    pub seq: u64,
    /// When, in ms since 1970.
    pub ts: u64,
    /// The session that said it.
    pub from: Name,
    /// The message id, or the broadcast id.
    pub id: String,
    /// What it is.
    pub kind: PublicationKind,
    /// The text; missing where it is too large for gossip and must be asked for.
    pub text: Option<String>,
}

impl Publication {
    /// Returns whether its parts are within their bounds: what a hub takes from its own
    /// sessions, it takes from those of others.
    pub fn is_valid(&self) -> bool {
        let most = match self.kind {
            PublicationKind::Room(_) => ID_CHARS,
            PublicationKind::Ask => BROADCAST_ID_CHARS,
        };
        let id = &self.id;
        let text = self.text.as_deref().unwrap_or_default();
        self.seq > 0
            && (1..=most).contains(&id.len())
            && id.chars().all(crate::is_id_char)
            && text.len() <= TEXT_BYTES
            && (text.len() <= TEXT_UTF16 || text.encode_utf16().count() <= TEXT_UTF16)
    }
}

/// What a publication is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicationKind {
    /// Said in a room.
    Room(Name),
    /// A broadcast question.
    Ask,
}

/// How far a hub has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Published {
    /// Its boot counter.
    pub epoch: u64,
    /// Its last number; 0 for none.
    pub seq: u64,
}

/// Asks the author for some of its publications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Of which start.
    pub epoch: u64,
    /// Which ones; at most [`crate::limits::FILL_SEQS`].
    pub seqs: Vec<u64>,
}

/// The answer to a [`Fill`]: in full, the first of the publications that were asked for that fit
/// into one frame, and those before and between them that are no longer kept. What it does not
/// name can be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publications {
    /// Of which start.
    pub epoch: u64,
    /// In full.
    pub items: Vec<Publication>,
    /// No longer kept.
    pub gone: Vec<u64>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn publication(id: &str, kind: PublicationKind, text: String) -> Publication {
        Publication {
            epoch: 1,
            seq: 1,
            ts: 1,
            from: "api".parse().unwrap(),
            id: id.into(),
            kind,
            text: Some(text),
        }
    }

    #[test]
    fn what_a_session_could_not_have_sent_is_not_valid() {
        let room = || PublicationKind::Room("r".parse().unwrap());
        let good = publication("m-1", room(), "世".repeat(TEXT_UTF16));
        assert!(good.is_valid());
        let long = "x".repeat(TEXT_UTF16 + 1);
        assert!(!publication("m-1", room(), long).is_valid());
        for id in ["", "a b", "é", "<x>", &"x".repeat(ID_CHARS + 1)] {
            assert!(!publication(id, room(), String::new()).is_valid(), "{id}");
        }
        let most = "b".repeat(BROADCAST_ID_CHARS);
        let ask = |id: &str| publication(id, PublicationKind::Ask, String::new());
        assert!(ask(&most).is_valid() && !ask(&(most + "b")).is_valid());
        assert!(!Publication { seq: 0, ..good }.is_valid());
    }
}
