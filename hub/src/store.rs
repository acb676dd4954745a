//! What the brain needs of a store: a few reads and a list of writes. The body opens and ends
//! the transactions; inside one, reads see the writes before them.

use ecorelay_protocol::link::{RendezvousEntry, Signed};
use ecorelay_protocol::{
    Address, Bytes, DeliveryState, HubId, HubPolicy, MessageKind, Name, PeerId, Psk, PushResult,
};

mod groups;

pub use groups::{
    EntryPlace, GroupChangeRow, GroupEntryRow, GroupHubRow, GroupId, GroupLoad, GroupRow, Member,
    MemberRow, OpId, Proof,
};

/// A mailbox: stable while names come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub u32);

/// A message's place: its mailbox and its number in it (from 1, increasing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The number in the mailbox.
    pub seq: u32,
}

/// Why the store cannot do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed.
    #[error("the store cannot be read or written: {0}")]
    Io(String),
}

/// A mailbox's own row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxRow {
    /// Stable id.
    pub id: MailboxId,
    /// The name mail to which lands here.
    pub name: Name,
    /// When it was made, in ms.
    pub created: u64,
    /// When a session first owned it, in ms; `None` for a name never seen.
    pub owned: Option<u64>,
    /// When a session last owned it, in ms.
    pub last_seen: u64,
    /// The new name of the session that had this name, when it was renamed away.
    pub renamed_to: Option<Name>,
}

/// A mailbox as it is loaded at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxLoad {
    /// Its row.
    pub row: MailboxRow,
    /// The highest message number, 0 where there is none.
    pub last_seq: u32,
    /// Messages that nobody read.
    pub unread: usize,
    /// Read messages still kept.
    pub read: usize,
    /// Time of the oldest unread message, in ms.
    pub oldest_unread: Option<u64>,
}

/// What a push path said of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// When, in ms.
    pub ts: u64,
    /// What it said.
    pub result: PushResult,
    /// Its name.
    pub path: String,
    /// Why, where it was not handed over.
    pub detail: Option<String>,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Where it is.
    pub key: MessageKey,
    /// Its id, unique on this hub.
    pub msg_id: String,
    /// What kind it is.
    pub kind: MessageKind,
    /// Who sent it.
    pub from: Address,
    /// Whom it was sent to, as the address was then.
    pub to: Address,
    /// The text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// The ask it answers.
    pub ask_id: Option<String>,
    /// The group a system notice is about.
    pub group: Option<Name>,
    /// When it was accepted, in ms.
    pub ts: u64,
    /// Asks for attention.
    pub urgent: bool,
    /// What became of the push.
    pub pushed: Option<Pushed>,
    /// When it was read, in ms.
    pub read: Option<u64>,
    /// When it was answered, in ms, and with which message.
    pub answered: Option<(u64, String)>,
}

/// What is left of a message that has left its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneRow {
    /// Its id.
    pub msg_id: String,
    /// What kind it was.
    pub kind: MessageKind,
    /// Who sent it.
    pub from: Address,
    /// Whom it was sent to.
    pub to: Address,
    /// When it was accepted, in ms.
    pub ts: u64,
    /// When it was read, in ms.
    pub read: Option<u64>,
    /// A push path had confirmed it.
    pub handed: bool,
    /// When it left, in ms.
    pub left: u64,
}

impl GoneRow {
    /// Returns where it was when it left. Mail leaves unread and unconfirmed only where nobody
    /// of its recipient's name ever came.
    pub(crate) fn state(&self) -> DeliveryState {
        match (self.read, self.handed) {
            (Some(_), _) => DeliveryState::Read,
            (None, true) => DeliveryState::Delivered,
            (None, false) => DeliveryState::Unknown,
        }
    }
}

/// What the store knows of a message id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is in a mailbox.
    Message(Box<MessageRow>),
    /// It was in a mailbox.
    Gone(GoneRow),
    /// It is in a group's history.
    Group(GroupEntryRow),
    /// It was sent from here to another hub.
    Outgoing(Box<OutgoingRow>),
}

/// A broadcast that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRow {
    /// Its id on this hub: the part of its ask ids before the last colon.
    pub broadcast_id: String,
    /// Who asked.
    pub asker: Asker,
    /// When, in ms.
    pub ts: u64,
}

/// Whom the answers to a broadcast go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// The owner of this mailbox.
    Mailbox(MailboxId),
    /// A session of another hub.
    Remote {
        /// Its hub.
        peer: PeerId,
        /// Its name there.
        name: Name,
        /// The broadcast's id there.
        broadcast_id: String,
    },
}

