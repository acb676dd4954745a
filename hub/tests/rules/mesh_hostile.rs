//! A hub that lies, floods and talks nonsense is contained, said once, and hurts nobody else.

use crate::mesh_world::Mesh;
use crate::mesh_world::client::Client;
use crate::mesh_world::machine::BEGIN;
use crate::mesh_world::raw::{Raw, sign};
use ecorelay_hub::{Keys as _, PlainKeys};
use ecorelay_protocol::link::{
    Ack, Admission, Binding, DirectMessage, DirectoryDelta, DirectoryEntry, EntryVersion, Fill,
    Frame, GroupOps, GroupVersion, GroupVersions, Outcome, Publications, Published, Query, Receipt,
    Refuse, RefuseCode, Signed, Sync,
};
use ecorelay_protocol::{Bytes, DeliveryState, MessageKind, PeerId, to_cbor};
use serde_json::json;
use std::collections::BTreeMap;

/// The number of the hostile hub's keys; the real hubs have 1 and 2.
const RAW: u8 = 9;

/// Two hubs that are linked, with a session each.
fn pair() -> (Mesh, Client, Client) {
    let mut mesh = Mesh::formed(2);
    let ann = mesh.session(0, "ann");
    let ben = mesh.session(1, "ben");
    mesh.pass(1_000);
    (mesh, ann, ben)
}

/// The link between the real hubs stands, and a message crosses it.
fn others_are_well(mesh: &mut Mesh, ann: Client, ben: Client) {
    let links = mesh.traffic.links;
    let text = format!("still here at {}", mesh.time);
    let sent = mesh.ask(ann, json!({"type":"send","to":"ben@hub1","text":text}));
    assert_eq!(sent["type"], "send_ack", "{sent}");
    mesh.pass(1_000);
    assert_eq!(mesh.inbox(ben), [text]);
    assert_eq!((links, mesh.traffic.closed), (1, 0), "their link was hurt");
}

fn warnings(mesh: &mut Mesh, code: &str) -> Vec<String> {
    let status = mesh.status(0);
    let warnings = status["warnings"].as_array().unwrap().iter();
    let warnings = warnings.filter(|w| w["code"] == code);
    let text = |w: &serde_json::Value| w["message"].as_str().unwrap().to_owned();
    warnings.map(text).collect()
}

fn refusal(raw: &Raw, mesh: &Mesh) -> Option<RefuseCode> {
    let frames = raw.heard(mesh).frames.iter();
    let mut codes = frames.filter_map(|frame| match frame {
        Frame::Refuse(Refuse { code, .. }) => Some(*code),
        _ => None,
    });
    codes.next()
}

fn message(id: &str, to: &str) -> DirectMessage {
    DirectMessage {
        msg_id: id.into(),
        kind: MessageKind::Message,
        from: "eve".parse().unwrap(),
        to: to.parse().unwrap(),
        text: format!("text of {id}"),
        ts: BEGIN,
        reply_to: None,
        ask_id: None,
        urgent: false,
    }
}

fn acks(raw: &Raw, mesh: &Mesh) -> BTreeMap<String, Outcome> {
    let frames = raw.heard(mesh).frames.iter();
    let acks = frames.filter_map(|frame| match frame {
        Frame::Ack(ack) => Some((ack.msg_id.clone(), ack.outcome.clone())),
        _ => None,
    });
    acks.collect()
}

fn entry(name: &str, epoch: u64, version: u64) -> DirectoryEntry {
    DirectoryEntry {
        pairing: Vec::new(),
        rendezvous: Vec::new(),
        hub_id: name.parse().unwrap(),
        epoch,
        version,
        addresses: Vec::new(),
        sessions: BTreeMap::new(),
    }
}

