//! Who may connect: bounds per origin and together, before any cryptography is done for them.

use crate::config::Limits;
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::rate::Rate;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Instant;

/// Why somebody may not connect; the reason of the metrics.
#[derive(Debug, thiserror::Error)]
#[error("refused: {0}")]
pub(crate) struct Refused(&'static str);

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    handshakes: u32,
    connections: u32,
}

/// Counts connections per origin.
#[derive(Debug)]
pub(crate) struct Door {
    limits: Limits,
    metrics: Metrics,
    /// Each connection there is or is about to be, and whether its handshakes are done.
    known: HashMap<ConnectionId, (Origin, bool)>,
    /// No more entries than `known`.
    counts: HashMap<Origin, Count>,
    all: Count,
    connects: Rate<Origin>,
    /// No memory for anybody new.
    full: bool,
    /// Nobody new comes in any more.
    closed: bool,
}

impl Door {
    pub(crate) fn new(limits: Limits, metrics: Metrics) -> Self {
        Self {
            connects: Rate::new(limits.connects_per_minute),
            limits,
            metrics,
            known: HashMap::new(),
            counts: HashMap::new(),
            all: Count::default(),
            full: false,
            closed: false,
        }
    }

    /// Returns how many connections there are, those in their handshakes left out.
    pub(crate) fn connections(&self) -> u32 {
        self.all.connections
    }

    /// Says whether there is memory for anybody new.
    pub(crate) fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    fn knock(&mut self, id: ConnectionId, origin: Origin, now: Instant) -> Result<(), Refused> {
        let count = self.counts.get(&origin).copied().unwrap_or_default();
        let limits = &self.limits;
        let reason = if self.closed {
            return Err(Refused("closing"));
        } else if self.full {
            "memory"
        } else if self.all.handshakes >= limits.handshakes
            || count.handshakes >= limits.handshakes_per_ip
        {
            "handshakes"
        } else if self.all.connections + self.all.handshakes >= limits.connections {
            "connections"
        } else if count.connections + count.handshakes >= limits.connections_per_ip {
            "connections_per_ip"
        } else if !self.connects.allows(origin, now) {
            "connects_per_minute"
        } else {
            self.known.insert(id, (origin, false));
            self.counts.entry(origin).or_default().handshakes += 1;
            self.all.handshakes += 1;
            return Ok(());
        };
        self.metrics.refuse(reason);
        Err(Refused(reason))
    }

    fn established(&mut self, id: ConnectionId) {
        if let Some((origin, done)) = self.known.get_mut(&id)
            && !*done
        {
            *done = true;
            for count in [self.counts.entry(*origin).or_default(), &mut self.all] {
                count.handshakes = count.handshakes.saturating_sub(1);
                count.connections += 1;
            }
        }
    }

    fn gone(&mut self, id: ConnectionId) {
        let Some((origin, done)) = self.known.remove(&id) else {
            return;
        };
        for count in [self.counts.entry(origin).or_default(), &mut self.all] {
            let part = if done {
                &mut count.connections
            } else {
                &mut count.handshakes
            };
            *part = part.saturating_sub(1);
        }
        if let Some(Count {
            handshakes: 0,
            connections: 0,
        }) = self.counts.get(&origin)
        {
            self.counts.remove(&origin);
        }
    }
}

impl NetworkBehaviour for Door {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.knock(id, Origin::of(remote), Instant::now())
            .map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.established(id);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // The server calls nobody.
        Err(ConnectionDenied::new(Refused("outgoing")))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(failure) => self.gone(failure.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.gone(closed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn origin(last: u8) -> Origin {
        Origin::of(&format!("/ip4/127.0.0.{last}/tcp/1").parse().unwrap())
    }

    fn door(limits: Limits) -> Door {
        Door::new(limits, Metrics::default())
    }

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    #[test]
    fn half_open_connections_of_one_origin_leave_room_for_others() {
        let mut door = door(Limits::default());
        let now = Instant::now();
        let taken = (0..1_000).filter(|n| door.knock(id(*n), origin(1), now).is_ok());
        assert_eq!(
            taken.count(),
            usize::try_from(Limits::default().handshakes_per_ip).unwrap()
        );
        assert!(door.knock(id(2_000), origin(2), now).is_ok());
        for n in 0..1_000 {
            door.gone(id(n));
        }
        door.gone(id(2_000));
        assert!(door.known.is_empty() && door.counts.is_empty());
        assert_eq!(door.all.handshakes, 0);
    }

    #[test]
    fn connections_of_one_origin_are_bounded_and_come_free() {
        let mut door = door(Limits {
            connections_per_ip: 2,
            ..Limits::default()
        });
        let now = Instant::now();
        for n in 0..2 {
            door.knock(id(n), origin(1), now).unwrap();
            door.established(id(n));
        }
        assert!(door.knock(id(2), origin(1), now).is_err());
        assert_eq!(door.connections(), 2);
        door.gone(id(0));
        assert!(door.knock(id(3), origin(1), now).is_ok());
        assert_eq!(door.metrics.refusals().get("connections_per_ip"), Some(&1));
    }

    #[test]
    fn connecting_again_and_again_is_bounded_per_minute() {
        let mut door = door(Limits {
            connects_per_minute: 5,
            ..Limits::default()
        });
        let now = Instant::now();
        let let_in = (0..10).filter(|n| {
            let ok = door.knock(id(*n), origin(1), now).is_ok();
            door.gone(id(*n));
            ok
        });
        assert_eq!(let_in.count(), 5);
    }
}
