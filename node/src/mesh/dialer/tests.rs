#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Two PeerIds, the smaller first.
fn pair() -> [PeerId; 2] {
    let mut pair = [PeerId::random(), PeerId::random()];
    pair.sort_by_key(|peer| peer.to_base58());
    pair
}

fn address(port: u16) -> String {
    format!("/ip4/10.0.0.1/tcp/{port}")
}

fn dialer(local: PeerId) -> Dialer {
    Dialer::new(local, Timing::default())
}

fn listing(peer: PeerId) -> MeshPeers {
    MeshPeers {
        hubs: vec![(names::text(&peer).unwrap(), vec![address(1)])],
        ..MeshPeers::default()
    }
}

/// Lets every dial fail until `until`; returns when each was made, in seconds from `now`.
fn fail_until(dialer: &mut Dialer, now: Instant, until: Instant) -> Vec<f64> {
    let mut dials = Vec::new();
    while let Some(at) = dialer.next().filter(|at| *at <= until) {
        for dial in dialer.due(at) {
            dials.push(at.saturating_duration_since(now).as_secs_f64());
            dialer.failed(&dial.target, at);
        }
    }
    dials
}

#[test]
fn the_smaller_dials_at_once_and_the_larger_a_little_later() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    dialer.set(&listing(larger), now);
    let dials = dialer.due(now);
    assert_eq!(dials.len(), 1);
    assert_eq!(dials[0].peer, Some(larger));
    assert_eq!(dials[0].addresses, [address(1).parse().unwrap()]);
    assert_eq!(dialer.next(), None);

    let mut dialer = super::tests::dialer(larger);
    dialer.set(&listing(smaller), now);
    assert_eq!(dialer.next(), Some(now + 2 * SECOND));
    dialer.up(smaller, LinkPath::Direct, None);
    assert_eq!(dialer.next(), None);
    dialer.down(smaller, 60 * SECOND, now);
    assert!(dialer.next().unwrap() >= now + 2 * SECOND);
}

#[test]
fn an_address_at_which_a_connected_hub_listens_is_not_dialled() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    let given = |port: u16| MeshPeers {
        addresses: vec![address(port)],
        ..listing(larger)
    };
    dialer.set(&listing(larger), now);
    let target = dialer.due(now).remove(0).target;
    dialer.up(larger, LinkPath::Direct, Some(&target));
    dialer.set(&given(1), now);
    assert_eq!(dialer.due(now), []);
    // When the hub is lost, it is dialled there as well.
    dialer.down(larger, SECOND, now);
    assert_eq!(dialer.due(now + 2 * SECOND).len(), 2);
    // Who is at another address is learnt by dialling it once.
    dialer.up(larger, LinkPath::Direct, None);
    dialer.set(&given(2), now);
    let target = dialer.due(now).remove(0).target;
    dialer.failed(&target, now);
    dialer.found(&target, larger);
    assert_eq!(dialer.due(now + 60 * SECOND), []);
}

#[test]
fn a_hub_that_joins_waits_for_nobody() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(larger);
    let joining = MeshPeers {
        try_nearby: true,
        ..listing(smaller)
    };
    dialer.set(&joining, now);
    assert_eq!(dialer.due(now).len(), 1);
}

#[test]
fn retries_come_soon_then_rarely_and_never_stop() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    dialer.set(&listing(larger), now);
    let dials = fail_until(&mut dialer, now, now + 600 * SECOND);
    let waits: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] < 1.0, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 30.0), "{waits:?}");
    assert!(
        waits.iter().rev().take(5).all(|wait| *wait >= 15.0),
        "{waits:?}"
    );
    assert!(dials.len() < 50);
    // The same list again changes nothing; on another network everything is tried anew.
    let later = now + 600 * SECOND;
    let due = dialer.next();
    dialer.set(&listing(larger), later);
    assert_eq!(dialer.next(), due);
    dialer.moved(later);
    assert_eq!(dialer.next(), Some(later));
}

#[test]
fn a_hub_that_refuses_is_not_dialled_in_a_loop() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    dialer.set(&listing(larger), now);
    let (mut at, mut dials) = (now, 0);
    while at < now + 60 * SECOND {
        let due = dialer.due(at);
        dials += due.len();
        for dial in due {
            dialer.up(larger, LinkPath::Direct, Some(&dial.target));
            dialer.down(larger, SECOND / 10, at);
        }
        at = dialer.next().unwrap();
    }
    assert!(dials < 15, "{dials}");
    // After a good connection the waits begin anew.
    dialer.up(larger, LinkPath::Direct, Some(&Target::Hub(larger)));
    dialer.down(larger, 60 * SECOND, at);
    assert!(dialer.next().unwrap() < at + SECOND);
}

#[test]
fn a_hub_of_the_local_network_is_dialled_where_it_was_seen() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(larger);
    let seen: Multiaddr = address(7).parse().unwrap();
    assert_eq!(
        dialer.seen(smaller, [seen.clone()], now),
        Some(vec![address(7)])
    );
    assert_eq!(dialer.seen(smaller, [seen.clone()], now), None);
    // Nobody has named it.
    assert_eq!(dialer.next(), None);
    let nearby = MeshPeers {
        try_nearby: true,
        ..MeshPeers::default()
    };
    dialer.set(&nearby, now);
    // It does not know of this hub, so this hub does not wait for it.
    let dials = dialer.due(now);
    assert_eq!(dials[0].addresses, std::slice::from_ref(&seen));
    dialer.failed(&dials[0].target, now);
    assert_eq!(dialer.unseen(smaller, [seen.clone()]), Some(vec![]));
    assert!(dialer.plans.is_empty());
    // Named, it is dialled at both addresses.
    dialer.set(&listing(smaller), now);
    dialer.seen(smaller, [seen], now);
    assert_eq!(dialer.due(now + 2 * SECOND)[0].addresses.len(), 2);
}

