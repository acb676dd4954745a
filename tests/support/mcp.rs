//! An MCP client of `ecorelay mcp`, as an assistant would be one: rmcp over standard input
//! and output.

use super::DEADLINE;
use super::home::TestHome;
use rmcp::model::{CallToolRequestParams, CustomNotification, JsonObject, ServerPeerInfo, Tool};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::Value;
use std::collections::VecDeque;
use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use tokio::runtime::Runtime;

/// One runtime serves every client of a test program; the tests themselves are plain threads.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// A notification as it was pushed: its text and its meta values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pushed {
    /// What the model would see.
    pub(crate) content: String,
    /// `from`, `msg_id`, `kind` …; all strings.
    pub(crate) meta: Value,
}

/// One channel process and its client.
pub(crate) struct McpClient {
    /// `None` once it was closed.
    service: Option<RunningService<RoleClient, Listener>>,
    pushed: Receiver<Pushed>,
    aside: VecDeque<Pushed>,
    pid: u32,
}

struct Listener(Sender<Pushed>);

impl ClientHandler for Listener {
    fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _: NotificationContext<RoleClient>,
    ) -> impl Future<Output = ()> + Send + '_ {
        assert_eq!(notification.method, "notifications/claude/channel");
        let params = notification.params.unwrap_or_default();
        let _ = self.0.send(Pushed {
            content: params["content"].as_str().unwrap_or_default().to_owned(),
            meta: params["meta"].clone(),
        });
        std::future::ready(())
    }
}

impl McpClient {
    /// Starts `ecorelay mcp` as the session `name` and initialises it.
    pub(crate) fn start(home: &TestHome, name: &str) -> Self {
        let mut command = home.ecorelay(&["mcp"]);
        command.env("RELAY_PEER_ID", name);
        Self::start_with(home, name, command)
    }

    /// As [`McpClient::start`] with a command of the caller's; `label` names its log file.
    pub(crate) fn start_with(home: &TestHome, label: &str, command: Command) -> Self {
        match Self::try_start(home, label, command) {
            Ok(client) => client,
            Err(e) => panic!("the channel {label} did not start: {e}"),
        }
    }

    /// As [`McpClient::start_with`]; returns why it did not start.
    pub(crate) fn try_start(
        home: &TestHome,
        label: &str,
        command: Command,
    ) -> Result<Self, String> {
        let log = std::fs::File::create(home.path().join(format!("mcp-{label}.log")))
            .expect("the channel's log");
        let (sender, pushed) = channel();
        RUNTIME.block_on(async {
            let command = tokio::process::Command::from(command);
            let (process, _) = TokioChildProcess::builder(command)
                .stderr(Stdio::from(log))
                .spawn()
                .map_err(|e| e.to_string())?;
            let pid = process.id().unwrap_or_default();
            let service = tokio::time::timeout(DEADLINE, Listener(sender).serve(process));
            let service = service.await.map_err(|e| e.to_string())?;
            Ok(Self {
                service: Some(service.map_err(|e| e.to_string())?),
                pushed,
                aside: VecDeque::new(),
                pid,
            })
        })
    }

    /// Returns the process number of the channel.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Calls a tool; returns the JSON of its result, or of its refusal as the error.
    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Result<Value, Value> {
        let Value::Object(arguments) = arguments else {
            panic!("tool arguments are an object, not {arguments}");
        };
        let result = self.call_raw(tool, arguments);
        let texts: Vec<&str> = result
            .content
            .iter()
            .filter_map(|block| block.as_text())
            .map(|text| text.text.as_str())
            .collect();
        let [text] = texts[..] else {
            panic!("{tool}: not one text item: {result:?}");
        };
        assert_eq!(result.content.len(), 1, "{tool}: {result:?}");
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(e) => panic!("{tool}: not JSON ({e}): {text}"),
        };
        match result.is_error {
            Some(true) => Err(value),
            _ => Ok(value),
        }
    }

    fn call_raw(&self, tool: &str, arguments: JsonObject) -> rmcp::model::CallToolResult {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match within_deadline(tool, self.service().call_tool(params)) {
            Ok(result) => result,
            Err(e) => panic!("{tool}: {e}"),
        }
    }

    /// Calls a tool the channel does not list; returns the error in words.
    pub(crate) fn call_unlisted(&self, tool: &str) -> Result<(), String> {
        let params = CallToolRequestParams::new(tool.to_owned());
        match within_deadline(tool, self.service().call_tool(params)) {
            Ok(result) if result.is_error == Some(true) => Err(format!("{result:?}")),
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Calls a tool that succeeds.
    pub(crate) fn ok(&self, tool: &str, arguments: Value) -> Value {
        match self.call(tool, arguments.clone()) {
            Ok(value) => value,
            Err(refusal) => panic!("{tool} {arguments} was refused: {refusal}"),
        }
    }

    /// Calls a tool that is refused with `code`; returns the sentence that says why.
    pub(crate) fn refused(&self, tool: &str, arguments: Value, code: &str) -> String {
        let refusal = match self.call(tool, arguments.clone()) {
            Err(refusal) => refusal,
            Ok(value) => panic!("{tool} {arguments} succeeded: {value}"),
        };
        let shown: String = arguments.to_string().chars().take(200).collect();
        assert_eq!(refusal["ok"], false, "{tool} {shown}: {refusal}");
        assert_eq!(refusal["code"], code, "{tool} {shown}: {refusal}");
        let message = refusal["message"].as_str().unwrap_or_default();
        assert!(
            message.len() > 10,
            "{tool} {shown} says no reason: {refusal}"
        );
        message.to_owned()
    }

    /// Returns the tools the channel lists.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        within_deadline("tools/list", self.service().list_all_tools()).expect("tools/list")
    }

    /// Returns what the channel said at `initialize`.
    pub(crate) fn info(&self) -> Arc<ServerPeerInfo> {
        self.service().peer_info().expect("an initialised channel")
    }

    /// Returns the next pushed message.
    pub(crate) fn pushed(&mut self) -> Pushed {
        self.pushed_where("any", |_| true)
    }

    /// Returns the next pushed message that `wanted` accepts; others are kept.
    pub(crate) fn pushed_where(&mut self, what: &str, wanted: impl Fn(&Pushed) -> bool) -> Pushed {
        if let Some(at) = self.aside.iter().position(&wanted) {
            return self.aside.remove(at).expect("the one just found");
        }
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.pushed.recv_timeout(left) {
                Ok(push) if wanted(&push) => return push,
                Ok(push) => self.aside.push_back(push),
                Err(e) => panic!("no push ({what}): {e}; kept: {:?}", self.aside),
            }
        }
    }

    /// Returns what was pushed so far and not asked for yet.
    pub(crate) fn pushed_so_far(&mut self) -> Vec<Pushed> {
        self.aside.drain(..).chain(self.pushed.try_iter()).collect()
    }

    /// Closes the channel's standard input and waits for its end.
    pub(crate) fn close(mut self) {
        self.end();
    }

    fn service(&self) -> &RunningService<RoleClient, Listener> {
        self.service
            .as_ref()
            .expect("a channel that was not closed")
    }

    fn end(&mut self) {
        if let Some(service) = self.service.take() {
            let _ = within_deadline("the end of the channel", service.cancel());
        }
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns what the future gives.
///
/// # Panics
/// When it takes longer than [`DEADLINE`].
fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    // Made inside: a timer needs the runtime around it.
    match RUNTIME.block_on(async { tokio::time::timeout(DEADLINE, future).await }) {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}
