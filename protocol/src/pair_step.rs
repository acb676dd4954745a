//! What the command line hears while hubs pair.

use serde::{Deserialize, Serialize};

/// One step of pairing, as the hub tells the command line that asked for it. Names of hubs that
/// are not paired are foreign text: `visible` has been over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum PairStep {
    /// This machine shows a code.
    Window {
        /// The code, `7-otter-lamp`.
        code: String,
        /// When it ends, in ms since 1970.
        expires: u64,
    },
    /// Other machines that show a code; replaces the list before.
    Nearby {
        /// The hub's name and the number of its code.
        hubs: Vec<(String, u32)>,
    },
    /// Both have the code: this is the other hub.
    Met {
        /// Its human name.
        hub_id: String,
        /// Its PeerId.
        peer_id: String,
    },
    /// Both belong to meshes with other hubs in them; [`MeshChoice`] answers.
    Question {
        /// The other hub's human name.
        hub_id: String,
        /// The other hubs of its mesh.
        theirs: Vec<String>,
        /// The other hubs of this hub's mesh.
        ours: Vec<String>,
        /// Names that stand in both: while there are any, the meshes cannot be merged.
        both: Vec<String>,
    },
    /// A rendezvous server does not take part.
    Trouble {
        /// What is wrong, for people.
        message: String,
    },
    /// Paired: both hubs belong to one mesh, and that is on disk on both sides.
    Paired {
        /// The other hub's human name.
        hub_id: String,
        /// Its PeerId.
        peer_id: String,
        /// The mesh was made for this.
        created: bool,
        /// The hubs of the mesh now, this one included.
        hubs: usize,
        /// Hubs that come along with the other one, by their own names; not counted in `hubs`.
        brings: Vec<String>,
    },
    /// Not paired, and nothing is left behind; or, with `unreachable` and a message that says so,
    /// the other hub went away when only it could say whether it is done.
    Failed {
        /// A [`crate::pairing::PairingCode`] or `not_found`, `unreachable`.
        code: String,
        /// What was wrong and what to do.
        message: String,
    },
}

/// What a person decides when both hubs belong to meshes with other hubs in them: a hub is in one
/// mesh at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeshChoice {
    /// Nothing is changed.
    Stay,
    /// This hub alone leaves its mesh and comes into the other.
    Leave,
    /// This hub comes into the other mesh, and the hubs of its own come along.
    Merge,
}

impl MeshChoice {
    /// Returns the choice of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "stay" => Some(Self::Stay),
            "leave" => Some(Self::Leave),
            "merge" => Some(Self::Merge),
            _ => None,
        }
    }
}
