//! Rooms between real nodes: many, large, in bursts.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ecorelay_node::{HubLine, Session};
use support::mesh::{Machine, mesh};
use support::soon;

/// Returns the next so many room messages: the room and the text.
async fn heard(session: &Session, count: usize) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let what = format!("message {} of {count}", heard.len());
        let line = soon(&what, session.next_push()).await.unwrap();
        if let HubLine::IncomingRoomMsg { room, text, .. } = line {
            heard.push((room, text));
        }
    }
    heard
}

/// Returns a session on each machine, in so many rooms, once everyone knows of everyone.
async fn in_rooms(machines: &[Machine], rooms: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for machine in machines {
        let session = machine.session("worker").await;
        for n in 0..rooms {
            soon("a room", session.join(&room(n))).await.unwrap();
        }
        sessions.push(session);
    }
    for machine in machines {
        let full = |status: &serde_json::Value| {
            let all = status["rooms"].as_array().unwrap().iter();
            let full = |r: &&serde_json::Value| r["members"].as_array().unwrap().len();
            all.filter(|r| full(r) == machines.len()).count() == rooms
        };
        machine.until("full rooms", full).await;
    }
    sessions
}

fn room(n: usize) -> String {
    format!("room-{n}")
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_every_size_arrive() {
    let machines = mesh(&["a", "b", "c"]).await;
    let sessions = in_rooms(&machines, 1).await;
    let sizes = [10, 47_000, 60_000, 300_000, 20, 512 * 1024, 30];
    let say = async {
        for size in sizes {
            let text = "x".repeat(size);
            let count = soon("an answer", sessions[0].room("room-0", &text)).await;
            assert_eq!(count.unwrap(), 2);
        }
    };
    let heard = |n: usize| heard(&sessions[n], sizes.len());
    let ((), b, c) = tokio::join!(say, heard(1), heard(2));
    for heard in [b, c] {
        // What comes behind a large text waits for it only a moment: on a busy machine not
        // long enough.
        let mut lengths: Vec<usize> = heard.iter().map(|(_, text)| text.len()).collect();
        lengths.sort_unstable();
        let mut sizes = sizes;
        sizes.sort_unstable();
        assert_eq!(lengths, sizes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bursts_of_64_kb_in_200_rooms_arrive() {
    const ROOMS: usize = 200;
    let machines = mesh(&["a", "b"]).await;
    let sessions = in_rooms(&machines, ROOMS).await;
    let text = "x".repeat(64_000);
    let say = async {
        for n in 0..ROOMS {
            let count = soon("an answer", sessions[0].room(&room(n), &text)).await;
            assert_eq!(count.unwrap(), 1);
        }
    };
    let ((), heard) = tokio::join!(say, heard(&sessions[1], ROOMS));
    let rooms = heard.iter().map(|(room, _)| room.clone());
    assert!(rooms.eq((0..ROOMS).map(room)));
    assert!(heard.iter().all(|(_, said)| *said == text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_as_large_as_gossip_carries_arrives() {
    const COUNT: usize = 300;
    let machines = mesh(&["a", "b"]).await;
    let sessions = in_rooms(&machines, 1).await;
    let text = "x".repeat(48_000);
    let say = async {
        for _ in 0..COUNT {
            soon("an answer", sessions[0].room("room-0", &text))
                .await
                .unwrap();
        }
    };
    let ((), heard) = tokio::join!(say, heard(&sessions[1], COUNT));
    assert!(heard.iter().all(|(_, said)| *said == text));
    let status = machines[1].node().status().await.unwrap();
    assert_eq!(status["warnings"], serde_json::json!([]));
}
