//! Publications to all hubs.

use super::*;
use ecorelay_protocol::link::{Publication, PublicationKind};
use ecorelay_protocol::{limits, to_cbor};

fn publication(seq: u64, bytes: usize) -> Publication {
    Publication {
        epoch: 1,
        seq,
        ts: 1,
        from: "alice".parse().unwrap(),
        id: seq.to_string(),
        kind: PublicationKind::Ask,
        text: Some("x".repeat(bytes)),
    }
}

impl Body {
    fn publish(&self, publication: &Publication) {
        let bytes = to_cbor(publication).into();
        self.mesh.apply(MeshEffect::Publish { bytes });
    }

    async fn heard(&mut self) -> (PeerId, Publication) {
        self.until(|input| match input {
            MeshInput::Gossip {
                author,
                publication,
            } => Some((author, *publication.unwrap())),
            _ => None,
        })
        .await
    }

    /// Publishes until the other hub hears it: a subscription takes its time to get around.
    pub(super) async fn warm_up(&mut self, other: &mut Self) {
        let mut seq = 1_000_000;
        loop {
            seq += 1;
            self.publish(&publication(seq, 0));
            let heard = async { while other.heard().await.1.seq != seq {} };
            if timeout(Duration::from_millis(100), heard).await.is_ok() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bursts_of_large_publications_arrive_and_small_ones_after_them() {
    let timing = Timing {
        // On a slow machine the burst takes long to decrypt, and heartbeats come behind it.
        stall: Duration::from_secs(600),
        dead: Duration::from_secs(600),
        ..short()
    };
    let (mut a, _, mut b, _) = linked_with(timing).await;
    a.warm_up(&mut b).await;
    let bursts = [(64_000, 100), (limits::GOSSIP_BYTES, 20), (400_000, 1)];
    let mut seq = 0;
    for (size, count) in bursts {
        let first = seq + 1;
        for _ in 0..count {
            seq += 1;
            a.publish(&publication(seq, size));
        }
        seq += 1;
        a.publish(&publication(seq, 10));
        let mut missing: std::collections::BTreeSet<u64> = (first..=seq).collect();
        while !missing.is_empty() {
            let (author, heard) = b.heard().await;
            assert_eq!(author, a.peer);
            missing.remove(&heard.seq);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_publications_are_not_merged() {
    let (mut a, _, mut b, _) = linked().await;
    a.warm_up(&mut b).await;
    for _ in 0..3 {
        a.publish(&publication(7, 5));
    }
    for _ in 0..3 {
        while b.heard().await.1.seq != 7 {}
    }
}

#[tokio::test]
async fn a_publication_that_cannot_be_read_is_told_with_its_author() {
    let (mut a, _, mut b, _) = linked().await;
    a.warm_up(&mut b).await;
    let bytes = [0xff_u8; 8].to_vec().into();
    a.mesh.apply(MeshEffect::Publish { bytes });
    let author = b
        .until(|input| match input {
            MeshInput::Gossip {
                author,
                publication: Err(_),
            } => Some(author),
            _ => None,
        })
        .await;
    assert_eq!(author, a.peer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_reach_all_hubs_and_go_on_after_a_new_connection() {
    let psk = fresh_key();
    let [a, b, c] = identities();
    let mut a = Body::start(&a, &psk).await;
    let mut b = Body::start(&b, &psk).await;
    let mut c = Body::start(&c, &psk).await;
    // A line: what one end says comes to the other by way of the middle.
    b.list(&a);
    a.link_up().await;
    c.list(&b);
    c.link_up().await;
    a.warm_up(&mut c).await;
    c.warm_up(&mut a).await;
    let peer = b.peer.clone();
    c.mesh.apply(MeshEffect::Redial { peer });
    c.link_down().await;
    c.link_up().await;
    a.warm_up(&mut c).await;
    c.warm_up(&mut b).await;
}

#[test]
fn every_mesh_has_its_own_topic_and_it_does_not_show_the_key() {
    let psk = Psk::new([7; 32]);
    let topic = crate::mesh::gossip::topic(&psk).to_string();
    assert_eq!(topic, crate::mesh::gossip::topic(&psk).to_string());
    assert_ne!(topic, crate::mesh::gossip::topic(&fresh_key()).to_string());
    assert!(!topic.contains("0707"));
}
