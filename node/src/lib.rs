//! The EcoRelay hub daemon, and the library to embed one.

mod platform;
pub mod store;
