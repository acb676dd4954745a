//! A small internet of network namespaces: public hosts on one switch, and homes behind routers
//! that translate addresses, each in its own way. Needs root, iproute2 and nftables.
//!
//! [`Internet::new`] makes one with a name that no other test has; it is taken away when it is
//! dropped.

use super::netns::{inside, ip, new_name, remove_network, skip};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the first public host is.
pub(crate) const PUBLIC: &str = "203.0.113.1";
/// The port that hubs behind a remapping router listen on.
pub(crate) const LISTEN_PORT: u16 = 4_711;
/// The port that such a router shows instead.
const SHOWN_PORT: u16 = 5_711;

/// How a router treats what comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Router {
    /// Keeps ports, and drops what nobody inside has asked for.
    Drop,
    /// Keeps ports, and refuses what nobody inside has asked for.
    Reject,
    /// Another port for each connection.
    Symmetric,
    /// One other port for the one a hub listens on.
    Remapped,
}

/// The network.
pub(crate) struct Internet {
    name: String,
    hosts: AtomicU8,
}

/// A router with a home behind it.
pub(crate) struct Home<'i> {
    internet: &'i Internet,
    namespace: String,
    number: u8,
    hosts: AtomicU8,
}

impl Internet {
    /// Makes a network with nothing on it; `None` where that is not allowed, which is printed.
    ///
    /// # Panics
    /// Where it is not allowed and `ECORELAY_REQUIRE_NETNS` is set.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let name = new_name(test)?;
        if Command::new("nft").arg("--version").output().is_err() {
            skip(test, "tests with routers need nftables");
            return None;
        }
        let internet = Self {
            name,
            hosts: AtomicU8::new(0),
        };
        internet.add(&internet.switch());
        inside(&internet.switch(), "link add br0 type bridge");
        inside(&internet.switch(), "link set br0 up");
        Some(internet)
    }

    /// Adds a public host; returns its namespace and its address.
    pub(crate) fn host(&self) -> (String, String) {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let namespace = format!("{}-p{number}", self.name);
        let address = format!("203.0.113.{number}");
        self.add(&namespace);
        self.connect(&namespace, "eth0", &address);
        (namespace, address)
    }

    /// Adds a router.
    pub(crate) fn home(&self, router: Router) -> Home<'_> {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let namespace = format!("{}-r{number}", self.name);
        self.add(&namespace);
        self.connect(&namespace, "wan0", &format!("203.0.113.{number}"));
        inside(&namespace, "link add br0 type bridge");
        inside(
            &namespace,
            &format!("addr add 192.168.{number}.1/24 dev br0"),
        );
        inside(&namespace, "link set br0 up");
        let forward = ["sysctl", "-qw", "net.ipv4.ip_forward=1"];
        run(&namespace, &forward, "");
        run(&namespace, &["nft", "-f", "-"], &rules(router));
        Home {
            internet: self,
            namespace,
            number,
            hosts: AtomicU8::new(1),
        }
    }

    /// Connects a namespace to the switch.
    fn connect(&self, namespace: &str, device: &str, address: &str) {
        let port = namespace
            .trim_start_matches(&self.name)
            .trim_start_matches('-');
        cable(namespace, device, &self.switch(), port);
        inside(namespace, &format!("addr add {address}/24 dev {device}"));
        inside(namespace, &format!("link set {device} up"));
    }

    fn add(&self, namespace: &str) {
        ip(&["netns", "add", namespace]);
        inside(namespace, "link set lo up");
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.name)
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        remove_network(&self.name);
    }
}

impl Home<'_> {
    /// Adds a machine at home; returns its namespace.
    pub(crate) fn host(&self) -> String {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let namespace = format!("{}-h{}-{number}", self.internet.name, self.number);
        self.internet.add(&namespace);
        cable(&namespace, "eth0", &self.namespace, &format!("lan{number}"));
        let subnet = format!("192.168.{}", self.number);
        inside(
            &namespace,
            &format!("addr add {subnet}.{number}/24 dev eth0"),
        );
        inside(&namespace, "link set eth0 up");
        inside(&namespace, &format!("route add default via {subnet}.1"));
        namespace
    }

    /// From now on the router lets through what goes to this address only: every way straight to
    /// another home ends, without a word.
    pub(crate) fn only_to(&self, address: &str) {
        let rules = format!(
            "table ip only {{
                chain through {{
                    type filter hook forward priority -10; policy drop;
                    ip daddr {address} accept
                    ip saddr {address} accept
                }}
            }}"
        );
        run(&self.namespace, &["nft", "-f", "-"], &rules);
    }
}

/// Returns the router's rules.
fn rules(router: Router) -> String {
    let translate = match router {
        Router::Drop | Router::Reject => "masquerade".into(),
        Router::Symmetric => "masquerade fully-random".into(),
        Router::Remapped => {
            format!("meta l4proto tcp tcp sport {LISTEN_PORT} masquerade to :{SHOWN_PORT}")
        }
    };
    let rest = match router {
        Router::Remapped => "oifname wan0 masquerade",
        _ => "",
    };
    let unasked = match router {
        Router::Reject => "reject with tcp reset",
        _ => "drop",
    };
    format!(
        "table ip router {{
            chain leaving {{
                type nat hook postrouting priority 100;
                oifname wan0 {translate}
                {rest}
            }}
            chain through {{
                type filter hook forward priority 0; policy drop;
                iifname br0 accept
                ct state established,related accept
            }}
            chain coming {{
                type filter hook input priority 0; policy accept;
                iifname wan0 meta l4proto tcp ct state new {unasked}
            }}
        }}"
    )
}

/// Lays a cable from a device of one namespace to the bridge of another.
fn cable(namespace: &str, device: &str, switch: &str, port: &str) {
    let words =
        format!("link add {device} netns {namespace} type veth peer name {port} netns {switch}");
    ip(&words.split(' ').collect::<Vec<_>>());
    inside(switch, &format!("link set {port} master br0 up"));
}

/// Runs a program in a namespace to its end.
fn run(namespace: &str, words: &[&str], input: &str) {
    let mut program = Command::new("ip")
        .args(["netns", "exec", namespace])
        .args(words)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run ip");
    let mut stdin = program.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).expect("write to it");
    drop(stdin);
    let output = program.wait_with_output().expect("wait for it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
}
