//! Finding the host and making a shared key with it, by every way at once.
//!
//! A code is looked for on the local network and at rendezvous servers; whoever has a ticket or
//! missed a change of the key knows addresses. The first conversation that is sealed wins. Anyone
//! on the network can answer to a code's number, and each who does has one guess at its words:
//! so the first wrong one ends the whole dial, and few are called at a time.

use super::conversation::{Call, Established};
use super::door;
use super::lan::{Lan, Look};
use super::routes::{Miss, Route, Stream};
use super::talk::Talks;
use super::wire::TalkError;
use crate::events::HubHandle;
use crate::mesh::{Identity, Pipes};
use ecorelay_hub::{PairingFailure, PairingInput, PairingSide};
use ecorelay_protocol::Bytes;
use ecorelay_protocol::pairing::{Method, PairingCode};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Hosts that are called for one code: each of them might guess. With 65,536 pairs of words that
/// is one in 16,384 for whoever fills the network with answers.
const CODE_HOSTS: usize = 4;
/// Ways that are tried for a ticket or a renewal; hubs tell no more addresses of one another.
const ROUTES: usize = 64;
/// How much later each further address is tried, so that mostly one hub is asked.
const STAGGER: Duration = Duration::from_millis(200);
/// A host that is busy, or not there yet, is called again after this long.
const AGAIN: Duration = Duration::from_millis(700);
/// The same at a rendezvous server, which lets nobody ask often: each guest may cost somebody a
/// code.
const ASK_AGAIN: Duration = Duration::from_secs(4);
/// How long others are waited for when one host of a code has said no.
const SETTLE: Duration = Duration::from_secs(5);
/// Longest time for a dial, whatever the brain says: a code's life and some.
const LONGEST: Duration = Duration::from_secs(300);

/// What every dial needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    pub(super) identity: Arc<Identity>,
    pub(super) lan: Lan,
    pub(super) pipes: Pipes,
    pub(super) talks: Talks,
    pub(super) hub: HubHandle,
}

/// Whom to find, and where.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) number: u64,
    pub(super) call: Call,
    /// `ip:port`; others are skipped.
    pub(super) addresses: Vec<String>,
    pub(super) rendezvous: Vec<(String, Bytes)>,
    /// In ms since 1970.
    pub(super) until: u64,
}

impl Dialer {
    /// Finds the host and holds the conversation to its end, unless the dial is given up before
    /// there is one: when `given_up` is told so or dropped.
    pub(super) async fn run(self, dial: Dial, given_up: oneshot::Receiver<()>) {
        let found = tokio::select! {
            biased;
            _ = given_up => return,
            found = self.find(&dial) => found,
        };
        match found {
            Ok(established) => {
                let side = PairingSide::Guest(dial.number);
                self.talks.hold(established, side).await;
            }
            Err(failure) => {
                let dial = dial.number;
                tracing::info!(dial, ?failure, "nobody was found to pair with");
                // A hub that has ended needs no word of it.
                let failed = PairingInput::DialFailed { dial, failure };
                let _ = self.hub.pairing(failed).await;
            }
        }
    }

    async fn find(&self, dial: &Dial) -> Result<Established<Stream>, PairingFailure> {
        let left = Duration::from_millis(dial.until.saturating_sub(door::now()));
        let deadline = Instant::now() + left.min(LONGEST);
        let mut search = Search::new(self, &dial.call);
        let addresses = dial.addresses.iter().filter_map(|at| at.parse().ok());
        let machines = addresses.map(|at| Route::Machine(vec![at]));
        let pipes = dial.rendezvous.iter().cloned();
        let pipes = pipes.map(|(server, place)| Route::Pipe(server, place));
        for (n, route) in (0_u32..).zip(machines.chain(pipes)) {
            search.start(route, STAGGER * n);
        }
        let mut look = match search.code {
            Some(_) => self.lan.look(),
            None => None,
        };
        loop {
            search.follow(look.as_mut());
            if search.attempts.is_empty() && look.is_none() {
                return Err(search.failure());
            }
            let until = search.settle.map_or(deadline, |at| at.min(deadline));
            tokio::select! {
                Some(attempt) = search.attempts.join_next() => {
                    // An attempt that panicked is none.
                    if let Ok((route, outcome)) = attempt
                        && let Some(end) = search.take(route, outcome)
                    {
                        return end;
                    }
                }
                true = changed(look.as_mut()) => {}
                () = sleep_until(until) => return Err(search.failure()),
            }
        }
    }
}

/// Waits until something else is seen; returns `false` when nothing more will be.
async fn changed(look: Option<&mut Look>) -> bool {
    match look {
        Some(look) => look.seen.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

/// Whom a way leads to.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Host {
    /// The one that announces itself under this name.
    Near(String),
    /// Whoever is there.
    At(Route),
}

/// A dial that goes on.
struct Search<'a> {
    dialer: &'a Dialer,
    call: &'a Call,
    /// The number of the code, where it is one.
    code: Option<u32>,
    attempts: JoinSet<(Route, Result<Established<Stream>, Miss>)>,
    /// Whom a way was started to.
    started: HashSet<Host>,
    /// Who announces the code, and where now.
    near: HashMap<String, Vec<SocketAddr>>,
    /// When to stop waiting for others.
    settle: Option<Instant>,
    /// The failure that says most.
    failure: Option<PairingFailure>,
}

