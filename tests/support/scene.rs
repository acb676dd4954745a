//! The scene of a test with real assistants: a throw-away home in which `ecorelay install` sets
//! them up as a person would, a hub, sessions in terminals, and peers that are the test itself.

use super::home::{ECORELAY, TestHome};
use super::offline::{WHOLE_TEST, offline_within};
use super::process::Finished;
use super::raw::RawClient;
use super::terminal::Terminal;
use super::{clis, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Runs `body`, the body of the test of this name, without a network in a home with these
/// assistants on its path. Where one of them is missing, nothing is run ([`clis::find`] says so).
pub(crate) fn play(test: &str, assistants: &[&str], body: impl FnOnce(Scene)) {
    play_within(WHOLE_TEST, test, assistants, body);
}

/// As [`play`], with another limit for the test as a whole.
pub(crate) fn play_within(
    limit: Duration,
    test: &str,
    assistants: &[&str],
    body: impl FnOnce(Scene),
) {
    // One at a time: two assistants at once are slow enough to trip over each other's deadlines.
    static STAGE: Mutex<()> = Mutex::new(());
    let _stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let here = |name: &&str| clis::find(test, name).is_some();
    if !assistants.iter().all(here) {
        return;
    }
    offline_within(limit, test, || {
        body(Scene::new(test, assistants).expect("assistants that were there a moment ago"));
    });
}

/// What is set up when nothing is named.
const ALL: &str = "all";

/// Returns the name of a project: of its folder.
pub(crate) fn name_of(project: &Path) -> &str {
    let name = project.file_name().and_then(|name| name.to_str());
    name.expect("a plain project name")
}

/// A home with assistants on its path. Everything that was started in it ends with it.
pub(crate) struct Scene {
    /// Keeps the hub from leaving while no session is there; dropped before the home.
    _keeper: RawClient,
    /// The home.
    pub(crate) home: TestHome,
    installed: BTreeMap<String, Installed>,
}

/// The files of a home before and after an assistant was set up.
struct Installed {
    before: Files,
    after: Files,
}

impl Scene {
    /// Makes a home with these assistants on its path, and starts its hub.
    fn new(test: &str, assistants: &[&str]) -> Option<Self> {
        let programs: Option<Vec<PathBuf>> = assistants
            .iter()
            .map(|name| clis::find(test, name))
            .collect();
        let mut home = TestHome::new();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder for programs");
        for (name, program) in assistants.iter().zip(programs?) {
            let name = name.trim_end_matches("-old");
            symlink(program, bin.join(name)).expect("a program on the path");
        }
        symlink(ECORELAY, bin.join("ecorelay")).expect("ecorelay on the path");
        let others = std::env::var("PATH").unwrap_or_default();
        home.set("PATH", &format!("{}:{others}", bin.display()));
        home.set("SHELL", "/bin/sh");
        home.run(&["node", "start"]).expect_code(0);
        let mut keeper = RawClient::connect(&home.socket());
        keeper.send(&json!({"type": "watch"}));
        Some(Self {
            _keeper: keeper,
            home,
            installed: BTreeMap::new(),
        })
    }

    /// Writes a file of the person's into the home, before anything is set up.
    pub(crate) fn write(&self, below_home: &str, text: &str) {
        let path = self.home.home().join(below_home);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        std::fs::write(path, text).expect("write a file of the person's");
    }

    /// Returns what stands in a file of the home; nothing where there is none.
    pub(crate) fn read(&self, below_home: &str) -> String {
        std::fs::read_to_string(self.home.home().join(below_home)).unwrap_or_default()
    }

    /// Makes a project folder.
    pub(crate) fn project(&self, name: &str) -> PathBuf {
        let project = self.home.path().join("work").join(name);
        std::fs::create_dir_all(&project).expect("a project folder");
        project
    }

    /// Sets an assistant up. On the way it is shown that a dry run changes nothing, that
    /// uninstalling at once gives back every byte, and that installing twice is as good as once.
    pub(crate) fn install(&mut self, assistant: &str) {
        let before = self.files();
        self.ecorelay(&["install", assistant, "--dry-run"]);
        before.assert_same(&self.files(), "after a dry run");
        self.ecorelay(&["install", assistant, "--yes"]);
        let after = self.files();
        self.ecorelay(&["uninstall", assistant, "--yes"]);
        before.assert_same(&self.files(), "after install and uninstall");
        self.ecorelay(&["install", assistant, "--yes"]);
        self.ecorelay(&["install", assistant, "--yes"]);
        after.assert_same(&self.files(), "after the second install");
        let installed = Installed { before, after };
        self.installed.insert(assistant.to_owned(), installed);
    }

    /// Sets up every assistant that is there, by one command.
    pub(crate) fn install_all(&mut self) {
        // Whatever some assistants are asked, they make folders for their data first.
        self.ecorelay(&["install", "--dry-run"]);
        let before = self.files();
        self.ecorelay(&["install", "--yes"]);
        let after = self.files();
        let installed = Installed { before, after };
        self.installed.insert(ALL.to_owned(), installed);
    }

    /// Undoes [`Scene::install`], and checks each file that it touched: where the assistant has
    /// not written there since, every byte is as before; elsewhere nothing speaks of EcoRelay.
    pub(crate) fn uninstall(&mut self, assistant: &str) {
        self.undo(assistant, &["uninstall", assistant, "--yes"]);
    }

    /// Undoes [`Scene::install_all`]; checks as [`Scene::uninstall`] does.
    pub(crate) fn uninstall_all(&mut self) {
        self.undo(ALL, &["uninstall", "--yes"]);
    }

    fn undo(&mut self, assistant: &str, command: &[&str]) {
        let used = self.files();
        self.ecorelay(command);
        let left = self.files();
        let installed = self.installed.remove(assistant).expect("what was set up");
        for file in installed.touched() {
            let (before, now) = (installed.before.0.get(file), left.0.get(file));
            if used.0.get(file) == installed.after.0.get(file) {
                assert!(before == now, "{} is not as before", file.display());
                continue;
            }
            super::announce(&format!(
                "NOTE: {assistant} itself has written {} meanwhile",
                file.display()
            ));
            let ours = |bytes: Option<&Vec<u8>>| {
                let text = bytes.map(|bytes| String::from_utf8_lossy(bytes).to_lowercase());
                text.is_some_and(|text| text.contains("ecorelay"))
            };
            assert!(
                !ours(now) || ours(before),
                "{} speaks of us",
                file.display()
            );
        }
    }

    /// Runs `ecorelay` with these arguments; it must say that all went well.
    pub(crate) fn ecorelay(&self, args: &[&str]) -> Finished {
        self.home.run(args).expect_code(0)
    }

    /// Returns the program of an assistant, to be started in a project folder with the environment
    /// of this home. It is found on the path, as a person's shell does.
    pub(crate) fn command(&self, assistant: &str, project: &Path) -> Command {
        let program = self.home.path().join("bin").join(assistant);
        let mut command = self.home.command(program);
        command.current_dir(project);
        command
    }

    /// Starts a program in a terminal of its own.
    pub(crate) fn terminal(&self, label: &str, program: &Command) -> Terminal {
        Terminal::start(&self.home, label, program)
    }

    /// Waits until the hub has sessions of these names.
    pub(crate) fn wait_for_peers(&self, names: &[&str]) {
        wait_until(&format!("the sessions {names:?} on the hub"), || {
            let mut client = RawClient::try_connect(&self.home.socket())?;
            let answer = client.try_request(json!({"type": "list_peers"}))?;
            let peers = answer["peers"].as_array()?;
            let here = |name: &&str| peers.iter().any(|peer| peer["name"] == **name);
            names.iter().all(here).then_some(())
        });
    }

    /// Waits until a room has these members.
    pub(crate) fn wait_for_members(&self, room: &str, names: &[&str]) {
        wait_until(&format!("{names:?} in the room {room}"), || {
            let mut client = RawClient::try_connect(&self.home.socket())?;
            let answer = client.try_request(json!({"type": "list_rooms"}))?;
            let mut rooms = answer["rooms"].as_array()?.iter();
            let members = rooms.find(|one| one["name"] == room)?["members"].as_array()?;
            let here = |name: &&str| members.iter().any(|member| member == *name);
            names.iter().all(here).then_some(())
        });
    }

    /// Waits until the hub has exactly the sessions of these names, which are in order.
    pub(crate) fn wait_for_peers_to_be(&self, names: &[&str]) {
        wait_until(&format!("the sessions {names:?} and no other"), || {
            let mut client = RawClient::try_connect(&self.home.socket())?;
            let answer = client.try_request(json!({"type": "list_peers"}))?;
            let peers = answer["peers"].as_array()?.iter();
            let mut here: Vec<&str> = peers.filter_map(|peer| peer["name"].as_str()).collect();
            here.sort_unstable();
            (here == names).then_some(())
        });
    }

    /// Joins as a session of this name that is the test itself.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        let more = json!({"agent": "test"});
        let (client, answer) = RawClient::session_6(&self.home.socket(), name, more);
        assert_eq!(answer["type"], "ack", "register {name}: {answer}");
        Peer { client }
    }

    /// Waits until `ecorelay why` says that the message was handed over by this push path (as
    /// text, such as `inbox-socket`).
    pub(crate) fn wait_until_handed(&self, msg_id: &str, path: &str) {
        let mut said = String::new();
        let handed = super::found_within(super::DEADLINE, || {
            said = self.ecorelay(&["why", msg_id, "--json"]).stdout;
            (said.contains("handed") && said.contains(path)).then_some(())
        });
        assert!(handed.is_some(), "not handed over by {path}: {said}");
    }

    fn files(&self) -> Files {
        Files::of(&self.home.home())
    }
}

