//! Client to hub: everything that can be asked, versions "5" and "6".
//!
//! [`crate::decode_request`] makes these from lines. Source: facts of the reference protocol,
//! section 2.

use crate::{MeshChoice, PushResult};
use serde::{Deserialize, Serialize};

/// One request with the id its answer carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Echoed on the answer.
    pub req_id: Option<String>,
    /// What is asked.
    pub request: Request,
}

/// Everything a client can ask of a hub. Names and addresses are still text here: the hub
/// checks them and says what is wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Take a name. Version "5" and "6".
    Register(Register),
    /// Change the caller's name.
    Rename {
        /// The wanted name.
        new_name: String,
    },
    /// List the peers.
    ListPeers,
    /// List the rooms.
    ListRooms,
    /// Send a direct message.
    Send(SendMessage),
    /// Fetch mail.
    Inbox {
        /// 1 to 100.
        limit: Option<usize>,
        /// Start after this message.
        since_id: Option<String>,
    },
    /// Version "6": these messages have reached the session; they are read.
    Read {
        /// At most 1,000.
        msg_ids: Vec<String>,
    },
    /// Ask every session.
    Broadcast {
        /// The question.
        question: String,
        /// Chosen by the caller in version "5"; the hub makes one where it is missing.
        broadcast_id: Option<String>,
        /// Leave the caller out.
        exclude_self: bool,
        /// How far it goes.
        scope: Scope,
    },
    /// Answer an ask or a message.
    Reply {
        /// An ask id or a message id.
        ask_id: String,
        /// The answer.
        text: String,
        /// Version "6": the id of the answer, so that a retry is harmless.
        msg_id: Option<String>,
    },
    /// Join a room.
    JoinRoom {
        /// The room.
        room: String,
    },
    /// Leave a room.
    LeaveRoom {
        /// The room.
        room: String,
    },
    /// Say something in a room.
    RoomMessage {
        /// The room.
        room: String,
        /// The text.
        text: String,
        /// Chosen by the caller in version "5"; the hub makes one where it is missing.
        msg_id: Option<String>,
    },
    /// Anything about groups.
    Group {
        /// The group.
        group: String,
        /// What to do with it.
        request: GroupRequest,
    },
    /// List the caller's groups.
    GroupList,
    /// Is the hub there?
    Ping,
    /// Answers the hub's probe.
    Pong {
        /// The probe's id.
        probe: String,
    },
    /// Version "6": what became of a push.
    Pushed {
        /// The pushed messages.
        msg_ids: Vec<String>,
        /// What the push path says.
        result: PushResult,
        /// The push path's name.
        path: String,
        /// Why it was refused or is unknown.
        detail: Option<String>,
    },
    /// Version "6": the session is idle or busy, or messages reach it by another path now.
    State {
        /// `idle`, `busy` or another short word.
        state: String,
        /// How messages reach it; nothing where that is as it was.
        push: Option<PushWay>,
    },
    /// Version "6", command line: everything `node status` shows.
    Status,
    /// Version "6", command line: from now on send a `status_changed` line when something
    /// changes, and a copy of every message for `name`.
    Watch {
        /// Copy what comes for this name.
        name: Option<String>,
    },
    /// Version "6", command line: the way of one message.
    Why {
        /// The message.
        msg_id: String,
    },
    /// Version "6", command line: make a ticket; makes the mesh if there is none.
    Invite {
        /// How long it is good, in seconds; [`crate::limits::TICKET_MS`] where it is missing.
        expires_s: Option<usize>,
        /// How many hubs may join with it; one where it is missing.
        uses: Option<usize>,
    },
    /// Version "6", command line: join the mesh of a ticket.
    Join {
        /// The ticket.
        ticket: Box<crate::Ticket>,
    },
    /// Version "6", command line: keep a connection to this multiaddr.
    Connect {
        /// The address, `/ip4/…/tcp/…`, best with `/p2p/…`.
        address: String,
    },
    /// Version "6", command line: pair with another machine; the answers are
    /// [`crate::HubLine::Pair`], until one of them is a result. Ends with the connection.
    Pair {
        /// The code that the other machine shows; without one, this machine shows a code.
        code: Option<String>,
    },
    /// Version "6", command line: answers [`crate::PairStep::Question`].
    PairAnswer {
        /// What becomes of this hub's mesh.
        choice: MeshChoice,
    },
    /// Version "6", command line: change what this hub holds of another hub.
    Hub {
        /// Its hub id, label or PeerId.
        hub: String,
        /// What to do.
        change: HubChange,
    },
    /// Version "6", command line: add or remove a rendezvous server of the mesh.
    Rendezvous {
        /// Its multiaddr, with `/p2p/…`.
        address: String,
        /// Add it, else remove it.
        add: bool,
    },
    /// Version "6", command line: stay until stopped, also when nobody needs the hub.
    Stay,
    /// Version "6", command line: end the hub cleanly.
    Stop,
    /// Version "6", command line: take over a mailbox of the reference.
    ImportMailbox(ImportMailbox),
    /// Version "6", command line: take over a group of the reference.
    ImportGroup(ImportGroup),
}

