//! Every bound of the local protocol and the hub, in one table.
//!
//! Source: the product's limits; where a reference client depends on a bound,
//! ours is never smaller than the reference's.

/// Longest peer, room or group name, in characters.
pub const NAME_CHARS: usize = 64;
/// Longest hub id, in characters.
pub const HUB_ID_CHARS: usize = 64;
/// Longest full address `name@hub`, in characters.
pub const ADDRESS_CHARS: usize = NAME_CHARS + 1 + HUB_ID_CHARS;
/// Longest text, in UTF-16 code units (what the reference counts).
pub const TEXT_UTF16: usize = 524_288;
/// Longest text, in UTF-8 bytes.
pub const TEXT_BYTES: usize = 2 * 1024 * 1024;
/// Longest working directory kept, in characters; longer ones are shortened.
pub const CWD_CHARS: usize = 1_024;
/// Longest git branch kept, in characters; longer ones are shortened.
pub const BRANCH_CHARS: usize = 256;
/// Longest assistant name, state or push-path name kept, in characters.
pub const LABEL_CHARS: usize = 64;
/// Longest words of a push path about itself or a message, in characters; longer ones are
/// shortened.
pub const DETAIL_CHARS: usize = 200;
/// Longest request id, message id or ask id, in characters.
pub const ID_CHARS: usize = 256;
/// Longest id of a broadcast, in characters: with a colon and the recipient's address it makes an
/// ask id.
pub const BROADCAST_ID_CHARS: usize = ID_CHARS - 1 - ADDRESS_CHARS;
/// Longest reason for removing a group member, in characters.
pub const REASON_CHARS: usize = 256;
/// Longest local line, in bytes, without its newline.
pub const LINE_BYTES: usize = 4 * 1024 * 1024;
/// How much of one overlong line is skipped before the connection is closed, in bytes.
pub const SKIP_BYTES: usize = 64 * 1024 * 1024;
/// Budget for the body of one page of messages to a version "5" client, in bytes
/// of JSON (the reference client reads lines up to 1 MiB). One message is always sent.
pub const PAGE_BYTES_V5: usize = 900 * 1024;
/// Budget for the body of one page of messages to a version "6" client, in bytes.
pub const PAGE_BYTES_V6: usize = 3 * 1024 * 1024;
/// Read messages kept per mailbox.
pub const MAILBOX_READ_KEPT: usize = 500;
/// Unread messages a mailbox takes before it refuses.
pub const MAILBOX_UNREAD: usize = 5_000;
/// Inbox page, largest.
pub const INBOX_PAGE: usize = 100;
/// Inbox page when the caller names none.
pub const INBOX_PAGE_DEFAULT: usize = 20;
/// Group history page, largest.
pub const HISTORY_PAGE: usize = 500;
/// Rooms per hub.
pub const ROOMS: usize = 1_000;
/// Members per room.
pub const ROOM_MEMBERS: usize = 1_000;
/// Members of rooms that one listing shows of other hubs.
pub const MEMBERS_LISTED: usize = 5_000;
/// Groups per hub.
pub const GROUPS: usize = 200;
/// Members per group, its admin included.
pub const GROUP_MEMBERS: usize = 256;
/// Changes of the membership one group's log can hold; they are kept for ever.
pub const GROUP_CHANGES: usize = 10_000;
/// Groups a hub remembers that none of its sessions is in, deleted ones included, so that other
/// hubs learn what became of them.
pub const GROUPS_REMEMBERED: usize = 1_000;
/// History entries kept per group.
pub const GROUP_HISTORY: usize = 500;
/// Sessions per hub.
pub const SESSIONS: usize = 1_000;
/// Connections per hub, registered or not.
pub const CONNECTIONS: usize = 2_048;
/// Names that were written to but never seen.
pub const UNKNOWN_NAMES: usize = 1_000;
/// Messages that wait for one never-seen name.
pub const UNKNOWN_NAME_MESSAGES: usize = 100;
/// How long mail waits for the first owner of a never-seen name, in milliseconds.
pub const UNKNOWN_NAME_MS: u64 = 7 * DAY_MS;
/// Names the hub remembers (mailboxes), seen or not.
pub const MAILBOXES: usize = 10_000;
/// A silent connection is closed after this many milliseconds.
pub const SILENT_CONNECTION_MS: u64 = 10_000;
/// A name's holder must answer a probe within this many milliseconds to keep it.
pub const PROBE_MS: u64 = 500;
/// A send waits this long for the recipient's confirmation before it is answered, in milliseconds.
pub const CONFIRM_MS: u64 = 400;
/// Lines waiting for one slow reader.
pub const QUEUE_LINES: usize = 1_024;
/// Bytes waiting for one slow reader.
pub const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// How long a broadcast can be answered, in milliseconds.
pub const ASK_MS: u64 = DAY_MS;
/// Broadcasts the hub remembers for their replies.
pub const ASKS: usize = 1_000;
/// Broadcasts of one other hub the hub remembers for their replies.
pub const HUB_ASKS: usize = 500;
/// Broadcasts of all other hubs together.
pub const REMOTE_ASKS: usize = 5_000;
/// How long the id of a message that left its mailbox is remembered, in milliseconds.
pub const DEDUP_MS: u64 = 30 * DAY_MS;
/// Stored messages pushed one by one when a session comes back; the rest is one notice.
pub const REPLAY_ON_REGISTER: usize = 20;
/// One day, in milliseconds.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Hubs per mesh.
pub const HUBS: usize = 1_000;
/// Admissions, and revocations, that a hub keeps of its mesh: twice as many as there can be hubs.
pub const ROSTER: usize = 2 * HUBS;
/// Keys of the mesh before the one in use that a hub remembers, so that members that missed a
/// change are found.
pub const FORMER_KEYS: usize = 4;
/// Longest frame between hubs, in bytes.
pub const FRAME_BYTES: usize = 4 * 1024 * 1024;
/// The link version this hub speaks, and the oldest it still speaks.
pub const LINK_VERSION: u32 = 1;
/// Messages on their way to one hub that it has not acknowledged.
pub const WINDOW: usize = 256;
/// Their texts together, in bytes; one message is always sent.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Messages that wait for one hub.
pub const OUTBOX: usize = 20_000;
/// How long a message waits for its hub, in milliseconds.
pub const OUTBOX_MS: u64 = 30 * DAY_MS;
/// Messages one [`crate::link::Query`] asks for.
pub const QUERY_IDS: usize = 256;
/// Publications one [`crate::link::Fill`] asks for.
pub const FILL_SEQS: usize = 256;
/// Publications a hub keeps, so that others can fill gaps.
pub const PUBLICATIONS: usize = 4_096;
/// Their texts together, in bytes.
pub const PUBLICATION_BYTES: usize = 32 * 1024 * 1024;
/// How long a hub keeps them, in milliseconds.
pub const PUBLICATION_MS: u64 = 10 * 60 * 1_000;
/// Largest publication that goes over gossip with its text, in bytes. Source: measured, gossip
/// of 57,000 bytes back to back arrives, of 60,000 it breaks the stream for good.
pub const GOSSIP_BYTES: usize = 48 * 1024;
/// How long a ticket is good, when nothing else is said, in milliseconds.
pub const TICKET_MS: u64 = DAY_MS;
/// How long a ticket may be good, in seconds.
pub const TICKET_MOST_S: usize = 30 * 24 * 60 * 60;
/// How many hubs one ticket may let in.
pub const TICKET_USES: usize = 1_000;
/// Tickets that are out at a time.
pub const TICKETS: usize = 64;
/// Tickets of all hubs of a mesh that one hub keeps.
pub const MESH_TICKETS: usize = 512;
/// Rendezvous servers of a mesh.
pub const RENDEZVOUS: usize = 8;
/// Rendezvous servers that a hub knows of, those that were removed included.
pub const RENDEZVOUS_KNOWN: usize = 32;
/// Longest label of a hub, in characters.
pub const HUB_LABEL_CHARS: usize = 64;
/// Addresses a person told the hub to connect to.
pub const STATIC_ADDRESSES: usize = 256;
/// Longest multiaddr, in characters.
pub const MULTIADDR_CHARS: usize = 512;
