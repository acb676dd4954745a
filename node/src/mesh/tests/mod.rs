//! Meshes of real swarms on the loopback device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_peers;
mod dialling;
mod gossip;
mod links;
mod lying_servers;
mod nearby;
mod rendezvous;
mod stub;

use super::config::Timing;
use super::{Identity, MeshConfig, MeshHandle, start};
use crate::events::{self, Event, Inbox};
use ecorelay_hub::{DialFailure, LinkId, MeshEffect, MeshInput, MeshPeers};
use ecorelay_protocol::link::Frame;
use ecorelay_protocol::{PeerId, Psk};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// Far longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Returns a PeerId of nobody.
pub(super) fn some_peer() -> PeerId {
    libp2p::PeerId::random().to_base58().parse().unwrap()
}

fn fresh_key() -> Psk {
    let mut key = [0; 32];
    getrandom::fill(&mut key).unwrap();
    Psk::new(key)
}

/// Returns identities in the order of their PeerIds.
fn identities<const N: usize>() -> [Identity; N] {
    let dir = tempfile::tempdir().unwrap();
    let mut all = std::array::from_fn(|number| {
        Identity::load_or_create(&dir.path().join(number.to_string())).unwrap()
    });
    all.sort_by_key(Identity::peer_id);
    all
}

fn short() -> Timing {
    Timing {
        retry: Duration::from_millis(100),
        yield_dial: Duration::from_millis(300),
        ..Timing::default()
    }
}

/// A hub's body on the mesh; the test is its brain.
struct Body {
    peer: PeerId,
    mesh: MeshHandle,
    inbox: Inbox,
    address: String,
    /// Hubs that were seen on the local network.
    nearby: BTreeMap<PeerId, Vec<String>>,
}

impl Body {
    async fn start(identity: &Identity, psk: &Psk) -> Self {
        Self::start_with(identity, psk, short()).await
    }

    async fn start_with(identity: &Identity, psk: &Psk, timing: Timing) -> Self {
        Self::start_as(MeshConfig {
            identity: identity.clone(),
            psk: psk.clone(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            external: Vec::new(),
            mdns: false,
            punch: true,
            timing,
        })
        .await
    }

    async fn start_as(config: MeshConfig) -> Self {
        let (hub, inbox) = events::channel();
        let peer = config.identity.peer_id().parse().unwrap();
        let mesh = start(config, hub).unwrap();
        let mut body = Self {
            peer,
            mesh,
            inbox,
            address: String::new(),
            nearby: BTreeMap::new(),
        };
        body.address = body
            .until(|input| match input {
                MeshInput::Listening { mut addresses } => addresses.pop(),
                _ => None,
            })
            .await;
        body
    }

    /// Returns the next thing that happens.
    async fn next(&mut self) -> MeshInput {
        let event = timeout(SOON, self.inbox.events.recv()).await;
        match event.expect("nothing happens").unwrap() {
            Event::Mesh { input, .. } => {
                if let MeshInput::Seen { peer, addresses } = &input {
                    self.nearby.insert(peer.clone(), addresses.clone());
                }
                input
            }
            other => panic!("{other:?}"),
        }
    }

    /// Returns the first thing that happens of which `pick` makes something.
    async fn until<T>(&mut self, mut pick: impl FnMut(MeshInput) -> Option<T>) -> T {
        let picked = async {
            loop {
                let input = self.next().await;
                if let Some(picked) = pick(input) {
                    return picked;
                }
            }
        };
        timeout(2 * SOON, picked).await.expect("it does not happen")
    }

    async fn link_up(&mut self) -> (LinkId, PeerId) {
        self.until(|input| match input {
            MeshInput::LinkUp { link, peer, .. } => Some((link, peer)),
            _ => None,
        })
        .await
    }

    async fn link_down(&mut self) -> (LinkId, String) {
        self.until(|input| match input {
            MeshInput::LinkDown { link, reason } => Some((link, reason)),
            _ => None,
        })
        .await
    }

    async fn frame(&mut self) -> (LinkId, Frame) {
        self.until(|input| match input {
            MeshInput::Frame { link, frame } => Some((link, *frame.unwrap())),
            _ => None,
        })
        .await
    }

    async fn failure(&mut self) -> (Option<PeerId>, DialFailure) {
        self.until(|input| match input {
            MeshInput::DialFailed { peer, failure, .. } => Some((peer, failure)),
            _ => None,
        })
        .await
    }

    fn send(&self, link: LinkId, frame: &Frame) {
        let bytes = frame.encode().into();
        self.mesh.apply(MeshEffect::Frame { link, bytes });
    }

    fn hubs(&self, hubs: Vec<(PeerId, Vec<String>)>) {
        let peers = MeshPeers {
            hubs,
            ..MeshPeers::default()
        };
        self.mesh.apply(MeshEffect::Hubs(peers));
    }

    fn addresses(&self, addresses: Vec<String>) {
        let peers = MeshPeers {
            addresses,
            ..MeshPeers::default()
        };
        self.mesh.apply(MeshEffect::Hubs(peers));
    }

    /// Lists another hub with its address.
    fn list(&self, other: &Self) {
        self.hubs(vec![(other.peer.clone(), vec![other.address.clone()])]);
    }
}

/// Returns two hubs that are linked, the one with the smaller PeerId first, and the link at each.
async fn linked() -> (Body, LinkId, Body, LinkId) {
    linked_with(short()).await
}

async fn linked_with(timing: Timing) -> (Body, LinkId, Body, LinkId) {
    let [a, b] = identities();
    let psk = fresh_key();
    let mut a = Body::start_with(&a, &psk, timing).await;
    let mut b = Body::start_with(&b, &psk, timing).await;
    a.list(&b);
    b.list(&a);
    let (at_a, peer) = a.link_up().await;
    assert_eq!(peer, b.peer);
    let (at_b, peer) = b.link_up().await;
    assert_eq!(peer, a.peer);
    (a, at_a, b, at_b)
}