/// The mesh this hub belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshRow {
    /// Its first hub.
    pub root: PeerId,
    /// Its newest key; `mesh.key` holds the one in use, which is older while a change of the key
    /// is handed on.
    pub psk: Psk,
    /// How often the key was changed; 0 for the first one.
    pub generation: u64,
    /// The [`ecorelay_protocol::link::Rekey`] that brought the key; `None` for the first one.
    pub rekey: Option<Signed>,
    /// The keys before it, newest first; at most [`ecorelay_protocol::limits::FORMER_KEYS`].
    pub former_keys: Vec<Psk>,
    /// The first hubs of the meshes with which this hub came into this one.
    pub merged: Vec<PeerId>,
    /// Since when this hub's [`MeshRow::hub_id`] is its name, in ms.
    pub since: u64,
    /// This hub's human name, as it is bound to its key.
    pub hub_id: HubId,
    /// The highest boot counter this hub has used.
    pub epoch: u64,
    /// Multiaddrs a person told the hub to connect to.
    pub addresses: Vec<String>,
    /// Where hubs of the mesh listened when this one came in; counts until a hub's own entry
    /// comes.
    pub hints: Vec<(PeerId, Vec<String>)>,
}

/// A ticket of the mesh that is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// Its id.
    pub id: Bytes,
    /// The [`ecorelay_protocol::pairing::TicketRecord`], as it was signed.
    pub record: Signed,
    /// To whom this hub has handed a place for it, whether they took it or not.
    pub handed: Vec<PeerId>,
}

/// A hub that this one has met or was told of: its name is pinned to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRow {
    /// Its key.
    pub peer: PeerId,
    /// Its human name.
    pub hub_id: HubId,
    /// Since when that is its name, in ms, as it says.
    pub since: u64,
    /// The highest boot counter it has shown.
    pub epoch: u64,
    /// Its directory entry as it signed it.
    pub entry: Option<Signed>,
    /// When it was last connected, in ms; 0 for never.
    pub last_seen: u64,
    /// What the person calls it, on this machine only.
    pub label: Option<String>,
    /// What its sessions may do here.
    pub policy: HubPolicy,
}

/// A message for another hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRow {
    /// Its id, unique on this hub.
    pub msg_id: String,
    /// To which hub.
    pub peer: PeerId,
    /// Its number among the messages for that hub, from 1.
    pub seq: u64,
    /// What kind it is.
    pub kind: MessageKind,
    /// Who sent it, on this hub.
    pub from: Name,
    /// Whom it is for, as the address was then.
    pub to: Address,
    /// The text; empty once the other hub has it.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// The ask it answers.
    pub ask_id: Option<String>,
    /// When it was accepted, in ms.
    pub ts: u64,
    /// Asks for attention.
    pub urgent: bool,
    /// When the other hub said that it has it, in ms; `None` while it waits in the outbox.
    pub acked: Option<u64>,
    /// What is known of it; [`DeliveryState::Outbox`] while it waits.
    pub state: DeliveryState,
    /// Since when, in ms.
    pub state_ts: u64,
    /// A sentence about the state; why it was refused.
    pub detail: Option<String>,
    /// It was not taken, or has expired.
    pub refused: bool,
}

/// The outbox of one hub as it is loaded at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxLoad {
    /// To which hub.
    pub peer: PeerId,
    /// The highest number ever used.
    pub last_seq: u64,
    /// How many messages wait.
    pub waiting: usize,
    /// The number of the first that waits.
    pub first_waiting: Option<u64>,
    /// When the first that waits was accepted, in ms.
    pub oldest: Option<u64>,
}

