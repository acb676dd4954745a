//! The mesh: what makes this hub known to other hubs. libp2p types do not leave this folder.

mod identity;

pub(crate) use identity::Identity;
pub use identity::IdentityError;
