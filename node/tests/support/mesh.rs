//! Real nodes that are one mesh on 127.0.0.1: real stores, real links, no multicast. Nothing is
//! waited for by the clock.

use super::{config, soon};
use ecorelay_node::{
    DataDir, HubLine, InviteOptions, Node, NodeBuilder, PresenceEvent, Session, Watch,
};
use serde_json::Value;
use tempfile::TempDir;

/// A machine: a folder that outlives the node in it.
pub(crate) struct Machine {
    folder: TempDir,
    hub_id: String,
    node: Option<Node>,
}

impl Machine {
    /// Returns a machine whose node runs and is in no mesh.
    pub(crate) async fn new(hub_id: &str) -> Self {
        let mut machine = Self {
            folder: tempfile::tempdir().unwrap(),
            hub_id: hub_id.into(),
            node: None,
        };
        machine.start().await;
        machine
    }

    pub(crate) fn dir(&self) -> DataDir {
        DataDir::at(self.folder.path().join("data"))
    }

    pub(crate) fn builder(&self) -> NodeBuilder {
        Node::builder()
            .data_dir(self.dir())
            .config(config())
            .hub_id(self.hub_id.parse().unwrap())
            .listen(["/ip4/127.0.0.1/tcp/0"])
            .mdns(false)
    }

    pub(crate) async fn start(&mut self) {
        let node = soon("a node", self.builder().start()).await.unwrap();
        self.node = Some(node);
    }

    /// Ends the node as it is dropped: without a word to anyone; returns when its store is free.
    pub(crate) async fn kill(&mut self) {
        let mut node = self.node.take().expect("a running node");
        node.request_stop();
        soon("the end of a node", node.wait()).await.unwrap();
    }

    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().expect("a running node")
    }

    pub(crate) fn hub_id(&self) -> &str {
        &self.hub_id
    }

    pub(crate) fn address(&self, name: &str) -> String {
        format!("{name}@{}", self.hub_id)
    }

    pub(crate) async fn session(&self, name: &str) -> Session {
        let register = self.node().session(name).agent("test").cwd("/src");
        soon("a registration", register.register()).await.unwrap()
    }

    /// Waits until the status is as wanted, and returns it.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut watch = self.watch().await;
        let seen = async {
            loop {
                let status = watch.next().await.unwrap();
                if wanted(&status) {
                    break status;
                }
            }
        };
        soon(&format!("{what} at {}", self.hub_id), seen).await
    }

    async fn watch(&self) -> Watch {
        soon("a watch", self.node().watch()).await.unwrap()
    }

    /// Waits until the link to another machine's hub is up.
    pub(crate) async fn until_linked(&self, other: &Machine) {
        let what = format!("a link to {}", other.hub_id);
        self.until(&what, |status| state_of(status, &other.hub_id) == "direct")
            .await;
    }

    /// Waits until another machine's hub is known to be away.
    pub(crate) async fn until_away(&self, other: &Machine) {
        let what = format!("{} to be offline", other.hub_id);
        self.until(&what, |status| state_of(status, &other.hub_id) == "offline")
            .await;
    }

    /// Waits until a session anywhere in the mesh can be reached from here.
    pub(crate) async fn until_there(&self, address: &str) {
        let seen = async {
            let mut presence = self.node().presence().await.unwrap();
            loop {
                match presence.next().await.unwrap() {
                    PresenceEvent::Came(peer) if peer.name == address => break,
                    _ => {}
                }
            }
        };
        soon(&format!("{address} at {}", self.hub_id), seen).await;
    }

    /// Lets this machine's hub into the mesh of another one, and waits for their link.
    pub(crate) async fn join(&self, inviter: &Machine) {
        let invitation = inviter.node().invite(InviteOptions::default());
        let ticket = soon("a ticket", invitation).await.unwrap().ticket;
        soon("an answer", self.node().join(&ticket)).await.unwrap();
        self.until_linked(inviter).await;
    }
}

/// Returns how a hub is linked, as the status says.
pub(crate) fn state_of<'a>(status: &'a Value, hub_id: &str) -> &'a str {
    let hubs = status["hubs"].as_array().map_or(&[][..], Vec::as_slice);
    hubs.iter()
        .find(|hub| hub["hub_id"] == hub_id)
        .and_then(|hub| hub["state"].as_str())
        .unwrap_or("unknown")
}

/// Returns machines that are one mesh in which every two are linked.
pub(crate) async fn mesh(hub_ids: &[&str]) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    for hub_id in hub_ids {
        let machine = Machine::new(hub_id).await;
        if let Some(first) = machines.first() {
            machine.join(first).await;
        }
        machines.push(machine);
    }
    for a in &machines {
        for b in &machines {
            if a.hub_id != b.hub_id {
                a.until_linked(b).await;
            }
        }
    }
    machines
}

/// Waits for the next direct message and returns its id, sender and text.
pub(crate) async fn next_message(session: &Session) -> (String, String, String) {
    let seen = async {
        loop {
            match session.next_push().await.expect("a session") {
                HubLine::IncomingMessage { received, .. } => {
                    break (received.msg_id, received.from, received.text);
                }
                _ => continue,
            }
        }
    };
    soon("a message", seen).await
}
