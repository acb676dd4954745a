//! The hub thread: the one owner of the brain and the store.
//!
//! It drains what waits, opens one transaction, handles all of it, lets out the pushes, commits
//! (one fsync for the whole batch), then lets out the answers. When a commit fails, the batch
//! is taken back, and from then on nothing leaves before its commit until one has succeeded.

use crate::clock::Clock;
use crate::events::{Event, Inbox};
use crate::mesh::{Identity, MeshSlot};
use crate::pairing::PairingSlot;
use crate::sessions::{Offer, Outgoing};
use crate::store::SqliteStore;
use ecorelay_hub::{ConnId, Effect, Effects, Hub, HubConfig, Ids, Input, StoreError, Warning};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Inputs that share one commit.
const BATCH_INPUTS: usize = 256;
/// How long a batch may grow before it is committed, at least.
const BATCH_TIME: Duration = Duration::from_millis(1);
/// The same at most. In between it may grow for as long as the last commit took: on a slow disk
/// more share one commit, and nobody waits much longer for it.
const BATCH_TIME_MOST: Duration = Duration::from_millis(10);
/// Shortest sleep before a timer, so that a deadline in the past cannot keep a core busy.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// A client that just connected is about to register: the hub does not end under its feet.
const NEWCOMER: Duration = Duration::from_secs(2);
/// How long the hub may handle what has come before its end.
const LAST_INPUTS: Duration = Duration::from_millis(500);
/// The warning while the store fails.
const STORE_FAILING: &str = "store_failing";

/// Why the hub ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// It was asked to: by a client, by [`crate::Node::stop`], or by a signal.
    Stopped,
    /// Nobody needed it for [`crate::NodeBuilder::idle_exit`].
    Idle,
}

/// How the hub thread ended.
pub(crate) type HubExit = Result<ExitReason, StoreError>;

/// What the hub thread is started with.
pub(crate) struct HubSetup {
    pub(crate) config: HubConfig,
    pub(crate) identity: Identity,
    pub(crate) store: SqliteStore,
    pub(crate) inbox: Inbox,
    pub(crate) mesh: MeshSlot,
    pub(crate) pairing: PairingSlot,
    pub(crate) idle_exit: Option<Duration>,
}

/// What the hub thread says about itself. An end that is dropped means that it panicked.
pub(crate) struct HubThread {
    /// It has read the store and takes events.
    pub(crate) ready: oneshot::Receiver<Result<(), StoreError>>,
    /// It takes no more events: close the doors.
    pub(crate) ending: oneshot::Receiver<()>,
    /// It has closed the store.
    pub(crate) ended: oneshot::Receiver<HubExit>,
}

/// Starts the hub thread.
pub(crate) fn spawn(setup: HubSetup) -> std::io::Result<HubThread> {
    let (ready, is_ready) = oneshot::channel();
    let (ending, is_ending) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    // Only for its timers and its way to wait for the channel; it runs nothing else.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    std::thread::Builder::new()
        .name("hub".into())
        .spawn(move || {
            let HubSetup {
                config,
                identity,
                mut store,
                inbox,
                mesh,
                pairing,
                idle_exit,
            } = setup;
            let hub = match Hub::new(config, Box::new(RandomIds), Box::new(identity), &mut store) {
                Ok(hub) => hub,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(()));
            let mut body = Body {
                hub,
                store,
                inbox,
                mesh,
                pairing,
                idle_exit,
                clock: Clock::new(),
                received: Vec::with_capacity(BATCH_INPUTS),
                waiting: VecDeque::new(),
                queues: HashMap::new(),
                leaving: Vec::new(),
                effects: Effects::default(),
                batch_time: BATCH_TIME,
                failing: false,
                stopping: false,
                idle_since: Some(Instant::now()),
                last_newcomer: None,
            };
            let exit = runtime.block_on(body.run());
            let _ = ending.send(());
            for queue in body.queues.values() {
                queue.finish();
            }
            drop(body.inbox);
            if let Err(error) = body.store.close() {
                tracing::warn!(%error, "the store was not closed cleanly; nothing is lost");
            }
            let _ = ended.send(exit);
        })?;
    Ok(HubThread {
        ready: is_ready,
        ending: is_ending,
        ended: has_ended,
    })
}

struct RandomIds;

impl Ids for RandomIds {
    fn uuid(&mut self) -> String {
        // Ordered by time: ids side by side in the store's index share its pages.
        uuid::Uuid::now_v7().to_string()
    }

    fn secret(&mut self) -> [u8; 32] {
        let mut secret = [0; 32];
        // Without a source of randomness no key may be made, and the hub cannot go on.
        if let Err(error) = getrandom::fill(&mut secret) {
            tracing::error!(%error, "the system gives no random bytes");
            std::process::abort();
        }
        secret
    }
}

/// Why the thread woke up.
enum Wake {
    Events,
    Timer,
    Stop,
}

