//! A machine on a [`Lan`]: a home, a cable and a hub of its own, and what a person or a test asks
//! of that hub.

use super::home::{TestHome, TestHub};
use super::netns::{Lan, Port};
use super::process::Finished;
use super::raw::RawClient;
use serde_json::{Value, json};
use std::process::Child;
use std::time::{Duration, Instant};

/// How often a status is looked at: three hubs that are asked more often have less time to do
/// what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A machine; its hub runs from [`Machine::start`] on.
pub(crate) struct Machine {
    /// The name of its hub.
    pub(crate) hub_id: String,
    /// Its files and programs.
    pub(crate) home: TestHome,
    /// Its cable; without one, its hub listens on the test's own loopback.
    port: Option<Port>,
    hub: Option<Child>,
    /// The connection that keeps the hub in use, and asks for its status.
    keeper: Option<RawClient>,
}

impl Machine {
    /// Connects a machine whose hub will have this name.
    pub(crate) fn new(lan: &Lan, hub_id: &str) -> Self {
        let port = lan.port();
        let home = TestHome::in_namespace(&port.namespace);
        Self::with(home, Some(port), hub_id)
    }

    /// Makes a machine in a namespace that is there already.
    pub(crate) fn in_namespace(namespace: &str, hub_id: &str) -> Self {
        Self::with(TestHome::in_namespace(namespace), None, hub_id)
    }

    /// Makes a machine without a cable.
    pub(crate) fn on_loopback(hub_id: &str) -> Self {
        Self::with(TestHome::new(), None, hub_id)
    }

    fn with(home: TestHome, port: Option<Port>, hub_id: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir(home.data()).expect("the data directory");
        std::fs::set_permissions(home.data(), std::fs::Permissions::from_mode(0o700))
            .expect("a private data directory");
        let machine = Self {
            hub_id: hub_id.to_owned(),
            home,
            port,
            hub: None,
            keeper: None,
        };
        machine.configure("");
        machine
    }

    /// Returns its place in the network.
    pub(crate) fn port(&self) -> &Port {
        self.port.as_ref().expect("a machine with a cable")
    }

    /// Cuts its cable: nothing goes through any more, and nobody is told.
    pub(crate) fn cut(&self) {
        self.port().cut();
    }

    /// Mends its cable.
    pub(crate) fn mend(&self) {
        self.port().mend();
    }