/// Everything durable that the brain keeps in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durable {
    /// All mailboxes, without their messages.
    pub mailboxes: Vec<MailboxLoad>,
    /// All groups, deleted ones included, without their logs.
    pub groups: Vec<GroupLoad>,
    /// All broadcasts that can be answered.
    pub asks: Vec<AskRow>,
    /// The mesh this hub belongs to.
    pub mesh: Option<MeshRow>,
    /// All hubs it knows.
    pub hubs: Vec<HubRow>,
    /// The roster: admissions and revocations, as they were signed.
    pub roster: Vec<Signed>,
    /// The tickets of the mesh that are out.
    pub tickets: Vec<TicketRow>,
    /// The ticket this hub joins with, as text, until it is let in or the ticket ends.
    pub joining: Option<String>,
    /// The rendezvous servers that are known, those that were removed included.
    pub rendezvous: Vec<RendezvousEntry>,
    /// All outboxes that were ever used.
    pub outboxes: Vec<OutboxLoad>,
    /// The highest mailbox id ever used.
    pub last_mailbox: u32,
    /// The highest group id ever used.
    pub last_group: u32,
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Add or replace a mailbox's row.
    PutMailbox(MailboxRow),
    /// Remove a mailbox and its messages; their ids go to the gone ones.
    DeleteMailbox {
        /// Which.
        id: MailboxId,
        /// Now, in ms.
        ts: u64,
    },
    /// Add a message; its id and key are new.
    AppendMessage(Box<MessageRow>),
    /// Note what became of a push.
    MarkPushed {
        /// Which message; one that is gone is ignored.
        key: MessageKey,
        /// What became of it.
        pushed: Pushed,
    },
    /// Note that messages were read; those read before keep their time.
    MarkRead {
        /// Which; all of one mailbox. One that is gone is ignored.
        keys: Vec<MessageKey>,
        /// When, in ms.
        ts: u64,
    },
    /// Note that a message was answered.
    MarkAnswered {
        /// Which.
        key: MessageKey,
        /// When, in ms.
        ts: u64,
        /// With which message.
        by: String,
    },
    /// Remove the `count` oldest read messages of a mailbox; their ids go to the gone ones.
    EvictRead {
        /// Which mailbox.
        mailbox: MailboxId,
        /// How many.
        count: usize,
        /// Now, in ms.
        ts: u64,
    },
    /// Remove the `count` oldest unread messages that a push path confirmed; their ids go to
    /// the gone ones.
    EvictHanded {
        /// Which mailbox.
        mailbox: MailboxId,
        /// How many.
        count: usize,
        /// Now, in ms.
        ts: u64,
    },
    /// Move all messages of one mailbox behind those of another, in order, numbered on from
    /// `first_seq`.
    MoveMessages {
        /// From which mailbox.
        from: MailboxId,
        /// To which mailbox.
        to: MailboxId,
        /// The first new number.
        first_seq: u32,
    },
    /// Write a peer's new name into every message it sent, so that answers find it and the next
    /// holder of the old name is not taken for it.
    RenameAuthor {
        /// As it was.
        old: Address,
        /// As it is.
        new: Address,
    },
    /// Forget the ids of messages that left before this time.
    ForgetGone {
        /// In ms.
        before: u64,
    },
    /// Add a broadcast.
    PutAsk(AskRow),
    /// Remove a broadcast.
    DeleteAsk {
        /// Its id.
        broadcast_id: String,
    },
    /// Add or replace a group's row.
    PutGroup(GroupRow),
    /// Remove everything of a group.
    DeleteGroup(GroupId),
    /// Remove the members and the history of a group; its row and its log of changes stay.
    ClearGroup(GroupId),
    /// Add or replace a member.
    PutMember {
        /// Of which group.
        group: GroupId,
        /// The member.
        member: MemberRow,
    },
    /// Remove a member.
    DeleteMember {
        /// Of which group.
        group: GroupId,
        /// The member.
        member: Member,
    },
    /// Add or replace a hub that has or had members.
    PutGroupHub {
        /// Of which group.
        group: GroupId,
        /// The hub.
        hub: GroupHubRow,
    },
    /// Add a change to a group's log; its number is new.
    AppendGroupChange(Box<GroupChangeRow>),
    /// Add an entry to a group's history; its id is new.
    AppendGroupEntry(Box<GroupEntryRow>),
    /// Change what an entry comes to; one that is gone is ignored.
    SetGroupEntry {
        /// Which group.
        group: GroupId,
        /// Which entry.
        id: u64,
        /// Its id from now on; new, or the same.
        new_id: u64,
        /// Its author as it is called now.
        from: Member,
        /// It does not count.
        void: bool,
    },
    /// Write a member's new name into the entries of a group that it wrote.
    RenameGroupAuthor {
        /// Which group.
        group: GroupId,
        /// As it was.
        old: Member,
        /// As it is.
        new: Member,
    },
    /// Remove these entries of a group.
    DeleteGroupEntries {
        /// Which group.
        group: GroupId,
        /// Which entries.
        ids: Vec<u64>,
    },
    /// Set the mesh this hub belongs to.
    PutMesh(Box<MeshRow>),
    /// Add or replace a hub.
    PutHub(Box<HubRow>),
    /// Forget a hub.
    DeleteHub(PeerId),
    /// Add a roster entry about `subject`, in place of one of the same author with the same
    /// `revoked`.
    PutRoster {
        /// The hub it is about.
        subject: PeerId,
        /// It revokes.
        revoked: bool,
        /// The entry.
        entry: Box<Signed>,
    },
    /// Forget a roster entry.
    DeleteRoster {
        /// The hub it is about.
        subject: PeerId,
        /// It revokes.
        revoked: bool,
        /// Who signed it.
        by: PeerId,
    },
    /// Forget the whole roster.
    ClearRoster,
    /// Add or replace a ticket.
    PutTicket(Box<TicketRow>),
    /// Forget a ticket.
    DeleteTicket(Bytes),
    /// Set the ticket this hub joins with, or none.
    SetJoining(Option<String>),
    /// Set the rendezvous servers that are known.
    SetRendezvous(Vec<RendezvousEntry>),
    /// Add a message for another hub; its id and number are new.
    AppendOutgoing(Box<OutgoingRow>),
    /// Note what is known of an outgoing message; one that is gone is ignored.
    MarkOutgoing {
        /// Which.
        msg_id: String,
        /// It leaves the outbox: when the other hub said so, in ms. Its text is dropped.
        /// `None` leaves that as it was.
        acked: Option<u64>,
        /// What is known.
        state: DeliveryState,
        /// Since when, in ms.
        ts: u64,
        /// A sentence.
        detail: Option<String>,
        /// It was not taken, or has expired.
        refused: bool,
    },
    /// Forget outgoing messages that left the outbox and whose state is from before this time.
    ForgetOutgoing {
        /// In ms.
        before: u64,
    },
}

