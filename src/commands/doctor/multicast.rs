//! Multicast: asks the local network who is there, as hubs do, and listens for an answer.

use super::finding::{Finding, ok, warn};
use super::network::{Interface, Reach};
use crate::view::text::count;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The group and port of multicast DNS. Source: RFC 6762.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// How long is listened. Answers come within 120 ms. Source: RFC 6762, section 6.
const LISTEN: Duration = Duration::from_millis(1_200);
/// The question goes out this often meanwhile: a packet may be lost.
const ASKED: u32 = 2;
/// So many packets are looked at.
const PACKETS: usize = 2_000;
/// So many interfaces are asked on: machines with containers have many.
const INTERFACES: usize = 32;
/// What is asked for: every kind of service, and libp2p's.
const NAMES: [&str; 2] = ["_services._dns-sd._udp.local", "_p2p._udp.local"];

const CHECK: &str = "multicast";

/// What was heard on one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Heard {
    /// This machine's own question came back.
    own: bool,
    /// Other machines.
    others: BTreeSet<IpAddr>,
}

/// Listens on the local network; takes a bit more than a second.
pub(super) fn check(interfaces: &[Interface], missing: bool) -> Vec<Finding> {
    let real = usable(interfaces);
    if real.is_empty() {
        return vec![no_network(interfaces)];
    }
    match listen(&real) {
        Ok(heard) => vec![verdict(&heard, missing)],
        Err(error) => vec![warn(
            CHECK,
            format!("UDP port {PORT} cannot be listened on: {error}."),
            "See which program holds it alone: sudo ss -ulpn 'sport = :5353'. Without it machines on one network do not find each other: `ecorelay connect`, or pair with a ticket (`ecorelay invite`).",
        )],
    }
}

/// Returns the interfaces on which multicast can be.
fn usable(interfaces: &[Interface]) -> Vec<Interface> {
    let mut real: Vec<Interface> = interfaces
        .iter()
        .filter(|i| i.ip.is_ipv4() && Reach::of(i.ip) != Reach::Loopback)
        .cloned()
        .collect();
    real.truncate(INTERFACES);
    real
}

fn no_network(interfaces: &[Interface]) -> Finding {
    let remedy =
        "Connect the machine to a network. Sessions on this machine reach each other without one.";
    if interfaces
        .iter()
        .all(|i| Reach::of(i.ip) == Reach::Loopback)
    {
        return warn(
            CHECK,
            "This machine has no network: only loopback exists.",
            remedy,
        );
    }
    warn(
        CHECK,
        "No interface has an IPv4 address; hubs look for each other over IPv4.",
        "Give the interface an IPv4 address, or tell one hub where the other is: ecorelay connect /ip6/ADDRESS/tcp/PORT",
    )
}

