//! What the body tells the brain of the mesh, and what the brain wants done there.

use ecorelay_protocol::link::{Frame, FrameError, Publication};
use ecorelay_protocol::{CborError, PeerId, Psk};
use std::sync::Arc;

/// One link to another hub, numbered by the body; never used twice in a hub's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// How a link gets to the other hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPath {
    /// From machine to machine.
    Direct,
    /// Through a relay.
    Relayed,
}

/// Everything that can happen on the mesh.
#[derive(Debug)]
pub enum MeshInput {
    /// A link is open; the key of the hub at its other end is proven.
    LinkUp {
        /// Its number.
        link: LinkId,
        /// The hub at the other end.
        peer: PeerId,
        /// Its address, a multiaddr.
        address: String,
        /// How it gets there.
        path: LinkPath,
    },
    /// A frame came; heartbeats are the body's.
    Frame {
        /// On which link.
        link: LinkId,
        /// What, or why it is none; the link is useless then.
        frame: Result<Box<Frame>, FrameError>,
    },
    /// A link is gone.
    LinkDown {
        /// Which.
        link: LinkId,
        /// Why, in a few words.
        reason: String,
    },
    /// The round-trip time of a link was measured.
    RoundTrip {
        /// Which.
        link: LinkId,
        /// In microseconds.
        micros: u64,
    },
    /// A gossip message came, or one of this author that cannot be read.
    Gossip {
        /// The hub that signed it.
        author: PeerId,
        /// What it published.
        publication: Result<Box<Publication>, CborError>,
    },
    /// The addresses this hub listens on have changed.
    Listening {
        /// All of them, as multiaddrs others can dial.
        addresses: Vec<String>,
    },
    /// Another hub was seen on the local network, whichever mesh it belongs to.
    Seen {
        /// Which.
        peer: PeerId,
        /// Where.
        addresses: Vec<String>,
    },
    /// A hub is no longer seen on the local network.
    Unseen {
        /// Which.
        peer: PeerId,
    },
    /// A dial did not get through, or someone who dialled did not.
    DialFailed {
        /// Whom, where that is known.
        peer: Option<PeerId>,
        /// Where; of an incoming connection, where from.
        address: String,
        /// How.
        failure: DialFailure,
    },
    /// How it stands with a rendezvous server.
    Server {
        /// Its address, as it was given.
        address: String,
        /// How.
        state: ServerState,
    },
    /// An attempt to get from a relayed connection to a direct one has ended.
    Punched {
        /// With whom.
        peer: PeerId,
        /// How.
        outcome: PunchOutcome,
    },
}

/// How it stands with a rendezvous server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// It is being dialled or asked for a place.
    Connecting,
    /// This hub can be reached through it.
    Reserved {
        /// This hub's address as the server sees it.
        observed: String,
        /// How many other hubs of the mesh are there.
        hubs: usize,
    },
    /// It is not of use.
    Failed {
        /// Why, in words; foreign text was made visible.
        reason: String,
    },
}

/// How a hole punch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PunchOutcome {
    /// The hubs are connected directly now.
    Direct,
    /// They stay on the relay.
    Failed {
        /// Why, as far as it can be told.
        reason: String,
    },
}

/// How a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialFailure {
    /// Nothing listens there, or no way leads there.
    Unreachable(String),
    /// Something answers, but the handshake fails: most likely another mesh key. A wrong key
    /// cannot be told from line noise. Source: measured.
    Handshake,
    /// Nothing answered in time: a firewall, or another mesh key.
    TimedOut,
    /// The key at the other end is this hub's own.
    Own,
    /// The key at the other end is another's.
    WrongPeer(PeerId),
}

/// Everything the brain wants done on the mesh.
#[derive(Debug, Clone)]
pub enum MeshEffect {
    /// Write a frame to a link. When its queue is full the body closes the link.
    Frame {
        /// Which.
        link: LinkId,
        /// The frame as CBOR, without its length; shared between links.
        bytes: Arc<[u8]>,
    },
    /// Close a link once what was written before is out.
    Close {
        /// Which.
        link: LinkId,
    },
    /// Publish to all hubs of the mesh.
    Publish {
        /// A [`Publication`] as CBOR.
        bytes: Arc<[u8]>,
    },
    /// Keep connected to these hubs, and to no others; replaces the list before.
    Hubs(MeshPeers),
    /// Close the connection to a hub and dial it anew: gossip does not get through.
    Redial {
        /// Which.
        peer: PeerId,
    },
    /// Put this key into `mesh.key` and take part in its mesh from now on; a mesh of another key
    /// that this hub takes part in is left first.
    Key(Psk),
}

/// Whom to be connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeshPeers {
    /// Hubs of the mesh with the addresses that are known of them.
    pub hubs: Vec<(PeerId, Vec<String>)>,
    /// Addresses that a person gave, whoever is there.
    pub addresses: Vec<String>,
    /// Hubs that get no connection.
    pub blocked: Vec<PeerId>,
    /// Rendezvous servers to be reachable through: multiaddrs with `/p2p/…`.
    pub rendezvous: Vec<String>,
    /// Keys of this mesh before the one in use: members that missed the change look for this hub
    /// under them.
    pub former_keys: Vec<Psk>,
    /// This hub knows no other by its key yet: it tries every hub on the local network.
    pub try_nearby: bool,
}
