//! Antigravity: its own command that tells a conversation something, `agy agentapi
//! send-message`.
//!
//! Never run against the real program. The command says when the session's server has taken a
//! text; whether the model has it is seen in the session's transcript.

use super::{About, Verdict};
use ecorelay_adapters::Parcel;
use ecorelay_adapters::agy::session::Reach;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// How long the command may take; notes say 60 ms.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long the transcript is watched for a text that was taken.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How much of the transcript's end is read, in bytes: more than one text and a few steps.
const TRANSCRIPT_BYTES: u64 = 256 * 1024;
/// How much of the command's complaint is repeated, in characters.
const COMPLAINT_CHARS: usize = 200;

/// The way through `agy agentapi`.
#[derive(Debug)]
pub(crate) struct AgentApiPath {
    about: About,
}

impl AgentApiPath {
    pub(crate) fn new(about: About) -> Self {
        Self { about }
    }

    pub(crate) async fn deliver(&mut self, parcel: &Parcel) -> Verdict {
        let Some(home) = std::env::home_dir() else {
            return Verdict::refused("there is no home folder to look for the session in");
        };
        let root = home.join(".gemini/antigravity-cli");
        let reach = self.reach(&root);
        let Some(address) = &reach.address else {
            return Verdict::refused("the session's server is not known");
        };
        let Some(conversation) = &reach.conversation else {
            return Verdict::refused("the session has no conversation before its first turn");
        };
        let mut command = Command::new("agy");
        command
            .args(["agentapi", "send-message", "--title=EcoRelay", conversation])
            .arg(&parcel.text)
            .env("ANTIGRAVITY_LS_ADDRESS", address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(token) = &reach.token {
            command.env("ANTIGRAVITY_CSRF_TOKEN", token);
        }
        let output = match timeout(SEND_WITHIN, command.output()).await {
            Err(_) => return Verdict::unknown("agy agentapi does not come to an end"),
            Ok(Err(error)) => return Verdict::refused(format!("agy agentapi: {error}")),
            Ok(Ok(output)) => output,
        };
        if !output.status.success() {
            return Verdict::refused(complaint(&output.stderr));
        }
        let folder = root.join("brain").join(conversation);
        let transcript = folder.join(".system_generated/logs/transcript.jsonl");
        if seen(&transcript, &parcel.ids).await {
            Verdict::handed()
        } else {
            Verdict::unknown("the session has taken it, but its transcript does not show it yet")
        }
    }

    /// Returns how the session is reached. The conversation may have changed since this process
    /// was started: what a hook said and what the log says comes before the environment.
    fn reach(&self, root: &Path) -> Reach {
        let of_environment = Reach::of_environment(|name| std::env::var(name).ok());
        let of_log = Reach::of_logs(&root.join("log"), self.about.around.parent);
        let said = self.about.session.borrow().clone();
        let conversation = said.or(of_log.conversation.clone());
        Reach {
            conversation: conversation.or(of_environment.conversation.clone()),
            ..of_environment.or(of_log)
        }
    }
}

/// Returns what the command complained of, as one line without control characters.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it failed without a word");
    let plain = line.chars().filter(|c| !c.is_control());
    let words: String = plain.take(COMPLAINT_CHARS).collect();
    format!("agy agentapi: {words}")
}

/// Watches a transcript for a text with these messages.
async fn seen(transcript: &Path, ids: &[String]) -> bool {
    let end = Instant::now() + SEEN_WITHIN;
    loop {
        let text = end_of(&transcript.to_owned()).unwrap_or_default();
        if ids.iter().all(|id| text.contains(id.as_str())) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK).await;
    }
}

fn end_of(file: &PathBuf) -> std::io::Result<String> {
    let mut file = std::fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TRANSCRIPT_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TRANSCRIPT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
