//! Gossip: one topic per mesh.

use super::config::Timing;
use ecorelay_protocol::Psk;
use hkdf::Hkdf;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MessageAuthenticity, MessageId, TopicHash,
    TopicSubscriptionFilter, ValidationMode,
};
use libp2p::identity::Keypair;
use sha2::Sha256;
use std::fmt::Write as _;
use std::time::Duration;

/// Largest message with everything around it. Far above what the brain publishes, for the
/// receiver counts whatever it has read so far, and a stream on which that is too much is silent
/// for good. Source: measured.
const TRANSMIT_BYTES: usize = 1024 * 1024;
/// Messages that may wait for one hub; at most 24 MiB.
const QUEUE: usize = 512;

/// Gossip with this mesh's filter.
pub(super) type Gossip = gossipsub::Behaviour<IdentityTransform, OneTopic>;

/// Returns the mesh's topic. Who does not have the key can neither guess it nor learn from it.
pub(super) fn topic(psk: &Psk) -> IdentTopic {
    let mut name = [0_u8; 16];
    // 16 bytes are always to be had.
    let _ = Hkdf::<Sha256>::new(None, psk.bytes()).expand(b"ecorelay-gossip-topic-1", &mut name);
    let mut text = String::from("/ecorelay/gossip/1/");
    for byte in name {
        let _ = write!(text, "{byte:02x}");
    }
    IdentTopic::new(text)
}

/// Returns the protocol, subscribed to the topic.
pub(super) fn gossip(
    keypair: &Keypair,
    topic: &IdentTopic,
    timing: &Timing,
) -> Result<Gossip, String> {
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .max_transmit_size(TRANSMIT_BYTES)
        .connection_handler_queue_len(QUEUE)
        // A message may wait for as long as a link: by default a burst on a slow network is given
        // up that would have arrived. The queue is bounded all the same.
        .publish_queue_duration(timing.stall)
        .forward_queue_duration(timing.stall)
        // The author numbers its messages, and both are signed: equal texts stay apart.
        .message_id_fn(|message| {
            let author = message.source.map(|peer| peer.to_bytes());
            let number = message.sequence_number.unwrap_or_default();
            let mut id = author.unwrap_or_default();
            id.extend_from_slice(&number.to_be_bytes());
            MessageId::from(id)
        })
        // The author sends to every hub it is connected to: with a few dozen that are all, and
        // a message takes one step. The defaults of the overlay only matter beyond.
        .flood_publish(true)
        .heartbeat_initial_delay(Duration::from_millis(500))
        .build()
        .map_err(|error| error.to_string())?;
    let mut gossip = Gossip::new_with_subscription_filter(
        MessageAuthenticity::Signed(keypair.clone()),
        config,
        OneTopic(topic.hash()),
    )?;
    gossip.subscribe(topic).map_err(|error| error.to_string())?;
    Ok(gossip)
}

/// Takes subscriptions to one topic and skips all others, however many come.
#[derive(Debug, Clone)]
pub(super) struct OneTopic(TopicHash);

impl TopicSubscriptionFilter for OneTopic {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        *topic == self.0
    }
}
