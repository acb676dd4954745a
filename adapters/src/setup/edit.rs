//! One edit on the text of one file, and the same edit taken back.

use super::text::Form;
use super::{Edit, json, toml};

/// Why a file cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EditError {
    /// The line it is about, where there is one; from 1.
    pub(super) line: Option<usize>,
    /// What is wrong, as words that follow the file's name.
    pub(super) message: String,
}

impl Edit {
    /// Returns the text of the file once this is done; `before` is nothing where there is no
    /// file. It equals `before` where nothing is to be done.
    pub(super) fn done(&self, before: Option<&str>) -> Result<String, EditError> {
        let (form, text) = match self {
            Self::File { text } => return Ok(text.clone()),
            _ => Form::split(before.unwrap_or_default()),
        };
        let after = match self {
            Self::File { text } => text.clone(),
            Self::Json { at, value } => json::set(&text, at, value)?,
            Self::JsonItem { at, value, ours } => json::set_item(&text, at, value, ours)?,
            Self::Toml { at, value } => toml::set(&text, at, value)?,
        };
        Ok(form.join(&text, &after))
    }

    /// Returns the text of the file once this is taken back, or nothing where the file is to go.
    /// `original` is the text before the edit was made: nothing where there was no file,
    /// [`Original::Unknown`] where nobody knows.
    pub(super) fn undone(
        &self,
        now: &str,
        original: Original<'_>,
    ) -> Result<Option<String>, EditError> {
        let (form, text) = Form::split(now);
        let old = match original {
            Original::Unknown => None,
            Original::NoFile => Some(String::new()),
            Original::Text(text) => Some(Form::split(text).1),
        };
        let old = old.as_deref();
        let after = match self {
            Self::File { .. } => {
                return Ok(match original {
                    Original::Text(text) => Some(text.to_owned()),
                    Original::NoFile => None,
                    // Somebody else may have a file of this name.
                    Original::Unknown if !now.to_lowercase().contains("ecorelay") => {
                        Some(now.to_owned())
                    }
                    Original::Unknown => None,
                });
            }
            Self::Json { at, value } => json::unset(&text, at, value, old)?,
            Self::JsonItem { at, ours, .. } => json::unset_item(&text, at, ours, old)?,
            Self::Toml { at, value } => toml::unset(&text, at, value, old)?,
        };
        let empty = match self {
            Self::Toml { .. } => after.trim().is_empty(),
            _ => json::is_empty(&after),
        };
        if empty && original == Original::NoFile {
            return Ok(None);
        }
        Ok(Some(form.join(&text, &after)))
    }

    /// Returns whether both change the same thing, whatever they set it to.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json { at, .. }, Self::Json { at: there, .. })
            | (Self::Toml { at, .. }, Self::Toml { at: there, .. }) => at == there,
            (
                Self::JsonItem { at, ours, .. },
                Self::JsonItem {
                    at: there,
                    ours: theirs,
                    ..
                },
            ) => at == there && ours == theirs,
            (Self::File { .. }, Self::File { .. }) => true,
            _ => false,
        }
    }
}

/// What a file was before it was edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Original<'a> {
    /// Nobody knows any more.
    Unknown,
    /// There was no file.
    NoFile,
    /// It had this text.
    Text(&'a str),
}
