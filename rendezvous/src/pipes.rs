//! Who waits to pair, and where: a host is joined with the first guest that knows its place.
//! Plain tables.

use crate::config::Limits;
use crate::origin::Origin;
use ecorelay_protocol::rendezvous::TOKEN_BYTES;
use std::collections::HashMap;

/// Where a host waits. Says nothing of the code or ticket.
pub(crate) type Place = [u8; TOKEN_BYTES];

/// Why a pipe is refused; also the code the hub is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPipe {
    /// Another host waits here.
    Taken,
    /// No host does.
    Nobody,
    /// There are too many.
    Full,
}

/// A host that waits.
#[derive(Debug)]
struct Host<W> {
    pipe: u64,
    wake: W,
}

/// The tables. `W` is how a waiting host is reached.
#[derive(Debug)]
pub(crate) struct Pipes<W> {
    limits: Limits,
    next: u64,
    hosts: HashMap<Place, Host<W>>,
    /// All pipes, by number: where they come from, and where they wait.
    pipes: HashMap<u64, (Origin, Option<Place>)>,
    of_origin: HashMap<Origin, usize>,
}

impl<W> Pipes<W> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            next: 0,
            hosts: HashMap::new(),
            pipes: HashMap::new(),
            of_origin: HashMap::new(),
        }
    }

    /// Counts a stream of this origin; returns its number.
    pub(crate) fn open(&mut self, origin: Origin) -> Result<u64, NoPipe> {
        let of_origin = self.of_origin.get(&origin).copied().unwrap_or(0);
        if self.pipes.len() >= self.limits.pipes || of_origin >= self.limits.pipes_per_ip {
            return Err(NoPipe::Full);
        }
        self.next += 1;
        self.pipes.insert(self.next, (origin, None));
        *self.of_origin.entry(origin).or_default() += 1;
        Ok(self.next)
    }

    /// Lets a pipe wait for a guest.
    pub(crate) fn wait(&mut self, pipe: u64, place: Place, wake: W) -> Result<(), NoPipe> {
        if self.hosts.contains_key(&place) {
            return Err(NoPipe::Taken);
        }
        let Some((_, waits)) = self.pipes.get_mut(&pipe) else {
            return Err(NoPipe::Full);
        };
        if waits.is_some() {
            return Err(NoPipe::Taken);
        }
        *waits = Some(place);
        self.hosts.insert(place, Host { pipe, wake });
        Ok(())
    }

    /// Takes the host that waits here.
    pub(crate) fn claim(&mut self, place: &Place) -> Result<W, NoPipe> {
        let host = self.hosts.remove(place).ok_or(NoPipe::Nobody)?;
        if let Some((_, waits)) = self.pipes.get_mut(&host.pipe) {
            *waits = None;
        }
        Ok(host.wake)
    }

    /// Forgets a pipe that was closed.
    pub(crate) fn close(&mut self, pipe: u64) {
        let Some((origin, waits)) = self.pipes.remove(&pipe) else {
            return;
        };
        if let Some(place) = waits {
            self.hosts.remove(&place);
        }
        if let Some(count) = self.of_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.of_origin.remove(&origin);
            }
        }
    }

    /// Returns how many wait, and how many there are.
    pub(crate) fn counts(&self) -> [usize; 2] {
        [self.hosts.len(), self.pipes.len()]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn origin(last: u8) -> Origin {
        Origin::of(&format!("/ip4/127.0.0.{last}/tcp/1").parse().unwrap())
    }

    #[test]
    fn the_first_guest_gets_the_host_and_the_next_nobody() {
        let mut pipes = Pipes::new(Limits::default());
        let host = pipes.open(origin(1)).unwrap();
        pipes.wait(host, [7; 32], "host").unwrap();
        let other = pipes.open(origin(2)).unwrap();
        assert_eq!(pipes.wait(other, [7; 32], "other"), Err(NoPipe::Taken));
        assert_eq!(pipes.claim(&[8; 32]), Err(NoPipe::Nobody));
        assert_eq!(pipes.claim(&[7; 32]), Ok("host"));
        assert_eq!(pipes.claim(&[7; 32]), Err(NoPipe::Nobody));
        pipes.close(host);
        pipes.close(other);
        pipes.close(other);
        assert_eq!(pipes.counts(), [0, 0]);
        assert!(pipes.of_origin.is_empty());
    }

    #[test]
    fn a_host_that_left_is_not_found_and_one_that_came_after_is() {
        let mut pipes = Pipes::new(Limits::default());
        let first = pipes.open(origin(1)).unwrap();
        pipes.wait(first, [7; 32], 1).unwrap();
        pipes.close(first);
        let second = pipes.open(origin(1)).unwrap();
        pipes.wait(second, [7; 32], 2).unwrap();
        assert_eq!(pipes.wait(second, [9; 32], 2), Err(NoPipe::Taken));
        pipes.close(first);
        assert_eq!(pipes.claim(&[7; 32]), Ok(2));
    }

    #[test]
    fn one_origin_cannot_take_all_pipes() {
        let mut pipes: Pipes<()> = Pipes::new(Limits::default());
        let most = Limits::default().pipes_per_ip;
        let opened: Vec<_> = (0..1_000)
            .filter_map(|_| pipes.open(origin(1)).ok())
            .collect();
        assert_eq!(opened.len(), most);
        assert!(pipes.open(origin(2)).is_ok());
        pipes.close(opened[0]);
        assert!(pipes.open(origin(1)).is_ok());
    }
}