impl<'a> Search<'a> {
    fn new(dialer: &'a Dialer, call: &'a Call) -> Self {
        let code = match call.method {
            Method::Code(number) => Some(number),
            Method::Ticket(_) | Method::Member => None,
        };
        Self {
            dialer,
            call,
            code,
            attempts: JoinSet::new(),
            started: HashSet::new(),
            near: HashMap::new(),
            settle: None,
            failure: None,
        }
    }

    /// Starts what is new on the local network.
    fn follow(&mut self, look: Option<&mut Look>) {
        let Some(look) = look else {
            return;
        };
        let seen = look.seen.borrow_and_update().clone();
        self.near.clear();
        for seen in seen {
            if self.code == Some(seen.number) && !seen.addresses.is_empty() {
                self.near
                    .insert(seen.instance.clone(), seen.addresses.clone());
                self.start(Route::Near(seen.instance, seen.addresses), Duration::ZERO);
            }
        }
    }

    fn start(&mut self, route: Route, wait: Duration) {
        let most = self.code.map_or(ROUTES, |_| CODE_HOSTS);
        let host = match &route {
            // One host has one conversation, however many addresses it comes to have.
            Route::Near(instance, _) => Host::Near(instance.clone()),
            route => Host::At(route.clone()),
        };
        if self.started.contains(&host) {
            return;
        }
        if self.started.len() >= most {
            tracing::warn!("more hubs answer than are called");
            return;
        }
        self.started.insert(host);
        self.attempt(route, wait);
    }

    fn attempt(&mut self, route: Route, wait: Duration) {
        let (dialer, call) = (self.dialer.clone(), self.call.clone());
        self.attempts.spawn(async move {
            sleep(wait).await;
            let outcome = route.take(&dialer.identity, &dialer.pipes, &call).await;
            (route, outcome)
        });
    }

    /// Takes what came of an attempt; returns how the dial ends, if it does.
    fn take(
        &mut self,
        route: Route,
        outcome: Result<Established<Stream>, Miss>,
    ) -> Option<Result<Established<Stream>, PairingFailure>> {
        let miss = match outcome {
            Ok(established) => return Some(Ok(established)),
            Err(miss) => miss,
        };
        tracing::debug!(?route, ?miss, "this way does not lead to the host");
        let failure = match miss {
            Miss::Nobody => {
                self.again(route);
                return None;
            }
            Miss::Unreachable(why) => {
                self.again(route);
                PairingFailure::Unreachable(why)
            }
            Miss::Talk(TalkError::WrongSecret) => PairingFailure::WrongCode,
            Miss::Talk(TalkError::Refused(why)) => match why.code {
                PairingCode::Busy if self.code.is_some() => {
                    self.again(route);
                    return None;
                }
                PairingCode::WrongCode => PairingFailure::WrongCode,
                _ => PairingFailure::Refused(why),
            },
            // A hub that sees itself has not found anybody.
            Miss::Talk(TalkError::Own) => return None,
            Miss::Talk(why) => PairingFailure::Broken(why.to_string()),
        };
        if self.code.is_some() {
            match &failure {
                PairingFailure::WrongCode => return Some(Err(failure)),
                PairingFailure::Refused(_) | PairingFailure::Broken(_) => {
                    self.settle.get_or_insert_with(|| Instant::now() + SETTLE);
                }
                PairingFailure::Unreachable(_) | PairingFailure::NotFound => {}
            }
        }
        if self
            .failure
            .as_ref()
            .is_none_or(|old| says(old) < says(&failure))
        {
            self.failure = Some(failure);
        }
        None
    }

    /// Tries a way to a code's host once more: it may not be there yet.
    fn again(&mut self, mut route: Route) {
        let wait = match &mut route {
            Route::Machine(_) => AGAIN,
            Route::Near(instance, addresses) => {
                if let Some(now) = self.near.get(instance) {
                    addresses.clone_from(now);
                }
                AGAIN
            }
            Route::Pipe(..) => ASK_AGAIN,
        };
        if self.code.is_some() {
            self.attempt(route, wait);
        }
    }

    fn failure(&mut self) -> PairingFailure {
        self.failure.take().unwrap_or(PairingFailure::NotFound)
    }
}

/// Returns how much a failure says.
fn says(failure: &PairingFailure) -> u8 {
    match failure {
        PairingFailure::NotFound => 0,
        PairingFailure::Unreachable(_) => 1,
        PairingFailure::Broken(_) => 2,
        PairingFailure::Refused(why) if why.code == PairingCode::Unknown => 3,
        PairingFailure::WrongCode => 4,
        PairingFailure::Refused(_) => 5,
    }
}
