//! The local network: hubs with an open code announce it by DNS-SD, and others look for them.
//!
//! Anybody on the network can announce anything, under any name: what is read here is bounded,
//! made visible, and proves nothing.

use ecorelay_hub::Window;
use ecorelay_protocol::limits::HUB_ID_CHARS;
use ecorelay_protocol::pairing::{PAIRING_VERSION, SERVICE};
use ecorelay_protocol::{PeerId, visible};
use mdns_sd::{ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Announcements that are remembered at a time.
const SEEN: usize = 64;
/// Addresses of one announcement that are kept.
const ADDRESSES: usize = 8;
/// The keys of an announcement: the code's number, the hub's name, the version of pairing.
const NUMBER: &str = "n";
const NAME: &str = "hub";
const VERSION: &str = "v";

/// A hub that has a code open, as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// The announcement's own name, for telling it from others.
    pub(super) instance: String,
    /// The hub's human name; visible.
    pub(super) name: String,
    /// The number of its code.
    pub(super) number: u32,
    /// Where it says it is.
    pub(super) addresses: Vec<SocketAddr>,
}

/// The local network; without it, nothing is announced and nothing seen. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lan(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    /// This hub's announcement.
    instance: String,
    using: Mutex<Using>,
}

#[derive(Debug, Default)]
struct Using {
    responder: Weak<Responder>,
    looking: Weak<Looking>,
}

/// The thread that speaks multicast DNS; ends with the last use of it.
struct Responder(ServiceDaemon);

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder")
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::debug!(%error, "multicast DNS does not end");
        }
    }
}

/// An announcement; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Announced {
    responder: Arc<Responder>,
    fullname: String,
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Err(error) = self.responder.0.unregister(&self.fullname) {
            tracing::debug!(%error, "the announcement is not taken back");
        }
    }
}

/// Looking around; ends when the last of its clones is dropped.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) seen: watch::Receiver<Vec<Seen>>,
    _looking: Arc<Looking>,
}

#[derive(Debug)]
struct Looking {
    responder: Arc<Responder>,
    task: AbortHandle,
    seen: watch::Receiver<Vec<Seen>>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = self.responder.0.stop_browse(SERVICE) {
            tracing::debug!(%error, "looking around does not end");
        }
    }
}

impl Lan {
    /// Returns the local network as this hub uses it; `on` is the mdns setting.
    pub(super) fn new(on: bool, own: &PeerId) -> Self {
        let digest = Sha256::digest(format!("ecorelay pairing announcement 1:{own}"));
        let name = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
        let shared = Shared {
            instance: format!("ecorelay-{}", name.collect::<String>()),
            using: Mutex::default(),
        };
        Self(on.then(|| Arc::new(shared)))
    }

    /// Announces an open code at a port, at these addresses or at those of all interfaces.
    pub(super) fn announce(&self, window: &Window, ips: &[IpAddr], port: u16) -> Option<Announced> {
        let shared = self.0.as_ref()?;
        let responder = shared.responder()?;
        let number = window.number.to_string();
        let version = PAIRING_VERSION.to_string();
        let texts = [
            (NUMBER, number.as_str()),
            (NAME, &window.hub_id),
            (VERSION, &version),
        ];
        let everywhere = ips.iter().any(IpAddr::is_unspecified);
        let ips = if everywhere { &[] } else { ips };
        let host = format!("{}.local.", shared.instance);
        let info = ServiceInfo::new(SERVICE, &shared.instance, &host, ips, port, &texts[..]);
        let announced = info.and_then(|info| {
            let info = if everywhere {
                info.enable_addr_auto()
            } else {
                info
            };
            let fullname = info.get_fullname().to_owned();
            responder.0.register(info)?;
            Ok(fullname)
        });
        match announced {
            Ok(fullname) => Some(Announced {
                responder,
                fullname,
            }),
            Err(error) => {
                tracing::warn!(%error, "the code is not announced on the local network");
                None
            }
        }
    }

    /// Looks for hubs that have a code open.
    pub(super) fn look(&self) -> Option<Look> {
        let shared = self.0.as_ref()?;
        let responder = shared.responder()?;
        let mut using = shared.lock();
        if let Some(looking) = using.looking.upgrade() {
            return Some(Look {
                seen: looking.seen.clone(),
                _looking: looking,
            });
        }
        let events = match responder.0.browse(SERVICE) {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(%error, "no look at the local network");
                return None;
            }
        };
        let (tell, seen) = watch::channel(Vec::new());
        let own = format!("{}.{SERVICE}", shared.instance);
        let task = tokio::spawn(async move {
            while let Ok(event) = events.recv_async().await {
                tell.send_if_modified(|all| note(all, event, &own));
            }
        });
        let looking = Arc::new(Looking {
            responder,
            task: task.abort_handle(),
            seen: seen.clone(),
        });
        using.looking = Arc::downgrade(&looking);
        Some(Look {
            seen,
            _looking: looking,
        })
    }
}