    /// Writes `config.toml`: the hub's name, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!("hub_id = \"{}\"\nws_port = 0\n{more}", self.hub_id);
        std::fs::write(self.home.data().join("config.toml"), text).expect("config.toml");
    }

    /// Starts the hub and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.connect();
    }

    /// Starts the hub's process.
    pub(crate) fn spawn(&mut self) {
        assert!(self.hub.is_none(), "{} runs already", self.hub_id);
        self.hub = Some(TestHub::spawn(&self.home));
    }

    /// Waits until the hub that was [spawned](Self::spawn) answers.
    pub(crate) fn connect(&mut self) {
        let hub = self.hub.as_mut().expect("a hub that was started");
        self.keeper = Some(TestHub::connect(&self.home, hub));
    }

    /// Kills the hub with SIGKILL.
    pub(crate) fn kill_9(&mut self) {
        self.keeper = None;
        if let Some(mut hub) = self.hub.take() {
            hub.kill().expect("kill the hub");
            hub.wait().expect("wait for the killed hub");
        }
    }

    /// Ends the hub as a person does.
    pub(crate) fn stop(&mut self) {
        self.home.run(&["node", "stop"]).expect_code(0);
        self.keeper = None;
        if let Some(mut hub) = self.hub.take() {
            let ended = super::process::ended_within(&mut hub, super::DEADLINE);
            assert!(ended.is_some(), "the hub of {} ends", self.hub_id);
        }
    }

    /// Returns whether the hub was started and not ended.
    pub(crate) fn runs(&self) -> bool {
        self.hub.is_some()
    }

    /// Runs `ecorelay` on this machine to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        self.home.run(args)
    }

    /// Returns the process number of the hub.
    pub(crate) fn pid(&self) -> u32 {
        self.hub.as_ref().expect("a running hub").id()
    }

    /// Registers a session; it confirms every push.
    pub(crate) fn session(&self, name: &str) -> RawClient {
        let mut client = RawClient::connect(&self.home.socket());
        client.confirm_pushes();
        let answer = client.request(json!({"type": "register", "name": name, "cwd": "/w",
            "git_branch": "main", "protocol_version": "6", "agent": "test"}));
        assert_eq!(answer["type"], "ack", "register {name}: {answer}");
        client
    }

    /// Returns what `node status --json` shows.
    pub(crate) fn status(&mut self) -> Value {
        let keeper = self.keeper.as_mut().expect("a running hub");
        let mut answer = keeper.request(json!({"type": "status"}));
        keeper.forget();
        answer["status"].take()
    }

    /// Returns what `look` finds in the status, looking until it finds something.
    pub(crate) fn wait_status<T>(
        &mut self,
        what: &str,
        look: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        self.status_within(super::DEADLINE, what, look)
    }

    /// As [`Machine::wait_status`], with another deadline.
    pub(crate) fn status_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let end = Instant::now() + limit;
        loop {
            let status = self.status();
            if let Some(found) = look(&status) {
                return found;
            }
            if Instant::now() >= end {
                panic!(
                    "{}: waited {limit:?} in vain for {what}; the status: {status:#}",
                    self.hub_id
                );
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until this hub is linked to the hubs of these names.
    pub(crate) fn wait_linked(&mut self, others: &[&str]) {
        self.wait_status(&format!("links to {others:?}"), |status| {
            let linked = |id: &&str| other(status, id).is_some_and(|hub| hub["state"] == "direct");
            others.iter().all(linked).then_some(())
        });
    }

    /// Waits until a warning of this code is shown; returns its words.
    pub(crate) fn wait_warning(&mut self, codes: &[&str]) -> String {
        self.wait_status(&format!("a warning of {codes:?}"), |status| {
            let warnings = status["warnings"].as_array()?;
            let telling = |w: &&Value| codes.iter().any(|code| w["code"] == **code);
            let warning = warnings.iter().find(telling)?;
            for key in ["message", "remedy"] {
                assert!(
                    warning[key].as_str().is_some_and(|s| s.len() > 10),
                    "{warning}"
                );
            }
            Some(format!(
                "{}: {} → {}",
                warning["code"], warning["message"], warning["remedy"]
            ))
        })
    }

    /// Makes a ticket; its text is a secret.
    pub(crate) fn invite(&self) -> String {
        let answer = self
            .run(&["invite", "--uses", "1000", "--json"])
            .expect_code(0)
            .json();
        answer["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// Joins the mesh of a ticket, which comes as a file.
    pub(crate) fn join(&self, ticket: &str) {
        let joined = self.try_join(ticket, 45).expect_code(0).json();
        assert_eq!(joined["admitted"], true, "{joined}");
    }

    /// As [`Machine::join`], whatever comes of it, waiting for so many seconds.
    pub(crate) fn try_join(&self, ticket: &str, seconds: u32) -> Finished {
        let file = self.home.path().join("ticket");
        std::fs::write(&file, ticket).expect("the ticket's file");
        let file = file.to_str().expect("a plain path");
        self.run(&[
            "join",
            "--json",
            "--wait",
            &seconds.to_string(),
            "--file",
            file,
        ])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "--- the machine of {}, {}",
                self.hub_id,
                self.home.path().display()
            );
        }
        if let Some(mut hub) = self.hub.take() {
            let _ = hub.kill();
            let _ = hub.wait();
        }
    }
}

/// Returns machines on this network whose hubs run, form one mesh and are linked to each other.
/// The first makes the mesh.
pub(crate) fn mesh<const N: usize>(lan: &Lan, hub_ids: [&str; N]) -> [Machine; N] {
    let mut machines = hub_ids.map(|hub_id| Machine::new(lan, hub_id));
    pair(&mut machines);
    machines
}

/// Starts the hubs of these machines and makes them one mesh.
pub(crate) fn pair(machines: &mut [Machine]) {
    machines.iter_mut().for_each(Machine::spawn);
    machines.iter_mut().for_each(Machine::connect);
    if let [first, others @ ..] = machines {
        let ticket = first.invite();
        std::thread::scope(|scope| {
            for machine in others {
                let ticket = &ticket;
                scope.spawn(move || machine.join(ticket));
            }
        });
    }
    wait_all_linked(machines);
}

/// Waits until every one of these hubs is linked to every other.
pub(crate) fn wait_all_linked(machines: &mut [Machine]) {
    let names: Vec<String> = machines.iter().map(|m| m.hub_id.clone()).collect();
    for machine in machines {
        let me = machine.hub_id.clone();
        let others: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|n| *n != me)
            .collect();
        machine.wait_linked(&others);
    }
}

/// Returns another hub as a status shows it.
pub(crate) fn other<'s>(status: &'s Value, hub_id: &str) -> Option<&'s Value> {
    let hubs = status["hubs"].as_array()?;
    hubs.iter().find(|hub| hub["hub_id"] == hub_id)
}
