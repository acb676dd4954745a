//! Names and addresses: `name` on this hub, `name@hub_id` on another.

use crate::limits::{HUB_ID_CHARS, NAME_CHARS};
use crate::{ErrorCode, Refusal};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a session, room or group: 1 to 64 characters of `[A-Za-z0-9._-]`,
/// not `.` or `..`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// Returns the name in `text`, trimmed; `what` names the argument in the refusal.
    ///
    /// # Errors
    /// `bad_args` when the name is empty, too long, has another character, or is `.` or `..`.
    pub fn parse(text: &str, what: &str) -> Result<Self, Refusal> {
        let name = text.trim();
        let reason = if name.is_empty() {
            "is empty"
        } else if name.chars().count() > NAME_CHARS {
            "is longer than 64 characters"
        } else if name == "." || name == ".." {
            "cannot be \".\" or \"..\""
        } else if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        {
            "may hold only letters, digits, \".\", \"_\" and \"-\""
        } else {
            return Ok(Self(name.into()));
        };
        Err(Refusal::bad_args(format!("{what} {reason}.")))
    }

    /// Returns a valid name made from any text: lower case, runs of other characters
    /// become `-`, at most 64 characters; `fallback` when nothing is left.
    pub fn slug(text: &str, fallback: &str) -> String {
        let mut slug = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(NAME_CHARS);
        let slug = slug.trim_matches('-');
        if slug.is_empty() { fallback } else { slug }.to_owned()
    }

    /// Returns this name with the suffix `-n`, shortened so that it stays a valid name.
    #[must_use]
    pub fn with_suffix(&self, n: usize) -> Self {
        let suffix = format!("-{n}");
        let keep = self.0.len().min(NAME_CHARS - suffix.len());
        Self(format!("{}{suffix}", &self.0[..keep]).into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Name {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::parse(text, "The name")
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|refusal: Refusal| de::Error::custom(refusal.message))
    }
}

/// The human name of a hub: 1 to 64 characters of `[A-Za-z0-9_-]`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct HubId(Arc<str>);

impl HubId {
    /// Returns the hub id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for HubId {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let ok = !text.is_empty()
            && text.len() <= HUB_ID_CHARS
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if ok {
            Ok(Self(text.into()))
        } else {
            Err(Refusal::bad_args(
                "A hub id has 1 to 64 letters, digits, \"_\" or \"-\".",
            ))
        }
    }
}

impl<'de> Deserialize<'de> for HubId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|refusal: Refusal| de::Error::custom(refusal.message))
    }
}

/// Where a peer is: its name, and its hub unless that is the hub at hand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The peer's name on its hub.
    pub name: Name,
    /// The peer's hub; `None` for the hub that holds this value.
    pub hub: Option<HubId>,
}

impl Address {
    /// Returns the address of a peer on the hub at hand.
    pub fn local(name: Name) -> Self {
        Self { name, hub: None }
    }

    /// Returns the address in `text`; `what` names the argument in the refusal.
    ///
    /// # Errors
    /// `bad_args` when the name or the hub id is not valid.
    pub fn parse(text: &str, what: &str) -> Result<Self, Refusal> {
        match text.trim().split_once('@') {
            None => Ok(Self::local(Name::parse(text, what)?)),
            Some((name, hub)) => Ok(Self {
                name: Name::parse(name, what)?,
                hub: Some(hub.parse().map_err(|_| {
                    Refusal::bad_args(format!(
                        "{what}: after the \"@\" comes a hub id of 1 to 64 letters, digits, \"_\" or \"-\"."
                    ))
                })?),
            }),
        }
    }

    /// Returns this address as seen from the hub `own`: that hub's own id is left out.
    #[must_use]
    pub fn relative_to(self, own: &HubId) -> Self {
        match &self.hub {
            Some(hub) if hub == own => Self::local(self.name),
            _ => self,
        }
    }
}

impl From<Name> for Address {
    fn from(name: Name) -> Self {
        Self::local(name)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hub {
            None => write!(f, "{}", self.name),
            Some(hub) => write!(f, "{}@{hub}", self.name),
        }
    }
}

impl FromStr for Address {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::parse(text, "The address")
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|refusal: Refusal| de::Error::custom(refusal.message))
    }
}

/// Returns the refusal for an address on a hub that was never seen.
impl Address {
    /// Returns the `peer_not_found` refusal for an address whose hub is not known here.
    pub fn unknown_hub(&self) -> Refusal {
        Refusal::new(
            ErrorCode::PeerNotFound,
            format!(
                "No hub of that id is known here, so \"{self}\" cannot be reached. relay_peers lists who can be."
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(Name::parse(" api ", "x").unwrap().as_str(), "api");
        for bad in ["", "  ", ".", "..", "a b", "a@b", "é", &"x".repeat(65)] {
            assert!(Name::parse(bad, "x").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn slug_is_always_a_valid_name() {
        assert_eq!(Name::slug("My Project (2)", "relay"), "my-project-2");
        assert_eq!(Name::slug("éé", "relay"), "relay");
        assert!(
            Name::slug(&"a-".repeat(200), "relay")
                .parse::<Name>()
                .is_ok()
        );
    }

    #[test]
    fn suffix_keeps_the_name_valid() {
        let long: Name = "x".repeat(64).parse().unwrap();
        assert_eq!(long.with_suffix(12).as_str().len(), 64);
        assert!(long.with_suffix(12).as_str().ends_with("-12"));
    }

    #[test]
    fn own_hub_is_left_out_of_an_address() {
        let own: HubId = "laptop".parse().unwrap();
        let address = Address::parse("api@laptop", "to")
            .unwrap()
            .relative_to(&own);
        assert_eq!(address.to_string(), "api");
        let other = Address::parse("api@desk", "to").unwrap().relative_to(&own);
        assert_eq!(other.to_string(), "api@desk");
        assert!(Address::parse("api@", "to").is_err());
        assert!(Address::parse("a@b@c", "to").is_err());
    }
}
