//! Two machines that become one mesh through a server.

use crate::server::PublicServer;
use crate::support::DEADLINE;
use crate::support::machine::{Machine, other};
use crate::support::nat::LISTEN_PORT;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// Two machines whose hubs are one mesh.
pub(crate) struct Pair {
    pub(crate) a: Machine,
    pub(crate) b: Machine,
}

impl Pair {
    /// Starts hubs `a` and `b` in these namespaces and makes them one mesh with a ticket, which
    /// says where the server is.
    pub(crate) fn new(namespaces: [&str; 2], server: &PublicServer) -> Self {
        let [mut a, mut b] = [("a", namespaces[0]), ("b", namespaces[1])].map(|(id, namespace)| {
            let mut machine = Machine::in_namespace(namespace, id);
            // Hubs in one home would find each other without the server.
            machine.home.set("ECORELAY_MDNS", "0");
            let listen = format!("[mesh]\nlisten = [\"/ip4/0.0.0.0/tcp/{LISTEN_PORT}\"]\n");
            machine.configure(&listen);
            machine
        });
        a.start();
        b.start();
        a.run(&["rendezvous", "add", &server.address()])
            .expect_code(0);
        let ticket = a.invite();
        b.join(&ticket);
        Self { a, b }
    }

    /// Waits until each sees the other in this state.
    pub(crate) fn wait_state(&mut self, state: &str, limit: Duration) {
        for (machine, id) in [(&mut self.a, "b"), (&mut self.b, "a")] {
            machine.status_within(limit, &format!("{id} to be {state}"), |status| {
                (other(status, id)?["state"] == state).then_some(())
            });
        }
    }

    /// Waits until both have a reservation at these servers, and at no other.
    pub(crate) fn wait_reserved(&mut self, servers: &[String]) {
        for machine in [&mut self.a, &mut self.b] {
            machine.status_within(DEADLINE, "the reservations", |status| {
                let all = status["rendezvous"].as_array()?.iter();
                let reserved = all.filter(|server| server["state"] == "reserved");
                let reserved: BTreeSet<&str> = reserved
                    .filter_map(|server| server["address"].as_str())
                    .collect();
                let wanted: BTreeSet<&str> = servers.iter().map(String::as_str).collect();
                (reserved == wanted).then_some(())
            });
        }
    }

    /// Returns what `node status` shows of the other hub, on each machine.
    pub(crate) fn seen(&mut self) -> [Value; 2] {
        [(&mut self.a, "b"), (&mut self.b, "a")].map(|(machine, id)| {
            let status = machine.status();
            other(&status, id).cloned().unwrap_or_default()
        })
    }
}