/// One frame of every kind that has its place behind the hello, as large as sense allows.
fn large_frames(peer: &PeerId) -> Vec<Frame> {
    let ids: Vec<String> = (0..5_000).map(|n| format!("m-{n}")).collect();
    let version = |n: u64| EntryVersion {
        peer: peer.clone(),
        epoch: u64::MAX - n,
        version: u64::MAX,
    };
    let junk = Signed {
        by: peer.clone(),
        payload: Bytes(vec![0; 64]),
        signature: Bytes(vec![0; 64]),
    };
    let published = Published {
        epoch: u64::MAX,
        seq: u64::MAX,
    };
    let author = GroupVersion {
        author: peer.clone(),
        changes: u64::MAX,
        texts: u64::MAX,
    };
    let delta = DirectoryDelta {
        epoch: u64::MAX,
        base: 0,
        version: u64::MAX,
        changed: BTreeMap::new(),
        gone: vec!["ann".parse().unwrap(); 5_000],
        signature: Bytes(vec![0; 64]),
    };
    vec![
        Frame::Sync(Sync {
            roster: vec![Bytes(vec![7; 16]); 20_000],
            directory: (0..20_000).map(version).collect(),
            published,
            whole: true,
        }),
        Frame::Query(Query { msg_ids: ids }),
        Frame::Delta(delta),
        Frame::Want(vec![peer.clone(); 20_000]),
        Frame::Roster(vec![junk.clone(); 5_000]),
        Frame::Entry(junk.clone()),
        Frame::Published(published),
        Frame::Fill(Fill {
            epoch: u64::MAX,
            seqs: (0..50_000).collect(),
        }),
        Frame::Publications(Publications {
            epoch: u64::MAX,
            items: Vec::new(),
            gone: (0..50_000).collect(),
        }),
        Frame::GroupVersions(GroupVersions {
            group: "g".repeat(10_000),
            authors: vec![author; 5_000],
        }),
        Frame::GroupOps(GroupOps {
            group: "g".into(),
            ops: vec![junk; 5_000],
            kept: Vec::new(),
            more: true,
        }),
        Frame::Ack(Ack {
            msg_id: "x".repeat(100_000),
            outcome: Outcome::Stored {
                state: DeliveryState::Read,
                detail: Some("y".repeat(100_000)),
                pushed: true,
            },
        }),
        Frame::Receipt(Receipt {
            msg_id: "x".repeat(100_000),
            state: DeliveryState::Read,
            ts: u64::MAX,
            detail: Some("y".repeat(100_000)),
        }),
    ]
}

