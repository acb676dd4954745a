//! Two hubs in one program become a mesh: one invites, the other joins with the ticket, and a
//! session of each sends the other a message. On two machines it is the same, with the ticket
//! carried from one to the other.
//!
//! Run it with `cargo run --example two_nodes`.

use ecorelay_node::{
    DataDir, HubLine, InviteOptions, Node, Presence, PresenceEvent, Session, SessionError,
};
use std::error::Error;
use std::path::Path;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let desk = start(folder.path(), "desk").await?;
    let laptop = start(folder.path(), "laptop").await?;

    // The first invitation makes the mesh. The ticket is a secret: it lets its holder in.
    let invitation = desk.invite(InviteOptions::default()).await?;
    let joined = laptop.join(&invitation.ticket).await?;
    println!("laptop joins the mesh of {}", joined.hub_id);

    let ann = desk.session("ann").agent("example").register().await?;
    let bob = laptop.session("bob").agent("example").register().await?;
    until_there(&mut laptop.presence().await?, "ann@desk").await?;
    until_there(&mut desk.presence().await?, "bob@laptop").await?;

    // A message is `delivered` once the other session has taken it, so both go on at once.
    let (sent, question) = tokio::join!(
        ann.send("bob@laptop", "Do the tests pass on your machine?"),
        next_message(&bob),
    );
    let (id, from, text) = question?;
    println!("bob hears from {from}: {text}");
    println!("ann's message is {:?}", sent?.status);

    let (replied, answer) = tokio::join!(bob.reply(&id, "All of them."), next_message(&ann));
    replied?;
    let (_, from, text) = answer?;
    println!("ann hears from {from}: {text}");

    laptop.stop().await?;
    desk.stop().await?;
    Ok(())
}

/// Starts a hub that other hubs reach on this machine only.
async fn start(folder: &Path, hub_id: &str) -> Result<Node, Box<dyn Error>> {
    let node = Node::builder()
        .data_dir(DataDir::at(folder.join(hub_id)))
        .hub_id(hub_id.parse()?)
        .listen(["/ip4/127.0.0.1/tcp/0"])
        .mdns(false)
        .start();
    Ok(node.await?)
}

/// Waits until a session of this address can be reached.
async fn until_there(presence: &mut Presence, address: &str) -> Result<(), SessionError> {
    loop {
        match presence.next().await? {
            PresenceEvent::Came(peer) if peer.name == address => return Ok(()),
            _ => {}
        }
    }
}

/// Waits for the next direct message or reply: its id, its sender and its text.
async fn next_message(session: &Session) -> Result<(String, String, String), SessionError> {
    while let Some(push) = session.next_push().await {
        if let HubLine::IncomingMessage { received, .. } = push {
            return Ok((received.msg_id, received.from, received.text));
        }
    }
    Err(SessionError::Ended)
}
