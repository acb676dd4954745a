//! Who takes part: for each assistant how its person sets it up, starts it and speaks to it, and
//! how its model does things.

use crate::support::aider;
use crate::support::claude::{self, ClaudeSession};
use crate::support::cline;
use crate::support::codex;
use crate::support::copilot;
use crate::support::gemini;
use crate::support::mock_chat::{CHAT, PLAIN_CHAT};
use crate::support::mock_gemini::GEMINI;
use crate::support::mock_model::{MockModel, Reply};
use crate::support::mock_responses::RESPONSES;
use crate::support::opencode::{self, OpenCode};
use crate::support::scene::{Scene, name_of};
use crate::support::terminal::Terminal;
use serde_json::json;
use std::path::Path;

/// What one session's model says to what is new in its conversation.
pub(crate) type Script = Box<dyn Fn(&str) -> Reply + Send + Sync>;

/// How one assistant takes part.
pub(crate) struct Part {
    /// Its name on a person's path.
    pub(crate) assistant: &'static str,
    /// The name of its session: of its project's folder.
    pub(crate) name: &'static str,
    /// How its model does things.
    pub(crate) hands: Hands,
    /// Files of the person's, below the home, that nobody but EcoRelay writes.
    pub(crate) files: &'static [&'static str],
    /// Writes a person's settings, before EcoRelay is set up.
    pub(crate) prepare: fn(&mut Scene, &Path, &MockModel),
    /// Starts a model that follows the script.
    pub(crate) model: fn(Script) -> MockModel,
    /// Starts a session and waits until it takes input.
    pub(crate) start: fn(&Scene, &Path, MockModel) -> Box<dyn Member>,
    /// Types a line, as its person does.
    pub(crate) say: fn(&dyn Member, &str),
    /// Lets its model do what it wants to, where it asks.
    pub(crate) allow: fn(&Terminal),
}

/// A session and what its person sees.
pub(crate) trait Member {
    fn terminal(&self) -> &Terminal;
    fn model(&self) -> &MockModel;
}

