#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::manual_is_multiple_of)] // `n % 3 == 0` beside `n % 3` reads better

use super::*;
use ecorelay_hub::{
    AskRow, Asker, GroupChangeRow, GroupEntryRow, GroupHubRow, GroupId, GroupRow, HubRow,
    MailboxId, MailboxRow, Member, MemberRow, MemoryStore, MeshRow, MessageKey, MessageRow, OpId,
    OutgoingRow, Proof, Pushed, Store, TicketRow, Write,
};
use ecorelay_protocol::link::{RendezvousEntry, Signed};
use ecorelay_protocol::{
    Address, Bytes, DeliveryState, GroupEntryType, HubPolicy, MessageKind, PeerId, Psk, PushResult,
};
use proptest::prelude::*;
use std::path::PathBuf;

fn address(n: u8) -> Address {
    ["a", "b", "a@desk", "b@desk"][usize::from(n % 4)]
        .parse()
        .unwrap()
}

fn message(key: MessageKey, id: usize, n: u8) -> MessageRow {
    MessageRow {
        key,
        msg_id: format!("m-{id}"),
        kind: [
            MessageKind::Message,
            MessageKind::Reply,
            MessageKind::System,
        ][usize::from(n % 3)],
        from: address(n),
        to: address(n / 4),
        text: "é".repeat(usize::from(n) % 40),
        reply_to: (n % 2 == 0).then(|| format!("m-{}", id / 2)),
        ask_id: (n % 5 == 0).then(|| "ask".into()),
        group: (n % 7 == 0).then(|| "g".parse().unwrap()),
        ts: 1_000 + u64::from(n),
        urgent: n % 2 == 1,
        pushed: (n % 11 == 0).then(|| pushed(n)),
        read: (n % 13 == 0).then_some(7),
        answered: (n % 17 == 0).then(|| (9, "m-0".into())),
    }
}

fn pushed(n: u8) -> Pushed {
    Pushed {
        ts: n.into(),
        result: [PushResult::Handed, PushResult::Refused, PushResult::Unknown]
            [usize::from(n / 11 % 3)],
        path: "path".into(),
        detail: (n % 2 == 0).then(|| "why".into()),
    }
}

fn peer(n: u8) -> PeerId {
    let last = ["a", "b", "A", "Z"][usize::from(n % 4)];
    format!("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S{last}")
        .parse()
        .unwrap()
}

fn signed(n: u8) -> Signed {
    Signed {
        by: peer(n / 3),
        payload: Bytes(vec![n; usize::from(n % 9)]),
        signature: Bytes(vec![0xff, n]),
    }
}

fn state(n: u8) -> DeliveryState {
    [
        DeliveryState::Outbox,
        DeliveryState::Stored,
        DeliveryState::Delivered,
        DeliveryState::Unknown,
        DeliveryState::Read,
    ][usize::from(n % 5)]
}

fn outgoing(peer: PeerId, seq: u64, id: usize, n: u8) -> OutgoingRow {
    OutgoingRow {
        msg_id: format!("o-{id}"),
        peer,
        seq,
        kind: MessageKind::Reply,
        from: ["a", "b"][usize::from(n % 2)].parse().unwrap(),
        to: address(n / 4),
        text: "é".repeat(usize::from(n) % 40),
        reply_to: (n % 2 == 0).then(|| format!("m-{}", id / 2)),
        ask_id: (n % 5 == 0).then(|| "ask".into()),
        ts: 1_000 + u64::from(n),
        urgent: n % 2 == 1,
        acked: None,
        state: DeliveryState::Outbox,
        state_ts: n.into(),
        detail: (n % 3 == 0).then(|| "why".into()),
        refused: false,
    }
}

