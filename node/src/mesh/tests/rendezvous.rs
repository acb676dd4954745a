//! Hubs that meet at a server, and go on directly where they can.

use super::stub::Stub;
use super::*;
use crate::mesh::names;
use ecorelay_hub::{LinkPath, PunchOutcome, ServerState};
use ecorelay_rendezvous::Server;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;

/// A server as people run it.
async fn real_server(identity: &ecorelay_rendezvous::Identity, listen: &str) -> Server {
    let config = ecorelay_rendezvous::Config {
        listen: vec![listen.parse().unwrap()],
        ..ecorelay_rendezvous::Config::local(identity.clone())
    };
    Server::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_dies_and_comes_back_while_hubs_are_relayed_and_while_they_are_direct() {
    let identity = ecorelay_rendezvous::Identity::generate();
    for punch in [false, true] {
        let server = real_server(&identity, LISTEN).await;
        let address = server.addresses()[0].clone();
        let ([a, b], psk) = (identities(), fresh_key());
        let mut a = Body::at_server(&a, &psk, punch).await;
        let mut b = Body::at_server(&b, &psk, punch).await;
        a.meet(&[&b], &[&address]);
        b.meet(&[&a], &[&address]);
        let mut at_a = a.link_by(LinkPath::Relayed).await;
        b.link_by(LinkPath::Relayed).await;
        if punch {
            at_a = a.link_by(LinkPath::Direct).await;
            b.link_by(LinkPath::Direct).await;
        }
        a.talk(at_a, &mut b).await;
        a.warm_up(&mut b).await;
        drop(server);
        if punch {
            a.server_failed().await;
            a.talk(at_a, &mut b).await;
        } else {
            a.link_down().await;
        }
        let (listen, _) = address.split_once("/p2p/").unwrap();
        let _server = real_server(&identity, listen).await;
        if punch {
            a.reserved(1).await;
        } else {
            at_a = a.link_by(LinkPath::Relayed).await;
        }
        a.talk(at_a, &mut b).await;
        a.warm_up(&mut b).await;
    }
}

const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

impl Body {
    pub(super) async fn at_server(identity: &Identity, psk: &Psk, punch: bool) -> Self {
        Self::start_as(MeshConfig {
            identity: identity.clone(),
            psk: psk.clone(),
            listen: vec![LISTEN.into()],
            external: Vec::new(),
            mdns: false,
            punch,
            timing: short(),
        })
        .await
    }

    /// Lists hubs without an address, and servers.
    pub(super) fn meet(&self, others: &[&Self], servers: &[&str]) {
        let hubs = others.iter().map(|other| (other.peer.clone(), Vec::new()));
        self.mesh.apply(MeshEffect::Hubs(MeshPeers {
            hubs: hubs.collect(),
            rendezvous: servers.iter().map(ToString::to_string).collect(),
            ..MeshPeers::default()
        }));
    }

    pub(super) async fn link_by(&mut self, wanted: LinkPath) -> LinkId {
        self.until(|input| match input {
            MeshInput::LinkUp { link, path, .. } if path == wanted => Some(link),
            _ => None,
        })
        .await
    }

    pub(super) async fn server_failed(&mut self) -> String {
        self.until(|input| match input {
            MeshInput::Server {
                state: ServerState::Failed { reason },
                ..
            } => Some(reason),
            _ => None,
        })
        .await
    }

    pub(super) async fn reserved(&mut self, wanted: usize) {
        self.until(|input| match input {
            MeshInput::Server {
                state: ServerState::Reserved { hubs, .. },
                ..
            } => (hubs == wanted).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Checks that frames get from one hub to the other.
    pub(super) async fn talk(&self, link: LinkId, to: &mut Self) {
        let frame = Frame::Publications(ecorelay_protocol::link::Publications {
            epoch: 1,
            items: Vec::new(),
            gone: (0..20_000).collect(),
        });
        self.send(link, &frame);
        assert!(to.frame().await.1 == frame);
    }
}

async fn server() -> Stub {
    Stub::honest(Keypair::generate_ed25519(), LISTEN).await
}

/// Returns two hubs that are linked through a server.
async fn relayed(server: &Stub, punch: bool) -> (Body, LinkId, Body, LinkId) {
    let ([a, b], psk) = (identities(), fresh_key());
    let mut a = Body::at_server(&a, &psk, punch).await;
    let mut b = Body::at_server(&b, &psk, punch).await;
    a.meet(&[&b], &[&server.address]);
    b.meet(&[&a], &[&server.address]);
    let at_a = a.link_by(LinkPath::Relayed).await;
    let at_b = b.link_by(LinkPath::Relayed).await;
    (a, at_a, b, at_b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubs_that_know_no_address_of_each_other_talk_through_a_server() {
    let server = server().await;
    let (mut a, at_a, mut b, at_b) = relayed(&server, false).await;
    a.talk(at_a, &mut b).await;
    b.talk(at_b, &mut a).await;
    a.warm_up(&mut b).await;
    b.warm_up(&mut a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_gives_way_to_a_direct_connection_and_gossip_goes_on() {
    let server = server().await;
    let (mut a, _, mut b, _) = relayed(&server, true).await;
    let at_a = a.link_by(LinkPath::Direct).await;
    let at_b = b.link_by(LinkPath::Direct).await;
    a.talk(at_a, &mut b).await;
    b.talk(at_b, &mut a).await;
    a.warm_up(&mut b).await;
    b.warm_up(&mut a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_there_is_a_way_through_is_told() {
    let server = server().await;
    let (mut a, _, mut b, _) = relayed(&server, true).await;
    for body in [&mut a, &mut b] {
        let outcome = body
            .until(|input| match input {
                MeshInput::Punched { outcome, .. } => Some(outcome),
                _ => None,
            })
            .await;
        assert_eq!(outcome, PunchOutcome::Direct);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_learnt_later_is_dialled_and_without_it_the_circuit_comes_back() {
    let server = server().await;
    let (mut a, _, mut b, _) = relayed(&server, false).await;
    for _ in 0..2 {
        a.mesh.apply(MeshEffect::Hubs(MeshPeers {
            hubs: vec![(b.peer.clone(), vec![b.address.clone()])],
            rendezvous: vec![server.address.clone()],
            ..MeshPeers::default()
        }));
        let at_a = a.link_by(LinkPath::Direct).await;
        b.link_by(LinkPath::Direct).await;
        a.talk(at_a, &mut b).await;
        a.warm_up(&mut b).await;
        b.warm_up(&mut a).await;
        a.meet(&[&b], &[&server.address]);
        a.mesh.apply(MeshEffect::Redial {
            peer: b.peer.clone(),
        });
        let at_a = a.link_by(LinkPath::Relayed).await;
        b.link_by(LinkPath::Relayed).await;
        a.talk(at_a, &mut b).await;
        a.warm_up(&mut b).await;
        b.warm_up(&mut a).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_circuit_comes_back_when_a_killed_server_does() {
    let server = server().await;
    let (mut a, _, mut b, _) = relayed(&server, false).await;
    let (keypair, listen) = server.kill().await;
    a.link_down().await;
    b.link_down().await;
    let _server = Stub::honest(keypair, &listen).await;
    let at_a = a.link_by(LinkPath::Relayed).await;
    b.link_by(LinkPath::Relayed).await;
    a.talk(at_a, &mut b).await;
    a.warm_up(&mut b).await;
    b.warm_up(&mut a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_link_does_not_mind_the_death_of_the_server() {
    let server = server().await;
    let (mut a, _, mut b, _) = relayed(&server, true).await;
    let at_a = a.link_by(LinkPath::Direct).await;
    b.link_by(LinkPath::Direct).await;
    let (keypair, listen) = server.kill().await;
    a.server_failed().await;
    b.server_failed().await;
    a.talk(at_a, &mut b).await;
    let _server = Stub::honest(keypair, &listen).await;
    a.reserved(1).await;
    b.reserved(1).await;
    a.talk(at_a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_any_may_be_down() {
    let nobody = libp2p::PeerId::random();
    let down = format!("/ip4/127.0.0.1/tcp/9/p2p/{nobody}");
    let (first, second) = (server().await, server().await);
    let servers = [down.as_str(), &first.address, &second.address].map(str::to_owned);
    let servers = servers.each_ref().map(String::as_str);
    let ([a, b], psk) = (identities(), fresh_key());
    let mut a = Body::at_server(&a, &psk, false).await;
    let mut b = Body::at_server(&b, &psk, false).await;
    a.meet(&[&b], &servers);
    b.meet(&[&a], &servers);
    let used = a
        .until(|input| match input {
            MeshInput::LinkUp { address, .. } => Some(address),
            _ => None,
        })
        .await;
    b.link_by(LinkPath::Relayed).await;
    let (port, _) = first.address.split_once("/p2p/").unwrap();
    if used.starts_with(port) {
        first.kill().await;
    } else {
        second.kill().await;
    }
    a.link_down().await;
    let at_a = a.link_by(LinkPath::Relayed).await;
    b.link_by(LinkPath::Relayed).await;
    a.talk(at_a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_longer_listed_is_left() {
    let server = server().await;
    let (mut a, _, mut b, _) = relayed(&server, false).await;
    a.meet(&[&b], &[]);
    a.link_down().await;
    b.link_down().await;
    a.meet(&[&b], &[&server.address]);
    a.link_by(LinkPath::Relayed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_shown_no_protocol_of_hubs_and_no_address() {
    let server = server().await;
    let (a, _, b, _) = relayed(&server, true).await;
    let hubs = [&a, &b].map(|body| names::peer(&body.peer).unwrap());
    let told = timeout(SOON, async {
        loop {
            let told = server.told.lock().unwrap().clone();
            if hubs.iter().all(|hub| told.contains_key(hub)) {
                return told;
            }
            tokio::task::yield_now().await;
        }
    });
    for info in told.await.unwrap().values() {
        let known = |protocol: &str| {
            protocol == "/libp2p/circuit/relay/0.2.0/stop" || protocol.starts_with("/ipfs/id/")
        };
        let protocols: Vec<_> = info.protocols.iter().map(ToString::to_string).collect();
        assert!(
            protocols.iter().all(|protocol| known(protocol)),
            "{protocols:?}"
        );
        assert_eq!(info.listen_addrs, Vec::<Multiaddr>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_to_the_mesh_gets_no_link_through_a_server() {
    let server = server().await;
    let [a, b] = identities();
    let mut a = Body::at_server(&a, &fresh_key(), false).await;
    let b = Body::at_server(&b, &fresh_key(), false).await;
    a.meet(&[&b], &[&server.address]);
    b.meet(&[&a], &[&server.address]);
    // They are in different namespaces, so that neither hears of the other.
    a.reserved(0).await;
}
