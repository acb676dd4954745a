//! What every command needs: where the hub is, who acts, where the results go.

use crate::args::Global;
use crate::error::CliError;
use crate::hub::{Hub, Start};
use crate::identity::{self, Place};
use crate::output::Output;
use ecorelay_config::DataDir;
use ecorelay_protocol::{ErrorCode, HubLine, Name, PROTOCOL_V6};
use serde_json::{Value, json};

/// The agent that a person's terminal registers as.
pub(crate) const AGENT: &str = "terminal";

/// The variable that holds the secret of the session in which a command was started, where
/// `ecorelay run` holds that session. A hub that is started there does not inherit it.
pub(crate) const SESSION_KEY: &str = "RELAY_SESSION_KEY";

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    /// The hub's data directory and socket.
    pub(crate) dir: DataDir,
    /// Where the results go.
    pub(crate) output: Output,
    acting: Option<String>,
}

impl Context {
    /// Returns the context of the global options and the environment.
    pub(crate) fn new(global: &Global) -> Result<Self, CliError> {
        let dir = match &global.data_dir {
            Some(root) => DataDir::at(std::path::absolute(root).unwrap_or_else(|_| root.clone())),
            None => DataDir::from_env()?,
        };
        Ok(Self {
            dir,
            output: Output::new(global.json),
            acting: global.acting.clone(),
        })
    }

    /// Returns the name that was asked for with `--as`.
    pub(crate) fn asked_for(&self) -> Option<&str> {
        self.acting.as_deref()
    }

    /// Returns the name that acts.
    pub(crate) fn me(&self) -> Result<Name, CliError> {
        identity::acting_name(self.acting.as_deref())
    }

    /// Returns a connection to the hub, which is started if none runs.
    pub(crate) async fn hub(&self) -> Result<Hub, CliError> {
        Hub::connect(&self.dir, Start::WhileNeeded).await
    }

    /// Returns a connection to the hub; an error when none runs.
    pub(crate) async fn running_hub(&self) -> Result<Hub, CliError> {
        Hub::running(&self.dir)
            .await?
            .ok_or_else(|| CliError::no_hub("No hub is running.").hint("`ecorelay up` starts it."))
    }

    /// Returns a connection and the answer to its first request, which must be harmless to
    /// repeat: a hub that ends by itself in that very moment is started anew.
    pub(crate) async fn open(&self, first: Value) -> Result<(Hub, HubLine), CliError> {
        let mut hub = self.hub().await?;
        if let Some(answer) = hub.ask_unless_lost(&first).await? {
            return Ok((hub, answer));
        }
        let mut hub = self.hub().await?;
        let answer = hub.ask(first).await?;
        Ok((hub, answer))
    }

    /// Returns a connection that acts once under the person's name.
    pub(crate) async fn act(&self) -> Result<Hub, CliError> {
        // A wrong name is told before a hub is started for it.
        Ok(self
            .open(self.registration(true)?)
            .await
            .map_err(name_hint)?
            .0)
    }

    /// Returns whether this command was started inside a session that `ecorelay run` holds.
    pub(crate) fn is_inside_a_session() -> bool {
        session_key().is_some()
    }

    /// Returns the request that registers the person's name: to act once (`attach`), or to be
    /// present as long as the connection lasts.
    pub(crate) fn registration(&self, attach: bool) -> Result<Value, CliError> {
        let place = Place::here();
        Ok(json!({
            "type": "register",
            "name": self.me()?,
            "cwd": place.cwd,
            "git_branch": place.git_branch,
            "protocol_version": PROTOCOL_V6,
            "agent": AGENT,
            "attach": attach,
            // Who is present is shown each message where it stands.
            "push": (!attach).then_some(AGENT),
            "suffix": false,
            // To be present under the session's name would mean to take it over.
            "session_key": attach.then(session_key).flatten(),
        }))
    }
}

/// Returns the secret of the session in which this command was started, where `ecorelay run`
/// holds that session.
fn session_key() -> Option<String> {
    std::env::var(SESSION_KEY)
        .ok()
        .filter(|key| !key.is_empty())
}

/// Adds what to do about a name that a live session holds, where the hub does not say it.
pub(crate) fn name_hint(error: CliError) -> CliError {
    match error.code {
        ErrorCode::NameTaken if !error.message.contains("--as") => {
            error.hint("Act under another name with `--as NAME`.")
        }
        _ => error,
    }
}