#[test]
fn a_hub_that_has_moved_is_dialled_there_while_the_dial_before_still_waits() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    dialer.set(&listing(larger), now);
    let stale = dialer.due(now).remove(0);
    let later = now + SECOND / 10;
    dialer.seen(larger, [address(7).parse().unwrap()], later);
    let fresh = dialer.due(later).remove(0);
    assert_eq!(fresh.addresses.len(), 2);
    assert_eq!(dialer.next(), None);
    dialer.up(larger, LinkPath::Direct, Some(&fresh.target));
    dialer.failed(&stale.target, later + 4 * SECOND);
    assert_eq!(dialer.next(), None);
}

#[test]
fn an_address_rests_while_whoever_is_there_is_connected() {
    let (now, [local, other]) = (Instant::now(), pair());
    let mut dialer = dialer(local);
    let peers = MeshPeers {
        addresses: vec![address(1), "nonsense".into()],
        ..MeshPeers::default()
    };
    dialer.set(&peers, now);
    let dials = dialer.due(now);
    assert_eq!((dials.len(), dials[0].peer), (1, None));
    dialer.up(other, LinkPath::Direct, Some(&dials[0].target));
    assert_eq!(dialer.next(), None);
    dialer.down(other, 60 * SECOND, now);
    assert!(dialer.next().is_some());
}

#[test]
fn blocked_hubs_are_not_dialled_and_few_at_a_time() {
    let now = Instant::now();
    let mut dialer = dialer(PeerId::random());
    let hubs: Vec<_> = (0..100)
        .map(|_| names::text(&PeerId::random()).unwrap())
        .collect();
    let mut peers = MeshPeers {
        hubs: hubs
            .iter()
            .map(|hub| (hub.clone(), vec![address(1)]))
            .collect(),
        ..MeshPeers::default()
    };
    dialer.set(&peers, now);
    let later = now + 5 * SECOND;
    let dials = dialer.due(later);
    assert_eq!(dials.len(), AT_A_TIME);
    assert_eq!((dialer.next(), dialer.due(later).len()), (None, 0));
    dialer.failed(&dials[0].target, later);
    assert_eq!(dialer.due(later).len(), 1);
    peers.blocked = hubs;
    dialer.set(&peers, later);
    assert_eq!(dialer.next(), None);
}

fn ways(peer: PeerId) -> HashMap<PeerId, Vec<Multiaddr>> {
    let server = PeerId::random();
    let way = format!("/ip4/10.0.0.9/tcp/9/p2p/{server}/p2p-circuit/p2p/{peer}");
    HashMap::from([(peer, vec![way.parse().unwrap()])])
}

#[test]
fn a_hub_at_a_server_is_dialled_through_it_after_its_own_addresses() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    dialer.set(&listing(larger), now);
    // A hub that is not of the mesh is nobody.
    dialer.set_circuits(ways(PeerId::random()), now);
    assert_eq!(dialer.plans.len(), 1);
    dialer.set_circuits(ways(larger), now);
    let dial = dialer.due(now).remove(0);
    assert_eq!(dial.target, Target::Hub(larger));
    let head_start = Timing::default().head_start;
    assert_eq!(dialer.next(), Some(now + head_start));
    let dial = dialer.due(now + head_start).remove(0);
    assert_eq!(dial.target, Target::Circuit(larger));
    dialer.up(larger, LinkPath::Relayed, Some(&dial.target));
    dialer.failed(&Target::Hub(larger), now + SECOND);
    // Through a server it is no longer dialled, directly it is.
    let next = dialer.next().unwrap();
    let dial = dialer.due(next).remove(0);
    assert_eq!(dial.target, Target::Hub(larger));
    dialer.up(larger, LinkPath::Direct, Some(&dial.target));
    assert_eq!(dialer.next(), None);
    dialer.relayed_only(larger);
    assert!(dialer.next().is_some() && dialer.is_connected(&larger));
    dialer.down(larger, 60 * SECOND, now);
    assert!(!dialer.is_connected(&larger));
    let due = dialer.due(now + 2 * SECOND);
    assert_eq!(due.len(), 2);
    dialer.set_circuits(HashMap::new(), now);
    assert_eq!(dialer.plans.len(), 1);
}

#[test]
fn a_hub_without_addresses_is_dialled_through_a_server_at_once() {
    let ([smaller, larger], now) = (pair(), Instant::now());
    let mut dialer = dialer(smaller);
    dialer.set_circuits(ways(larger), now);
    let peers = MeshPeers {
        hubs: vec![(names::text(&larger).unwrap(), Vec::new())],
        ..MeshPeers::default()
    };
    dialer.set(&peers, now);
    assert_eq!(dialer.due(now).remove(0).target, Target::Circuit(larger));
}
