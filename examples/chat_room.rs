//! A chat in the terminal: everyone in the mesh who is in the room sees every line.
//!
//! The first machine makes the mesh and prints a ticket, the others join with it:
//!
//! ```text
//! cargo run --example chat_room -- ann                  prints a ticket
//! cargo run --example chat_room -- bob TICKET
//! ```
//!
//! Both may run on one machine. What the program keeps is in a folder `chat-NAME` in the system's
//! folder for temporary files, so that a second start under the same name needs no ticket.

use ecorelay_node::{Config, DataDir, HubLine, InviteOptions, Node, Session};
use std::error::Error;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

const ROOM: &str = "lobby";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("usage: chat_room NAME [TICKET]")?;
    let dir = DataDir::at(std::env::temp_dir().join(format!("chat-{name}")));
    let node = Node::builder()
        .config(Config::load(&dir)?)
        .data_dir(dir)
        .hub_id(format!("{name}-hub").parse()?)
        .start()
        .await?;
    match args.next() {
        Some(ticket) => {
            let joined = node.join(&ticket).await?;
            println!("* joining the mesh of {}", joined.hub_id);
        }
        None => {
            let invitation = node.invite(InviteOptions::default()).await?;
            println!("* others come in with this ticket, which is a secret:");
            println!("{}", invitation.ticket);
        }
    }

    let session = node.session(&name).agent("chat").register().await?;
    let members = session.join(ROOM).await?;
    println!("* in {ROOM}: {} (an empty line ends)", members.join(", "));
    chat(&session).await?;
    session.leave(ROOM).await?;
    node.stop().await?;
    Ok(())
}

/// Shows what is said in the room, and says what is typed, until nothing more is.
async fn chat(session: &Session) -> Result<(), Box<dyn Error>> {
    let mut typed = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            push = session.next_push() => match push {
                Some(HubLine::IncomingRoomMsg { from, text, .. }) => println!("{from}: {text}"),
                Some(HubLine::IncomingMessage { received, .. }) => {
                    println!("{} (to you): {}", received.from, received.text);
                }
                Some(_) => {}
                None => return Ok(()),
            },
            line = typed.next_line() => match line? {
                Some(line) if !line.is_empty() => {
                    let heard_by = session.room(ROOM, &line).await?;
                    if heard_by == 0 {
                        println!("* nobody else is here yet");
                    }
                }
                _ => return Ok(()),
            },
        }
    }
}
