//! What a session is called: by the person who started it, else as its assistant calls it,
//! else after its working directory.

use crate::link::Link;
use ecorelay_adapters::Surroundings;
use ecorelay_adapters::claude_code::SessionFile;
use ecorelay_protocol::{Name, visible};
use std::time::Duration;

/// How often the assistant's name for the session is looked up. A session is renamed by hand,
/// and the file is small.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The name of last resort.
const FALLBACK: &str = "relay";
/// How much of a refused name is repeated.
const SHOWN_CHARS: usize = 80;

/// A name to register under.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) name: String,
    /// A sentence about a wish that could not be met.
    pub(crate) notice: Option<String>,
}

/// Returns the name of the session in these surroundings; always a valid one.
pub(crate) fn resolve(around: &Surroundings) -> Resolved {
    if let Some(wanted) = around.peer_id.as_deref() {
        match Name::parse(wanted, "RELAY_PEER_ID") {
            Ok(name) => return plain(name.as_str()),
            Err(refusal) => {
                let mut resolved = plain(&by_other_means(around));
                if let Some(slug) = slug(wanted) {
                    resolved.name = slug;
                }
                let wanted: String = visible(wanted).chars().take(SHOWN_CHARS).collect();
                resolved.notice = Some(format!(
                    "{} RELAY_PEER_ID is \"{wanted}\"; this session is called \"{}\" instead.",
                    refusal.message, resolved.name
                ));
                return resolved;
            }
        }
    }
    plain(&by_other_means(around))
}

/// Follows the name that the assistant gives the session, for as long as this process lives:
/// the session may be named after its channel has started, or be renamed. A name that the
/// person set stays; one taken with relay_rename stays until the assistant's changes.
pub(crate) async fn follow(around: Surroundings, link: Link) {
    if around.peer_id.is_some() || around.claude_dirs.is_empty() {
        return std::future::pending().await;
    }
    let mut known = of_session(&around);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = of_session(&around);
        if now == known {
            continue;
        }
        if let Some(name) = &now {
            // A name that another session holds is not fought for.
            let _ = link.rename(name).await;
        }
        known = now;
    }
}

/// Returns the assistant's name for the session, as a valid name.
fn of_session(around: &Surroundings) -> Option<String> {
    of_title(&SessionFile::read(around).name?)
}

/// Returns what an assistant calls a session, as a valid name.
pub(crate) fn of_title(title: &str) -> Option<String> {
    let valid = Name::parse(title, "").ok().map(|name| name.to_string());
    valid.or_else(|| slug(title))
}

fn by_other_means(around: &Surroundings) -> String {
    let folder = || slug(&around.cwd.file_name()?.to_string_lossy());
    of_session(around)
        .or_else(folder)
        .unwrap_or_else(|| FALLBACK.into())
}

fn plain(name: &str) -> Resolved {
    Resolved {
        name: name.to_owned(),
        notice: None,
    }
}

pub(crate) fn slug(text: &str) -> Option<String> {
    let slug = Name::slug(text, "");
    (!slug.is_empty()).then_some(slug)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn around(peer_id: Option<&str>, cwd: &str) -> Surroundings {
        Surroundings {
            peer_id: peer_id.map(str::to_owned),
            cwd: cwd.into(),
            ..Surroundings::default()
        }
    }

    #[test]
    fn the_persons_wish_comes_first() {
        assert_eq!(resolve(&around(Some(" Api.1 "), "/w/x")), plain("Api.1"));
    }

    #[test]
    fn a_wish_that_is_no_name_is_mended_and_told() {
        let resolved = resolve(&around(Some("my api!"), "/w/x"));
        assert_eq!(resolved.name, "my-api");
        let notice = resolved.notice.unwrap();
        assert!(
            notice.contains("my api!") && notice.contains("\"my-api\""),
            "{notice}"
        );
        assert_eq!(resolve(&around(Some("éé"), "/w/x")).name, "x");
    }

    #[test]
    fn the_assistants_name_comes_before_the_folders() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sessions")).unwrap();
        let file = dir.path().join("sessions/7.json");
        let around = Surroundings {
            claude_dirs: vec![dir.path().into()],
            parent: 7,
            ..around(None, "/w/My Shop")
        };
        assert_eq!(resolve(&around), plain("my-shop"));
        std::fs::write(&file, r#"{"name":"Billing Work"}"#).unwrap();
        assert_eq!(resolve(&around), plain("billing-work"));
        std::fs::write(&file, r#"{"name":"Billing_2"}"#).unwrap();
        assert_eq!(resolve(&around), plain("Billing_2"));
        std::fs::write(&file, r#"{"name":"日本"}"#).unwrap();
        assert_eq!(resolve(&around), plain("my-shop"));
    }

    #[test]
    fn there_is_always_a_name() {
        assert_eq!(resolve(&around(None, "/")), plain("relay"));
        assert_eq!(resolve(&around(None, "/日本")), plain("relay"));
        let long = format!("/w/{}", "x".repeat(300));
        assert_eq!(resolve(&around(None, &long)).name.len(), 64);
    }
}
