//! Who is at the door: how many conversations at a time, together and from one address, and how
//! often one address may try.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Conversations at a time.
const CONVERSATIONS: usize = 32;
/// Conversations at a time with one address.
const PER_ADDRESS: usize = 4;
/// Attempts with tickets and as members from one address within [`PERIOD`]. A hub needs one;
/// several may share an address.
const ATTEMPTS: u32 = 20;
/// See [`ATTEMPTS`].
const PERIOD: Duration = Duration::from_secs(60);
/// Addresses whose attempts are remembered. When there are more, those of no interest are
/// forgotten; an attempt from an address that finds no room is refused.
const ADDRESSES: usize = 1_024;

/// The guard at the door. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Conversations that go on, by address.
    inside: HashMap<String, usize>,
    /// Attempts, and since when they are counted, by address.
    tried: HashMap<String, (u32, Instant)>,
}

/// Leave to be inside; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    guard: Guard,
    address: String,
}

impl Guard {
    /// Lets somebody in, if there is room.
    pub(super) fn enter(&self, address: &str) -> Option<Pass> {
        let mut state = self.lock();
        if state.inside.values().sum::<usize>() >= CONVERSATIONS {
            return None;
        }
        let inside = state.inside.entry(address.to_owned()).or_default();
        if *inside >= PER_ADDRESS {
            return None;
        }
        *inside += 1;
        Some(Pass {
            guard: self.clone(),
            address: address.to_owned(),
        })
    }

    /// Counts an attempt; returns whether it is within what one address may do.
    pub(super) fn may_try(&self, address: &str) -> bool {
        let (mut state, now) = (self.lock(), Instant::now());
        let is_over = |since: &Instant| now.duration_since(*since) >= PERIOD;
        if !state.tried.contains_key(address) && state.tried.len() >= ADDRESSES {
            state.tried.retain(|_, (_, since)| !is_over(since));
            if state.tried.len() >= ADDRESSES {
                return false;
            }
        }
        let tried = state.tried.entry(address.to_owned()).or_insert((0, now));
        if is_over(&tried.1) {
            *tried = (0, now);
        }
        tried.0 = tried.0.saturating_add(1);
        tried.0 <= ATTEMPTS
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters only: never half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.guard.lock();
        if let Some(inside) = state.inside.get_mut(&self.address) {
            *inside = inside.saturating_sub(1);
            if *inside == 0 {
                state.inside.remove(&self.address);
            }
        }
    }
}

/// Returns what counts as one address: of IPv6, the network that one customer is given.
pub(super) fn one_address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn one_address_cannot_take_all_the_room() {
        let guard = Guard::default();
        let mut passes: Vec<_> = (0..100).filter_map(|_| guard.enter("a")).collect();
        assert_eq!(passes.len(), PER_ADDRESS);
        for n in 0..100 {
            passes.extend(guard.enter(&n.to_string()));
        }
        assert_eq!(passes.len(), CONVERSATIONS);
        passes.clear();
        assert!(guard.lock().inside.is_empty());
        assert!(guard.enter("a").is_some());
    }

    #[test]
    fn what_is_remembered_of_addresses_is_bounded() {
        let guard = Guard::default();
        let tried = (0..ADDRESSES + 10).filter(|n| guard.may_try(&n.to_string()));
        assert_eq!(tried.count(), ADDRESSES);
        assert_eq!(guard.lock().tried.len(), ADDRESSES);
        assert_eq!((0..100).filter(|_| guard.may_try("7")).count(), 19);
    }

    #[test]
    fn neighbours_in_one_network_count_as_one() {
        let of = |text: &str| one_address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }
}
