//! What is counted. The counters are shared by all parts; whoever refuses something says why
//! here, so that the operator sees it without a line in the log per stranger.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

/// Why something was refused: one of [`REASONS`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// All reasons, in the order of the operations guide.
pub(crate) const REASONS: [&str; 19] = [
    "connections",
    "connections_per_ip",
    "connects_per_minute",
    "handshakes",
    "handshake_failed",
    "memory",
    "shed",
    "idle",
    "silent",
    "bad_message",
    "too_many_messages",
    "not_allowed",
    "meshes_full",
    "mesh_full",
    "reservation",
    "circuit",
    "pipes_full",
    "pipe_nobody",
    "pipe_taken",
];

/// The counters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    refused: Family<Reason, Counter>,
    /// Bytes that came from hubs, before decryption.
    pub(crate) bytes_in: Counter,
    /// Bytes that went to hubs, after encryption.
    pub(crate) bytes_out: Counter,
    /// Bytes of pairing conversations.
    pub(crate) pipe_bytes: Counter,
    /// Hubs that entered, ever.
    pub(crate) entered: Counter,
    /// Circuits that were opened, ever.
    pub(crate) circuits: Counter,
    /// Pairing conversations that were joined, ever.
    pub(crate) joined: Counter,
}

impl Metrics {
    /// Counts a refusal.
    pub(crate) fn refuse(&self, reason: &'static str) {
        debug_assert!(REASONS.contains(&reason), "{reason}");
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// Returns how often something was refused, by reason.
    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        REASONS
            .into_iter()
            .filter_map(|reason| {
                let count = self.refused.get(&Reason { reason })?.get();
                Some((reason, count))
            })
            .collect()
    }

    /// Makes the counters part of a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "refused",
            "What was refused, by reason",
            self.refused.clone(),
        );
        let counters = [
            ("bytes_in", "Bytes received from hubs", &self.bytes_in),
            ("bytes_out", "Bytes sent to hubs", &self.bytes_out),
            (
                "pipe_bytes",
                "Bytes of pairing conversations",
                &self.pipe_bytes,
            ),
            ("hubs_entered", "Hubs that entered", &self.entered),
            (
                "circuits_opened",
                "Circuits that were opened",
                &self.circuits,
            ),
            (
                "pipes_joined",
                "Pairing conversations that were joined",
                &self.joined,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }
}
