//! Codex CLI: with the daemon that it starts itself, on its own (`--no-daemon`), and attached to an
//! app-server.

use crate::support::codex;
use crate::support::home::Process;
use crate::support::mock_model::{Gate, MockModel};
use crate::support::mock_responses::RESPONSES;
use crate::support::process::{Live, run};
use crate::support::scene::{Scene, play};
use crate::support::scripted::{WORK, WORK_DONE, answer_to, question, scripted, tell};
use crate::support::terminal::Terminal;
use crate::support::wait_until;
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;

#[test]
fn codex_on_its_own_sends_is_woken_hears_after_its_turn_and_answers() {
    let test = "codex::codex_on_its_own_sends_is_woken_hears_after_its_turn_and_answers";
    play(test, &["codex"], |mut scene| {
        let gate = Gate::closed();
        let api = Session::prepare(&mut scene, model(&gate));
        let api = api.start(&scene, &["--no-daemon"]);
        let mut vera = scene.peer("vera");

        // Its model sends, and so it becomes known.
        api.terminal.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");
        scene.wait_for_peers(&["api"]);

        converse(&scene, &api, &mut vera, &gate, "queue");
        api.end(&mut scene);
    });
}

#[test]
fn codex_with_an_app_server_is_woken_before_its_first_turn() {
    let test = "codex::codex_with_an_app_server_is_woken_before_its_first_turn";
    play(test, &["codex"], |mut scene| {
        let gate = Gate::closed();
        let api = Session::prepare(&mut scene, model(&gate));
        let socket = scene.home.path().join("app.sock");
        let address = format!("unix://{}", socket.display());
        // Codex starts the threads of such a server in the server's own folder.
        let server = codex::command(&scene, &api.project, &["app-server", "--listen", &address]);
        let _server = Live::start(server);
        wait_until("the app-server's socket", || socket.exists().then_some(()));
        let api = api.start(&scene, &["--remote", &address]);
        let mut vera = scene.peer("vera");

        // Before its first turn.
        scene.wait_for_peers(&["api"]);
        let id = vera.send("api", &question("the start"));
        vera.hears(&answer_to("the start"));
        scene.wait_until_handed(&id, "app-server");
        api.model.wait_for_end_of("question: the start?");

        // Its model sends.
        api.terminal.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");

        converse(&scene, &api, &mut vera, &gate, "app-server");
        api.end(&mut scene);
    });
}

#[test]
fn codex_with_the_daemon_that_it_starts_itself_is_woken_and_its_threads_keep_their_names() {
    let test = "codex::codex_with_the_daemon_that_it_starts_itself_is_woken_and_its_threads_keep_their_names";
    play(test, &["codex"], |mut scene| {
        let gate = Gate::closed();
        let prepared = Session::prepare(&mut scene, model(&gate));
        // The daemon inherits it, and with it every thread; it is nobody's name.
        scene.home.set("RELAY_PEER_ID", "chosen");
        let api = prepared.start(&scene, &[]);
        let mut vera = scene.peer("vera");

        // Before its first turn.
        scene.wait_for_peers(&["api"]);
        let id = vera.send("api", &question("the start"));
        vera.hears(&answer_to("the start"));
        scene.wait_until_handed(&id, "app-server");
        api.model.wait_for_end_of("question: the start?");

        // Its model sends.
        api.terminal.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");

        converse(&scene, &api, &mut vera, &gate, "app-server");

        // Another thread of the same daemon in the same folder, before its first turn as well.
        let second = api.beside(&scene, "second", &[]);
        scene.wait_for_peers(&["api", "api-2"]);
        let id = vera.send("api-2", &question("the second"));
        vera.hears(&answer_to("the second"));
        scene.wait_until_handed(&id, "app-server");
        api.model.wait_for_end_of("question: the second?");

        // Both come back as what they were, in another order and with another daemon.
        let threads = ["api", "api-2"].map(|name| thread_called(&scene, name));
        drop(second);
        let Session {
            prepared, terminal, ..
        } = api;
        drop(terminal);
        end_daemon(&scene);
        scene.wait_for_peers_to_be(&["vera"]);
        let second = prepared.beside(&scene, "second", &["resume", &threads[1]]);
        scene.wait_for_peers_to_be(&["api-2", "vera"]);
        let first = prepared.beside(&scene, "first", &["resume", &threads[0]]);
        scene.wait_for_peers_to_be(&["api", "api-2", "vera"]);

        // What its person calls it is what it is called.
        second.type_line("/rename Billing Work");
        scene.wait_for_peers_to_be(&["api", "billing-work", "vera"]);
        drop((first, second));
        end_daemon(&scene);
        prepared.undo(&mut scene);
    });
}

