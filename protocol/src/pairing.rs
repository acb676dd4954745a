//! Pairing: how a machine gets the mesh's key and its place on the roster, before it can speak
//! to the mesh at all.
//!
//! One conversation over any byte stream (TCP on a local network, a pipe through a rendezvous):
//! [`Opening`], [`Answer`], [`Confirm`] make a shared key by SPAKE2 out of a secret both sides
//! have; from then on everything is sealed with it and is a [`Word`]. Each message is a u32
//! big-endian length and CBOR.

use crate::link::{Signable, Signed};
use crate::{Bytes, HubId, PeerId, Psk};
use serde::{Deserialize, Serialize};

/// The version of the conversation.
pub const PAIRING_VERSION: u32 = 1;
/// Longest message before the key is confirmed, in bytes.
pub const CLEAR_BYTES: usize = 4 * 1024;
/// Longest sealed message, in bytes: a roster of a thousand hubs fits.
pub const SEALED_BYTES: usize = 2 * 1024 * 1024;
/// How long a code is good, in milliseconds.
pub const CODE_MS: u64 = 120_000;

/// The DNS-SD service type that a hub with an open code announces on the local network.
pub const SERVICE: &str = "_ecorelay-pair._tcp.local.";

/// Which secret the two sides share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The words of a code; its number tells which code.
    Code(u32),
    /// The secret of a ticket; its id tells which.
    Ticket(Bytes),
    /// None: the guest is a member of the mesh that missed a change of its key. Only the
    /// signatures of both keys count.
    Member,
}

/// The guest's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// [`PAIRING_VERSION`].
    pub version: u32,
    /// Which secret.
    pub method: Method,
    /// The guest.
    pub peer: PeerId,
    /// The guest's SPAKE2 message.
    pub share: Bytes,
}

/// The host's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The host.
    pub peer: PeerId,
    /// The host's SPAKE2 message.
    pub share: Bytes,
    /// Proves that the host has the same key.
    pub confirm: Bytes,
}

/// The guest's proof that it has the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// Proves that the guest has the same key.
    pub confirm: Bytes,
}

/// Everything that is said in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clear {
    /// Guest to host.
    Opening(Opening),
    /// Host to guest.
    Answer(Answer),
    /// Guest to host.
    Confirm(Confirm),
    /// Either: this conversation is over.
    Refuse(PairingRefuse),
    /// Either, from now on: a sealed [`Word`] or, first of each side, [`Proof`].
    Sealed(Bytes),
}

/// The first sealed message of each side: its key signs the conversation so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// By the [`PeerId`] named in clear, over the transcript's hash.
    pub signature: Bytes,
}

/// Why a conversation ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingRefuse {
    /// For programs.
    pub code: PairingCode,
    /// For people; as foreign as any text.
    pub message: String,
}

/// Why, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairingCode {
    /// The secrets differ.
    WrongCode,
    /// There is no such code or ticket here (any more).
    Unknown,
    /// It has expired.
    Expired,
    /// It was used as often as it may be.
    Used,
    /// Revoked, or never a member.
    NotMember,
    /// Both belong to meshes with other hubs in them, and a person said no.
    OtherMesh,
    /// Both have the same hub id.
    HubIdTaken,
    /// Another version of the conversation.
    Version,
    /// Not what may be said now.
    BadMessage,
    /// This side is busy with other conversations.
    Busy,
    /// A person ended it.
    Cancelled,
    /// Something newer.
    #[serde(other)]
    Other,
}

/// What is said once the key is confirmed and both sides have proven who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Where the sender stands; first word of each side.
    Standing(Standing),
    /// Everything the other side needs; the sender has stored nothing of it.
    Bundle(Box<Bundle>),
    /// The bundle is on disk: the sender belongs to the mesh.
    Taken,
    /// Seen; the conversation is over.
    Done,
    /// It is over without that.
    Refuse(PairingRefuse),
}

/// Where a hub stands when two hubs pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its human name.
    pub hub_id: HubId,
    /// The first hub of its mesh, if it is in one.
    pub root: Option<PeerId>,
    /// The other hubs of its mesh, for people: at most 32 of them.
    pub others: Vec<HubId>,
    /// How many there are.
    pub count: usize,
    /// The other hubs of the mesh it leaves that come along, for people: at most 32 of them.
    #[serde(default)]
    pub brings: Vec<HubId>,
    /// Its clock, in ms since 1970.
    pub now: u64,
}

/// A place in a mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The mesh's key.
    pub psk: Psk,
    /// How often the key was changed; 0 for the first one.
    pub generation: u64,
    /// The [`crate::link::Rekey`] that brought the key, where it was changed.
    #[serde(default)]
    pub rekey: Option<Signed>,
    /// The first hub of the mesh.
    pub root: PeerId,
    /// The giver.
    pub giver: PeerId,
    /// Its human name.
    pub hub_id: HubId,
    /// The [`crate::link::Admission`]s and revocations of the mesh; the taker's own admission is
    /// among them.
    pub roster: Vec<Signed>,
    /// Where hubs of the mesh listen.
    pub hubs: Vec<(PeerId, Vec<String>)>,
    /// The rendezvous servers of the mesh: multiaddrs with `/p2p/…`.
    pub rendezvous: Vec<String>,
    /// The first hubs of meshes that were merged into this one, as far as the giver came along
    /// with them: their members may come along as well.
    #[serde(default)]
    pub merged: Vec<PeerId>,
}

/// A ticket that is out, as the hubs of the mesh tell each other, so that each can admit who
/// has it. Signed by the hub that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketRecord {
    /// The first hub of the mesh.
    pub root: PeerId,
    /// 16 random bytes.
    pub id: Bytes,
    /// 32 random bytes: who has them may join. Nothing else follows from them.
    pub secret: Bytes,
    /// How many hubs may join with it.
    pub uses: u32,
    /// When it ends, in ms since 1970.
    pub expires: u64,
}

impl TicketRecord {
    /// Length of the id.
    pub const ID_BYTES: usize = 16;
    /// Length of the secret.
    pub const SECRET_BYTES: usize = 32;
}

impl Signable for TicketRecord {
    const DOMAIN: &'static str = "ecorelay-ticket-2";
}
