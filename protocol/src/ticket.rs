//! A ticket: everything a machine needs to join a mesh, in one line of text. It holds the
//! mesh's key: whoever has it until it expires can join.

use crate::cbor::{from_cbor, to_cbor};
use crate::link::Signed;
use crate::{Bytes, HubId, PeerId, Psk, Refusal};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What every ticket begins with.
const PREFIX: &str = "ecorelay-ticket-1.";
/// Longest ticket that is read, in characters.
const CHARS: usize = 8 * 1024;

/// A ticket. Its text is a secret: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The mesh's key.
    pub psk: Psk,
    /// The first hub of the mesh.
    pub root: PeerId,
    /// The hub that invites.
    pub inviter: PeerId,
    /// Its human name.
    pub hub_id: HubId,
    /// Where it listens: multiaddrs.
    pub addresses: Vec<String>,
    /// When it ends, in ms since 1970.
    pub expires: u64,
    /// The inviter's [`crate::link::TicketClaim`].
    pub claim: Signed,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket of {}", self.hub_id)
    }
}

impl Ticket {
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
        let Some(body) = text.strip_prefix(PREFIX) else {
            return Err(bad(
                "This is not a ticket: one begins with \"ecorelay-ticket-1.\" and is printed by `ecorelay invite`.",
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
        from_cbor(value).map_err(|_| damaged())
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
            psk: Psk::new([7; 32]),
            root: peer.clone(),
            inviter: peer.clone(),
            hub_id: "desk".parse().unwrap(),
            addresses: vec!["/ip4/10.0.0.1/tcp/4001".into()],
            expires: 1,
            claim: Signed {
                by: peer,
                payload: Bytes(vec![1]),
                signature: Bytes(vec![2]),
            },
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
        assert!(!format!("{:?}", ticket()).contains('7'));
    }
}
