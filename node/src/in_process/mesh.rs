//! Making a mesh, joining one, and naming hubs to connect to.

use super::SessionError;
use super::link::Link;
use crate::events::HubHandle;
use ecorelay_protocol::HubLine;
use serde_json::json;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How an invitation is to be. The default is good for 24 hours.
#[derive(Debug, Clone, Default)]
pub struct InviteOptions {
    good_for: Option<Duration>,
}

impl InviteOptions {
    /// Sets how long the ticket is good: one second to 30 days.
    #[must_use]
    pub fn good_for(mut self, time: Duration) -> Self {
        self.good_for = Some(time);
        self
    }
}

/// An invitation to a mesh.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The ticket, one line of text, for [`crate::Node::join`] or `ecorelay join` on another
    /// machine. A secret: whoever has it can join until it expires.
    pub ticket: String,
    /// When it ends.
    pub expires: SystemTime,
    /// There was no mesh: this invitation made it.
    pub created: bool,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("expires", &self.expires)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// What a ticket led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The human name of the hub that invited.
    pub hub_id: String,
    /// Its PeerId.
    pub peer_id: String,
    /// This hub belongs to that mesh already. Otherwise it asks to be let in from now on, until a
    /// hub of the mesh can be reached.
    pub admitted: bool,
}

pub(crate) async fn invite(
    hub: HubHandle,
    options: InviteOptions,
) -> Result<Invitation, SessionError> {
    let expires_s = options.good_for.map(|time| time.as_secs());
    let request = json!({ "type": "invite", "expires_s": expires_s });
    match Link::open(hub).await?.ask(request).await? {
        HubLine::InviteResult {
            ticket,
            expires,
            created,
            ..
        } => Ok(Invitation {
            ticket,
            expires: UNIX_EPOCH + Duration::from_millis(expires),
            created,
        }),
        _ => Err(SessionError::WrongAnswer),
    }
}

pub(crate) async fn join(hub: HubHandle, ticket: &str) -> Result<Joined, SessionError> {
    let request = json!({ "type": "join", "ticket": ticket });
    match Link::open(hub).await?.ask(request).await? {
        HubLine::JoinResult {
            hub_id,
            peer_id,
            admitted,
            ..
        } => Ok(Joined {
            hub_id,
            peer_id,
            admitted,
        }),
        _ => Err(SessionError::WrongAnswer),
    }
}

pub(crate) async fn connect(hub: HubHandle, address: &str) -> Result<(), SessionError> {
    let request = json!({ "type": "connect", "address": address });
    match Link::open(hub).await?.ask(request).await? {
        HubLine::Ack { .. } => Ok(()),
        _ => Err(SessionError::WrongAnswer),
    }
}
