//! A bot that knows who is working on what. Ask it, or ask everyone, from any session of the mesh:
//!
//! ```text
//! cargo run --example who_is_working_on_what [TICKET]
//! ecorelay send status-bot "Who is working on what?"          on this machine
//! ecorelay send status-bot@HUB "Who is working on what?"      on another one
//! ecorelay broadcast "Who is working on what?"
//! ```
//!
//! It runs a hub of its own, in the data directory of `ECORELAY_DATA_DIR`.

use ecorelay_node::{Config, DataDir, HubLine, Node, PeerInfo, Session, SessionError};
use std::collections::BTreeMap;
use std::error::Error;

const NAME: &str = "status-bot";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = DataDir::from_env()?;
    let config = Config::load(&dir)?;
    let node = Node::builder().config(config).data_dir(dir).start().await?;
    if let Some(ticket) = std::env::args().nth(1) {
        let joined = node.join(&ticket).await?;
        println!("joining the mesh of {}", joined.hub_id);
    }
    let session = node.session(NAME).agent("bot").register().await?;
    println!("{NAME}@{} is listening; ctrl-c ends it", node.hub_id());
    tokio::select! {
        answered = answer_all(&session) => answered?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    node.stop().await?;
    Ok(())
}

/// Answers every message and broadcast that asks for it, until the session ends.
async fn answer_all(session: &Session) -> Result<(), SessionError> {
    while let Some(push) = session.next_push().await {
        let (id, from, text) = match push {
            HubLine::IncomingMessage { received, .. } => {
                (received.msg_id, received.from, received.text)
            }
            HubLine::IncomingAsk {
                ask_id,
                from,
                question,
                ..
            } => (ask_id, from, question),
            _ => continue,
        };
        if !is_the_question(&text) {
            continue;
        }
        let answer = report(&session.peers().await?);
        println!(
            "{from} asks; the answer has {} lines",
            answer.lines().count()
        );
        // An asker that is gone is no reason to end.
        if let Err(error) = session.reply(&id, &answer).await {
            println!("{from} gets no answer: {error}");
        }
    }
    Ok(())
}

fn is_the_question(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("who is working") || text.contains("working on what")
}

/// Returns who works in which folder, folder by folder.
fn report(peers: &[PeerInfo]) -> String {
    let mut folders: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for peer in peers {
        let agent = peer.agent.as_deref().unwrap_or("unknown");
        let state = peer.state.as_deref().unwrap_or("unknown");
        folders
            .entry((&peer.cwd, &peer.git_branch))
            .or_default()
            .push(format!("{} ({agent}, {state})", peer.name));
    }
    if folders.is_empty() {
        return "Nobody else is here.".into();
    }
    let line = |((cwd, branch), who): ((&str, &str), Vec<String>)| {
        let cwd = if cwd.is_empty() { "no folder" } else { cwd };
        let branch = match branch {
            "" => String::new(),
            branch => format!(" on {branch}"),
        };
        format!("{cwd}{branch}: {}", who.join(", "))
    };
    let lines: Vec<String> = folders.into_iter().map(line).collect();
    lines.join("\n")
}
