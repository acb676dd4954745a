//! What was changed on this machine, so that it can be taken back: `installed.json` and the
//! originals under `backups/` in the data directory.

use super::{Edit, Plan, SetupError, file};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The form of the record that this program writes and reads.
const VERSION: u32 = 1;

/// Everything that was changed, by the assistant's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    pub(super) assistants: BTreeMap<String, Vec<Changed>>,
}

/// One file that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Changed {
    /// Which.
    pub(super) file: PathBuf,
    /// Where its original bytes are, below the data directory; nothing where there was no file.
    pub(super) backup: Option<PathBuf>,
    /// What it was made: SHA-256, hexadecimal.
    pub(super) after: String,
    /// The folders that were made for it, outermost first.
    #[serde(default)]
    pub(super) folders: Vec<PathBuf>,
    /// What was done to it.
    pub(super) edits: Vec<Edit>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            version: VERSION,
            assistants: BTreeMap::new(),
        }
    }
}

impl Record {
    /// Reads the record; an empty one where there is none. One that cannot be understood is put
    /// aside: what was done is then recognised by the plans.
    pub(super) fn read(root: &Path) -> Result<Self, SetupError> {
        let path = Self::path(root);
        let Some(bytes) = file::read(&path)? else {
            return Ok(Self::default());
        };
        let version = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|value| value["version"].as_u64());
        if version.is_some_and(|version| version > VERSION.into()) {
            return Err(SetupError::Newer { file: path });
        }
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(record),
            Err(_) => {
                let aside = path.with_extension("json.broken");
                std::fs::rename(&path, &aside)
                    .map_err(|source| SetupError::io("put aside", &path, source))?;
                Ok(Self::default())
            }
        }
    }

    /// Writes the record; removes it where nothing is in it.
    pub(super) fn write(&self, root: &Path) -> Result<(), SetupError> {
        let path = Self::path(root);
        if self.assistants.is_empty() {
            return file::remove(&path);
        }
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| SetupError::io("write", &path, std::io::Error::other(e)))?;
        bytes.push(b'\n');
        file::write_private(&path, &bytes)
    }

    /// Returns what was done to a file for an assistant.
    pub(super) fn of(&self, id: &str, file: &Path) -> Option<&Changed> {
        let files = self.assistants.get(id)?;
        files.iter().find(|changed| changed.file == file)
    }

    fn path(root: &Path) -> PathBuf {
        root.join("installed.json")
    }
}

/// Returns what a plan must have done, where no record says so. What somebody was asked for may
/// be theirs as well as ours: it stays.
pub(super) fn by_plan(plan: &Plan) -> Vec<Changed> {
    let mut files: Vec<Changed> = Vec::new();
    for step in plan.steps.iter().filter(|step| step.consent.is_none()) {
        let at = files.iter().position(|changed| changed.file == step.file);
        let at = at.unwrap_or_else(|| {
            files.push(Changed {
                file: step.file.clone(),
                backup: None,
                after: String::new(),
                folders: Vec::new(),
                edits: Vec::new(),
            });
            files.len() - 1
        });
        if let Some(changed) = files.get_mut(at) {
            changed.edits.push(step.edit.clone());
        }
    }
    files
}

/// Returns the SHA-256 of a file's bytes, hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