impl Shared {
    fn responder(&self) -> Option<Arc<Responder>> {
        let mut using = self.lock();
        if let Some(responder) = using.responder.upgrade() {
            return Some(responder);
        }
        match ServiceDaemon::new() {
            Ok(daemon) => {
                let responder = Arc::new(Responder(daemon));
                using.responder = Arc::downgrade(&responder);
                Some(responder)
            }
            Err(error) => {
                tracing::warn!(%error, "no multicast DNS: nothing is found on the local network");
                None
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Using> {
        // One assignment at a time: never half done.
        self.using.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an event in; returns whether it changed anything.
fn note(all: &mut Vec<Seen>, event: ServiceEvent, own: &str) -> bool {
    match event {
        ServiceEvent::ServiceResolved(service) if service.get_fullname() != own => {
            let Some(new) = read(&service) else {
                return false;
            };
            let room = all.len() < SEEN;
            match all.iter_mut().find(|old| old.instance == new.instance) {
                Some(old) if *old == new => false,
                Some(old) => {
                    *old = new;
                    true
                }
                None if room => {
                    all.push(new);
                    true
                }
                None => false,
            }
        }
        ServiceEvent::ServiceRemoved(_, gone) => {
            let before = all.len();
            all.retain(|seen| seen.instance != gone);
            all.len() != before
        }
        _ => false,
    }
}

/// Returns what an announcement says, if it says all that is needed.
fn read(service: &ResolvedService) -> Option<Seen> {
    let text = |key| service.get_property_val_str(key);
    let name: String = text(NAME)?.chars().take(HUB_ID_CHARS).collect();
    let mut addresses: Vec<SocketAddr> = service
        .get_addresses()
        .iter()
        .map(|ip| socket_address(ip, service.get_port()))
        .collect();
    // Link-local ones last: they are the ones that fail.
    addresses.sort_by_key(|at| (at.is_ipv6(), *at));
    addresses.truncate(ADDRESSES);
    Some(Seen {
        instance: service.get_fullname().to_owned(),
        // A name is one line.
        name: visible(&name).replace(['\n', '\t'], " "),
        number: text(NUMBER)?.parse().ok()?,
        addresses,
    })
}

fn socket_address(ip: &ScopedIp, port: u16) -> SocketAddr {
    match ip {
        ScopedIp::V6(ip) if ip.addr().is_unicast_link_local() => {
            SocketAddrV6::new(*ip.addr(), port, 0, ip.scope_id().index).into()
        }
        ip => SocketAddr::new(ip.to_ip_addr(), port),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn announcement(instance: &str, texts: &[(&str, &str)]) -> ServiceEvent {
        let host = format!("{instance}.local.");
        let info = ServiceInfo::new(SERVICE, instance, &host, "10.0.0.7", 11_111, texts);
        ServiceEvent::ServiceResolved(Box::new(info.unwrap().as_resolved_service()))
    }

    #[test]
    fn what_is_announced_is_foreign_text() {
        let mut all = Vec::new();
        let name = format!("a\u{202e}b\n{}", "x".repeat(180));
        let evil = announcement("evil", &[("n", "7"), ("hub", &name), ("v", "1")]);
        assert!(note(&mut all, evil, "own"));
        let seen = &all[0];
        assert!(seen.name.starts_with("a⟨U+202E⟩b x") && seen.name.chars().count() < 80);
        assert_eq!(seen.number, 7);
        assert_eq!(seen.addresses, ["10.0.0.7:11111".parse().unwrap()]);
        for texts in [
            &[("n", "x"), ("hub", "a")][..],
            &[("hub", "a")],
            &[("n", "1")],
        ] {
            assert!(!note(&mut all, announcement("bad", texts), "own"));
        }
    }

    #[test]
    fn announcements_are_bounded_replaced_and_taken_back() {
        let mut all = Vec::new();
        let texts = |number| [("n", number), ("hub", "desk")];
        for n in 0..2 * SEEN {
            note(&mut all, announcement(&n.to_string(), &texts("1")), "own");
        }
        assert_eq!(all.len(), SEEN);
        assert!(note(&mut all, announcement("5", &texts("2")), "own"));
        assert!(!note(&mut all, announcement("5", &texts("2")), "own"));
        assert_eq!(all.iter().filter(|seen| seen.number == 2).count(), 1);
        let gone = ServiceEvent::ServiceRemoved(SERVICE.into(), format!("5.{SERVICE}"));
        assert!(note(&mut all, gone, "own"));
        assert_eq!(all.len(), SEEN - 1);
        let own = announcement("me", &texts("3"));
        assert!(!note(&mut all, own, &format!("me.{SERVICE}")));
    }

    #[test]
    fn without_multicast_nothing_is_announced_and_nothing_seen() {
        let lan = Lan::new(false, &crate::pairing::tests::some_peer());
        assert!(lan.look().is_none());
    }
}
