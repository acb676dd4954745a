//! `peers`: the sessions that can be written to.

use crate::context::{AGENT, Context};
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::status::state_cell;
use crate::view::style::{BOLD, DIM, PLAIN};
use crate::view::table::{Table, cell};
use crate::view::text::{one_line, short_path};
use crate::view::time::{ago, now_ms};
use ecorelay_protocol::{HubLine, PeerInfo};
use serde_json::json;

pub(crate) async fn run(context: &Context) -> Result<(), CliError> {
    let me = context.me()?;
    let (_, answer) = context.open(json!({"type": "list_peers"})).await?;
    let HubLine::Peers { peers, .. } = &answer else {
        return Err(CliError::odd_answer("list_peers"));
    };
    context.output.result(
        || {
            let mut document = tool_result(&answer);
            document["me"] = json!(me);
            document
        },
        || {
            let home = std::env::home_dir().map(|home| home.to_string_lossy().into_owned());
            let columns = context.output.terminal().map(|size| size.0);
            page(peers, me.as_str(), now_ms(), home.as_deref(), columns)
        },
    )
}

fn page(
    peers: &[PeerInfo],
    me: &str,
    now: u64,
    home: Option<&str>,
    columns: Option<usize>,
) -> String {
    if peers.is_empty() {
        return "No session is connected. `ecorelay up` says how to connect one.".to_owned();
    }
    let mut table = Table::new(
        &[
            "NAME",
            "AGENT",
            "STATE",
            "FOLDER",
            "BRANCH",
            "LAST SEEN",
            "",
        ],
        &[],
        "FOLDER",
    );
    for peer in peers {
        let agent = peer.agent.as_deref().unwrap_or_default();
        let is_me = peer.name == me && agent == AGENT;
        table.row(vec![
            cell(BOLD, one_line(&peer.name)),
            cell(PLAIN, one_line(agent)),
            state_cell(peer.state.as_deref().unwrap_or_default(), now),
            cell(PLAIN, short_path(&peer.cwd, home)),
            cell(PLAIN, one_line(&peer.git_branch)),
            cell(PLAIN, ago(now, peer.last_seen)),
            cell(DIM, if is_me { "you" } else { "" }),
        ]);
    }
    table.render(columns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn sessions_of_other_hubs_stand_beside_those_of_this_one() {
        let now = 1_795_345_096_789;
        let peer = |name: &str, state: &str, ago: u64| PeerInfo {
            name: name.into(),
            cwd: "/home/al/shop".into(),
            git_branch: "main".into(),
            last_seen: now - ago,
            agent: Some("claude-code".into()),
            hub: None,
            state: Some(state.into()),
            push: None,
        };
        let peers = [
            peer("web", "idle", 0),
            peer(
                "api@desk",
                "offline-since 2026-11-22T10:55:16.789Z",
                180_000,
            ),
        ];
        assert_eq!(
            plain(&page(&peers, "ann", now, Some("/home/al"), None)),
            [
                "  NAME      AGENT        STATE              FOLDER  BRANCH  LAST SEEN\n",
                "  web       claude-code  idle               ~/shop  main    just now\n",
                "  api@desk  claude-code  offline for 3 min  ~/shop  main    3 min ago\n",
            ]
            .concat()
        );
    }
}
