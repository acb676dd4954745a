//! Carries plans out and takes them back.
//!
//! The order makes it safe to be killed at any moment: the originals are kept and the record is
//! written before a file is changed, and forgotten only after it has been changed back.

use super::edit::EditError;
use super::original::{Kept, backup_place, backups};
use super::record::{Changed, Record, by_plan, digest};
use super::{Edit, Plan, SetupError, file};
use std::fs::TryLockError;
use std::path::{Path, PathBuf};

/// What happens, or has happened, to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Which.
    pub file: PathBuf,
    /// Its bytes before; nothing where there was no file.
    pub before: Option<Vec<u8>>,
    /// Its bytes afterwards; nothing where it goes.
    pub after: Option<Vec<u8>>,
    /// What it is for, as words that follow "so that"; none where it is taken back.
    pub whys: Vec<&'static str>,
}

/// Sets assistants up, with what is needed to undo it kept in the data directory.
#[derive(Debug, Clone)]
pub struct Installer {
    root: PathBuf,
}

/// One file's change with what is remembered of it.
struct Work {
    change: FileChange,
    /// Nothing where no more is to be remembered of the file.
    record: Option<Changed>,
    /// An original that is not kept yet.
    keep: Option<(PathBuf, Vec<u8>)>,
}

impl Installer {
    /// Returns the installer that keeps its record in the data directory at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns what carrying out the plan would change; nothing where it is carried out.
    ///
    /// # Errors
    /// When a file is broken, cannot be read, or may not be replaced.
    pub fn preview(&self, id: &str, plan: &Plan) -> Result<Vec<FileChange>, SetupError> {
        let record = Record::read(&self.root)?;
        Ok(changes(self.works(&record, id, plan)?))
    }

    /// Returns whether everything in the plan is as it is to be, whoever made it so.
    ///
    /// # Errors
    /// As [`Installer::preview`].
    pub fn in_effect(&self, plan: &Plan) -> Result<bool, SetupError> {
        // Without a record, what an earlier plan did is not asked for.
        Ok(self.works(&Record::default(), "", plan)?.is_empty())
    }

    /// Carries out the plan and returns what was changed.
    ///
    /// # Errors
    /// As [`Installer::preview`], in which case nothing is changed; when a file cannot be
    /// written, those after it are not changed.
    pub fn apply(&self, id: &str, plan: &Plan) -> Result<Vec<FileChange>, SetupError> {
        let _lock = self.lock()?;
        let mut record = Record::read(&self.root)?;
        let works = self.works(&record, id, plan)?;
        if works.is_empty() {
            return Ok(Vec::new());
        }
        let files = record.assistants.entry(id.to_owned()).or_default();
        for work in &works {
            if let Some((place, bytes)) = &work.keep {
                file::write_private(&self.root.join(place), bytes)?;
            }
            files.retain(|changed| changed.file != work.change.file);
            files.extend(work.record.clone());
        }
        record.write(&self.root)?;
        let works = changes(works);
        works.iter().try_for_each(carry_out)?;
        Ok(works)
    }

    /// Returns what taking back would change. What was done is known from the record, else from
    /// the plan.
    ///
    /// # Errors
    /// As [`Installer::preview`].
    pub fn preview_undo(&self, id: &str, plan: &Plan) -> Result<Vec<FileChange>, SetupError> {
        let record = Record::read(&self.root)?;
        self.undone(&record, id, plan)
    }

    /// Takes back what was done for an assistant and returns what was changed. Files that are
    /// still as they were left get their original bytes; of others only what is ours goes.
    ///
    /// # Errors
    /// As [`Installer::apply`].
    pub fn undo(&self, id: &str, plan: &Plan) -> Result<Vec<FileChange>, SetupError> {
        let _lock = self.lock()?;
        let mut record = Record::read(&self.root)?;
        let changes = self.undone(&record, id, plan)?;
        let known = record.assistants.get(id).cloned().unwrap_or_default();
        for change in &changes {
            self.keep_what_others_wrote(id, change, &known)?;
            carry_out(change)?;
        }
        for changed in &known {
            for folder in changed.folders.iter().rev() {
                // One that others use by now stays.
                let _ = std::fs::remove_dir(folder);
            }
        }
        if record.assistants.remove(id).is_some() {
            record.write(&self.root)?;
        }
        // What is left of them is in nobody's way.
        let _ = std::fs::remove_dir_all(self.root.join(backups(id)));
        let _ = std::fs::remove_dir(self.root.join("backups"));
        Ok(changes)
    }