#[test]
fn a_burst_reaches_a_busy_codex_as_few_texts() {
    let test = "codex::a_burst_reaches_a_busy_codex_as_few_texts";
    play(test, &["codex"], |mut scene| {
        let gate = Gate::closed();
        let prepared = Session::prepare(&mut scene, model(&gate));
        // With a process of its own it is called as its person wishes.
        scene.home.set("RELAY_PEER_ID", "shop");
        let shop = prepared.start(&scene, &["--no-daemon"]);
        let mut vera = scene.peer("vera");
        shop.terminal.type_line(&tell("vera", "the build is green"));
        vera.hears("the build is green");
        scene.wait_for_peers(&["shop"]);
        shop.model.wait_for_end_of("please tell vera");

        shop.terminal.type_line(WORK);
        shop.model
            .wait_for("the long work", 0, |newest| newest.contains(WORK));
        for number in 1..=40 {
            vera.send("shop", &format!("number {number} of the burst"));
        }
        gate.open();
        shop.model.wait_for("the rest of the burst", 0, |newest| {
            newest.contains("[ecorelay] and ") && newest.contains(" more in your inbox")
        });
        let texts = shop.model.heard("of the burst");
        assert!(texts <= 2, "{texts} texts:\n{}", shop.model.seen());
        shop.end(&mut scene);
    });
}

/// Returns the thread that has this name, from what is remembered of it.
fn thread_called(scene: &Scene, name: &str) -> String {
    wait_until(&format!("a thread called {name}"), || {
        let files = std::fs::read_dir(scene.home.data().join("sessions")).ok()?;
        let paths = files.flatten().map(|file| file.path());
        paths.into_iter().find_map(|path| {
            let known = std::fs::read(&path).ok()?;
            let known: Value = serde_json::from_slice(&known).ok()?;
            let thread = path.file_stem()?.to_str()?.strip_prefix("codex-")?;
            (known["name"] == name).then(|| thread.to_owned())
        })
    })
}

/// Ends the daemon that Codex started in the home, and what looks after it; removes its sockets.
fn end_daemon(scene: &Scene) {
    let mut sockets = daemon_sockets(scene);
    let mut stop = scene.command("codex", &scene.home.home());
    stop.args(["app-server", "daemon", "stop"]);
    run(stop).expect_code(0);
    // It leaves the process behind that keeps the daemon up to date.
    let of_the_daemon =
        |process: &&Process| process.command.iter().any(|word| word.contains("daemon"));
    wait_until("the end of the daemon", || {
        let processes = scene.home.processes();
        let left: Vec<_> = processes.iter().filter(of_the_daemon).collect();
        for process in &left {
            process.kill(Signal::KILL);
        }
        left.is_empty().then_some(())
    });
    // A terminal that was just ending may have started it anew.
    sockets.extend(daemon_sockets(scene));
    for socket in sockets {
        let _ = std::fs::remove_file(socket.with_extension("lock"));
        let _ = std::fs::remove_file(socket);
    }
}