#[test]
fn nobody_gets_in_without_a_place_on_the_roster() {
    let (mut mesh, ann, ben) = pair();
    let root = mesh.machines[0].peer.clone();
    let (honest, stranger) = (PlainKeys::numbered(1), PlainKeys::numbered(20));
    let raw = Raw::open(&mut mesh, 0, RAW);
    let admission = |root: &PeerId, subject: &PeerId| Admission {
        root: root.clone(),
        subject: subject.clone(),
        ts: BEGIN,
        revoked: false,
        ticket: None,
        keeps: Vec::new(),
    };
    raw.drop_link(&mut mesh);
    let chains = [
        vec![],
        // By nobody the mesh knows, of another mesh, by itself.
        vec![sign(&stranger, &admission(&root, &raw.peer()))],
        vec![sign(&honest, &admission(stranger.peer_id(), &raw.peer()))],
        vec![sign(&raw.keys, &admission(&root, &raw.peer()))],
    ];
    for admissions in chains {
        let raw = Raw::open(&mut mesh, 0, RAW);
        let hello = ecorelay_protocol::link::Hello {
            admissions,
            ..raw.hello(&mesh, "raw")
        };
        raw.send(&mut mesh, &Frame::Hello(Box::new(hello)));
        assert!(raw.is_closed(&mesh));
        assert_eq!(refusal(&raw, &mesh), Some(RefuseCode::NotAdmitted));
        raw.drop_link(&mut mesh);
    }
    // What one hub signed, said to be of another.
    let raw = Raw::open(&mut mesh, 0, RAW);
    let mut hello = raw.hello(&mesh, "raw");
    hello.admissions = vec![Signed {
        by: root.clone(),
        ..sign(&stranger, &admission(&root, &raw.peer()))
    }];
    raw.send(&mut mesh, &Frame::Hello(Box::new(hello)));
    assert!(raw.is_closed(&mesh));
    raw.drop_link(&mut mesh);
    assert_eq!(mesh.status(0)["hubs"].as_array().unwrap().len(), 1);
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn a_name_belongs_to_the_key_that_had_it_first() {
    let (mut mesh, ann, ben) = pair();
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    // Another hub's name, and this hub's own, in a hello.
    for name in ["hub1", "hub0"] {
        let thief = Raw::open(&mut mesh, 0, RAW + 1);
        let hello = thief.hello(&mesh, name);
        thief.send(&mut mesh, &Frame::Hello(Box::new(hello)));
        assert!(thief.is_closed(&mesh));
        assert_eq!(refusal(&thief, &mesh), Some(RefuseCode::HubIdTaken));
        thief.drop_link(&mut mesh);
    }
    assert_eq!(warnings(&mut mesh, "hub_id_taken").len(), 1);
    // A name that another key has signed.
    let thief = Raw::open(&mut mesh, 0, RAW + 1);
    let mut hello = thief.hello(&mesh, "other");
    let binding = Binding {
        hub_id: "other".parse().unwrap(),
        since: 1,
    };
    hello.binding = sign(&PlainKeys::numbered(2), &binding);
    thief.send(&mut mesh, &Frame::Hello(Box::new(hello)));
    assert!(thief.is_closed(&mesh));
    // A member cannot take one over in its directory entry either.
    let lie = sign(&raw.keys, &entry("hub1", 5, 5));
    raw.send(&mut mesh, &Frame::Entry(lie));
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn the_directory_takes_no_old_and_no_forged_entries() {
    let (mut mesh, ann, ben) = pair();
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    let wanted = vec![mesh.machines[1].peer.clone()];
    raw.send(&mut mesh, &Frame::Want(wanted));
    let old = raw
        .heard(&mesh)
        .frames
        .iter()
        .find_map(|frame| match frame {
            Frame::Entry(signed) if signed.by == mesh.machines[1].peer => Some(signed.clone()),
            _ => None,
        });
    let old = old.expect("the other hub's entry");
    let cat = mesh.session(1, "cat");
    mesh.pass(1_000);
    raw.send(&mut mesh, &Frame::Entry(old.clone()));
    assert!(mesh.peers(ann).contains(&"cat@hub1".to_owned()));
    mesh.leave(cat);
    assert!(!raw.is_closed(&mesh));
    let forged = Signed {
        by: old.by,
        ..sign(&raw.keys, &entry("hub1", u64::MAX, u64::MAX))
    };
    raw.send(&mut mesh, &Frame::Entry(forged));
    assert!(raw.is_closed(&mesh));
    assert_eq!(warnings(&mut mesh, "bad_frame").len(), 1);
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn frames_before_the_hello_and_a_second_hello_close_the_link() {
    let (mut mesh, ann, ben) = pair();
    let peer = mesh.machines[1].peer.clone();
    for frame in large_frames(&peer) {
        let raw = Raw::open(&mut mesh, 0, RAW);
        raw.send(&mut mesh, &frame);
        assert!(
            raw.is_closed(&mesh),
            "{}",
            crate::mesh_world::kind_of(&frame)
        );
        raw.send(&mut mesh, &frame);
        raw.drop_link(&mut mesh);
    }
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    let hello = raw.hello(&mesh, "raw");
    raw.send(&mut mesh, &Frame::Hello(Box::new(hello)));
    assert!(raw.is_closed(&mesh));
    assert_eq!(
        warnings(&mut mesh, "bad_frame").len(),
        1,
        "said once per hub"
    );
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn a_member_that_floods_gets_little_and_leaves_little() {
    let (mut mesh, ann, ben) = pair();
    let peer = mesh.machines[1].peer.clone();
    let mut raw = Raw::member(&mut mesh, 0, RAW, "raw");
    let rows = mesh.machines[0].store.rows();
    for frame in large_frames(&peer) {
        let before = raw.heard(&mesh).bytes;
        for _ in 0..10 {
            raw.send(&mut mesh, &frame);
        }
        let sent = raw.heard(&mesh).bytes - before;
        assert!(
            sent < 4_000_000,
            "{} bytes for {}",
            sent,
            crate::mesh_world::kind_of(&frame)
        );
        if raw.is_closed(&mesh) {
            raw.drop_link(&mut mesh);
            raw = Raw::member(&mut mesh, 0, RAW, "raw");
        }
    }
    mesh.pass(60_000);
    let more = mesh.machines[0].store.rows() - rows;
    assert!(more < 20, "{more} rows more");
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn a_flood_of_messages_ends_at_the_recipients_limits() {
    let (mut mesh, ann, ben) = pair();
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    for n in 0..3_000 {
        let to = format!("nobody{n}");
        let frame = Frame::Message(Box::new(message(&format!("m-{n}"), &to)));
        raw.send(&mut mesh, &frame);
    }
    let acks = acks(&raw, &mesh);
    assert_eq!(acks.len(), 3_000, "each is answered");
    let stored = acks
        .values()
        .filter(|o| matches!(o, Outcome::Stored { .. }));
    assert!(stored.count() <= ecorelay_protocol::limits::UNKNOWN_NAMES);
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn only_messages_and_replies_come_as_direct_messages() {
    let (mut mesh, ann, ben) = pair();
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    let kinds = [
        MessageKind::System,
        MessageKind::Ask,
        MessageKind::Room,
        MessageKind::Group,
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        let frame = DirectMessage {
            kind,
            ..message(&format!("k-{n}"), "ann")
        };
        raw.send(&mut mesh, &Frame::Message(Box::new(frame)));
    }
    let ids = DirectMessage {
        reply_to: Some("a\nb".into()),
        ..message("k-9", "ann")
    };
    raw.send(&mut mesh, &Frame::Message(Box::new(ids)));
    for (id, outcome) in acks(&raw, &mesh) {
        assert!(matches!(outcome, Outcome::Refused(_)), "{id}: {outcome:?}");
    }
    assert_eq!(acks(&raw, &mesh).len(), 5);
    // A name is written by the hub that has the link, whatever it says.
    raw.send(&mut mesh, &Frame::Message(Box::new(message("k-10", "ann"))));
    let came = mesh.take_type(ann, "incoming_message");
    assert_eq!(came[0]["from"], "eve@raw", "{came:?}");
    assert_eq!(came.len(), 1);
    // An id that is none cannot even be answered, an address is no name.
    let control = message("a\u{1b}[2J", "ann");
    raw.send(&mut mesh, &Frame::Message(Box::new(control)));
    assert!(raw.is_closed(&mesh));
    let text = serde_json::to_value(message("k-11", "ann")).unwrap();
    for (key, value) in [("from", "ann@hub1"), ("to", "ann@hub0"), ("from", "a b")] {
        let raw = Raw::member(&mut mesh, 0, RAW + 1, "raw2");
        let mut body = text.clone();
        body[key] = json!(value);
        raw.send_bytes(&mut mesh, &to_cbor(&(4_u64, body)));
        assert!(raw.is_closed(&mesh), "{key} {value}");
        raw.drop_link(&mut mesh);
    }
    mesh.inbox(ann);
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn word_of_messages_it_never_got_counts_for_nothing() {
    let (mut mesh, ann, ben) = pair();
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    let (one, two) = (mesh.net.sides.clone(), vec![0, 1]);
    mesh.partition(two);
    mesh.pass(20_000);
    let sent = mesh.ask(ann, json!({"type":"send","to":"ben@hub1","text":"for ben"}));
    let id = sent["msg_id"].as_str().unwrap().to_owned();
    assert_eq!(sent["state"], "outbox", "{sent}");
    let outcome = Outcome::Stored {
        state: DeliveryState::Delivered,
        detail: None,
        pushed: false,
    };
    let msg_id = id.clone();
    raw.send(&mut mesh, &Frame::Ack(Ack { msg_id, outcome }));
    raw.send(
        &mut mesh,
        &Frame::Receipt(Receipt {
            msg_id: id.clone(),
            state: DeliveryState::Read,
            ts: 1,
            detail: None,
        }),
    );
    let why = mesh.ask(ann, json!({"type":"why","msg_id":id}));
    assert_eq!(why["trace"]["state"], "outbox", "{why}");
    // Nor does it learn what became of others' messages.
    let before = raw.heard(&mesh).frames.len();
    let msg_ids = vec![id];
    raw.send(&mut mesh, &Frame::Query(Query { msg_ids }));
    assert_eq!(raw.heard(&mesh).frames.len(), before);
    mesh.partition(one);
    mesh.pass(60_000);
    assert_eq!(mesh.inbox(ben), ["for ben"]);
}

#[test]
fn a_revoked_hub_is_out_at_once_and_stays_out() {
    let (mut mesh, ann, ben) = pair();
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    let other = Raw::member(&mut mesh, 0, RAW + 1, "raw2");
    let revocation = Admission {
        root: PlainKeys::numbered(1).peer_id().clone(),
        subject: raw.peer(),
        ts: BEGIN,
        revoked: true,
        ticket: None,
        keeps: Vec::new(),
    };
    let entry = sign(&other.keys, &revocation);
    other.send(&mut mesh, &Frame::Roster(vec![entry]));
    assert!(raw.is_closed(&mesh) && !other.is_closed(&mesh));
    raw.drop_link(&mut mesh);
    // Not even with a new admission.
    let again = Raw::open(&mut mesh, 0, RAW);
    let mut hello = again.hello(&mesh, "raw");
    hello.admissions = vec![again.admission(&mesh)];
    again.send(&mut mesh, &Frame::Hello(Box::new(hello)));
    assert!(again.is_closed(&mesh));
    assert_eq!(refusal(&again, &mesh), Some(RefuseCode::Revoked));
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn a_clock_years_off_is_told_and_does_no_harm() {
    let (mut mesh, ann, ben) = pair();
    for (n, now) in [(0, 0), (1, u64::MAX)] {
        let raw = Raw::open(&mut mesh, 0, RAW + n);
        let mut hello = raw.hello(&mesh, &format!("raw{n}"));
        hello.now = now;
        hello.epoch = now;
        hello.admissions = vec![raw.admission(&mesh)];
        raw.send(&mut mesh, &Frame::Hello(Box::new(hello)));
        assert!(!raw.is_closed(&mesh));
        let odd = DirectMessage {
            ts: now,
            ..message(&format!("c-{n}"), "ann")
        };
        raw.send(&mut mesh, &Frame::Message(Box::new(odd)));
        assert_eq!(warnings(&mut mesh, "clock_skew").len(), 1 + usize::from(n));
    }
    let years = mesh.take_type(ann, "incoming_message");
    assert_eq!(years.len(), 2);
    for message in years {
        let ts = message["ts"].as_str().unwrap();
        assert!(ts.starts_with("2026") || ts.starts_with("2027"), "{ts}");
    }
    mesh.inbox(ann);
    others_are_well(&mut mesh, ann, ben);
}

#[test]
fn what_is_no_frame_closes_the_link() {
    let (mut mesh, ann, ben) = pair();
    let too_long = vec![0; ecorelay_protocol::limits::FRAME_BYTES + 1];
    for bytes in [
        &b""[..],
        b"\x00",
        b"\x82\x04",
        b"{\"type\":\"send\"}",
        &too_long,
    ] {
        let raw = Raw::member(&mut mesh, 0, RAW, "raw");
        raw.send_bytes(&mut mesh, bytes);
        assert!(raw.is_closed(&mesh));
        raw.drop_link(&mut mesh);
    }
    assert_eq!(warnings(&mut mesh, "bad_frame").len(), 1);
    // What is newer than this hub is skipped.
    let raw = Raw::member(&mut mesh, 0, RAW, "raw");
    raw.send_bytes(&mut mesh, &to_cbor(&(99_u64, json!({"new": true}))));
    raw.gossip(&mut mesh, b"\xff\xff");
    assert!(!raw.is_closed(&mesh));
    others_are_well(&mut mesh, ann, ben);
}
