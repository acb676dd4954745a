//! Finding the hub that a person means: by its hub id, its label or its PeerId.

use crate::error::CliError;
use crate::view::document::Doc;
use crate::view::hubs::{hub_label, hub_name};
use crate::view::text::one_line;
use ecorelay_protocol::ErrorCode;
use serde_json::Value;

/// Names that differ in more letters than this are not taken for slips.
const SLIPS: usize = 2;
/// So many names are suggested.
const SUGGESTED: usize = 3;

/// Returns the hub of the status that is called `wanted`.
///
/// # Errors
/// `peer_not_found` with names that are alike, or `bad_args` when it may be several.
pub(super) fn find<'a>(status: &'a Value, wanted: &str) -> Result<Doc<'a>, CliError> {
    let hubs = known(status);
    let peers = |hub: &&Doc<'a>| hub.text("peer_id") == wanted;
    if let Some(hub) = hubs.iter().find(peers) {
        return Ok(*hub);
    }
    let called = |hub: &Doc<'a>| hub.text("hub_id") == wanted || hub_label(*hub) == wanted;
    let found: Vec<Doc<'a>> = hubs.iter().copied().filter(called).collect();
    match found.as_slice() {
        [hub] => Ok(*hub),
        [] => Err(unknown(&hubs, status, wanted)),
        several => {
            let several: Vec<String> = several
                .iter()
                .map(|hub| format!("{} ({})", hub_name(*hub), hub.text("peer_id")))
                .collect();
            let mut error = CliError::failed(format!(
                "Several hubs are called {}: {}.",
                one_line(wanted),
                several.join(", ")
            ))
            .hint("Name the one you mean by its PeerId.");
            error.code = ErrorCode::BadArgs;
            Err(error)
        }
    }
}

/// Returns the hubs of the mesh and those that were revoked.
fn known(status: &Value) -> Vec<Doc<'_>> {
    let doc = Doc(status);
    let mut hubs = doc.list("hubs");
    hubs.extend(Doc(&doc.0["mesh"]).list("revoked"));
    hubs
}

fn unknown(hubs: &[Doc<'_>], status: &Value, wanted: &str) -> CliError {
    let shown = one_line(wanted);
    if Doc(status).text("hub_id") == wanted || Doc(status).text("peer_id") == wanted {
        let mut error = CliError::failed(format!("{shown} is this hub itself."))
            .hint("Name another: `ecorelay hubs` lists them.");
        error.code = ErrorCode::BadArgs;
        return error;
    }
    let lower = wanted.to_lowercase();
    let mut near: Vec<(usize, String)> = hubs
        .iter()
        .flat_map(|hub| [hub.text("hub_id"), hub_label(*hub)])
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let other = name.to_lowercase();
            let slips = strsim::damerau_levenshtein(&other, &lower);
            let part = lower.len() > 2 && other.contains(&lower);
            (slips <= SLIPS || part).then_some((slips, name))
        })
        .collect();
    near.sort();
    near.dedup();
    let near: Vec<String> = near
        .into_iter()
        .take(SUGGESTED)
        .map(|(_, name)| name)
        .collect();
    let mut error = CliError::failed(format!("No hub of the mesh is called {shown}."));
    error.code = ErrorCode::PeerNotFound;
    error.hint(match near.as_slice() {
        [] if hubs.is_empty() => {
            "This hub knows no other; `ecorelay pair` pairs it with one.".to_owned()
        }
        [] => "`ecorelay hubs` lists them.".to_owned(),
        near => format!("Did you mean {}?", near.join(" or ")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn status() -> Value {
        json!({"hub_id": "me", "peer_id": "12D3KooWme", "hubs": [
            {"hub_id": "desk", "peer_id": "12D3KooWa", "label": "attic"},
            {"hub_id": "laptop-3f2a", "peer_id": "12D3KooWb", "label": null},
            {"hub_id": "nas", "peer_id": "12D3KooWc", "label": "attic"},
        ]})
    }

    #[test]
    fn a_hub_is_found_by_any_of_its_names() {
        let status = status();
        for wanted in ["desk", "12D3KooWa"] {
            assert_eq!(find(&status, wanted).unwrap().text("hub_id"), "desk");
        }
        let several = find(&status, "attic").unwrap_err();
        assert!(several.message.contains("12D3KooWc"), "{several:?}");
    }

    #[test]
    fn an_unknown_hub_is_told_with_names_that_are_alike() {
        let status = status();
        for (wanted, word) in [
            ("dsek", "desk"),
            ("laptop", "laptop-3f2a"),
            ("Desk", "desk"),
            ("me", "this hub"),
            ("nowhere\u{1b}", "ecorelay hubs"),
        ] {
            let error = find(&status, wanted).unwrap_err();
            assert!(error.sentence().contains(word), "{wanted}: {error:?}");
            assert!(!error.sentence().contains('\u{1b}'));
        }
        let alone = find(&json!({"hubs": []}), "x").unwrap_err();
        assert!(alone.sentence().contains("ecorelay pair"), "{alone:?}");
    }
}
