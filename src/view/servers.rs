//! The rendezvous servers: how it stands with each.

use super::address::host_port;
use super::document::Doc;
use super::status::title;
use super::style::{BOLD, DIM, FAIL, GOOD, PLAIN, WARN};
use super::table::{Cell, Table, cell};
use super::text::{count, without_os_code};

/// Returns the section of the rendezvous servers; empty where there are none.
pub(crate) fn servers(doc: Doc<'_>) -> String {
    let servers = doc.list("rendezvous");
    if servers.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        &["SERVER", "STATE", "SEEN THERE AS", "HUBS", ""],
        &["HUBS"],
        "",
    );
    for server in &servers {
        let reserved = server.text("state") == "reserved";
        table.row(vec![
            cell(BOLD, address_of(*server)),
            state(*server),
            cell(
                PLAIN,
                host_port(server.0["observed"].as_str().unwrap_or_default()),
            ),
            if reserved {
                cell(PLAIN, server.number("hubs").to_string())
            } else {
                cell(PLAIN, "")
            },
            cell(DIM, without_os_code(&server.text("reason"))),
        ]);
    }
    format!(
        "{}\n{}",
        title("Rendezvous servers", servers.len()),
        table.render(None)
    )
}

fn address_of(server: Doc<'_>) -> String {
    host_port(server.0["address"].as_str().unwrap_or_default())
}

fn state(server: Doc<'_>) -> Cell {
    let state = server.text("state");
    let style = match state.as_str() {
        "reserved" => GOOD,
        "failed" => FAIL,
        _ => WARN,
    };
    cell(style, state)
}

/// Returns how it stands with a server, as a sentence.
pub(crate) fn server_words(server: Doc<'_>) -> String {
    match server.text("state").as_str() {
        "reserved" => {
            let hubs = usize::try_from(server.number("hubs")).unwrap_or(usize::MAX);
            let others = match hubs {
                1 => "1 other hub is there".to_owned(),
                n => format!("{} are there", count(n, "other hub")),
            };
            let observed = match server.0["observed"].as_str().map(host_port) {
                Some(place) if !place.is_empty() => format!("; it sees this hub at {place}"),
                _ => String::new(),
            };
            format!("This hub can be reached through it; {others}{observed}.")
        }
        "failed" => match server.text("reason").trim_end_matches('.') {
            "" => "It is of no use now; the hub keeps trying.".to_owned(),
            reason => format!(
                "It is of no use now; the hub keeps trying: {}.",
                without_os_code(reason)
            ),
        },
        _ => {
            "It is being asked; `ecorelay rendezvous status` shows when it has answered.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;
    use serde_json::json;

    #[test]
    fn one_line_per_server() {
        let status = json!({"rendezvous": [
            {"address": "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWx", "state": "reserved",
             "observed": "/ip4/198.51.100.4/tcp/50000", "hubs": 2, "reason": null},
            {"address": "/dns4/relay.example.org/tcp/4001/p2p/12D3KooWy", "state": "failed",
             "observed": null, "hubs": 0, "reason": "nothing answers"},
        ]});
        assert_eq!(
            plain(&servers(Doc(&status))),
            "\
Rendezvous servers (2)
  SERVER                  STATE     SEEN THERE AS       HUBS
  203.0.113.7:4001        reserved  198.51.100.4:50000     2
  relay.example.org:4001  failed    -                      -  nothing answers
"
        );
        assert_eq!(servers(Doc(&json!({}))), "");
    }
}