/// A store with one open transaction.
pub trait Store {
    /// Returns everything the brain keeps in memory.
    fn load(&mut self) -> Result<Durable, StoreError>;

    /// Makes one change and returns how many messages it removed, moved, or marked as read that
    /// were unread before (0 for other changes).
    fn write(&mut self, write: Write) -> Result<usize, StoreError>;

    /// Returns what is known of a message id.
    fn find(&mut self, msg_id: &str) -> Result<Option<Found>, StoreError>;

    /// Returns the oldest unread messages of a mailbox: at most `limit`, and no more text than
    /// `max_bytes` (UTF-8), but always one message where there is one.
    fn unread(
        &mut self,
        mailbox: MailboxId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError>;

    /// Returns the messages of a mailbox with a number above `seq`, bounded as in [`Store::unread`].
    fn after(
        &mut self,
        mailbox: MailboxId,
        seq: u32,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError>;

    /// Returns how many messages of a mailbox have a number above `seq`.
    fn count_after(&mut self, mailbox: MailboxId, seq: u32) -> Result<usize, StoreError>;

    /// Returns the oldest unread messages of a mailbox that no push path confirmed, bounded as
    /// in [`Store::unread`].
    fn unpushed(
        &mut self,
        mailbox: MailboxId,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<MessageRow>, StoreError>;

    /// Returns the entries of a group that count and have an id above `after`, by id, bounded as
    /// in [`Store::unread`].
    fn group_entries(
        &mut self,
        group: GroupId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError>;

    /// Returns how many entries of a group above id `after` count and are not from `except`.
    fn count_group_entries(
        &mut self,
        group: GroupId,
        after: u64,
        except: &Member,
    ) -> Result<usize, StoreError>;

    /// Returns all entries of a group, those that do not count included, by id.
    fn group_places(&mut self, group: GroupId) -> Result<Vec<EntryPlace>, StoreError>;

    /// Returns the texts of one author (`None` for this hub) with a number above `after`, those
    /// that do not count included, by number, bounded as in [`Store::unread`].
    fn group_texts(
        &mut self,
        group: GroupId,
        author: Option<&PeerId>,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<GroupEntryRow>, StoreError>;

    /// Returns a group's whole log of changes, by author and number.
    fn group_changes(&mut self, group: GroupId) -> Result<Vec<GroupChangeRow>, StoreError>;

    /// Returns the messages that wait for a hub with a number above `after`, by number, bounded
    /// as in [`Store::unread`].
    fn outbox(
        &mut self,
        peer: &PeerId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutgoingRow>, StoreError>;

    /// Returns the newest messages for a hub that left the outbox and whose state may still
    /// change (stored or delivered, not refused), newest first.
    fn unsettled(&mut self, peer: &PeerId, limit: usize) -> Result<Vec<OutgoingRow>, StoreError>;
}
