//! A program with a hub of its own and two sessions on it: one asks, the other answers.
//!
//! Run it with `cargo run --example embed`. Other sessions could join through the socket it
//! prints, for example with `ECORELAY_DATA_DIR=… ecorelay peers`.

use ecorelay_config::DataDir;
use ecorelay_node::Node;
use ecorelay_protocol::HubLine;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let dir = DataDir::at(folder.path().join("hub"));
    let node = Node::builder().data_dir(dir).start().await?;
    println!(
        "hub {} at {}",
        node.hub_id(),
        node.data_dir().socket().display()
    );

    let reviewer = node.session("reviewer").agent("embed").register().await?;
    let builder = node.session("builder").agent("embed").register().await?;

    // A message is `delivered` once the other session has taken it, so both go on at once.
    let (sent, push) = tokio::join!(
        builder.send("reviewer", "Is the parser ready to merge?"),
        reviewer.next_push(),
    );
    println!("accepted as {}: {:?}", sent?.msg_id, push.is_some());

    if let Some(HubLine::IncomingMessage { received, .. }) = push {
        println!("{} asks: {}", received.from, received.text);
        let (answer, push) = tokio::join!(
            reviewer.reply(&received.msg_id, "Yes, all tests pass."),
            builder.next_push(),
        );
        answer?;
        if let Some(HubLine::IncomingMessage { received, .. }) = push {
            println!("{} answers: {}", received.from, received.text);
        }
    }

    node.stop().await?;
    Ok(())
}
