//! What every command needs: where the hub is, who acts, where the results go.

use crate::args::Global;
use crate::error::CliError;
use crate::hub::{Hub, Start};
use crate::identity::{self, Place};
use crate::output::Output;
use ecorelay_config::DataDir;
use ecorelay_protocol::{ErrorCode, Name, PROTOCOL_V6};
use serde_json::json;

/// The agent that a person's terminal registers as.
pub(crate) const AGENT: &str = "terminal";

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

    /// Returns a connection to a hub that stays until it is stopped, and whether it was
    /// started for that.
    pub(crate) async fn lasting_hub(&self) -> Result<(Hub, bool), CliError> {
        match Hub::running(&self.dir).await? {
            Some(hub) => Ok((hub, false)),
            None => Ok((Hub::connect(&self.dir, Start::ToStay).await?, true)),
        }
    }

    /// Returns a connection that acts once under the person's name.
    pub(crate) async fn act(&self) -> Result<Hub, CliError> {
        self.registered(true).await
    }

    /// Returns a connection under which the person is present until it is dropped.
    pub(crate) async fn be_present(&self) -> Result<Hub, CliError> {
        self.registered(false).await
    }

    async fn registered(&self, attach: bool) -> Result<Hub, CliError> {
        let me = self.me()?;
        let mut hub = self.hub().await?;
        let place = Place::here();
        hub.ask(json!({
            "type": "register",
            "name": me,
            "cwd": place.cwd,
            "git_branch": place.git_branch,
            "protocol_version": PROTOCOL_V6,
            "agent": AGENT,
            "attach": attach,
            "suffix": false,
        }))
        .await
        .map_err(|error| match error.code {
            ErrorCode::NameTaken if !error.message.contains("--as") => {
                error.hint("Act under another name with `--as NAME`.")
            }
            _ => error,
        })?;
        Ok(hub)
    }
}
