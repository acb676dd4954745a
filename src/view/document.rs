//! Read access to a JSON document of another program's making: a key may be missing or of
//! another type, and every text in it is made fit for a terminal.

use super::text::one_line;
use serde_json::Value;

/// A document, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doc<'a>(pub(crate) &'a Value);

impl<'a> Doc<'a> {
    /// Returns a text on one line; empty where it is missing.
    pub(crate) fn text(self, key: &str) -> String {
        self.0[key].as_str().map(one_line).unwrap_or_default()
    }

    /// Returns a number; 0 where it is missing.
    pub(crate) fn number(self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or(0)
    }

    /// Returns whether a key is true.
    pub(crate) fn flag(self, key: &str) -> bool {
        self.0[key].as_bool() == Some(true)
    }

    /// Returns how many items a list has, or the number that stands in its place.
    pub(crate) fn size(self, key: &str) -> u64 {
        match &self.0[key] {
            Value::Array(items) => items.len() as u64,
            other => other.as_u64().unwrap_or(0),
        }
    }

    /// Returns a time in ms since 1970, written as that or as ISO 8601.
    pub(crate) fn moment(self, key: &str) -> Option<u64> {
        match &self.0[key] {
            Value::String(text) => ecorelay_protocol::parse_iso_ms(text),
            other => other.as_u64(),
        }
    }

    /// Returns the items of a list; none where it is missing.
    pub(crate) fn list(self, key: &str) -> Vec<Doc<'a>> {
        self.0[key]
            .as_array()
            .map(|items| items.iter().map(Doc).collect())
            .unwrap_or_default()
    }

    /// Returns a list of names, or of objects with a name, as one text.
    pub(crate) fn names(self, key: &str) -> String {
        let name = |item: Doc<'_>| match item.0 {
            Value::String(text) => one_line(text),
            _ => item.text("name"),
        };
        self.list(key)
            .into_iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
