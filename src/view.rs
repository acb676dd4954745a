//! Text for people. Functions here take data and the time and return text with colour codes,
//! which [`crate::output::Output`] drops where they are not wanted. Nothing here prints or asks.

pub(crate) mod address;
pub(crate) mod diff;
pub(crate) mod document;
pub(crate) mod hubs;
pub(crate) mod live;
pub(crate) mod message;
pub(crate) mod pairing;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;
