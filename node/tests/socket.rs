//! The local socket as clients see it: protocol "5" in raw lines, bad input, slow readers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::json;
use support::{Home, soon};

#[tokio::test]
async fn a_version_5_pair_exchanges_a_message() {
    let home = Home::new();
    let _node = home.start().await;
    let mut probe = home.client().await;
    probe
        .send_bytes(b"{\"type\":\"ping\",\"req_id\":\"bootstrap\"}\r\n")
        .await;
    let pong = probe.text().await.unwrap();
    assert_eq!(pong, "{\"type\":\"pong\",\"req_id\":\"bootstrap\"}\n");

    let mut alice = home.registered("alice", "5").await;
    let mut bob = home.registered("bob", "5").await;
    let text = "é世😀".repeat(100_000);
    alice
        .send(json!({ "type": "send", "to": "bob", "text": text, "req_id": "1" }))
        .await;
    let push = bob.line_of("incoming_message").await;
    assert_eq!(push["from"], "alice");
    assert!(push["text"] == text.as_str());
    let ack = alice.line_of("send_ack").await;
    assert_eq!(ack["status"], "delivered", "{ack}");
    assert_eq!(ack["req_id"], "1");
    assert_eq!(ack["msg_id"], push["msg_id"]);
    let page = bob.ask(json!({ "type": "inbox" })).await;
    assert_eq!(page["messages"][0]["msg_id"], push["msg_id"]);
}

#[tokio::test]
async fn mail_survives_a_restart() {
    let home = Home::new();
    let node = home.start().await;
    drop(home.registered("bob", "5").await);
    let mut alice = home.registered("alice", "5").await;
    for n in 0..50 {
        let ack = alice
            .ask(json!({ "type": "send", "to": "bob", "text": format!("{n}") }))
            .await;
        assert_eq!(ack["type"], "send_ack", "{ack}");
    }
    soon("the end", node.stop()).await.unwrap();
    let _node = home.start().await;
    let mut bob = home.registered("bob", "5").await;
    let page = bob.ask(json!({ "type": "inbox", "limit": 100 })).await;
    let texts: Vec<_> = page["messages"].as_array().unwrap().iter().collect();
    assert_eq!(texts.len(), 50, "{page}");
    assert!((0..50).all(|n| texts[n]["text"] == format!("{n}").as_str()));
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_gets_its_answers() {
    let home = Home::new();
    let _node = home.start().await;
    let mut client = home.client().await;
    client
        .send_bytes(
            b"{\"type\":\"ping\",\"req_id\":\"1\"}\n{\"type\":\"list_peers\",\"req_id\":\"2\"}\n",
        )
        .await;
    client.finish().await;
    assert_eq!(client.line().await["req_id"], "1");
    assert_eq!(client.line().await["req_id"], "2");
    client.closed().await;
}

#[tokio::test]
async fn bad_lines_are_answered_at_once_and_the_connection_goes_on() {
    let home = Home::new();
    let _node = home.start().await;
    let mut client = home.client().await;
    let brackets = "[".repeat(100_000);
    let long = format!(
        "{{\"type\":\"send\",\"req_id\":\"big\",\"to\":\"a\",\"text\":\"{}\"}}",
        "x".repeat(5_000_000)
    );
    let cases: [(&[u8], &str, Option<&str>); 8] = [
        (b"nonsense", "bad_msg", None),
        (b"null", "bad_msg", None),
        (
            b"{\"type\":\"ping\",\"req_id\":\"\xff\xfe\"}",
            "bad_msg",
            None,
        ),
        (brackets.as_bytes(), "bad_msg", None),
        (b"\0\0\0", "bad_msg", None),
        (
            b"{\"type\":\"dance\",\"req_id\":\"r\"}",
            "bad_msg",
            Some("r"),
        ),
        (
            b"{\"type\":\"inbox\",\"limit\":1e9,\"req_id\":\"r\"}",
            "bad_args",
            Some("r"),
        ),
        (long.as_bytes(), "too_large", Some("big")),
    ];
    for (line, code, req_id) in cases {
        client.send_bytes(line).await;
        client.send_bytes(b"\n").await;
        let answer = client.line().await;
        assert_eq!(answer["type"], "err", "{answer}");
        assert_eq!(answer["code"], code, "{answer}");
        assert_eq!(answer["req_id"].as_str(), req_id, "{answer}");
        assert!(client.is_answered().await);
    }
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let home = Home::new();
    let _node = home.start().await;
    let mut client = home.client().await;
    let chunk = vec![b'x'; 1 << 20];
    let taken = client.send_while_taken(&chunk, 100 << 20).await;
    assert!(taken < 100 << 20, "the hub read {taken} bytes of one line");
    let mut other = home.client().await;
    assert!(other.is_answered().await);
}

#[tokio::test]
async fn a_client_that_never_reads_hurts_nobody() {
    let home = Home::new();
    let _node = home.start().await;
    let mut slow = home.registered("slow", "5").await;
    let mut alice = home.registered("alice", "5").await;
    let mut bob = home.registered("bob", "5").await;
    let text = "x".repeat(20_000);
    let (mut delivered, mut queued) = (0, 0);
    for n in 0..1_500 {
        let ack = alice
            .ask(json!({ "type": "send", "to": "slow", "text": text }))
            .await;
        match ack["status"].as_str() {
            Some("delivered") => delivered += 1,
            Some("queued") => queued += 1,
            _ => panic!("{n}: {ack}"),
        }
        if queued > 20 {
            break;
        }
    }
    assert!(queued > 0, "30 MB were delivered to nobody");
    assert!(delivered < 1_000, "{delivered} of 20 kB each");
    alice
        .send(json!({ "type": "send", "to": "bob", "text": "hi", "req_id": "2" }))
        .await;
    assert_eq!(bob.line_of("incoming_message").await["text"], "hi");
    // Nothing is lost: all of it is in the mailbox.
    let mut seen = 0;
    while seen < delivered {
        seen += usize::from(slow.line().await["type"] == "incoming_message");
    }
    let mut found = 0;
    loop {
        let page = slow.ask(json!({ "type": "inbox", "limit": 100 })).await;
        let count = page["messages"].as_array().unwrap().len();
        found += count;
        if count == 0 || page["remaining"] == 0 {
            break;
        }
    }
    assert_eq!(found, delivered + queued);
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let home = Home::new();
    let _node = home.start().await;
    home.client().await.closed().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    use ecorelay_protocol::limits::CONNECTIONS;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Both ends are in this process.
    let needed = 2 * CONNECTIONS as u64 + 200;
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some_and(|maximum| maximum < needed) {
        eprintln!("skipped: the system allows fewer than {needed} open files");
        return;
    }
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let home = Home::new();
    let _node = home.start().await;
    let mut clients = Vec::new();
    let refused = loop {
        let mut client = home.client().await;
        client
            .send_bytes(b"{\"type\":\"ping\",\"req_id\":\"1\"}\n")
            .await;
        let line = client.line().await;
        if line["type"] == "err" {
            break line;
        }
        clients.push(client);
        assert!(clients.len() <= CONNECTIONS);
    };
    assert_eq!(refused["code"], "rate_limited");
    assert!(clients[0].is_answered().await);
    clients.clear();
    // The places come free again.
    soon("a free place", async {
        loop {
            let mut client = home.client().await;
            client
                .send_bytes(b"{\"type\":\"ping\",\"req_id\":\"1\"}\n")
                .await;
            if client.line().await["type"] == "pong" {
                break;
            }
        }
    })
    .await;
}
