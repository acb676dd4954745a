//! Assistants of several vendors in one room: set up by one command, started side by side, they do
//! a task of as many steps as they are. Each hears in the room that its step is next, does it,
//! and says so there; nobody knows more than its own step.

use crate::support::claude::{self, ClaudeSession};
use crate::support::mock_chat::CHAT;
use crate::support::mock_model::{MockModel, Reply};
use crate::support::opencode::{self, OpenCode};
use crate::support::scene::{Scene, play};
use crate::support::terminal::Terminal;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the person types to each session first.
const JOIN: &str = "please join the others";
/// What the person types to the one that begins.
const BEGIN: &str = "please begin the release";
/// What the last one says in the room.
const FINISHED: &str = "the release is finished";
/// The room.
const ROOM: &str = "release";

/// A session and what its person sees and does.
trait Member {
    fn terminal(&self) -> &Terminal;
    fn model(&self) -> &MockModel;
}

impl Member for ClaudeSession {
    fn terminal(&self) -> &Terminal {
        &self.terminal
    }
    fn model(&self) -> &MockModel {
        &self.model
    }
}

impl Member for OpenCode {
    fn terminal(&self) -> &Terminal {
        &self.terminal
    }
    fn model(&self) -> &MockModel {
        &self.model
    }
}

/// How one assistant takes part.
struct Part {
    /// Its name on a person's path.
    assistant: &'static str,
    /// The name of its session: of its project's folder.
    name: &'static str,
    /// What its tools are called.
    tool: fn(&str) -> String,
    /// Writes a person's settings, before EcoRelay is set up.
    prepare: fn(&mut Scene, &Path, &MockModel),
    /// Starts a model that follows the script.
    model: fn(Script) -> MockModel,
    /// Starts a session.
    start: fn(&Scene, &Path, MockModel) -> Box<dyn Member>,
}

/// Who takes part, in the order of their steps.
const PARTS: &[Part] = &[
    Part {
        assistant: "claude",
        name: "lead",
        tool: |tool| format!("mcp__ecorelay__{tool}"),
        prepare: |scene, project, _| claude::prepare(scene, &[project]),
        model: |script| MockModel::start(move |newest| script.reply(newest)),
        start: |scene, project, model| Box::new(ClaudeSession::start_in(scene, project, model)),
    },
    Part {
        assistant: "opencode",
        name: "builder",
        tool: |tool| format!("ecorelay_{tool}"),
        prepare: |scene, _, _| scene.write(opencode::SETTINGS_FILE, opencode::SETTINGS),
        model: |script| MockModel::speaking(&CHAT, move |newest| script.reply(newest)),
        start: |scene, project, model| {
            let session = OpenCode::start_in(scene, project, model);
            session.terminal.wait_for("Ask anything");
            Box::new(session)
        },
    },
];

#[test]
fn assistants_of_several_vendors_do_a_task_together_in_one_room() {
    let test = "scene::assistants_of_several_vendors_do_a_task_together_in_one_room";
    let assistants: Vec<&str> = PARTS.iter().map(|part| part.assistant).collect();
    play(test, &assistants, |mut scene| {
        let mut models = Vec::new();
        for (at, part) in PARTS.iter().enumerate() {
            let model = (part.model)(Script::new(at + 1, part.tool));
            let project = scene.project(part.name);
            (part.prepare)(&mut scene, &project, &model);
            models.push(model);
        }
        scene.ecorelay(&["install", "--yes"]);
        let mut vera = scene.peer("vera");

        let mut members = Vec::new();
        for (part, model) in PARTS.iter().zip(models) {
            let member = (part.start)(&scene, &scene.project(part.name), model);
            member.terminal().type_line(JOIN);
            member.model().wait_for("the room's members", 0, |newest| {
                newest.contains("[tool_result]") && newest.contains(part.name)
            });
            members.push(member);
        }
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        scene.wait_for_peers(&names);

        members[0].terminal().type_line(BEGIN);
        let last = vera.hears(FINISHED);
        assert_eq!(last["from"], names[0], "{last}");
        for (at, member) in members.iter().enumerate().skip(1) {
            let heard = member.model().heard(&next(at + 1));
            assert!(heard > 0, "{} did its step unasked", names[at]);
        }
        drop(members);
        scene.ecorelay(&["uninstall", "--yes"]);
        assert_eq!(scene.read(".claude/settings.json"), claude::SETTINGS);
        assert_eq!(scene.read(opencode::SETTINGS_FILE), opencode::SETTINGS);
    });
}

/// Returns what is said in the room when step `number` is next.
fn next(number: usize) -> String {
    format!("step {number} of the release is next")
}

/// What the model of one session does.
struct Script {
    /// The number of its step; 1 for the one that begins and reports.
    step: usize,
    tool: fn(&str) -> String,
    joined: AtomicBool,
    done: AtomicBool,
    reported: AtomicBool,
}

impl Script {
    fn new(step: usize, tool: fn(&str) -> String) -> Self {
        Self {
            step,
            tool,
            joined: AtomicBool::new(false),
            done: AtomicBool::new(false),
            reported: AtomicBool::new(false),
        }
    }

    fn reply(&self, newest: &str) -> Reply {
        let first_time = |flag: &AtomicBool| !flag.swap(true, Ordering::SeqCst);
        if newest.contains(JOIN) && first_time(&self.joined) {
            return Reply::tool((self.tool)("relay_join"), json!({"room": ROOM}));
        }
        let begins = self.step == 1 && newest.contains(BEGIN);
        if (begins || newest.contains(&next(self.step))) && first_time(&self.done) {
            let text = if self.step == PARTS.len() {
                FINISHED.to_owned()
            } else {
                next(self.step + 1)
            };
            let input = json!({"room": ROOM, "text": text});
            return Reply::tool((self.tool)("relay_room"), input);
        }
        if self.step == 1 && newest.contains(FINISHED) && first_time(&self.reported) {
            let input = json!({"to": "vera", "text": FINISHED});
            return Reply::tool((self.tool)("relay_send"), input);
        }
        Reply::text("Noted.")
    }
}
