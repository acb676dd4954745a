//! Who is there: a view of all sessions of the mesh that follows what happens.

use super::SessionError;
use super::link::Link;
use crate::events::HubHandle;
use ecorelay_protocol::{HubLine, PeerInfo};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// What the state of a session begins with when its hub cannot be reached.
const OFFLINE: &str = "offline-since";

/// Something that happened to a session somewhere in the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceEvent {
    /// It can be reached from now on.
    Came(PeerInfo),
    /// It shows another folder, branch, state …
    Changed(PeerInfo),
    /// It has ended, or its hub cannot be reached; this is what was last known of it.
    Left(PeerInfo),
}

/// Follows who is there. Made by [`crate::Node::presence`].
#[derive(Debug)]
pub struct Presence {
    changes: Changes,
    known: BTreeMap<String, PeerInfo>,
    events: VecDeque<PresenceEvent>,
}

impl Presence {
    pub(crate) async fn open(hub: HubHandle) -> Result<Self, SessionError> {
        Ok(Self {
            changes: Changes::open(hub).await?,
            known: BTreeMap::new(),
            events: VecDeque::new(),
        })
    }

    /// Waits for the next event; at first, everyone who is there comes. Of changes in quick
    /// succession only the last may be seen.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn next(&mut self) -> Result<PresenceEvent, SessionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let line = self.changes.next(json!({ "type": "list_peers" })).await?;
            let HubLine::Peers { peers, .. } = line else {
                return Err(SessionError::WrongAnswer);
            };
            self.take_over(peers);
        }
    }

    fn take_over(&mut self, peers: Vec<PeerInfo>) {
        let mut before = std::mem::take(&mut self.known);
        for peer in peers {
            if peer.state.as_ref().is_some_and(|s| s.starts_with(OFFLINE)) {
                continue;
            }
            match before.remove(&peer.name) {
                None => self.events.push_back(PresenceEvent::Came(peer.clone())),
                Some(old) if shown(&old) != shown(&peer) => {
                    self.events.push_back(PresenceEvent::Changed(peer.clone()));
                }
                Some(_) => {}
            }
            self.known.insert(peer.name.clone(), peer);
        }
        self.events
            .extend(before.into_values().map(PresenceEvent::Left));
    }
}

/// Returns what makes a difference: not the time of the last sign of life.
fn shown(peer: &PeerInfo) -> PeerInfo {
    PeerInfo {
        last_seen: 0,
        ..peer.clone()
    }
}

/// Follows the status document. Made by [`crate::Node::watch`].
#[derive(Debug)]
pub struct Watch(Changes);

impl Watch {
    pub(crate) async fn open(hub: HubHandle) -> Result<Self, SessionError> {
        Ok(Self(Changes::open(hub).await?))
    }

    /// Returns the status document: at once the first time, then whenever it has changed.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn next(&mut self) -> Result<Value, SessionError> {
        match self.0.next(json!({ "type": "status" })).await? {
            HubLine::StatusResult { status, .. } => Ok(status),
            _ => Err(SessionError::WrongAnswer),
        }
    }
}

/// Asks the same again after each change.
#[derive(Debug)]
struct Changes {
    link: Link,
    /// Something has changed since the last answer.
    stale: bool,
}

impl Changes {
    async fn open(hub: HubHandle) -> Result<Self, SessionError> {
        let link = Link::open(hub).await?;
        match link.ask(json!({ "type": "watch" })).await? {
            HubLine::Ack { .. } => Ok(Self { link, stale: true }),
            _ => Err(SessionError::WrongAnswer),
        }
    }

    /// Waits for a change and returns the answer to a request after it. Nothing is lost when the
    /// caller stops waiting in between.
    async fn next(&mut self, request: Value) -> Result<HubLine, SessionError> {
        while !self.stale {
            match self.link.next_push().await {
                Some(HubLine::StatusChanged) => self.stale = true,
                Some(_) => {}
                None => return Err(SessionError::Ended),
            }
        }
        let answer = self.link.ask(request).await?;
        self.stale = false;
        Ok(answer)
    }
}