/// Something that a model does.
pub(crate) enum Deed {
    /// Joins a room.
    Join { room: &'static str },
    /// Speaks in a room.
    Say { room: &'static str, text: String },
    /// Sends a message.
    Send { to: &'static str, text: String },
}

/// With what a model does things.
#[derive(Clone, Copy)]
pub(crate) enum Hands {
    /// EcoRelay's tools; this is what they are called.
    Tools(fn(&str) -> String),
    /// The `ecorelay` command, suggested to the person.
    Command,
}

impl Hands {
    /// Returns what the model says to have it done.
    pub(crate) fn carry_out(self, deed: &Deed) -> Reply {
        let tool = match self {
            Self::Tools(tool) => tool,
            Self::Command => {
                let command = match deed {
                    Deed::Join { room } => format!("room join {room}"),
                    Deed::Say { room, text } => format!("room send {room} \"{text}\""),
                    Deed::Send { to, text } => format!("send {to} \"{text}\""),
                };
                return Reply::text(format!("I suggest:\n\n```bash\necorelay {command}\n```\n"));
            }
        };
        let (name, input) = match deed {
            Deed::Join { room } => ("relay_join", json!({"room": room})),
            Deed::Say { room, text } => ("relay_room", json!({"room": room, "text": text})),
            Deed::Send { to, text } => ("relay_send", json!({"to": to, "text": text})),
        };
        Reply::tool(tool(name), input)
    }
}

/// Who takes part, in the order of their steps.
pub(crate) const PARTS: &[Part] = &[
    Part {
        assistant: "claude",
        name: "lead",
        hands: Hands::Tools(|tool| format!("mcp__ecorelay__{tool}")),
        files: &[".claude/settings.json"],
        prepare: |scene, project, _| claude::prepare(scene, &[project]),
        model: MockModel::start,
        start: |scene, project, model| {
            let session = ClaudeSession::start_in(scene, project, model);
            scene.wait_for_peers(&[name_of(project)]);
            Box::new(session)
        },
        say: types,
        allow: asks_nothing,
    },
    Part {
        assistant: "opencode",
        name: "builder",
        hands: Hands::Tools(|tool| format!("ecorelay_{tool}")),
        files: &[opencode::SETTINGS_FILE],
        prepare: |scene, _, _| scene.write(opencode::SETTINGS_FILE, opencode::SETTINGS),
        model: |script| MockModel::speaking(&CHAT, script),
        start: |scene, project, model| {
            let session = OpenCode::start_in(scene, project, model);
            session.terminal.wait_for("Ask anything");
            scene.wait_for_peers(&[name_of(project)]);
            Box::new(session)
        },
        say: types,
        allow: asks_nothing,
    },
    Part {
        assistant: "copilot",
        name: "tester",
        hands: Hands::Tools(|tool| format!("ecorelay-{tool}")),
        files: &[".copilot/mcp-config.json", ".copilot/settings.json"],
        prepare: |scene, project, _| copilot::prepare(scene, project),
        model: |script| MockModel::speaking(&CHAT, script),
        start: |scene, project, model| {
            let terminal = copilot::start(scene, project, &model);
            // It takes input once its server is there.
            scene.wait_for_peers(&[name_of(project)]);
            Box::new(Plain { terminal, model })
        },
        say: types,
        allow: asks_nothing,
    },
    Part {
        assistant: "codex",
        name: "reviewer",
        hands: Hands::Tools(|tool| format!("mcp__ecorelay/{tool}")),
        // Codex writes into its settings itself.
        files: &[],
        prepare: |scene, project, model| {
            scene.write(codex::SETTINGS_FILE, &codex::settings(model, project));
        },
        model: |script| MockModel::speaking(&RESPONSES, script),
        start: |scene, project, model| {
            // It becomes known by its first call.
            let terminal = codex::start(scene, project, &["--no-daemon"]);
            Box::new(Plain { terminal, model })
        },
        say: types,
        allow: asks_nothing,
    },
    Part {
        assistant: "aider",
        name: "writer",
        hands: Hands::Command,
        files: &[".aider.conf.yml"],
        prepare: |scene, _, _| scene.write(".aider.conf.yml", aider::SETTINGS),
        model: |script| MockModel::speaking(&PLAIN_CHAT, script),
        start: |scene, project, model| {
            let terminal = aider::start(scene, project, &model);
            scene.wait_for_peers(&[name_of(project)]);
            Box::new(Plain { terminal, model })
        },
        say: |member, line| aider::type_at_prompt(member.terminal(), line),
        allow: |terminal| {
            aider::wait_until_asked(terminal, "Run shell command?");
            aider::answer(terminal, "y");
            aider::decline_output(terminal);
        },
    },
    Part {
        assistant: "gemini",
        name: "announcer",
        hands: Hands::Tools(gemini::WAKING.tool),
        files: &[".gemini/settings.json"],
        prepare: |scene, _, _| scene.write(".gemini/settings.json", gemini::SETTINGS),
        model: |script| MockModel::speaking(&GEMINI, gemini::WAKING.beside(script)),
        start: |scene, project, model| {
            let terminal = gemini::start(scene, project, &model);
            scene.wait_for_peers(&[name_of(project)]);
            Box::new(Plain { terminal, model })
        },
        say: |member, line| {
            types(member, line);
            // From then on it can be woken.
            gemini::wait_until_armed(member.model(), 1);
        },
        allow: asks_nothing,
    },
    Part {
        assistant: "cline",
        name: "archivist",
        hands: Hands::Tools(|tool| format!("ecorelay__{tool}")),
        files: &[".cline/data/settings/cline_mcp_settings.json"],
        prepare: |scene, project, model| cline::prepare(scene, project, model),
        model: |script| MockModel::speaking(&CHAT, script),
        start: |scene, project, model| {
            let terminal = cline::start(scene, name_of(project), project);
            scene.wait_for_peers(&[name_of(project)]);
            cline::close_notice(&terminal);
            Box::new(Plain { terminal, model })
        },
        say: |member, line| {
            let taken = || member.model().heard(line) > 0;
            member.terminal().type_until(line, taken);
        },
        allow: asks_nothing,
    },
];

fn types(member: &dyn Member, line: &str) {
    member.terminal().type_line(line);
}

fn asks_nothing(_: &Terminal) {}

/// A session that is nothing but a terminal and a model.
struct Plain {
    terminal: Terminal,
    model: MockModel,
}

impl Member for Plain {
    fn terminal(&self) -> &Terminal {
        &self.terminal
    }
    fn model(&self) -> &MockModel {
        &self.model
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the model's view\n{}", self.model.seen());
        }
    }
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
