//! What a channel's process finds around it, read once, so that everything that depends on it
//! can be tried without touching a real environment.

use crate::Assistant;
use std::fmt;
use std::path::PathBuf;

/// Variables in which assistants name the session to its MCP servers, by the assistant's id.
/// An assistant that was started inside another one inherits the other's.
const SESSION_VARS: [(&str, &str); 3] = [
    ("copilot-cli", "COPILOT_AGENT_SESSION_ID"),
    ("antigravity-cli", "ANTIGRAVITY_CONVERSATION_ID"),
    ("cursor-cli", "CURSOR_CONVERSATION_ID"),
];

/// The parts of the environment that matter to a channel.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `RELAY_PEER_ID`: the name a person wants for this session.
    pub peer_id: Option<String>,
    /// `ECORELAY_PUSH`: the push path a person wants.
    pub push: Option<String>,
    /// `CLAUDE_CODE_MESSAGING_SOCKET`: the session's inbox socket.
    pub inbox_socket: Option<PathBuf>,
    /// `CLAUDE_CODE_MESSAGING_TOKEN`: what the inbox socket may ask for first.
    pub inbox_token: Option<String>,
    /// Folders that may hold `sessions/<pid>.json` of Claude Code, likeliest first.
    pub claude_dirs: Vec<PathBuf>,
    /// Codex's folder: `CODEX_HOME`, else `~/.codex`.
    pub codex_home: Option<PathBuf>,
    /// The file in which Cline's hub says where it is.
    pub cline_hub: Option<PathBuf>,
    /// The ids of sessions that assistants tell their MCP servers, by the assistant's id.
    pub session_ids: Vec<(&'static str, String)>,
    /// Process id of the client that started this channel; 0 where it is not known.
    pub parent: u32,
    /// The session's working directory.
    pub cwd: PathBuf,
}

impl Surroundings {
    /// Returns what stands around this process; `parent` is the process id of its parent.
    pub fn of_process(parent: u32) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let config = set("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let claude = home.as_ref().map(|home| home.join(".claude"));
        let codex = || Some(home.as_ref()?.join(".codex"));
        let folder = set("CLINE_DIR").map(PathBuf::from);
        let folder = folder.or_else(|| Some(home.as_ref()?.join(".cline")));
        let data = set("CLINE_DATA_DIR").map(PathBuf::from);
        let data = data.or_else(|| Some(folder?.join("data")));
        let hub = set("CLINE_HUB_DISCOVERY_PATH").map(PathBuf::from);
        Self {
            peer_id: text("RELAY_PEER_ID"),
            push: text("ECORELAY_PUSH"),
            inbox_socket: set("CLAUDE_CODE_MESSAGING_SOCKET").map(PathBuf::from),
            inbox_token: text("CLAUDE_CODE_MESSAGING_TOKEN"),
            claude_dirs: config.into_iter().chain(claude).collect(),
            codex_home: set("CODEX_HOME").map(PathBuf::from).or_else(codex),
            cline_hub: hub.or_else(|| Some(data?.join("locks/hub/production.json"))),
            session_ids: SESSION_VARS
                .iter()
                .filter_map(|(agent, name)| Some((*agent, text(name)?)))
                .collect(),
            parent,
            cwd: std::env::current_dir().unwrap_or_default(),
        }
    }

    /// Returns the id of the session of this assistant in which the channel runs, where the
    /// environment has it.
    pub fn session_id(&self, assistant: &Assistant) -> Option<&str> {
        let mut ids = self.session_ids.iter();
        ids.find(|(agent, _)| *agent == assistant.id)
            .map(|(_, id)| id.as_str())
    }
}

impl fmt::Debug for Surroundings {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("peer_id", &self.peer_id)
            .field("push", &self.push)
            .field("inbox_socket", &self.inbox_socket)
            .field("inbox_token", &self.inbox_token.as_ref().map(|_| "…"))
            .field("claude_dirs", &self.claude_dirs)
            .field("codex_home", &self.codex_home)
            .field("cline_hub", &self.cline_hub)
            .field("session_ids", &self.session_ids)
            .field("parent", &self.parent)
            .field("cwd", &self.cwd)
            .finish()
    }
}