    /// Returns the ids of the assistants that were set up.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn recorded(&self) -> Result<Vec<String>, SetupError> {
        let record = Record::read(&self.root)?;
        Ok(record.assistants.into_keys().collect())
    }

    fn works(&self, record: &Record, id: &str, plan: &Plan) -> Result<Vec<Work>, SetupError> {
        let known = record
            .assistants
            .get(id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut files: Vec<&Path> = Vec::new();
        let planned = plan.steps.iter().map(|step| step.file.as_path());
        for file in planned.chain(known.iter().map(|changed| changed.file.as_path())) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let mut works = Vec::new();
        for file in files {
            works.extend(self.work(record.of(id, file), id, plan, file)?);
        }
        Ok(works)
    }

    /// Returns what is to be done to one file; nothing where it is as it is to be.
    fn work(
        &self,
        known: Option<&Changed>,
        id: &str,
        plan: &Plan,
        file: &Path,
    ) -> Result<Option<Work>, SetupError> {
        let fault = |e: EditError| SetupError::broken(file, e.line, e.message);
        let before = file::read(file)?;
        let mut text = before
            .as_deref()
            .map(|bytes| as_text(file, bytes))
            .transpose()?;
        let steps: Vec<_> = plan.steps.iter().filter(|step| step.file == file).collect();
        let original = known.map(|known| Kept::read(&self.root, known));
        if let (Some(known), Some(original)) = (known, &original) {
            // What an earlier version did and this one does not.
            for edit in known.edits.iter().rev() {
                if steps.iter().any(|step| step.edit.same_place(edit)) {
                    continue;
                }
                if let Some(now) = text {
                    text = edit.undone(&now, original.as_original()).map_err(fault)?;
                }
            }
        }
        let mut whys = Vec::new();
        for step in &steps {
            let after = step.edit.done(text.as_deref()).map_err(fault)?;
            if text.as_deref() != Some(&after) {
                if !whys.contains(&step.why) {
                    whys.push(step.why);
                }
                text = Some(after);
            }
        }
        let after = text.map(String::into_bytes);
        if after == before {
            return Ok(None);
        }
        file::check_writable(file)?;
        let mut folders = known.map(|known| known.folders.clone()).unwrap_or_default();
        folders.extend(file::missing_folders(file));
        let untouched = known
            .zip(before.as_deref())
            .filter(|(known, before)| known.after == digest(before));
        let (backup, keep) = match (untouched, known) {
            (Some((known, _)), _) => (known.backup.clone(), None),
            (None, known) => {
                let original = match (known, &original) {
                    (Some(known), Some(original)) => {
                        self.without_ours(file, known, before.as_deref(), original)?
                    }
                    _ => before.clone(),
                };
                let place = backup_place(id, file);
                let keep = original.map(|bytes| (place, bytes));
                (keep.as_ref().map(|(place, _)| place.clone()), keep)
            }
        };
        let record = (!steps.is_empty()).then(|| Changed {
            file: file.to_owned(),
            backup,
            after: digest(after.as_deref().unwrap_or_default()),
            folders,
            edits: steps.iter().map(|step| step.edit.clone()).collect(),
        });
        Ok(Some(Work {
            change: FileChange {
                file: file.to_owned(),
                before,
                after,
                whys,
            },
            record,
            keep,
        }))
    }

    fn undone(
        &self,
        record: &Record,
        id: &str,
        plan: &Plan,
    ) -> Result<Vec<FileChange>, SetupError> {
        let guessed;
        let known = match record.assistants.get(id) {
            Some(known) => known,
            None => {
                guessed = by_plan(plan);
                &guessed
            }
        };
        let recorded = record.assistants.contains_key(id);
        let mut changes = Vec::new();
        for known in known.iter().rev() {
            let Some(before) = file::read(&known.file)? else {
                continue;
            };
            let original = match recorded {
                true => Kept::read(&self.root, known),
                false => Kept::Unknown,
            };
            let after = if known.after == digest(&before) && original != Kept::Unknown {
                original.into_bytes()
            } else {
                self.without_ours(&known.file, known, Some(&before), &original)?
            };
            if after.as_ref() != Some(&before) {
                file::check_writable(&known.file)?;
                changes.push(FileChange {
                    file: known.file.clone(),
                    before: Some(before),
                    after,
                    whys: Vec::new(),
                });
            }
        }
        Ok(changes)
    }

    /// Returns a file's bytes without what is ours; nothing where the file is to go.
    fn without_ours(
        &self,
        file: &Path,
        known: &Changed,
        now: Option<&[u8]>,
        original: &Kept,
    ) -> Result<Option<Vec<u8>>, SetupError> {
        let Some(now) = now else { return Ok(None) };
        if original.bytes() == Some(now) {
            return Ok(Some(now.to_owned()));
        }
        let mut text = as_text(file, now)?;
        for edit in known.edits.iter().rev() {
            let undone = edit
                .undone(&text, original.as_original())
                .map_err(|e| SetupError::broken(file, e.line, e.message))?;
            match undone {
                Some(undone) => text = undone,
                None => return Ok(None),
            }
        }
        Ok(Some(text.into_bytes()))
    }

    /// A whole file of ours in which somebody has written is not lost: a copy stays in the data
    /// directory.
    fn keep_what_others_wrote(
        &self,
        id: &str,
        change: &FileChange,
        known: &[Changed],
    ) -> Result<(), SetupError> {
        let whole = known.iter().find(|known| {
            known.file == change.file
                && known
                    .edits
                    .iter()
                    .any(|edit| matches!(edit, Edit::File { .. }))
        });
        let Some((known, before)) = whole.zip(change.before.as_deref()) else {
            return Ok(());
        };
        if known.after == digest(before) {
            return Ok(());
        }
        let name = change
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let place = Path::new("backups/changed").join(format!("{id}-{name}"));
        file::write_private(&self.root.join(place), before)
    }

    /// Nobody else changes the set-up while this is held.
    fn lock(&self) -> Result<std::fs::File, SetupError> {
        let path = self.root.join("installed.lock");
        let fault = |source| SetupError::io("open", &path, source);
        file::make_private(&self.root).map_err(fault)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(SetupError::Busy),
            Err(TryLockError::Error(source)) => Err(fault(source)),
        }
    }
}

fn changes(works: Vec<Work>) -> Vec<FileChange> {
    works.into_iter().map(|work| work.change).collect()
}

fn carry_out(change: &FileChange) -> Result<(), SetupError> {
    match &change.after {
        Some(bytes) => file::write(&change.file, bytes),
        None => file::remove(&change.file),
    }
}

fn as_text(file: &Path, bytes: &[u8]) -> Result<String, SetupError> {
    String::from_utf8(bytes.to_owned()).map_err(|e| {
        let head = bytes
            .get(..e.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = head.iter().filter(|b| **b == b'\n').count() + 1;
        SetupError::broken(file, Some(line), "it is not UTF-8 text")
    })
}