impl Installed {
    /// Returns the files that setting up has made or changed.
    fn touched(&self) -> Vec<&PathBuf> {
        let all = self.before.0.keys().chain(self.after.0.keys());
        let mut touched: Vec<_> = all
            .filter(|file| self.before.0.get(*file) != self.after.0.get(*file))
            .collect();
        touched.sort();
        touched.dedup();
        touched
    }
}

/// A session that is the test itself.
pub(crate) struct Peer {
    /// Its connection to the hub.
    pub(crate) client: RawClient,
}

impl Peer {
    /// Sends a message; returns its id.
    pub(crate) fn send(&mut self, to: &str, text: &str) -> String {
        let line = json!({"type": "send", "to": to, "text": text});
        let answer = self.client.request(line);
        assert_eq!(answer["type"], "send_ack", "to {to}: {answer}");
        answer["msg_id"].as_str().expect("an id").to_owned()
    }

    /// Waits for a message with this text; returns it.
    pub(crate) fn hears(&mut self, text: &str) -> Value {
        loop {
            let message = self.client.next_of(&["incoming_message", "incoming_reply"]);
            if message["text"] == text {
                return message;
            }
        }
    }
}

/// The files of a folder, each with its bytes; folders have none.
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                // A link is as good as the file that it names; a file may vanish meanwhile.
                let bytes = if path.is_dir() && !path.is_symlink() {
                    open.push(path.clone());
                    Vec::new()
                } else {
                    std::fs::read(&path).unwrap_or_default()
                };
                files.insert(path, bytes);
            }
        }
        Self(files)
    }

    fn assert_same(&self, other: &Self, when: &str) {
        let all = self.0.keys().chain(other.0.keys());
        let differ: Vec<_> = all
            .filter(|file| self.0.get(*file) != other.0.get(*file))
            .collect();
        assert!(differ.is_empty(), "{when} these differ: {differ:?}");
    }
}
