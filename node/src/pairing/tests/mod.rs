//! Hubs that pair, with a test as their brain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conversation;
mod hubs;
mod intruders;
mod pipes;

use super::{PairingKeeper, PairingSettings, PairingSlot, door, pairing};
use crate::events::{self, Event, Inbox};
use crate::mesh::Identity;
use ecorelay_hub::{
    AttemptId, Door, PairingEffect, PairingFailure, PairingInput, PairingSide, Window,
};
use ecorelay_protocol::pairing::{Method, Word};
use ecorelay_protocol::{Bytes, PeerId};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Returns a PeerId of nobody.
pub(super) fn some_peer() -> PeerId {
    libp2p::PeerId::random().to_base58().parse().unwrap()
}

fn some_identity() -> Identity {
    let dir = tempfile::tempdir().unwrap();
    Identity::load_or_create(&dir.path().join("identity.key")).unwrap()
}

/// Returns an open code.
pub(super) fn window(number: u32, words: &str) -> Window {
    Window {
        number,
        words: words.into(),
        hub_id: "desk".into(),
        until: door::now() + 120_000,
        places: Vec::new(),
    }
}

/// Returns a door at which this code is open and nothing else.
fn code_door(number: u32, words: &str) -> Door {
    Door {
        window: Some(window(number, words)),
        ..Door::default()
    }
}

/// A hub's body; the test is its brain.
struct Body {
    identity: Identity,
    slot: PairingSlot,
    inbox: Inbox,
    keeper: JoinHandle<PairingKeeper>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Body {
    fn start() -> Self {
        let identity = some_identity();
        let (hub, inbox) = events::channel();
        let settings = PairingSettings {
            identity: identity.clone(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            mdns: false,
        };
        let (slot, mut keeper) = pairing(settings, hub);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let keeper = tokio::spawn(async move {
            tokio::select! {
                never = keeper.run() => match never {},
                _ = stopped => {}
            }
            keeper.end().await;
            keeper
        });
        Self {
            identity,
            slot,
            inbox,
            keeper,
            stop,
        }
    }

    fn peer(&self) -> PeerId {
        self.identity.peer().clone()
    }

    /// Opens the door and returns where the listener is.
    async fn open(&mut self, door: Door) -> String {
        self.slot.apply(PairingEffect::Door(door));
        self.until(|input| match input {
            PairingInput::Listening { mut addresses } => addresses.pop(),
            _ => None,
        })
        .await
    }

    fn dial(&self, number: u64, method: Method, secret: &[u8], addresses: &[String]) {
        self.dial_by(number, method, secret, addresses, &[], 20_000);
    }

    fn dial_by(
        &self,
        dial: u64,
        method: Method,
        secret: &[u8],
        addresses: &[String],
        rendezvous: &[(String, Bytes)],
        ms: u64,
    ) {
        self.slot.apply(PairingEffect::Dial {
            dial,
            method,
            secret: Bytes(secret.to_vec()),
            peer: None,
            addresses: addresses.to_vec(),
            rendezvous: rendezvous.to_vec(),
            until: door::now() + ms,
        });
    }

    fn say(&self, attempt: AttemptId, word: Word) {
        let word = Box::new(word);
        self.slot.apply(PairingEffect::Say { attempt, word });
    }

    async fn next(&mut self) -> PairingInput {
        let event = timeout(SOON, self.inbox.events.recv()).await;
        match event.expect("nothing happens").unwrap() {
            Event::Pairing(input) => input,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the first thing that happens of which `pick` makes something.
    async fn until<T>(&mut self, mut pick: impl FnMut(PairingInput) -> Option<T>) -> T {
        let picked = async {
            loop {
                let input = self.next().await;
                if let Some(picked) = pick(input) {
                    return picked;
                }
            }
        };
        timeout(SOON, picked).await.expect("it does not happen")
    }

    async fn sealed(&mut self) -> (AttemptId, PeerId, Method, PairingSide) {
        self.until(|input| match input {
            PairingInput::Sealed {
                attempt,
                peer,
                method,
                side,
            } => Some((attempt, peer, method, side)),
            PairingInput::DialFailed { failure, .. } => panic!("{failure:?}"),
            _ => None,
        })
        .await
    }

    async fn word(&mut self) -> Word {
        self.until(|input| match input {
            PairingInput::Word { word, .. } => Some(*word.unwrap()),
            PairingInput::Ended { .. } => panic!("it has ended"),
            _ => None,
        })
        .await
    }

    async fn ended(&mut self, attempt: AttemptId) {
        self.until(|input| match input {
            PairingInput::Ended { attempt: ended } => (ended == attempt).then_some(()),
            _ => None,
        })
        .await;
    }

    async fn failure(&mut self) -> PairingFailure {
        self.until(|input| match input {
            PairingInput::DialFailed { failure, .. } => Some(failure),
            PairingInput::Sealed { .. } => panic!("sealed"),
            _ => None,
        })
        .await
    }

    async fn burnt(&mut self) -> (u32, String) {
        self.until(|input| match input {
            PairingInput::Burnt { number, from } => Some((number, from)),
            PairingInput::Sealed { .. } => panic!("sealed"),
            _ => None,
        })
        .await
    }
}
