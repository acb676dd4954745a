//! `hubs`: the other hubs of the mesh.

use super::live_status::{status, surroundings};
use crate::context::Context;
use crate::error::CliError;
use crate::view::document::Doc;
use crate::view::hubs;
use serde_json::{Value, json};

pub(crate) async fn run(context: &Context) -> Result<(), CliError> {
    let mut hub = context.running_hub().await?;
    let status = status(&mut hub).await?;
    context.output.result(
        || document(&status),
        || surroundings(context, |around| page(&status, around)),
    )
}

/// Returns the part of the status that is about other hubs.
fn document(status: &Value) -> Value {
    let mut document = json!({"ok": true});
    for key in ["hub_id", "peer_id", "mesh", "hubs", "nearby", "dials"] {
        document[key] = status[key].clone();
    }
    document
}

fn page(status: &Value, around: crate::view::status::Surroundings<'_>) -> String {
    let doc = Doc(status);
    let sections = [
        hubs::hubs(doc, around),
        hubs::nearby(doc, around),
        hubs::dials(doc, around),
    ];
    let sections: Vec<String> = sections
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect();
    if sections.is_empty() {
        return "No other hub is known. `ecorelay invite` prints a ticket with which another machine joins.".to_owned();
    }
    sections.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::status::Surroundings;

    #[test]
    fn without_another_hub_it_says_how_to_get_one() {
        let around = Surroundings {
            now: 0,
            home: None,
            columns: None,
            program: "",
        };
        assert!(page(&json!({"hubs": []}), around).contains("ecorelay invite"));
        let full = json!({"hub_id": "a", "hubs": [{"hub_id": "b"}], "sessions": []});
        assert_eq!(document(&full)["hubs"][0]["hub_id"], "b");
        assert!(document(&full).get("sessions").is_none());
    }
}
