//! Pairing, tickets and renewal as the brain sees them.

mod events;

pub use events::{
    AttemptId, Door, PairingEffect, PairingFailure, PairingInput, PairingSide, Window,
};
