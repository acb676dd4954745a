//! Servers that lie, talk nonsense or nothing: each is of no use, and does no harm.

use super::stub::{Opened, Stub, let_in, say};
use super::*;
use crate::mesh::names;
use ecorelay_hub::{LinkPath, ServerState};
use ecorelay_protocol::rendezvous::ToHub;
use ecorelay_protocol::{Bytes, limits};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use prost::Message;
use tokio::sync::mpsc;

/// An answer to a hub that asks for a place.
#[derive(Clone, PartialEq, Message)]
struct Place {
    #[prost(int32, optional, tag = "1")]
    kind: Option<i32>,
    #[prost(message, optional, tag = "3")]
    reservation: Option<Reservation>,
    #[prost(int32, optional, tag = "5")]
    status: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Reservation {
    #[prost(uint64, optional, tag = "1")]
    expire: Option<u64>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addrs: Vec<Vec<u8>>,
}

/// A hub, and another that it is linked to directly; the first also has a server.
async fn hubs(server: &Stub) -> (Body, LinkId, Body) {
    let ([a, b], psk) = (identities(), fresh_key());
    let mut a = Body::at_server(&a, &psk, true).await;
    let mut b = Body::at_server(&b, &psk, true).await;
    a.mesh.apply(MeshEffect::Hubs(MeshPeers {
        hubs: vec![
            (b.peer.clone(), vec![b.address.clone()]),
            (some_peer(), Vec::new()),
        ],
        rendezvous: vec![server.address.clone()],
        ..MeshPeers::default()
    }));
    let at_a = a.link_by(LinkPath::Direct).await;
    b.link_by(LinkPath::Direct).await;
    (a, at_a, b)
}

async fn opened(streams: &mut mpsc::Receiver<Opened>) -> Opened {
    timeout(SOON, streams.recv()).await.unwrap().unwrap()
}

/// Gives a hub a place until then.
async fn give_place(opened: &mut Opened, until: u64) {
    let place = Place {
        kind: Some(2),
        status: Some(100),
        reservation: Some(Reservation {
            expire: Some(until),
            addrs: vec![vec![0xff; 100]],
        }),
    };
    let mut question = [0; 3];
    opened.stream.read_exact(&mut question).await.unwrap();
    let answer = place.encode_length_delimited_to_vec();
    opened.stream.write_all(&answer).await.unwrap();
    opened.stream.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_for_too_many_years_and_hubs_of_other_meshes_are_survived() {
    let (server, mut streams) = Stub::silent().await;
    let (mut a, at_a, mut b) = hubs(&server).await;
    let mut talk = opened(&mut streams).await;
    let spaces = let_in(&mut talk).await;
    let mut place = opened(&mut streams).await;
    assert!(place.protocol.ends_with("/hop"));
    give_place(&mut place, u64::MAX).await;
    a.reserved(0).await;
    // Strangers, and a namespace of another mesh: nobody is dialled and nobody counts.
    let strangers: Vec<_> = (0..limits::HUBS).map(|_| some_peer()).collect();
    let spaces = [spaces[0].clone(), vec![7; 32], vec![]];
    for namespace in spaces {
        let mut peers = strangers.clone();
        peers[0] = b.peer.clone();
        let peers = if namespace.len() == 32 {
            peers
        } else {
            Vec::new()
        };
        let namespace = Bytes(namespace);
        say(&mut talk.stream, &ToHub::Present { namespace, peers }).await;
    }
    a.reserved(1).await;
    a.talk(at_a, &mut b).await;
    assert!(
        streams.try_recv().is_err(),
        "somebody is dialled through the server"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_ends_the_conversation_and_nothing_else() {
    let (server, mut streams) = Stub::silent().await;
    let (mut a, at_a, mut b) = hubs(&server).await;
    let too_many = ToHub::Present {
        namespace: Bytes(vec![1; 32]),
        peers: vec![some_peer(); limits::HUBS + 1],
    };
    // What fails in the same way again is not told again.
    let garbage: [&[u8]; 2] = [&[0xff; 64], &[0, 0, 0, 2, 0xff, 0xff]];
    for bytes in garbage {
        let mut talk = opened(&mut streams).await;
        let_in(&mut talk).await;
        let _place = opened(&mut streams).await;
        talk.stream.write_all(bytes).await.unwrap();
        talk.stream.flush().await.unwrap();
        let reason = a.server_failed().await;
        assert!(reason.contains("breaks its protocol"), "{reason}");
    }
    let mut talk = opened(&mut streams).await;
    let_in(&mut talk).await;
    let _place = opened(&mut streams).await;
    say(&mut talk.stream, &too_many).await;
    let reason = a.server_failed().await;
    assert!(reason.contains("too many hubs"), "{reason}");
    a.talk(at_a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_words_that_hurt_no_terminal() {
    let (server, mut streams) = Stub::silent().await;
    let (mut a, _, _b) = hubs(&server).await;
    let mut talk = opened(&mut streams).await;
    let refused = ToHub::Refused {
        code: "full\u{1b}[31m".into(),
        message: "come\u{202e} again".into(),
    };
    say(&mut talk.stream, &refused).await;
    let reason = a.server_failed().await;
    assert!(reason.contains("refuses this hub"), "{reason}");
    assert!(!reason.contains(['\u{1b}', '\u{202e}']), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_given_up() {
    let (server, mut streams) = Stub::silent().await;
    let ([a], psk) = (identities(), fresh_key());
    let mut a = Body::start_as(MeshConfig {
        identity: a,
        psk,
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        external: Vec::new(),
        mdns: false,
        punch: true,
        timing: Timing {
            server_ping: Duration::from_millis(100),
            server_dead: Duration::from_millis(500),
            ..short()
        },
    })
    .await;
    a.meet(&[], &[&server.address]);
    let mut talk = opened(&mut streams).await;
    let_in(&mut talk).await;
    let _place = opened(&mut streams).await;
    let reason = a.server_failed().await;
    assert!(reason.contains("nothing came"), "{reason}");
    // It is tried again.
    opened(&mut streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circuits_that_are_dropped_or_never_open_leave_the_hub_to_its_other_ways() {
    let (server, mut streams) = Stub::silent().await;
    let ([a, b], psk) = (identities(), fresh_key());
    let mut a = Body::at_server(&a, &psk, true).await;
    let mut b = Body::at_server(&b, &psk, true).await;
    a.meet(&[&b], &[&server.address]);
    let mut talk = opened(&mut streams).await;
    let spaces = let_in(&mut talk).await;
    let mut place = opened(&mut streams).await;
    give_place(&mut place, 0).await;
    let present = ToHub::Present {
        namespace: Bytes(spaces[0].clone()),
        peers: vec![b.peer.clone()],
    };
    say(&mut talk.stream, &present).await;
    for _ in 0..3 {
        // Dropped before it answers.
        let circuit = opened(&mut streams).await;
        assert!(circuit.protocol.ends_with("/hop"));
    }
    let _kept = opened(&mut streams).await;
    a.mesh.apply(MeshEffect::Hubs(MeshPeers {
        hubs: vec![(b.peer.clone(), vec![b.address.clone()])],
        rendezvous: vec![server.address.clone()],
        ..MeshPeers::default()
    }));
    let at_a = a.link_by(LinkPath::Direct).await;
    a.talk(at_a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_no_hub_even_when_it_is_listed_and_blocked_as_one() {
    let (server, mut streams) = Stub::silent().await;
    let ([a], psk) = (identities(), fresh_key());
    let mut a = Body::at_server(&a, &psk, true).await;
    let peer = names::text(&server.keypair.public().to_peer_id()).unwrap();
    a.mesh.apply(MeshEffect::Hubs(MeshPeers {
        hubs: vec![(peer.clone(), vec![server.address.clone()])],
        blocked: vec![peer],
        rendezvous: vec![server.address.clone()],
        ..MeshPeers::default()
    }));
    let mut talk = opened(&mut streams).await;
    let_in(&mut talk).await;
    let mut place = opened(&mut streams).await;
    give_place(&mut place, 0).await;
    loop {
        match a.next().await {
            MeshInput::LinkUp { .. } | MeshInput::DialFailed { .. } => {
                panic!("the server is taken for a hub")
            }
            MeshInput::Server {
                state: ServerState::Reserved { .. },
                ..
            } => return,
            _ => {}
        }
    }
}
