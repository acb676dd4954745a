//! Hubs that find each other on the local network. Needs one with multicast, and nobody else on it:
//! `unshare -n sh -c 'ip link set lo up; ip link add lan0 type veth peer name lan1; ip addr add
//! 10.77.0.1/24 dev lan0; ip link set lan0 up; ip link set lan1 up; cargo test -p ecorelay-node
//! --lib nearby -- --ignored --test-threads 1'`.

use super::*;

async fn start(identity: &Identity, psk: &Psk) -> Body {
    Body::start_as(MeshConfig {
        identity: identity.clone(),
        psk: psk.clone(),
        listen: Vec::new(),
        external: Vec::new(),
        mdns: true,
        punch: true,
        timing: Timing::default(),
    })
    .await
}

impl Body {
    /// Waits until another hub is seen, and returns its addresses.
    async fn sees(&mut self, other: &PeerId) -> Vec<String> {
        loop {
            if let Some(addresses) = self.nearby.get(other) {
                return addresses.clone();
            }
            self.next().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a network of its own with multicast"]
async fn hubs_of_one_mesh_link_without_an_address() {
    let psk = fresh_key();
    let [a, b] = identities();
    let mut a = start(&a, &psk).await;
    assert!(a.address.starts_with("/ip4/10."), "{}", a.address);
    let mut b = start(&b, &psk).await;
    let addresses = b.sees(&a.peer).await;
    assert!(addresses.contains(&a.address), "{addresses:?}");
    a.sees(&b.peer).await;
    a.hubs(vec![(b.peer.clone(), vec![])]);
    b.hubs(vec![(a.peer.clone(), vec![])]);
    assert_eq!(a.link_up().await.1, b.peer);
    assert_eq!(b.link_up().await.1, a.peer);
}

#[tokio::test]
#[ignore = "needs a network of its own with multicast"]
async fn a_hub_that_knows_nobody_tries_all_that_are_nearby() {
    let psk = fresh_key();
    let [a, b, stranger] = identities();
    let mut a = start(&a, &psk).await;
    let mut stranger = start(&stranger, &fresh_key()).await;
    // The larger PeerId dials as well: nobody knows of it.
    let mut b = start(&b, &psk).await;
    b.mesh.apply(MeshEffect::Hubs(MeshPeers {
        try_nearby: true,
        ..MeshPeers::default()
    }));
    assert_eq!(b.link_up().await.1, a.peer);
    assert_eq!(a.link_up().await.1, b.peer);
    stranger.failure().await;
}
