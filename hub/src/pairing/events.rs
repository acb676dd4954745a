//! What the body tells the brain of pairing, and what the brain wants done.
//!
//! The body listens, announces, dials, makes the shared key and seals; it says nothing of its
//! own once the key is confirmed. The brain decides what is said then.

use ecorelay_protocol::pairing::{Method, Word};
use ecorelay_protocol::{Bytes, CborError, PeerId};

/// One pairing conversation, numbered by the body; never used twice in a hub's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

/// Which side of a conversation this hub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingSide {
    /// It was called.
    Host,
    /// It called: the number of the [`PairingEffect::Dial`].
    Guest(u64),
}

/// Everything that can happen while hubs pair.
#[derive(Debug)]
pub enum PairingInput {
    /// Both sides have the same secret, and the other's key is proven. The first word is due.
    Sealed {
        /// Which conversation.
        attempt: AttemptId,
        /// The other hub.
        peer: PeerId,
        /// The secret that was used.
        method: Method,
        /// Which side this hub is.
        side: PairingSide,
    },
    /// The other side said something.
    Word {
        /// Where.
        attempt: AttemptId,
        /// What, or why it is nothing; the body has closed the conversation then.
        word: Result<Box<Word>, CborError>,
    },
    /// A sealed conversation is over, whoever ended it.
    Ended {
        /// Which.
        attempt: AttemptId,
    },
    /// A dial did not come to a sealed conversation.
    DialFailed {
        /// The number of the [`PairingEffect::Dial`].
        dial: u64,
        /// Why.
        failure: PairingFailure,
    },
    /// Somebody tried the open code and did not have it: it is used up, and the body has shut
    /// the window.
    Burnt {
        /// The number of the code.
        number: u32,
        /// From where, for people.
        from: String,
    },
    /// The addresses the pairing listener is reached at, as `ip:port`; empty while it is shut.
    Listening {
        /// All of them.
        addresses: Vec<String>,
    },
    /// Hubs on the local network that have a code open.
    Nearby {
        /// The hub's name as it says (foreign text, not checked by anybody) and the number of
        /// its code.
        hubs: Vec<(String, u32)>,
    },
    /// The window is open at these rendezvous servers too; or why not at this one.
    WindowAt {
        /// The server's address.
        rendezvous: String,
        /// Why the code is not known there.
        trouble: Option<String>,
    },
}

/// Why a dial came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairingFailure {
    /// No hub with this code or ticket was found before the time was up.
    NotFound,
    /// Nothing answers at any address.
    Unreachable(String),
    /// The other side does not have the same secret.
    WrongCode,
    /// The other side refused: its reason, and its words (foreign text).
    Refused(ecorelay_protocol::pairing::PairingRefuse),
    /// The other side is not the hub it should be, or broke the rules of the conversation.
    Broken(String),
}

/// Everything the brain wants done while hubs pair.
#[derive(Debug, Clone)]
pub enum PairingEffect {
    /// What the pairing listener is for from now on; replaces what was before. With nothing in
    /// it the listener is shut.
    Door(Door),
    /// Find the host and make a shared key with it.
    Dial {
        /// Numbered by the brain.
        dial: u64,
        /// Which secret.
        method: Method,
        /// The secret: the words of a code, or of a ticket; empty for [`Method::Member`].
        secret: Bytes,
        /// Who must be there, where that is known.
        peer: Option<PeerId>,
        /// Where to look: `ip:port`. A code is looked for on the local network as well.
        addresses: Vec<String>,
        /// Rendezvous servers to look at: multiaddrs, with `/p2p/…` where the key is known, and
        /// the 32 bytes of the place there.
        rendezvous: Vec<(String, Bytes)>,
        /// When to give up, in ms since 1970.
        until: u64,
    },
    /// Give a dial up.
    Undial {
        /// Which.
        dial: u64,
    },
    /// Say something.
    Say {
        /// Where.
        attempt: AttemptId,
        /// What.
        word: Box<Word>,
    },
    /// End a conversation once what was said before is out.
    Close {
        /// Which.
        attempt: AttemptId,
    },
}

/// What the pairing listener is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Door {
    /// A code is open.
    pub window: Option<Window>,
    /// Tickets that can be used here: id and secret.
    pub tickets: Vec<(Bytes, Bytes)>,
    /// Members that missed a change of the key may come.
    pub members: bool,
    /// Tell of hubs on the local network that have a code open.
    pub look: bool,
    /// Where to wait at rendezvous servers: a server's multiaddr and the 32 bytes of the place.
    pub places: Vec<(String, Bytes)>,
}

/// An open code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its number.
    pub number: u32,
    /// Its words: the secret.
    pub words: String,
    /// This hub's human name, for the announcement.
    pub hub_id: String,
    /// When it shuts, in ms since 1970.
    pub until: u64,
    /// Rendezvous servers at which it is open too: a server's multiaddr and the 32 bytes of the
    /// place.
    pub places: Vec<(String, Bytes)>,
}
