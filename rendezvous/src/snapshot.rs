//! What the operator may know of a running server.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A look at a running server. It names no hub and no mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The program's version.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// The server's PeerId.
    pub peer_id: String,
    /// What hubs are told: addresses with the PeerId at their end.
    pub addresses: Vec<String>,
    /// Namespaces with a hub in it.
    pub meshes: u64,
    /// Hubs that entered.
    pub hubs: u64,
    /// Hubs that can be reached through the server.
    pub reservations: u64,
    /// Circuits that are open.
    pub circuits: u64,
    /// Hosts that wait for a guest to pair.
    pub pipes_waiting: u64,
    /// All streams of hubs that pair.
    pub pipes: u64,
    /// Connections, of hubs and of strangers.
    pub connections: u64,
    /// Bytes received on all connections, encryption and all.
    pub bytes_in: u64,
    /// Bytes sent on all connections.
    pub bytes_out: u64,
    /// Bytes passed on in pairing conversations.
    pub pipe_bytes: u64,
    /// Memory of the process, in bytes; 0 where the system does not say.
    pub memory: u64,
    /// What was refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Returns the memory of this process, in bytes; 0 where the system does not say.
pub(crate) fn memory() -> u64 {
    // Linux counts in pages, of 4 KiB on every machine this is likely to run on; where they are
    // larger, the bound is reached later.
    const PAGE: u64 = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    resident.unwrap_or(0_u64).saturating_mul(PAGE)
}