fn listen(interfaces: &[Interface]) -> std::io::Result<BTreeMap<String, Heard>> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "solaris"), not(target_os = "illumos")))]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    socket.set_multicast_loop_v4(true)?;
    for interface in interfaces {
        if let IpAddr::V4(ip) = interface.ip {
            // An interface that takes no multicast is one on which nothing is heard.
            let _ = socket.join_multicast_v4(&GROUP, &ip);
        }
    }
    let mut heard: BTreeMap<String, Heard> = interfaces
        .iter()
        .map(|i| (i.name.clone(), Heard::default()))
        .collect();
    let end = Instant::now() + LISTEN;
    let mut asked = 0;
    let question = question();
    let mut buffer = [0; 9_000];
    let socket_udp: UdpSocket = socket.try_clone()?.into();
    for _ in 0..PACKETS {
        let now = Instant::now();
        if asked < ASKED && now + LISTEN >= end + LISTEN * asked / ASKED {
            asked += 1;
            for interface in interfaces {
                if let IpAddr::V4(ip) = interface.ip
                    && socket.set_multicast_if_v4(&ip).is_ok()
                {
                    // One that cannot be sent on stays silent.
                    let _ = socket_udp.send_to(&question, (GROUP, PORT));
                }
            }
        }
        let left = end.saturating_duration_since(now);
        if left.is_zero() {
            break;
        }
        socket_udp.set_read_timeout(Some(left.min(LISTEN / ASKED)))?;
        match socket_udp.recv_from(&mut buffer) {
            Ok((_, from)) => note(&mut heard, interfaces, from.ip()),
            Err(e) if is_pause(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(heard)
}

fn is_pause(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Notes on which interface a packet came.
fn note(heard: &mut BTreeMap<String, Heard>, interfaces: &[Interface], from: IpAddr) {
    let own = interfaces.iter().find(|i| i.ip == from);
    let near = || interfaces.iter().find(|i| i.is_near(from));
    let Some(interface) = own.or_else(near) else {
        return;
    };
    let Some(heard) = heard.get_mut(&interface.name) else {
        return;
    };
    match own {
        Some(_) => heard.own = true,
        None => {
            heard.others.insert(from);
        }
    }
}

/// Returns a DNS question for every name. Source: RFC 1035, section 4.
fn question() -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 0, 0, NAMES.len() as u8, 0, 0, 0, 0, 0, 0];
    for name in NAMES {
        for label in name.split('.') {
            packet.push(label.len() as u8);
            packet.extend(label.as_bytes());
        }
        // The root, type PTR, class IN.
        packet.extend([0, 0, 12, 0, 1]);
    }
    packet
}

fn verdict(heard: &BTreeMap<String, Heard>, missing: bool) -> Finding {
    let names = |which: fn(&Heard) -> bool| {
        let names: Vec<&str> = heard
            .iter()
            .filter(|(_, heard)| which(heard))
            .map(|(name, _)| name.as_str())
            .collect();
        names.join(", ")
    };
    let others: BTreeSet<&IpAddr> = heard.values().flat_map(|h| &h.others).collect();
    if !others.is_empty() {
        return ok(
            CHECK,
            format!(
                "{} heard on {}.",
                count(others.len(), "other machine"),
                names(|h| !h.others.is_empty())
            ),
        );
    }
    if heard.values().any(|h| h.own) {
        let message = format!(
            "It leaves this machine on {}, and no other machine answered.",
            names(|h| h.own)
        );
        return match missing {
            false => ok(CHECK, message),
            true => warn(
                CHECK,
                message,
                "If another machine of yours is on this network, the network keeps multicast from it (guest Wi-Fi, VPN, subnets): pair with a ticket (`ecorelay invite`) or through a rendezvous server, and `ecorelay connect /ip4/ADDRESS/tcp/PORT`.",
            ),
        };
    }
    warn(
        CHECK,
        format!(
            "Nothing was heard on {}, not even this machine's own question.",
            names(|_| true)
        ),
        "A firewall on this machine drops it: let UDP port 5353 through (see \"firewall\").",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::finding::Level;
    use super::*;

    fn interface(name: &str, ip: &str) -> Interface {
        Interface {
            name: name.into(),
            ip: ip.parse().unwrap(),
            prefix: 24,
        }
    }

    #[test]
    fn a_machine_with_loopback_only_is_told_so() {
        let finding = check(&[interface("lo", "127.0.0.1")], false).remove(0);
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.message.contains("only loopback"), "{finding:?}");
        let v6 = check(&[interface("eth0", "fe80::1")], false).remove(0);
        assert!(v6.message.contains("IPv4"), "{v6:?}");
    }

    #[test]
    fn what_is_heard_is_told_by_interface() {
        let interfaces = [
            interface("eth0", "10.0.0.2"),
            interface("wlan0", "10.0.1.2"),
        ];
        let mut heard: BTreeMap<String, Heard> = interfaces
            .iter()
            .map(|i| (i.name.clone(), Heard::default()))
            .collect();
        let silent = verdict(&heard, false);
        assert_eq!(silent.level, Level::Warn);
        assert!(silent.remedy.unwrap().contains("5353"));
        note(&mut heard, &interfaces, "10.0.0.2".parse().unwrap());
        assert_eq!(verdict(&heard, false).level, Level::Ok);
        assert_eq!(verdict(&heard, true).level, Level::Warn);
        note(&mut heard, &interfaces, "10.0.1.77".parse().unwrap());
        note(&mut heard, &interfaces, "192.168.7.7".parse().unwrap());
        let finding = verdict(&heard, true);
        assert_eq!(finding.message, "1 other machine heard on wlan0.");
    }

    #[test]
    fn the_question_is_a_dns_message() {
        let packet = question();
        assert_eq!(packet[4..6], [0, 2]);
        assert!(packet.windows(5).any(|w| w == b"\x04_p2p"));
        assert_eq!(packet[packet.len() - 5..], [0, 0, 12, 0, 1]);
    }
}
