//! What other hubs send is read whole or refused, whatever bytes it is; what is read comes out
//! of its own encoding again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use ecorelay_protocol::link::{
    Admission, Binding, DirectoryEntry, Frame, Publication, Published, Query, Sync,
};
use ecorelay_protocol::pairing::TicketRecord;
use ecorelay_protocol::{Bytes, PeerId, Ticket, from_cbor, to_cbor};
use proptest::prelude::*;

fn read<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq>(bytes: &[u8]) -> bool {
    from_cbor::<T>(bytes).is_ok_and(|value| from_cbor::<T>(&to_cbor(&value)) != Ok(value))
}

fn frames() -> Vec<Frame> {
    let peer: PeerId = format!("12D3KooW{}", "x".repeat(44)).parse().unwrap();
    let msg_ids = vec!["m-1".to_owned(), "m-2".to_owned()];
    vec![
        Frame::Want(vec![peer]),
        Frame::Query(Query { msg_ids }),
        Frame::Sync(Sync {
            roster: vec![Bytes(vec![7; 32])],
            directory: Vec::new(),
            published: Published { epoch: 1, seq: 2 },
            whole: true,
        }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_are_read_as_something_else(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(!read::<Admission>(&bytes));
        prop_assert!(!read::<Binding>(&bytes));
        prop_assert!(!read::<DirectoryEntry>(&bytes));
        prop_assert!(!read::<Publication>(&bytes));
        prop_assert!(!read::<TicketRecord>(&bytes));
    }

    #[test]
    fn a_frame_with_a_byte_changed_is_a_frame_or_an_error(which in 0_usize..3, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = frames()[which].encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn no_text_is_taken_for_a_ticket(text in "(ecorelay-ticket-1\\.)?[A-Za-z0-9_-]{0,200}") {
        prop_assert!(Ticket::decode(&text).is_err());
    }
}

#[test]
fn frames_come_back_as_they_were() {
    for frame in frames() {
        assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }
}
