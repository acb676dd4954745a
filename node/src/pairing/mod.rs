//! Pairing's body: how two hubs that share a code, a ticket or a former key find each other and
//! make sure of each other. What they say then is the brain's business.
//!
//! [`pairing`] gives the hub thread a [`PairingSlot`] and the node a [`PairingKeeper`]. Inside:
//! `conversation` is the exchange up to the proof (`keys`, `seal`, `wire` below it), `talk` what
//! is sealed after it; `door` says who may come and `guard` how often; `listener`, `lan` and
//! `places` are how a hub is found, `dial` and `routes` how it finds another.

mod conversation;
mod dial;
mod door;
mod guard;
mod keeper;
mod keys;
mod lan;
mod listener;
mod places;
mod ports;
mod routes;
mod seal;
mod talk;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use keeper::{PairingKeeper, PairingSettings, PairingSlot, pairing};