/// One step of a random history; numbers are brought into range when it is carried out.
#[derive(Debug, Clone)]
enum Step {
    PutMailbox(u8, u8),
    DeleteMailbox(u8),
    Append(u8, u8),
    Pushed(u8, u8, u8),
    Read(u8, Vec<u8>, u8),
    Answered(u8, u8, u8),
    EvictRead(u8, u8),
    EvictHanded(u8, u8),
    Move(u8, u8),
    RenameAuthor(u8, u8),
    ForgetGone(u8),
    PutAsk(u8, u8),
    DeleteAsk(u8),
    PutGroup(u8, u8),
    DeleteGroup(u8),
    PutMember(u8, u8),
    DeleteMember(u8, u8),
    PutGroupHub(u8, u8),
    AppendChange(u8, u8),
    AppendEntry(u8, u8),
    SetEntry(u8, u8),
    RenameGroupAuthor(u8, u8),
    DeleteEntries(u8, u8),
    PutMesh(u8),
    PutHub(u8, u8),
    DeleteHub(u8),
    PutRoster(u8, u8),
    DeleteRoster(u8, u8),
    ClearRoster,
    PutTicket(u8, u8),
    DeleteTicket(u8),
    SetJoining(u8),
    SetRendezvous(u8),
    AppendOutgoing(u8, u8),
    MarkOutgoing(u8, u8),
    ForgetOutgoing(u8),
    Commit,
    Rollback,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let n = any::<u8>;
    prop_oneof![
        2 => (n(), n()).prop_map(|(a, b)| PutMailbox(a, b)),
        1 => n().prop_map(DeleteMailbox),
        12 => (n(), n()).prop_map(|(a, b)| Append(a, b)),
        4 => (n(), n(), n()).prop_map(|(a, b, c)| Pushed(a, b, c)),
        4 => (n(), proptest::collection::vec(n(), 0..5), n()).prop_map(|(a, b, c)| Read(a, b, c)),
        1 => (n(), n(), n()).prop_map(|(a, b, c)| Answered(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| EvictRead(a, b)),
        2 => (n(), n()).prop_map(|(a, b)| EvictHanded(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| Move(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| RenameAuthor(a, b)),
        1 => n().prop_map(ForgetGone),
        1 => (n(), n()).prop_map(|(a, b)| PutAsk(a, b)),
        1 => n().prop_map(DeleteAsk),
        2 => (n(), n()).prop_map(|(a, b)| PutGroup(a, b)),
        1 => n().prop_map(DeleteGroup),
        2 => (n(), n()).prop_map(|(a, b)| PutMember(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| DeleteMember(a, b)),
        4 => (n(), n()).prop_map(|(a, b)| AppendEntry(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| PutGroupHub(a, b)),
        2 => (n(), n()).prop_map(|(a, b)| AppendChange(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| SetEntry(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| RenameGroupAuthor(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| DeleteEntries(a, b)),
        1 => n().prop_map(PutMesh),
        2 => (n(), n()).prop_map(|(a, b)| PutHub(a, b)),
        1 => n().prop_map(DeleteHub),
        2 => (n(), n()).prop_map(|(a, b)| PutRoster(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| DeleteRoster(a, b)),
        1 => Just(ClearRoster),
        2 => (n(), n()).prop_map(|(a, b)| PutTicket(a, b)),
        1 => n().prop_map(DeleteTicket),
        1 => n().prop_map(SetJoining),
        1 => n().prop_map(SetRendezvous),
        8 => (n(), n()).prop_map(|(a, b)| AppendOutgoing(a, b)),
        8 => (n(), n()).prop_map(|(a, b)| MarkOutgoing(a, b)),
        1 => n().prop_map(ForgetOutgoing),
        3 => Just(Commit),
        1 => Just(Rollback),
    ]
}

fn mailbox(n: u8) -> MailboxId {
    MailboxId(u32::from(n % 3) + 1)
}

fn key(m: u8, n: u8) -> MessageKey {
    MessageKey {
        mailbox: mailbox(m),
        seq: u32::from(n % 30) + 1,
    }
}

fn member(n: u8) -> Member {
    Member {
        name: ["a", "b", "c"][usize::from(n % 3)].parse().unwrap(),
        hub: (n % 4 > 1).then(|| peer(n / 16)),
    }
}

fn group(n: u8) -> GroupId {
    GroupId(u32::from(n % 2) + 1)
}

/// Returns the write of a step, as a brain that keeps ids and keys new would make it.
fn write_of(step: &Step, reference: &mut MemoryStore, ids: &mut usize) -> Option<Write> {
    *ids += 1;
    let next_seq = |reference: &mut MemoryStore, mailbox| {
        let rows = reference.after(mailbox, 0, usize::MAX, usize::MAX).unwrap();
        rows.last().map_or(1, |m| m.key.seq + 1)
    };
    Some(match *step {
        Step::PutMailbox(m, n) => Write::PutMailbox(MailboxRow {
            id: mailbox(m),
            name: format!("n{n}").parse().unwrap(),
            created: n.into(),
            owned: (n % 2 == 0).then_some(3),
            last_seen: n.into(),
            renamed_to: (n % 3 == 0).then(|| "new".parse().unwrap()),
        }),
        Step::DeleteMailbox(m) => Write::DeleteMailbox {
            id: mailbox(m),
            ts: 50,
        },
        Step::Append(m, n) => {
            let key = MessageKey {
                mailbox: mailbox(m),
                seq: next_seq(reference, mailbox(m)),
            };
            Write::AppendMessage(Box::new(message(key, *ids, n)))
        }
        Step::Pushed(m, k, n) => Write::MarkPushed {
            key: key(m, k),
            pushed: pushed(n),
        },
        Step::Read(m, ref keys, ts) => Write::MarkRead {
            keys: keys.iter().map(|k| key(m, *k)).collect(),
            ts: ts.into(),
        },
        Step::Answered(m, k, n) => Write::MarkAnswered {
            key: key(m, k),
            ts: n.into(),
            by: format!("m-{n}"),
        },
        Step::EvictRead(m, n) => Write::EvictRead {
            mailbox: mailbox(m),
            count: usize::from(n % 4),
            ts: n.into(),
        },
        Step::EvictHanded(m, n) => Write::EvictHanded {
            mailbox: mailbox(m),
            count: usize::from(n % 4),
            ts: n.into(),
        },
        Step::Move(from, to) if mailbox(from) != mailbox(to) => Write::MoveMessages {
            from: mailbox(from),
            to: mailbox(to),
            first_seq: next_seq(reference, mailbox(to)),
        },
        Step::RenameAuthor(old, new) => Write::RenameAuthor {
            old: address(old),
            new: address(new),
        },
        Step::ForgetGone(n) => Write::ForgetGone { before: n.into() },
        Step::PutAsk(a, n) => Write::PutAsk(AskRow {
            broadcast_id: format!("b{}", a % 4),
            asker: if n % 3 == 0 {
                Asker::Remote {
                    peer: peer(n),
                    name: "a".parse().unwrap(),
                    broadcast_id: format!("r{n}"),
                }
            } else {
                Asker::Mailbox(mailbox(n))
            },
            ts: n.into(),
        }),
        Step::DeleteAsk(a) => Write::DeleteAsk {
            broadcast_id: format!("b{}", a % 4),
        },
        Step::PutGroup(g, n) => Write::PutGroup(GroupRow {
            id: group(g),
            uid: format!("u{n}"),
            name: "g".parse().unwrap(),
            admin: member(n),
            created: n.into(),
            trimmed: u64::from(n % 5),
            top: u64::from(n % 7),
            deleted: (n % 9 == 0).then_some(n.into()),
        }),
        Step::DeleteGroup(g) if g < 200 => Write::DeleteGroup(group(g)),
        Step::DeleteGroup(g) => Write::ClearGroup(group(g)),
        Step::PutMember(g, n) => Write::PutMember {
            group: group(g),
            member: MemberRow {
                member: member(n),
                last_read: u64::from(n / 4),
                joined: n.into(),
            },
        },
        Step::DeleteMember(g, n) => Write::DeleteMember {
            group: group(g),
            member: member(n),
        },
        Step::PutGroupHub(g, n) => Write::PutGroupHub {
            group: group(g),
            hub: GroupHubRow {
                hub: member(n).hub,
                texts: n.into(),
            },
        },
        Step::AppendChange(g, n) => Write::AppendGroupChange(Box::new(GroupChangeRow {
            group: group(g),
            author: member(n).hub,
            seq: *ids as u64,
            payload: Bytes(vec![n; usize::from(n % 30)]),
            signature: Bytes(vec![n; usize::from(n % 3)]),
        })),
        Step::AppendEntry(g, n) => Write::AppendGroupEntry(Box::new(GroupEntryRow {
            group: group(g),
            id: *ids as u64,
            op: OpId {
                lamport: n.into(),
                author: member(n).hub,
                change: n % 3 == 0,
                seq: 1_000 - *ids as u64,
            },
            msg_id: format!("g-{ids}"),
            ts: n.into(),
            wrote: member(n / 2).name,
            from: member(n),
            entry_type: if n % 3 == 0 {
                GroupEntryType::System
            } else {
                GroupEntryType::Message
            },
            old: n % 5 == 0,
            void: n % 7 == 0,
            proof: (n % 4 != 0).then(|| Proof {
                head: Bytes(vec![0xa5, n]),
                signature: Bytes(vec![n; usize::from(n % 2)]),
            }),
            text: "x".repeat(usize::from(n) % 20),
        })),
        Step::SetEntry(g, n) => {
            let places = reference.group_places(group(g)).unwrap();
            let entry = places.get(usize::from(n) % places.len().max(1))?;
            Write::SetGroupEntry {
                group: group(g),
                id: entry.id,
                new_id: if n % 2 == 0 { entry.id } else { *ids as u64 },
                from: member(n / 3),
                void: n % 5 == 0,
            }
        }
        Step::RenameGroupAuthor(g, n) => Write::RenameGroupAuthor {
            group: group(g),
            old: member(n),
            new: member(n / 4),
        },
        Step::DeleteEntries(g, n) => {
            let places = reference.group_places(group(g)).unwrap();
            let ids = places
                .iter()
                .map(|e| e.id)
                .filter(|id| id % 4 == u64::from(n % 4));
            Write::DeleteGroupEntries {
                group: group(g),
                ids: ids.collect(),
            }
        }
        Step::PutMesh(n) => Write::PutMesh(Box::new(MeshRow {
            root: peer(n),
            psk: Psk::new([n; 32]),
            since: n.into(),
            hub_id: "desk".parse().unwrap(),
            epoch: u64::from(n) + 1,
            addresses: (0..n % 3)
                .map(|i| format!("/ip4/10.0.0.{i}/tcp/4001"))
                .collect(),
            generation: u64::from(n / 2),
            rekey: (n % 4 == 0).then(|| signed(n)),
            former_keys: (0..n % 5).map(|i| Psk::new([i; 32])).collect(),
            merged: (0..n % 3).map(peer).collect(),
            hints: (0..n % 2)
                .map(|i| (peer(i), vec!["/ip4/10.0.0.9/tcp/1".into()]))
                .collect(),
        })),
        Step::PutHub(p, n) => Write::PutHub(Box::new(HubRow {
            peer: peer(p),
            hub_id: ["desk", "lap"][usize::from(n % 2)].parse().unwrap(),
            since: n.into(),
            epoch: u64::from(n) * 3,
            entry: (n % 3 > 0).then(|| signed(n)),
            last_seen: n.into(),
            label: (n % 2 == 0).then(|| format!("label {n}")),
            policy: [HubPolicy::Normal, HubPolicy::NotUrgent, HubPolicy::Quiet][usize::from(n % 3)],
        })),
        Step::DeleteHub(p) => Write::DeleteHub(peer(p)),
        Step::PutRoster(p, n) => Write::PutRoster {
            subject: peer(p),
            revoked: n % 3 == 0,
            entry: Box::new(signed(n)),
        },
        Step::DeleteRoster(p, n) => Write::DeleteRoster {
            subject: peer(p),
            revoked: n % 3 == 0,
            by: signed(n).by,
        },
        Step::ClearRoster => Write::ClearRoster,
        Step::PutTicket(p, n) => Write::PutTicket(Box::new(TicketRow {
            id: Bytes(vec![p; 16]),
            record: signed(n),
            handed: (0..n % 3).map(peer).collect(),
        })),
        Step::DeleteTicket(p) => Write::DeleteTicket(Bytes(vec![p; 16])),
        Step::SetJoining(n) => Write::SetJoining((n % 3 > 0).then(|| format!("ticket {n}"))),
        Step::SetRendezvous(n) => Write::SetRendezvous(
            (0..n % 4)
                .map(|i| RendezvousEntry {
                    address: format!("/dns4/r{i}.example/tcp/4001/p2p/{}", peer(i)),
                    ts: n.into(),
                    removed: i % 2 == 1,
                })
                .collect(),
        ),
        Step::AppendOutgoing(p, n) => {
            let loaded = reference.load().unwrap().outboxes;
            let outbox = loaded.iter().find(|outbox| outbox.peer == peer(p));
            let seq = outbox.map_or(1, |outbox| outbox.last_seq + 1);
            Write::AppendOutgoing(Box::new(outgoing(peer(p), seq, *ids, n)))
        }
        Step::MarkOutgoing(id, n) => Write::MarkOutgoing {
            msg_id: format!("o-{}", usize::from(id) % *ids),
            acked: (n % 3 > 0).then(|| n.into()),
            state: state(n),
            ts: n.into(),
            detail: (n % 2 == 0).then(|| "detail".into()),
            refused: n % 7 == 0,
        },
        Step::ForgetOutgoing(n) => Write::ForgetOutgoing { before: n.into() },
        Step::Move(..) | Step::Commit | Step::Rollback => return None,
    })
}

fn assert_same(a: &mut impl Store, b: &mut impl Store, ids: usize) {
    assert_eq!(a.load().unwrap(), b.load().unwrap());
    for id in 0..=ids {
        for prefix in ["m", "g", "o"] {
            let id = format!("{prefix}-{id}");
            assert_eq!(a.find(&id).unwrap(), b.find(&id).unwrap());
        }
    }
    for n in 0..4 {
        let p = peer(n);
        for (limit, bytes) in [(usize::MAX, usize::MAX), (3, 60), (100, 90), (5, 0), (0, 9)] {
            for after in [0, 2, 9, u64::MAX] {
                let x = a.outbox(&p, after, limit, bytes).unwrap();
                assert_eq!(x, b.outbox(&p, after, limit, bytes).unwrap());
            }
            let x = a.unsettled(&p, limit).unwrap();
            assert_eq!(x, b.unsettled(&p, limit).unwrap());
        }
    }
    for n in 0..3 {
        let m = mailbox(n);
        for (limit, bytes) in [(usize::MAX, usize::MAX), (3, 60), (100, 90), (5, 0), (0, 9)] {
            assert_eq!(
                a.unread(m, limit, bytes).unwrap(),
                b.unread(m, limit, bytes).unwrap()
            );
            assert_eq!(
                a.unpushed(m, limit, bytes).unwrap(),
                b.unpushed(m, limit, bytes).unwrap()
            );
            for seq in [0, 2, 9, u32::MAX] {
                let (x, y) = (a.after(m, seq, limit, bytes), b.after(m, seq, limit, bytes));
                assert_eq!(x.unwrap(), y.unwrap());
                assert_eq!(
                    a.count_after(m, seq).unwrap(),
                    b.count_after(m, seq).unwrap()
                );
            }
            for after in [0, 3, u64::MAX] {
                let g = group(n);
                let x = a.group_entries(g, after, limit, bytes).unwrap();
                assert_eq!(x, b.group_entries(g, after, limit, bytes).unwrap());
                let x = a.count_group_entries(g, after, &member(n)).unwrap();
                assert_eq!(x, b.count_group_entries(g, after, &member(n)).unwrap());
                let author = member(n).hub;
                let x = a.group_texts(g, author.as_ref(), after, limit, bytes);
                let y = b.group_texts(g, author.as_ref(), after, limit, bytes);
                assert_eq!(x.unwrap(), y.unwrap());
                assert_eq!(a.group_places(g).unwrap(), b.group_places(g).unwrap());
                assert_eq!(a.group_changes(g).unwrap(), b.group_changes(g).unwrap());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn does_what_the_memory_store_does(steps in proptest::collection::vec(step(), 0..160)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.db");
        let mut store = SqliteStore::open(&path).unwrap();
        let mut reference = MemoryStore::default();
        let mut ids = 0;
        store.begin();
        for step in &steps {
            match step {
                Step::Commit => {
                    store.commit().unwrap();
                    reference.commit().unwrap();
                    store.begin();
                }
                Step::Rollback => {
                    store.rollback().unwrap();
                    reference.rollback();
                    store.begin();
                }
                step => if let Some(write) = write_of(step, &mut reference, &mut ids) {
                    let count = store.write(write.clone()).unwrap();
                    assert_eq!(count, reference.write(write).unwrap());
                },
            }
        }
        assert_same(&mut store, &mut reference, ids);
        // What a crash leaves is what was committed.
        drop(store);
        reference.rollback();
        let mut store = SqliteStore::open(&path).unwrap();
        assert_same(&mut store, &mut reference, ids);
        store.close().unwrap();
        assert!(!wal(&path).exists());
        assert_same(&mut SqliteStore::open(&path).unwrap(), &mut reference, ids);
    }
}

fn wal(path: &Path) -> PathBuf {
    path.with_file_name("relay.db-wal")
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay.db");
    (dir, path)
}

fn append(store: &mut SqliteStore, seq: u32, text: String) -> Result<usize, StoreError> {
    let key = MessageKey {
        mailbox: MailboxId(1),
        seq,
    };
    let row = MessageRow {
        text,
        ..message(key, seq as usize, 1)
    };
    store.write(Write::AppendMessage(Box::new(row)))
}

#[test]
fn durable_settings_are_in_force() {
    let (_dir, path) = fresh();
    let store = SqliteStore::open(&path).unwrap();
    let get = |name| {
        store
            .conn
            .pragma_query_value::<i64, _>(None, name, |row| row.get(0))
    };
    assert_eq!(get("synchronous").unwrap(), 2);
    assert_eq!(get("user_version").unwrap(), SCHEMA_VERSION);
    let mode: String = store
        .conn
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[cfg(unix)]
#[test]
fn the_files_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = fresh();
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    store.begin();
    append(&mut store, 1, "x".into()).unwrap();
    store.commit().unwrap();
    for file in [&path, &wal(&path)] {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn an_older_store_is_brought_up_to_date_and_keeps_its_mail() {
    let (_dir, path) = fresh();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(schema::MIGRATIONS[0]).unwrap();
    conn.execute_batch(
        "INSERT INTO messages (id, msg_id, kind, sender, recipient, ts, urgent, body)
             VALUES (4294967297, 'm-1', 0, 'a', 'b', 5, 0, 'old');
         INSERT INTO groups VALUES (3, 'u-1', 'g', 'a', 7), (4, 'u-2', 'h', 'x@desk', 8);
         INSERT INTO members VALUES (3, 'a', 0, 7), (3, 'b', 12, 7), (4, 'x@desk', 0, 8), (4, 'b', 0, 8);
         INSERT INTO group_entries VALUES
             ((3 << 32) + 11, 'g-11', 11, 'here', 11, 9, 0, 'a', 'first kept'),
             ((3 << 32) + 12, 'g-12', 12, 'here', 12, 9, 1, 'x@desk', 'x left');
         PRAGMA user_version = 1",
    )
    .unwrap();
    conn.pragma_update(None, "application_id", schema::APPLICATION_ID)
        .unwrap();
    conn.close().unwrap();

    let mut store = SqliteStore::open(&path).unwrap();
    let version = store
        .conn
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    assert_eq!(version.unwrap(), SCHEMA_VERSION);
    store.begin();
    let groups = store.load().unwrap().groups;
    let [g, h] = groups.as_slice() else {
        panic!("{groups:?}");
    };
    assert_eq!((g.row.trimmed, g.last_id, g.members.len()), (10, 12, 2));
    assert_eq!((h.row.trimmed, h.last_id, h.members.len()), (0, 0, 1));
    assert_eq!(h.row.admin, Member::local("b".parse().unwrap()));
    let entries = store.group_entries(GroupId(3), 0, 9, 999).unwrap();
    assert!(
        entries
            .iter()
            .all(|e| e.old && !e.void && e.op.author.is_none())
    );
    assert_eq!(entries[1].from.to_string(), "x-desk");
    let count = store.write(Write::DeleteMailbox {
        id: MailboxId(1),
        ts: 5,
    });
    assert_eq!(count.unwrap(), 1);
    store.commit().unwrap();
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let (_dir, path) = fresh();
    let store = SqliteStore::open(&path).unwrap();
    let newer = SCHEMA_VERSION + 1;
    store
        .conn
        .pragma_update(None, "user_version", newer)
        .unwrap();
    drop(store); // as a crash would: the version stands in the log only
    let files = || {
        (
            std::fs::read(&path).unwrap(),
            std::fs::read(wal(&path)).ok(),
        )
    };
    let before = files();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found, .. } if found == newer));
    assert!(error.to_string().contains("newer ecorelay"), "{error}");
    assert!(files() == before);
}

#[test]
fn a_damaged_store_is_refused_and_left_alone() {
    let (_dir, path) = fresh();
    for bytes in [
        b"this is not a database, whatever its name says".repeat(100),
        b"SQLite format 3\0".repeat(300),
        b"{}".to_vec(),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("move it away"), "{error}");
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}

#[test]
fn damage_inside_is_found_after_a_crash() {
    damage_inside_is_found(true);
}

#[test]
fn damage_inside_is_found_after_a_clean_end() {
    damage_inside_is_found(false);
}

fn damage_inside_is_found(crashed: bool) {
    let (_dir, path) = fresh();
    let mut store = SqliteStore::open(&path).unwrap();
    store.begin();
    for seq in 1..500 {
        append(&mut store, seq, "text ".repeat(60)).unwrap();
    }
    store.commit().unwrap();
    store
        .conn
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .unwrap();
    if crashed {
        drop(store);
    } else {
        store.close().unwrap();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(3).step_by(5) {
        page[..64].fill(0xA5);
    }
    std::fs::write(&path, &bytes).unwrap();
    if crashed {
        // The log still has the good pages: without it, the damage is what counts.
        std::fs::write(wal(&path), [0; 40]).unwrap();
    }
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_damaged_text_does_not_hide_the_others() {
    let (_dir, path) = fresh();
    let mut store = SqliteStore::open(&path).unwrap();
    for seq in 1..=2 {
        append(&mut store, seq, format!("text {seq}")).unwrap();
    }
    store
        .conn
        .execute_batch("UPDATE messages SET body = CAST(x'74ff74' AS TEXT) WHERE body = 'text 1'")
        .unwrap();
    let rows = store.unread(MailboxId(1), 10, 1_000).unwrap();
    let texts: Vec<_> = rows.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["t\u{fffd}t", "text 2"]);
}

#[test]
fn another_programs_database_is_refused() {
    let (_dir, path) = fresh();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[test]
fn a_folder_in_the_stores_place_is_refused() {
    let (_dir, path) = fresh();
    std::fs::create_dir(&path).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
}

#[test]
fn a_full_disk_refuses_and_keeps_what_was_committed() {
    let (_dir, path) = fresh();
    let mut store = SqliteStore::open(&path).unwrap();
    store.begin();
    append(&mut store, 1, "kept".into()).unwrap();
    store.commit().unwrap();
    let pages = pragma(&store, "page_count");
    store
        .conn
        .pragma_update(None, "max_page_count", pages + 1)
        .unwrap();
    store.begin();
    let error = (2..100)
        .find_map(|seq| append(&mut store, seq, "x".repeat(20_000)).err())
        .unwrap();
    assert_eq!(error, StoreError::Full);
    store.rollback().unwrap();
    store
        .conn
        .pragma_update(None, "max_page_count", pages + 1_000)
        .unwrap();
    store.begin();
    append(&mut store, 2, "after".into()).unwrap();
    store.commit().unwrap();
    let texts: Vec<_> = store.unread(MailboxId(1), 10, 1_000).unwrap();
    let texts: Vec<_> = texts.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["kept", "after"]);
}

fn pragma(store: &SqliteStore, name: &str) -> i64 {
    store
        .conn
        .pragma_query_value(None, name, |row| row.get(0))
        .unwrap()
}

#[test]
fn a_batch_that_does_nothing_begins_no_transaction() {
    let (_dir, path) = fresh();
    let mut store = SqliteStore::open(&path).unwrap();
    store.begin();
    assert!(store.conn.is_autocommit());
    assert_eq!(store.find("nothing").unwrap(), None);
    assert!(!store.conn.is_autocommit());
    store.commit().unwrap();
    assert!(store.conn.is_autocommit());
}