/// Returns where the daemon's sockets are: in a folder of the system's, for they need short paths.
fn daemon_sockets(scene: &Scene) -> Vec<PathBuf> {
    let folder = scene.home.home().join(".codex");
    let links = [
        "app-server-control/app-server-control.sock",
        "app-server-daemon/daemon-updater.sock",
    ];
    let links = links.into_iter().map(|link| folder.join(link));
    links
        .filter_map(|link| std::fs::read_link(link).ok())
        .collect()
}

/// Has the session woken from idleness, and spoken to while it works and its person types.
fn converse(
    scene: &Scene,
    api: &Session,
    vera: &mut crate::support::scene::Peer,
    gate: &Gate,
    path: &str,
) {
    api.model.wait_for_end_of("please tell vera");
    let id = vera.send("api", &question("the port"));
    vera.hears(&answer_to("the port"));
    scene.wait_until_handed(&id, path);
    api.model.wait_for_end_of("question: the port?");

    api.terminal.type_line(WORK);
    api.model
        .wait_for("the long work", 0, |newest| newest.contains(WORK));
    api.terminal.type_draft("a thought of mine");
    let before = api.model.turns();
    let id = vera.send("api", &question("the colour"));
    gate.open();
    vera.hears(&answer_to("the colour"));
    scene.wait_until_handed(&id, path);
    api.terminal.wait_for(WORK_DONE);
    let (_, turn) = api.model.wait_for("the question", before, |newest| {
        newest.contains("the colour?")
    });
    assert!(!turn.newest.contains(WORK), "it came into the running turn");
    api.terminal.wait_for("a thought of mine");
}

/// Returns a model that follows the common script.
fn model(gate: &Gate) -> MockModel {
    let script = scripted(|tool| format!("mcp__ecorelay/{tool}"), gate.clone());
    MockModel::speaking(&RESPONSES, script)
}

/// A home in which Codex is set up, and a project in it.
struct Prepared {
    project: PathBuf,
    model: MockModel,
    settings: String,
}

/// An interactive session of Codex.
struct Session {
    terminal: Terminal,
    model: MockModel,
    prepared: Prepared,
}

impl Session {
    fn prepare(scene: &mut Scene, model: MockModel) -> Prepared {
        let project = scene.project("api");
        let settings = codex::settings(&model, &project);
        scene.write(codex::SETTINGS_FILE, &settings);
        scene.install("codex");
        Prepared {
            project,
            model,
            settings,
        }
    }

    /// Starts another session beside this one, in the same folder.
    fn beside(&self, scene: &Scene, label: &str, args: &[&str]) -> Terminal {
        self.prepared.beside(scene, label, args)
    }

    /// Ends it and undoes what setting Codex up has changed.
    fn end(self, scene: &mut Scene) {
        drop(self.terminal);
        self.prepared.undo(scene);
    }
}

impl Prepared {
    fn start(self, scene: &Scene, args: &[&str]) -> Session {
        Session {
            terminal: self.beside(scene, "api", args),
            model: self.model.clone(),
            prepared: self,
        }
    }

    fn beside(&self, scene: &Scene, label: &str, args: &[&str]) -> Terminal {
        let terminal = scene.terminal(label, &codex::command(scene, &self.project, args));
        terminal.wait_for(codex::READY);
        terminal
    }

    /// Undoes what setting Codex up has changed.
    fn undo(self, scene: &mut Scene) {
        // The daemon's copy of the program has 400 MB, and every file of the home is compared.
        let copy = scene.home.home().join(".codex/packages");
        if copy.exists() {
            std::fs::remove_dir_all(copy).expect("the daemon's copy of the program");
        }
        let written = scene.read(codex::SETTINGS_FILE);
        scene.uninstall("codex");
        let left = scene.read(codex::SETTINGS_FILE);
        for line in self.settings.lines() {
            assert!(left.contains(line), "{line:?} is lost from: {written}");
        }
    }
}
