//! A ticket: everything a machine needs to ask for a place in a mesh, in one line of text. It
//! holds no key: its secret lets whoever has it join, as often and as long as the hubs of the mesh
//! say ([`crate::pairing::TicketRecord`]).

use crate::cbor::{from_cbor, to_cbor};
use crate::pairing::TicketRecord;
use crate::{Bytes, HubId, PeerId, Refusal, limits};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What every ticket begins with.
const PREFIX: &str = "ecorelay-ticket-2.";
/// What tickets began with that held the mesh's key.
const OLD_PREFIX: &str = "ecorelay-ticket-1.";
/// Longest ticket that is read, in characters.
const CHARS: usize = 8 * 1024;
/// Most addresses of each kind.
const ADDRESSES: usize = 64;

/// A ticket. Its text is a secret: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// 16 random bytes.
    pub id: Bytes,
    /// 32 random bytes: the secret.
    pub secret: Bytes,
    /// The first hub of the mesh.
    pub root: PeerId,
    /// The hub that invites.
    pub inviter: PeerId,
    /// Its human name.
    pub hub_id: HubId,
    /// Where hubs of the mesh can be asked, as `ip:port`; the inviter first.
    pub addresses: Vec<String>,
    /// Rendezvous servers where one of them waits, at [`Ticket::place`]: multiaddrs.
    pub rendezvous: Vec<String>,
    /// When it ends, in ms since 1970.
    pub expires: u64,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket of {}", self.hub_id)
    }
}

impl Ticket {
    /// Returns the place at a rendezvous server where a hub of the mesh waits for who has the
    /// ticket with this id.
    pub fn place(id: &Bytes) -> Bytes {
        crate::rendezvous::pairing_place(&HEXLOWER.encode(&id.0))
    }

    /// Returns the ticket as one line of text without spaces.
    pub fn encode(&self) -> String {
        let mut bytes = to_cbor(self);
        let sum = crc32fast::hash(&bytes);
        bytes.extend(sum.to_be_bytes());
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Returns the ticket in a text; white space, also within it, does not matter.
    ///
    /// # Errors
    /// `bad_args` when it is no ticket, or not a whole one.
    pub fn decode(text: &str) -> Result<Self, Refusal> {
        let bad = |message: &str| Refusal::bad_args(message);
        if text.len() > CHARS {
            return Err(bad("This is too long to be a ticket."));
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if text.starts_with(OLD_PREFIX) {
            return Err(bad(
                "This ticket was made by an older version of EcoRelay. Update it there and make a new one: ecorelay invite",
            ));
        }
        let Some(body) = text.strip_prefix(PREFIX) else {
            return Err(bad(
                "This is not a ticket: one begins with \"ecorelay-ticket-2.\" and is printed by `ecorelay invite`.",
            ));
        };
        let damaged = || {
            bad(
                "The ticket is damaged or not whole; copy it again, all of it, from `ecorelay invite`.",
            )
        };
        let bytes = BASE64URL_NOPAD
            .decode(body.as_bytes())
            .map_err(|_| damaged())?;
        let (value, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(value) != u32::from_be_bytes(*sum) {
            return Err(damaged());
        }
        let ticket: Self = from_cbor(value).map_err(|_| damaged())?;
        let lists = [&ticket.addresses, &ticket.rendezvous];
        let bounded = |text: &String| text.len() <= limits::MULTIADDR_CHARS;
        let sound = ticket.id.0.len() == TicketRecord::ID_BYTES
            && ticket.secret.0.len() == TicketRecord::SECRET_BYTES
            && lists
                .iter()
                .all(|l| l.len() <= ADDRESSES && l.iter().all(bounded));
        sound.then_some(ticket).ok_or_else(damaged)
    }
}

impl From<&[u8; 32]> for Bytes {
    fn from(bytes: &[u8; 32]) -> Self {
        Self(bytes.to_vec())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        let peer: PeerId = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
            .parse()
            .unwrap();
        Ticket {
            id: Bytes(vec![7; 16]),
            secret: Bytes(vec![8; 32]),
            root: peer.clone(),
            inviter: peer,
            hub_id: "desk".parse().unwrap(),
            addresses: vec!["10.0.0.1:4002".into()],
            rendezvous: Vec::new(),
            expires: 1,
        }
    }

    #[test]
    fn a_ticket_comes_back_whole_also_when_a_mail_program_broke_its_line() {
        let text = ticket().encode();
        assert_eq!(Ticket::decode(&text), Ok(ticket()));
        let (a, b) = text.split_at(60);
        assert_eq!(Ticket::decode(&format!(" {a}\n {b}\n")), Ok(ticket()));
    }

    #[test]
    fn a_damaged_ticket_is_told_from_no_ticket() {
        let text = ticket().encode();
        let short = Ticket::decode(&text[..text.len() - 3]).unwrap_err();
        assert!(short.message.contains("not whole"), "{}", short.message);
        let other = Ticket::decode("7-otter-lamp").unwrap_err();
        assert!(
            other.message.contains("ecorelay invite"),
            "{}",
            other.message
        );
        let old = Ticket::decode("ecorelay-ticket-1.abc").unwrap_err();
        assert!(old.message.contains("older version"), "{}", old.message);
        assert!(!format!("{:?}", ticket()).contains('8'));
    }
}
