//! A program that starts an EcoRelay channel: the wrapper brings that one's messages in, and
//! there is one session, not two.

use crate::stage::Stage;
use crate::support::{DEADLINE, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

#[test]
fn the_programs_channel_takes_over_and_hears_what_became_of_each_text() {
    let stage = Stage::new().ready();
    let folder = stage.home.data().join("push");
    std::fs::create_dir_all(&folder).unwrap();
    // A stranger's, and one that nobody listens on any more.
    drop(UnixListener::bind(folder.join("1-2.sock")).unwrap());
    drop(UnixListener::bind(folder.join(format!("{}-3.sock", stage.editor_pid()))).unwrap());
    let name = format!("{}-4.sock", stage.editor_pid());
    let listener = UnixListener::bind(folder.join(name)).unwrap();
    let mut channel = Channel::accept(&listener);

    let attach = channel.next("attach");
    assert_eq!(
        (&attach["kind"], &attach["agent"], &attach["name"]),
        (&json!("terminal"), &json!("editor"), &json!("docs"))
    );
    channel.say(&json!({"type": "attached", "name": "docs"}));
    wait_until("the end of the wrapper's own session", || {
        stage.peers().is_empty().then_some(())
    });

    channel.say(&json!({"type": "push", "id": 5, "text": "[ecorelay] message 5", "msg_ids": ["m-5"], "urgent": false}));
    let pushed = channel.next("pushed");
    assert_eq!(
        (&pushed["id"], &pushed["result"]),
        (&json!(5), &json!("handed")),
        "{pushed}"
    );
    assert_eq!(stage.all_entered(), ["[ecorelay] message 5"]);

    // What cannot be read does no harm; when the channel ends, the session is held here again.
    channel.say(&json!({"type": "unheard of", "id": []}));
    channel.stream.write_all(b"\xff{nonsense\n").unwrap();
    channel
        .say(&json!({"type": "push", "id": 6, "text": "[ecorelay] message 6", "msg_ids": ["m-6"]}));
    assert_eq!(channel.next("pushed")["id"], 6);
    drop((channel, listener));
    stage.wait_for_peer("docs");
}

/// The test's end of a channel's socket.
struct Channel {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Channel {
    fn accept(listener: &UnixListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        let (stream, _) = wait_until("the wrapper", || listener.accept().ok());
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }

    fn say(&mut self, line: &Value) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    /// Returns the next line of this type.
    fn next(&mut self, kind: &str) -> Value {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["type"] == kind {
                return line;
            }
        }
    }
}
