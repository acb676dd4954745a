//! Setting an assistant up: what an adapter knows of it, as data. An adapter changes no file; an
//! [`Installer`] does, from its [`Plan`].

mod edit;
mod error;
mod file;
mod installer;
mod json;
mod original;
mod record;
mod text;
mod toml;

pub use error::SetupError;
pub use installer::{FileChange, Installer};

use crate::machine::{Machine, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// An assistant as it was found on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its program; nothing where only its folder of settings is there.
    pub program: Option<PathBuf>,
    /// What the program says of its version.
    pub version: Option<Version>,
}

impl Found {
    /// Looks for the program of this name, and else for the `settings` that its assistant leaves.
    pub(crate) fn look(machine: &Machine, name: &str, settings: &Path) -> Option<Self> {
        Self::of(machine.find(name), settings, |program| {
            machine.version(program)
        })
    }

    /// As [`Found::look`], for a program that is found in another way.
    pub(crate) fn of(
        program: Option<PathBuf>,
        settings: &Path,
        version: impl FnOnce(&Path) -> Option<Version>,
    ) -> Option<Self> {
        if program.is_none() && !settings.exists() {
            return None;
        }
        let version = program.as_deref().and_then(version);
        Some(Self { program, version })
    }
}

/// Everything that setting one assistant up changes, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The changes.
    pub steps: Vec<Step>,
    /// What a person is told afterwards, each a sentence: what to restart, what is never
    /// changed for them.
    pub notes: Vec<String>,
}

/// One change to one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which file; absolute. It and the folders on the way need not exist.
    pub file: PathBuf,
    /// What it is for, as words that follow "so that".
    pub why: &'static str,
    /// What is changed.
    pub edit: Edit,
    /// A question that must be answered with yes first, because the change reaches further than
    /// EcoRelay; nothing else depends on the step.
    pub consent: Option<&'static str>,
}

/// A change that can be made twice with the effect of once, and be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Edit {
    /// Sets the value at a path of keys in a JSON file, comments allowed; objects on the way are
    /// made.
    Json {
        /// The keys on the way to the value.
        at: Vec<String>,
        /// The value.
        value: Value,
    },
    /// Adds an element to the array at a path of keys in a JSON file, comments allowed. An
    /// element that `ours` describes takes the place of one that was added before.
    JsonItem {
        /// The keys on the way to the array.
        at: Vec<String>,
        /// The element.
        value: Value,
        /// A text that every element of ours has somewhere inside it, and nobody else's.
        ours: String,
    },
    /// Sets the value at a path of keys in a TOML file; objects become tables.
    Toml {
        /// The keys on the way to the value.
        at: Vec<String>,
        /// The value; it has no null.
        value: Value,
    },
    /// A whole file of ours.
    File {
        /// Its text.
        text: String,
    },
}

/// How good it is what a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Good,
    /// It works, but wants a look.
    Doubtful,
    /// It does not work.
    Bad,
}

/// What a check of an assistant found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// How good it is.
    pub health: Health,
    /// What was found, as a sentence.
    pub message: String,
    /// What to do; empty where it works.
    pub remedy: String,
}

impl Check {
    pub(crate) fn doubtful(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            health: Health::Doubtful,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn bad(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            health: Health::Bad,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// What an assistant can do with EcoRelay, as measured; each a few words for a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// How its model gets at the tools.
    pub tools: &'static str,
    /// How a message reaches an idle session.
    pub idle_push: &'static str,
    /// How a message reaches a busy session.
    pub busy_push: &'static str,
    /// Whether a message reaches a session before its first turn.
    pub cold_start: &'static str,
    /// How it is known that a message arrived.
    pub receipt: &'static str,
    /// Which version this was tried with, or that it was not.
    pub tested: &'static str,
}

/// What an adapter knows of setting its assistant up.
pub trait Setup: Sync + std::fmt::Debug {
    /// Returns the stable name that peers see.
    fn id(&self) -> &'static str;

    /// Returns its name for people.
    fn title(&self) -> &'static str;

    /// Returns the names a person may type; the first is the one that is shown.
    fn names(&self) -> &'static [&'static str];

    /// Returns what it can do.
    fn abilities(&self) -> Abilities;

    /// Looks for the assistant.
    fn find(&self, machine: &Machine) -> Option<Found>;

    /// Returns what is to be changed; the same on every call.
    fn plan(&self, machine: &Machine, found: &Found) -> Plan;

    /// Checks beyond whether the plan's changes are there: versions, runtimes, settings that
    /// hinder.
    fn check(&self, machine: &Machine, found: &Found) -> Vec<Check>;
}

/// Every assistant that can be set up, in the order in which they are listed.
pub fn setups() -> &'static [&'static dyn Setup] {
    SETUPS
}

static SETUPS: &[&dyn Setup] = &[
    // One row per assistant.
    &crate::claude_code::ClaudeCode,
    &crate::codex::Codex,
    &crate::gemini::GeminiCli,
    &crate::agy::Agy,
    &crate::cursor::CursorCli,
    &crate::opencode::OpenCode,
    &crate::copilot::CopilotCli,
    &crate::cline::Cline,
    &crate::aider::Aider,
];

/// Returns the assistant that a person means by `name`.
pub fn setup_of(name: &str) -> Option<&'static dyn Setup> {
    let name = name.to_ascii_lowercase();
    let mut all = setups().iter();
    all.find(|setup| setup.id() == name || setup.names().contains(&name.as_str()))
        .copied()
}