struct Body {
    hub: Hub,
    store: SqliteStore,
    inbox: Inbox,
    mesh: MeshSlot,
    pairing: PairingSlot,
    idle_exit: Option<Duration>,
    clock: Clock,
    /// Events taken from the channel at once.
    received: Vec<Event>,
    /// Inputs that no batch has handled yet.
    waiting: VecDeque<Input>,
    queues: HashMap<ConnId, Arc<Outgoing>>,
    /// Connections whose end is in the batch at hand.
    leaving: Vec<ConnId>,
    effects: Effects,
    /// How long the next batch may grow.
    batch_time: Duration,
    /// The last commit failed: nothing leaves before the next one has succeeded.
    failing: bool,
    stopping: bool,
    idle_since: Option<Instant>,
    last_newcomer: Option<Instant>,
}

impl Body {
    async fn run(&mut self) -> HubExit {
        loop {
            if self.waiting.is_empty() {
                match self.wait().await {
                    Wake::Events => self.unpack(),
                    Wake::Timer if self.is_idle_too_long() => {
                        self.last_batches()?;
                        return Ok(ExitReason::Idle);
                    }
                    Wake::Timer => self.waiting.push_back(Input::Tick),
                    Wake::Stop => {
                        self.last_batches()?;
                        return Ok(ExitReason::Stopped);
                    }
                }
            }
            self.batch()?;
            if self.stopping {
                return Ok(ExitReason::Stopped);
            }
            if self.hub.in_use() {
                self.idle_since = None;
            } else {
                self.idle_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Handles what has come before the end, such as the word that a push has arrived: without
    /// it, the message would come once more after the next start.
    fn last_batches(&mut self) -> Result<(), StoreError> {
        let deadline = Instant::now() + LAST_INPUTS;
        while self.received.len() < BATCH_INPUTS {
            match self.inbox.events.try_recv() {
                Ok(event) => self.received.push(event),
                Err(_) => break,
            }
        }
        self.unpack();
        while !self.waiting.is_empty() && Instant::now() < deadline {
            self.batch()?;
        }
        self.waiting.push_front(Input::Ending);
        self.batch()
    }

    async fn wait(&mut self) -> Wake {
        let timer = self
            .hub
            .next_deadline()
            .map(|due| Duration::from_millis(due.saturating_sub(self.clock.now())));
        let idle = self
            .idle_deadline()
            .map(|at| at.saturating_duration_since(Instant::now()));
        let sleep = timer.into_iter().chain(idle).min();
        let Inbox { events, stop } = &mut self.inbox;
        tokio::select! {
            biased;
            () = stop.notified() => Wake::Stop,
            n = events.recv_many(&mut self.received, BATCH_INPUTS) => {
                if n == 0 { Wake::Stop } else { Wake::Events }
            }
            () = tokio::time::sleep(sleep.unwrap_or_default().max(SHORTEST_SLEEP)),
                if sleep.is_some() => Wake::Timer,
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        let idle = self.idle_since? + self.idle_exit?;
        let newcomer = self.last_newcomer.map(|at| at + NEWCOMER);
        newcomer.into_iter().chain([idle]).max()
    }

    fn is_idle_too_long(&self) -> bool {
        self.idle_deadline().is_some_and(|at| at <= Instant::now())
    }

    /// Turns the events that were received into inputs.
    fn unpack(&mut self) {
        for event in self.received.drain(..) {
            match event {
                Event::Connected {
                    conn,
                    origin,
                    queue,
                } => {
                    self.last_newcomer = Some(Instant::now());
                    self.queues.insert(conn, queue);
                    self.waiting.push_back(Input::Connected { conn, origin });
                }
                Event::Lines { conn, lines, .. } => self.waiting.extend(
                    lines
                        .into_iter()
                        .map(|incoming| Input::Line { conn, incoming }),
                ),
                Event::Flushed { conn, tags, ok } => self
                    .waiting
                    .extend(tags.into_iter().map(|tag| Input::Flushed { conn, tag, ok })),
                Event::Drained { conn } => self.waiting.push_back(Input::Drained { conn }),
                Event::Gone { conn } => self.waiting.push_back(Input::Disconnected { conn }),
                Event::Warning { code, warning } => {
                    self.waiting.push_back(Input::Warning { code, warning });
                }
                Event::Mesh { input, .. } => self.waiting.push_back(Input::Mesh(input)),
                Event::Pairing(input) => self.waiting.push_back(Input::Pairing(input)),
            }
        }
    }

    /// Handles what waits in one transaction.
    ///
    /// # Errors
    /// When the store can no longer be read: the hub must end.
    fn batch(&mut self) -> Result<(), StoreError> {
        self.store.begin();
        let outcome = match self.handle_inputs() {
            None => self.commit(),
            Some(error) => Err(error),
        };
        match outcome {
            Ok(()) => {
                let wrote = self.hub.dirty();
                self.hub.batch_committed();
                if self.failing && wrote {
                    self.recovered();
                }
            }
            Err(error) => self.take_back(&error)?,
        }
        self.let_out_now();
        let after = std::mem::take(&mut self.effects.after);
        self.effects.after = self.let_out(after);
        for conn in self.leaving.drain(..) {
            if let Some(queue) = self.queues.remove(&conn) {
                queue.finish();
            }
        }
        Ok(())
    }

    /// Commits, and notes how long that takes on this disk.
    fn commit(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        let outcome = self.store.commit();
        if self.hub.dirty() {
            self.batch_time = started.elapsed().clamp(BATCH_TIME, BATCH_TIME_MOST);
        }
        outcome
    }

    /// Lets the brain handle inputs until the batch is full, or returns its store error.
    fn handle_inputs(&mut self) -> Option<StoreError> {
        let started = Instant::now();
        let now = self.clock.now();
        let mut handled = 0;
        while handled < BATCH_INPUTS && started.elapsed() < self.batch_time || handled == 0 {
            let Some(input) = self.next_input() else {
                break;
            };
            handled += 1;
            if let Input::Disconnected { conn } = &input {
                self.leaving.push(*conn);
            }
            self.hub
                .handle(now, input, &mut self.store, &mut self.effects);
            if let Some(error) = self.hub.failed() {
                return Some(error.clone());
            }
        }
        if !self.failing {
            self.let_out_now();
        }
        None
    }

    /// Returns the next input; looks into the channel once more when none waits, and lets the
    /// pushes out before that.
    fn next_input(&mut self) -> Option<Input> {
        if self.waiting.is_empty() {
            if !self.failing {
                self.let_out_now();
            }
            while self.received.len() < BATCH_INPUTS {
                match self.inbox.events.try_recv() {
                    Ok(event) => self.received.push(event),
                    Err(_) => break,
                }
            }
            self.unpack();
        }
        self.waiting.pop_front()
    }

    /// Takes the batch back and warns.
    fn take_back(&mut self, error: &StoreError) -> Result<(), StoreError> {
        tracing::error!(%error, "a batch could not be stored and was taken back");
        if let Err(error) = self.store.rollback() {
            tracing::error!(%error, "rolling back failed");
        }
        let now = self.clock.now();
        self.hub
            .batch_failed(now, error, &mut self.store, &mut self.effects)?;
        // Other hubs may have been told of what is taken back: the links begin anew.
        self.mesh.cut_links();
        if self.failing {
            self.drop_unstored_pushes();
        }
        if !std::mem::replace(&mut self.failing, true) {
            self.waiting.push_back(Input::Warning {
                code: STORE_FAILING,
                warning: Some(Warning {
                    code: STORE_FAILING.into(),
                    message: format!("Messages cannot be stored: {error}."),
                    remedy: match error {
                        StoreError::Full => "Free some space on the disk of the data directory.",
                        StoreError::Io(_) => {
                            "Check the disk of the data directory, then: ecorelay node restart"
                        }
                    }
                    .into(),
                }),
            });
        }
        Ok(())
    }

    /// Drops the pushes that were held back for a commit which then failed.
    fn drop_unstored_pushes(&mut self) {
        let waiting = &mut self.waiting;
        self.effects.now.retain(|effect| match *effect {
            Effect::Line {
                conn,
                tag: Some(tag),
                may_drop: true,
                ..
            } => {
                let ok = false;
                waiting.push_back(Input::Flushed { conn, tag, ok });
                // It was not the client that was slow.
                waiting.push_back(Input::Drained { conn });
                false
            }
            _ => true,
        });
    }

    fn recovered(&mut self) {
        tracing::info!("the store works again");
        self.failing = false;
        self.waiting.push_back(Input::Warning {
            code: STORE_FAILING,
            warning: None,
        });
    }

    fn let_out_now(&mut self) {
        if !self.effects.now.is_empty() {
            let now = std::mem::take(&mut self.effects.now);
            self.effects.now = self.let_out(now);
        }
    }

    /// Carries effects out and returns their empty list, for its memory.
    fn let_out(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        for effect in effects.drain(..) {
            match effect {
                Effect::Line {
                    conn,
                    bytes,
                    tag,
                    may_drop,
                } => {
                    let queue = self.queues.get(&conn);
                    if queue.is_some_and(|queue| queue.offer(bytes, tag, may_drop) == Offer::Taken)
                    {
                        continue;
                    }
                    if let Some(tag) = tag {
                        let ok = false;
                        self.waiting.push_back(Input::Flushed { conn, tag, ok });
                    }
                    if let (Some(queue), false) = (queue, may_drop) {
                        tracing::info!(conn = conn.0, "a client does not read; it is closed");
                        queue.cut();
                    }
                }
                Effect::Close { conn } => {
                    if let Some(queue) = self.queues.get(&conn) {
                        queue.finish();
                    }
                }
                Effect::Mesh(effect) => self.mesh.apply(effect),
                Effect::Pairing(effect) => self.pairing.apply(effect),
                Effect::Stop => self.stopping = true,
            }
        }
        effects
    }
}
