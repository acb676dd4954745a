//! A local network of network namespaces: one namespace is the switch, every machine has one of
//! its own and a cable to the switch. Needs root and iproute2.
//!
//! [`Lan::new`] makes a network with a name that no other test has, and takes it away when it is
//! dropped; what a killed test has left is taken away by the next. A machine's address comes from
//! its [`Port`], which also cuts its cable.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// How the name of every namespace of these tests begins; the process number follows.
const PREFIX: &str = "ertest";

/// Makes a skip a failure.
const REQUIRED: &str = "ECORELAY_REQUIRE_NETNS";

/// A network with nothing on it yet.
pub(crate) struct Lan {
    /// How the names of its namespaces begin.
    name: String,
    ports: AtomicU8,
}

impl Lan {
    /// Makes a network; `None` where that is not allowed, which is then printed.
    ///
    /// # Panics
    /// Where it is not allowed and `ECORELAY_REQUIRE_NETNS` is set.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let lan = Self {
            name: new_name(test)?,
            ports: AtomicU8::new(0),
        };
        ip(&["netns", "add", &lan.switch()]);
        // Without snooping a bridge hands every multicast to everybody, as a plain switch does.
        lan.in_switch("link add br0 type bridge mcast_snooping 0");
        lan.in_switch("link set br0 up");
        Some(lan)
    }

    /// Connects one more machine.
    pub(crate) fn port(&self) -> Port {
        let number = self.ports.fetch_add(1, Ordering::Relaxed) + 1;
        let port = Port {
            namespace: format!("{}-{number}", self.name),
            switch: self.switch(),
            number,
        };
        ip(&["netns", "add", &port.namespace]);
        port.inside("link set lo up");
        let cable = format!(
            "link add eth0 netns {} type veth peer name p{number} netns {}",
            port.namespace, port.switch
        );
        ip(&cable.split(' ').collect::<Vec<_>>());
        self.in_switch(&format!("link set p{number} master br0 up"));
        port.inside("link set eth0 up");
        port.number_in(1);
        port
    }

    /// From now on every machine hears every packet, as on an old hub or an open wireless network.
    pub(crate) fn flood(&self) {
        self.in_switch("link set br0 type bridge ageing_time 0");
    }

    /// From now on the switch hands no multicast on, as some wireless networks do.
    pub(crate) fn drop_multicast(&self) {
        for number in 1..=self.ports.load(Ordering::Relaxed) {
            self.in_switch(&format!(
                "link set p{number} type bridge_slave mcast_flood off"
            ));
        }
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.name)
    }

    fn in_switch(&self, words: &str) {
        inside(&self.switch(), words);
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        remove_network(&self.name);
    }
}

/// Returns a name for a network that no other has; `None` where none can be made, which is then
/// printed.
///
/// # Panics
/// Where it is not allowed and `ECORELAY_REQUIRE_NETNS` is set.
pub(super) fn new_name(test: &str) -> Option<String> {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    static NETWORKS: AtomicU32 = AtomicU32::new(0);
    if !*ALLOWED.get_or_init(allowed) {
        skip(test, "network-namespace tests need root and iproute2");
        return None;
    }
    let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
    Some(format!("{PREFIX}{}-{number}", std::process::id()))
}

/// Says that a test is skipped for want of something.
///
/// # Panics
/// Where it must not be.
pub(super) fn skip(test: &str, needs: &str) {
    if std::env::var_os(REQUIRED).is_some() {
        panic!("{test}: {needs}");
    }
    super::announce(&format!("SKIPPED: {needs}: {test}"));
}

/// Takes all namespaces of a network away.
pub(super) fn remove_network(name: &str) {
    remove_namespaces(|namespace| {
        let rest = namespace.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('-'))
    });
}

/// A machine's place in a network.
pub(crate) struct Port {
    /// The machine's namespace.
    pub(crate) namespace: String,
    switch: String,
    number: u8,
}

impl Port {
    /// Gives the machine an address in the subnet of this number, and no other: what the others
    /// knew of it is out of date.
    pub(crate) fn number_in(&self, subnet: u8) -> Ipv4Addr {
        let address = Ipv4Addr::new(10, 77, subnet, self.number);
        self.inside("addr flush dev eth0");
        self.inside(&format!("addr add {address}/24 brd + dev eth0"));
        // Multicast needs a route; there is nobody at the gateway.
        self.inside(&format!(
            "route replace default via 10.77.{subnet}.254 dev eth0"
        ));
        address
    }

    /// Cuts the cable: nothing goes through any more, and nobody is told.
    pub(crate) fn cut(&self) {
        inside(&self.switch, &format!("link set p{} down", self.number));
    }

    /// Mends the cable.
    pub(crate) fn mend(&self) {
        inside(&self.switch, &format!("link set p{} up", self.number));
    }

    /// Runs `body` in the machine's namespace: sockets that it opens stay there.
    pub(crate) fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        // A thread of its own: a namespace belongs to a thread, and this one ends with it.
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_thread(&self.namespace);
                body()
            });
            inside.join().expect("what runs in the namespace")
        })
    }

    fn inside(&self, words: &str) {
        inside(&self.namespace, words);
    }
}

/// Moves this thread into a namespace for good: sockets that it opens stay there.
pub(crate) fn move_thread(namespace: &str) {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd as _;
    let file = Path::new("/run/netns").join(namespace);
    let file = std::fs::File::open(file).expect("the namespace's file");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("enter the namespace");
}

/// Runs `ip` in a namespace, with words that hold no spaces.
pub(super) fn inside(namespace: &str, words: &str) {
    let mut all = vec!["-n", namespace];
    all.extend(words.split(' '));
    ip(&all);
}

pub(super) fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("run ip");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words:?}: {said}");
}

/// Returns whether namespaces can be made here; takes away those of tests that were killed.
fn allowed() -> bool {
    if !super::is_root() || Command::new("ip").arg("-V").output().is_err() {
        return false;
    }
    let trial = format!("{PREFIX}{}-trial", std::process::id());
    let made = Command::new("ip").args(["netns", "add", &trial]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        return false;
    }
    remove_namespaces(|name| {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        let owner = owner.and_then(|pid| pid.parse::<u32>().ok());
        name == trial || owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    });
    true
}

fn remove_namespaces(unwanted: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Some(name) = entry.file_name().to_str().filter(|name| unwanted(name)) {
            // Two tests may take the same one away.
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}
