//! Waiting at rendezvous servers for guests that come through them.

use super::door::Door;
use super::listener::Host;
use crate::events::HubHandle;
use crate::mesh::{Pipe, PipeError, Pipes};
use ecorelay_hub::PairingInput;
use ecorelay_protocol::Bytes;
use ecorelay_protocol::limits::RENDEZVOUS;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// Places one hub waits at: one per server for its code, one for each key before and each ticket.
const PLACES: usize = 32 * RENDEZVOUS;
/// Guests of one place at a time.
const GUESTS: usize = 4;
/// The first retry comes after about this long, each further one after twice as long.
const RETRY: Duration = Duration::from_secs(1);
/// The longest wait between retries.
const RETRY_MOST: Duration = Duration::from_secs(60);
/// The wait is taken up anew this often: that keeps routers' tables warm, and finds out whether
/// the server is still there.
const RENEW: Duration = Duration::from_secs(90);

/// A server's multiaddr, a place there, and whether it is the open code's.
type Place = (String, Bytes, bool);

/// The places this hub waits at.
#[derive(Debug)]
pub(super) struct Places {
    host: Host,
    pipes: Pipes,
    hub: HubHandle,
    tasks: JoinSet<()>,
    waiting: HashMap<Place, AbortHandle>,
}

impl Places {
    pub(super) fn new(host: Host, pipes: Pipes, hub: HubHandle) -> Self {
        Self {
            host,
            pipes,
            hub,
            tasks: JoinSet::new(),
            waiting: HashMap::new(),
        }
    }

    /// Sets the places: those of the open code, and the others.
    pub(super) fn set(&mut self, code: &[(String, Bytes)], others: &[(String, Bytes)]) {
        let of = |list: &[(String, Bytes)], is_code: bool| {
            let places = list.iter().cloned();
            let place = places.map(|(server, place)| (server, place, is_code));
            place.collect::<Vec<Place>>()
        };
        let wanted = of(code, true).into_iter().chain(of(others, false));
        let wanted: HashSet<Place> = wanted.take(PLACES).collect();
        self.waiting.retain(|place, task| {
            let stays = wanted.contains(place);
            if !stays {
                task.abort();
            }
            stays
        });
        for place in wanted {
            if !self.waiting.contains_key(&place) {
                let waiter = Waiter {
                    host: self.host.clone(),
                    pipes: self.pipes.clone(),
                    hub: self.hub.clone(),
                    told: None,
                    renewing: false,
                };
                let task = self.tasks.spawn(waiter.wait(place.clone()));
                self.waiting.insert(place, task);
            }
        }
        // Those that were ended before.
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Waits at one place.
struct Waiter {
    host: Host,
    pipes: Pipes,
    hub: HubHandle,
    /// What the brain was told last of the code's place.
    told: Option<Option<String>>,
    /// The server may not have noticed yet that the wait before this one is over.
    renewing: bool,
}

impl Waiter {
    async fn wait(mut self, (server, place, is_code): Place) {
        let guests = Arc::new(Semaphore::new(GUESTS));
        let mut retry = RETRY;
        loop {
            let Ok(room) = Arc::clone(&guests).acquire_owned().await else {
                return;
            };
            let started = Instant::now();
            let joined = self.join(&server, &place, is_code).await;
            match joined {
                Ok(Some(pipe)) => {
                    retry = RETRY;
                    let host = self.host.clone();
                    let from = format!("the rendezvous server {server}");
                    // It goes on when the place is given up.
                    let conversation = tokio::spawn(async move {
                        host.receive(pipe, &from).await;
                        drop(room);
                    });
                    if is_code {
                        // One guest at a time has the code; it may be used up then.
                        let _ = conversation.await;
                        if self.host.door.window().is_none() {
                            return;
                        }
                    }
                }
                Ok(None) => {
                    retry = RETRY;
                    self.renewing = true;
                }
                Err(error) if error.is("taken") && std::mem::take(&mut self.renewing) => {
                    sleep(RETRY).await;
                }
                Err(error) => {
                    tracing::debug!(server, %error, "no waiting at this rendezvous server");
                    if is_code {
                        self.tell(&server, Some(trouble(&error))).await;
                    }
                    if started.elapsed() > RENEW {
                        retry = RETRY;
                    }
                    sleep(retry.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
                    retry = (retry * 2).min(RETRY_MOST);
                }
            }
        }
    }

    /// Returns the next guest; nothing when it is time to wait anew.
    async fn join(
        &mut self,
        server: &str,
        place: &Bytes,
        is_code: bool,
    ) -> Result<Option<Pipe>, PipeError> {
        let pipes = self.pipes.server(server)?;
        let waiting = pipes.host(place).await?;
        self.renewing = false;
        if is_code {
            self.tell(server, None).await;
        }
        match timeout(RENEW, waiting.joined()).await {
            Ok(joined) => joined.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn tell(&mut self, server: &str, trouble: Option<String>) {
        if self.told.as_ref() == Some(&trouble) {
            return;
        }
        self.told = Some(trouble.clone());
        let rendezvous = server.to_owned();
        // A hub that has ended needs no word of it.
        let told = PairingInput::WindowAt {
            rendezvous,
            trouble,
        };
        let _ = self.hub.pairing(told).await;
    }
}

/// Returns what is wrong, for people.
fn trouble(error: &PipeError) -> String {
    if error.is("taken") {
        "another hub waits there with the same number".into()
    } else {
        error.to_string()
    }
}

/// Returns the places of the open code, where there is one.
pub(super) fn of_code(door: &Door) -> Vec<(String, Bytes)> {
    door.window().map_or_else(Vec::new, |window| window.places)
}