/// What can be done about another hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubChange {
    /// Call it this on this machine, beside its hub id; nothing takes the label away.
    Label(Option<String>),
    /// What its sessions may do here.
    Policy(HubPolicy),
    /// Forget what is known of one that was revoked or never came.
    Forget,
    /// Take it out of the mesh, for all hubs, and change the mesh's key.
    Revoke,
}

/// What the sessions of another hub may do here; set by the person, on this machine only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubPolicy {
    /// Messages are pushed, and may be urgent.
    #[default]
    Normal,
    /// Messages are pushed; none is urgent.
    NotUrgent,
    /// Messages are stored and never pushed.
    Quiet,
}

/// What can be asked of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRequest {
    /// Create it.
    Create {
        /// The members besides the creator.
        members: Vec<String>,
    },
    /// Invite a peer.
    Invite {
        /// The peer.
        peer: String,
    },
    /// Remove a member.
    Remove {
        /// The member.
        peer: String,
        /// Why; goes into the history.
        reason: String,
    },
    /// Leave it.
    Leave,
    /// Write to it.
    Send {
        /// The text.
        text: String,
        /// Version "6": makes a retry harmless.
        msg_id: Option<String>,
    },
    /// Read on from the caller's cursor.
    History {
        /// 1 to 500; all unread where it is missing.
        limit: Option<usize>,
    },
    /// Who is in it.
    Info,
    /// Delete it.
    Delete,
}

/// A direct message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendMessage {
    /// `name` or `name@hub`.
    pub to: String,
    /// The text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// Asks for attention; the receiver's policy decides.
    pub urgent: bool,
    /// Version "6": the id of the message, so that a retry is harmless.
    pub msg_id: Option<String>,
}

/// A registration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// The wanted name.
    pub name: String,
    /// Working directory, shortened to [`crate::limits::CWD_CHARS`].
    pub cwd: String,
    /// Git branch, shortened to [`crate::limits::BRANCH_CHARS`].
    pub git_branch: String,
    /// "5" or "6".
    pub protocol_version: String,
    /// Version "6": which assistant it is.
    pub agent: Option<String>,
    /// Version "6": `idle`, `busy` …
    pub state: Option<String>,
    /// Version "6": how messages reach it, where its channel knows that already.
    pub push: Option<PushWay>,
    /// Version "6": if a live session holds the name, take `name-2`, `name-3` …
    pub suffix: bool,
    /// Version "6": a random secret of the session; whoever shows it again takes over its name at
    /// once, or may act for it.
    pub session_key: Option<String>,
    /// Version "6": act once for the name and leave without a trace; beside a live terminal
    /// session of that name, beside any whose `session_key` it shows, or in its place where it is not live.
    pub attach: bool,
}

/// By which push path messages reach a session at this moment, as its channel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushWay {
    /// The path's name, shortened to [`crate::limits::LABEL_CHARS`]; [`NO_PATH`] where nothing
    /// can be pushed now.
    pub path: String,
    /// Why there is none, or what the path cannot promise; shortened to
    /// [`crate::limits::DETAIL_CHARS`].
    pub detail: Option<String>,
}

/// The name of the push path that is none.
pub const NO_PATH: &str = "none";

/// How far a broadcast goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All hubs.
    #[default]
    Mesh,
    /// This hub.
    Hub,
}

/// A reference mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportMailbox {
    /// The owner's name.
    pub owner: String,
    /// Oldest first.
    pub messages: Vec<ImportMessage>,
}

/// A message of a reference mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportMessage {
    /// Its id.
    pub msg_id: String,
    /// The sender.
    pub from: String,
    /// The text.
    pub text: String,
    /// The message it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Milliseconds since 1970.
    pub ts: u64,
    /// Asked for attention.
    #[serde(default)]
    pub urgent: bool,
    /// It was read.
    #[serde(default)]
    pub read: bool,
}

/// A reference group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportGroup {
    /// The group's name.
    pub group: String,
    /// Its admin.
    pub admin: String,
    /// Each member and how many of the `messages` below it has read.
    pub members: Vec<(String, u64)>,
    /// Oldest first.
    pub messages: Vec<ImportText>,
}

/// An entry of a reference group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportText {
    /// The author.
    pub from: String,
    /// The text.
    pub text: String,
    /// Milliseconds since 1970.
    pub ts: u64,
    /// A system line.
    #[serde(default)]
    pub system: bool,
}
