//! The hub's place on the machine: its folder and the lock that makes it the only one there.

mod folder;
mod footing;
mod lock;

pub(crate) use folder::prepare;
pub(crate) use footing::Footing;
pub(crate) use lock::HubLock;
