//! How the brain's values stand in columns.

use super::groups::hub;
use ecorelay_hub::{
    EntryPlace, GoneRow, GroupEntryRow, GroupId, MailboxId, MessageKey, MessageRow, OpId,
    OutgoingRow, Proof, Pushed, StoreError,
};
use ecorelay_protocol::link::Signed;
use ecorelay_protocol::{
    Bytes, DeliveryState, GroupEntryType, MessageKind, PeerId, PushResult, from_cbor,
};
use rusqlite::Row;
use rusqlite::types::Type;
use std::str::FromStr;

/// The columns of a message, in the order [`message`] reads them.
macro_rules! message_columns {
    () => {
        "id, msg_id, kind, sender, recipient, ts, urgent, read, pushed, push_result, push_path, \
         push_detail, answered, answered_with, reply_to, ask_id, about_group, body"
    };
}

/// The columns of a gone message, in the order [`gone`] reads them.
macro_rules! gone_columns {
    () => {
        "msg_id, kind, sender, recipient, ts, read, left_at, handed"
    };
}

/// The columns of a group entry, in the order [`group_entry`] reads them.
macro_rules! group_entry_columns {
    () => {
        "id, msg_id, lamport, author, change, seq, ts, entry_type, old, void, wrote, sender, head, \
         signature, body"
    };
}

/// The columns of a message for another hub, in the order [`outgoing`] reads them.
macro_rules! outgoing_columns {
    () => {
        "outgoing.id, msg_id, kind, sender, recipient, ts, urgent, acked, state, state_ts, \
         refused, detail, reply_to, ask_id, body"
    };
}

pub(super) use {gone_columns, group_entry_columns, message_columns, outgoing_columns};

/// What `push_result` holds for a push path that confirmed.
pub(super) const HANDED: i64 = 0;

/// Returns a number of the brain as SQLite keeps it. Times, counts and ids stay far below 2^63.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Returns a number of SQLite as the brain keeps it.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Returns the place of row `low` within the range that belongs to `high`.
pub(super) fn place(high: u32, low: u64) -> Result<i64, StoreError> {
    let too_many = || StoreError::Io("a mailbox or group has too many entries".into());
    let low = u32::try_from(low).map_err(|_| too_many())?;
    i64::try_from(u64::from(high) << 32 | u64::from(low)).map_err(|_| too_many())
}

/// Returns the place of the first and of the last row that can belong to `high`.
pub(super) fn range(high: u32) -> Result<(i64, i64), StoreError> {
    Ok((place(high, 0)?, place(high, u32::MAX.into())?))
}

/// Returns the two halves of a place.
fn halves(place: i64) -> (u32, u32) {
    ((place >> 32) as u32, place as u32)
}

/// Returns the number in a mailbox or group of the row at this place.
pub(super) fn low(place: i64) -> u32 {
    halves(place).1
}

pub(super) fn kind_code(kind: MessageKind) -> i64 {
    match kind {
        MessageKind::Message => 0,
        MessageKind::Ask => 1,
        MessageKind::Reply => 2,
        MessageKind::Room => 3,
        MessageKind::Group => 4,
        MessageKind::System => 5,
    }
}

pub(super) fn result_code(result: PushResult) -> i64 {
    match result {
        PushResult::Handed => HANDED,
        PushResult::Refused => 1,
        PushResult::Unknown => 2,
    }
}

pub(super) fn state_code(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Delivered => 0,
        DeliveryState::Stored => 1,
        DeliveryState::Unknown => 2,
        DeliveryState::Outbox => 3,
        // The index `outgoing_open` has this number.
        DeliveryState::Read => 4,
    }
}

pub(super) fn damaged(column: usize, what: &str) -> rusqlite::Error {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, Box::new(source))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<MessageKind> {
    Ok(match row.get(column)? {
        0 => MessageKind::Message,
        1 => MessageKind::Ask,
        2 => MessageKind::Reply,
        3 => MessageKind::Room,
        4 => MessageKind::Group,
        5 => MessageKind::System,
        n => return Err(damaged(column, &format!("{n} is not a kind of message"))),
    })
}

fn push_result(row: &Row<'_>, column: usize) -> rusqlite::Result<PushResult> {
    Ok(match row.get(column)? {
        HANDED => PushResult::Handed,
        1 => PushResult::Refused,
        2 => PushResult::Unknown,
        n => return Err(damaged(column, &format!("{n} is not a push result"))),
    })
}

fn entry_type(row: &Row<'_>, column: usize) -> rusqlite::Result<GroupEntryType> {
    Ok(match row.get(column)? {
        0 => GroupEntryType::Message,
        1 => GroupEntryType::System,
        n => return Err(damaged(column, &format!("{n} is not a kind of entry"))),
    })
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<DeliveryState> {
    Ok(match row.get(column)? {
        0 => DeliveryState::Delivered,
        1 => DeliveryState::Stored,
        2 => DeliveryState::Unknown,
        3 => DeliveryState::Outbox,
        4 => DeliveryState::Read,
        n => return Err(damaged(column, &format!("{n} is not a state"))),
    })
}

/// Returns a signed value, which stands as CBOR.
pub(super) fn signed(row: &Row<'_>, column: usize) -> rusqlite::Result<Signed> {
    let bytes = row.get_ref(column)?.as_blob()?;
    from_cbor(bytes).map_err(|e| damaged(column, &e.to_string()))
}

/// Returns a time or count.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(unsigned)
}

/// Returns a time that may be missing.
pub(super) fn optional_number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(unsigned))
}

/// Returns a name, address or hub id.
pub(super) fn word<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse()
        .map_err(|_| damaged(column, "not a valid name, address or hub id"))
}

/// Returns a name that may be missing.
pub(super) fn optional_word<T: FromStr>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(_) => word(row, column).map(Some),
    }
}

/// Returns a message's text. Where the disk has damaged it, what cannot be read is shown as such:
/// one bad text must not make a mailbox unreadable.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes()?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Returns the message in a row of `message_columns`.
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let (mailbox, seq) = halves(row.get(0)?);
    let pushed = match optional_number(row, 8)? {
        None => None,
        Some(ts) => Some(Pushed {
            ts,
            result: push_result(row, 9)?,
            path: row.get(10)?,
            detail: row.get(11)?,
        }),
    };
    let answered = match optional_number(row, 12)? {
        None => None,
        Some(ts) => Some((ts, row.get(13)?)),
    };
    Ok(MessageRow {
        key: MessageKey {
            mailbox: MailboxId(mailbox),
            seq,
        },
        msg_id: row.get(1)?,
        kind: kind(row, 2)?,
        from: word(row, 3)?,
        to: word(row, 4)?,
        ts: number(row, 5)?,
        urgent: row.get(6)?,
        read: optional_number(row, 7)?,
        pushed,
        answered,
        reply_to: row.get(14)?,
        ask_id: row.get(15)?,
        group: optional_word(row, 16)?,
        text: text(row, 17)?,
    })
}

/// Returns the gone message in a row of `gone_columns`.
pub(super) fn gone(row: &Row<'_>) -> rusqlite::Result<GoneRow> {
    Ok(GoneRow {
        msg_id: row.get(0)?,
        kind: kind(row, 1)?,
        from: word(row, 2)?,
        to: word(row, 3)?,
        ts: number(row, 4)?,
        read: optional_number(row, 5)?,
        left: number(row, 6)?,
        handed: row.get(7)?,
    })
}

/// Returns the group entry in a row of `group_entry_columns`.
pub(super) fn group_entry(row: &Row<'_>) -> rusqlite::Result<GroupEntryRow> {
    let (group, id) = halves(row.get(0)?);
    Ok(GroupEntryRow {
        group: GroupId(group),
        id: id.into(),
        msg_id: row.get(1)?,
        op: OpId {
            lamport: number(row, 2)?,
            author: hub(row, 3)?,
            change: row.get(4)?,
            seq: number(row, 5)?,
        },
        ts: number(row, 6)?,
        entry_type: entry_type(row, 7)?,
        old: row.get(8)?,
        void: row.get(9)?,
        wrote: word(row, 10)?,
        from: word(row, 11)?,
        proof: match row.get::<_, Option<Vec<u8>>>(12)? {
            None => None,
            Some(head) => Some(Proof {
                head: Bytes(head),
                signature: Bytes(row.get(13)?),
            }),
        },
        text: text(row, 14)?,
    })
}

/// Returns the place of a group entry, from its columns in the order of the struct.
pub(super) fn group_place(row: &Row<'_>) -> rusqlite::Result<EntryPlace> {
    Ok(EntryPlace {
        id: low(row.get(0)?).into(),
        op: OpId {
            lamport: number(row, 1)?,
            author: hub(row, 2)?,
            change: row.get(3)?,
            seq: number(row, 4)?,
        },
        wrote: word(row, 5)?,
        from: word(row, 6)?,
        old: row.get(7)?,
        void: row.get(8)?,
    })
}

/// Returns the message for `peer` in a row of `outgoing_columns`.
pub(super) fn outgoing(row: &Row<'_>, peer: PeerId) -> rusqlite::Result<OutgoingRow> {
    Ok(OutgoingRow {
        peer,
        seq: low(row.get(0)?).into(),
        msg_id: row.get(1)?,
        kind: kind(row, 2)?,
        from: word(row, 3)?,
        to: word(row, 4)?,
        ts: number(row, 5)?,
        urgent: row.get(6)?,
        acked: optional_number(row, 7)?,
        state: state(row, 8)?,
        state_ts: number(row, 9)?,
        refused: row.get(10)?,
        detail: row.get(11)?,
        reply_to: row.get(12)?,
        ask_id: row.get(13)?,
        text: text(row, 14)?,
    })
}
