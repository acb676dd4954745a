//! The channel's lasting tie to a hub: connects, starts the hub where there is none, registers,
//! joins the rooms again, and does all that anew whenever the connection is lost.
//!
//! One task runs the tie ([`Tie::run`]); calls go through [`Link`], wait for the tie where it
//! is broken, and are sent again where that is harmless.

use crate::client::{ClientError, HubClient, Pushes, StartHub};
use crate::git;
use crate::push::Way;
use crate::push::pusher::Arrival;
use crate::tools::Retry;
use ecorelay_config::DataDir;
use ecorelay_protocol::limits::{BRANCH_CHARS, CWD_CHARS, ROOMS};
use ecorelay_protocol::{ErrorCode, HubLine, PROTOCOL_V6, Refusal};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Pauses between attempts, in milliseconds; the last one repeats.
const PAUSES_MS: [u64; 6] = [0, 100, 500, 1_500, 5_000, 10_000];
/// How long a call waits for a lost hub to come back.
const BACK_WITHIN: Duration = Duration::from_secs(8);
/// How often a waiting call asks for another attempt: a hub can be lost again while it comes
/// back, and the pause after that could be longer than the call waits.
const INSIST_EVERY: Duration = Duration::from_millis(250);
/// A tie that held for less than this counts as a failed attempt.
const HELD: Duration = Duration::from_secs(1);
/// How often one call is sent at most.
const TRIES: usize = 5;
/// Pause between two lines about what the session does and how it is reached: a waiter that comes
/// and goes changes that with every message.
const SAY_PAUSE: Duration = Duration::from_millis(250);
/// A registration may have to wait for the probe of the name's holder.
const REGISTER_WITHIN: Duration = Duration::from_secs(10);

/// How the tie stands.
#[derive(Debug, Clone)]
enum Standing {
    /// Nobody asked for it yet.
    Idle,
    /// Broken, after so many failed attempts in this process's life.
    Down {
        failures: u64,
        why: Refusal,
        /// Waiting does not help.
        definite: bool,
    },
    /// Registered.
    Up { client: HubClient, generation: u64 },
}

/// Who this session is to the hub.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The wanted name, then the one the hub gave.
    pub(crate) name: String,
    /// Which assistant it is.
    pub(crate) agent: String,
    said: Said,
    rooms: BTreeSet<String>,
}

/// What the hub is told of the session when it registers, and again when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    /// What it does: idle, busy; empty where nobody says.
    state: String,
    /// How messages reach it, once that is known.
    push: Option<Way>,
}

impl Said {
    /// Adds it to a line. An older hub passes over what it does not know.
    fn add_to(&self, line: &mut Value) {
        line["state"] = self.state.as_str().into();
        if let Some(way) = &self.push {
            line["push"] = way.path.as_str().into();
            line["push_detail"] = way.detail.as_deref().into();
        }
    }
}

/// A cloneable handle to the tie.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    standing: watch::Receiver<Standing>,
    identity: watch::Sender<Identity>,
    nudge: Arc<Notify>,
    held: watch::Sender<bool>,
}

/// The task's side of the tie.
#[derive(Debug)]
pub(crate) struct Tie {
    /// The data directory, or why there is none.
    pub(crate) dir: Result<DataDir, String>,
    pub(crate) start: StartHub,
    pub(crate) cwd: PathBuf,
    /// Where the hub's pushes go.
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    /// A secret; whoever shows it is this session.
    pub(crate) session_key: String,
    standing: watch::Sender<Standing>,
    identity: watch::Sender<Identity>,
    nudge: Arc<Notify>,
    held: watch::Receiver<bool>,
}

/// Returns the two sides of a tie of a session that wants to be called `name`.
pub(crate) fn link(
    name: String,
    dir: Result<DataDir, String>,
    start: StartHub,
    cwd: PathBuf,
    arrivals: mpsc::Sender<Arrival>,
) -> (Link, Tie) {
    let (standing_tx, standing) = watch::channel(Standing::Idle);
    let identity = watch::Sender::new(Identity {
        name,
        agent: String::new(),
        said: Said::default(),
        rooms: BTreeSet::new(),
    });
    let nudge = Arc::new(Notify::new());
    let (held, held_rx) = watch::channel(false);
    let tie = Tie {
        dir,
        start,
        cwd,
        arrivals,
        session_key: uuid::Uuid::new_v4().to_string(),
        standing: standing_tx,
        identity: identity.clone(),
        nudge: nudge.clone(),
        held: held_rx,
    };
    let link = Link {
        standing,
        identity,
        nudge,
        held,
    };
    (link, tie)
}

impl Link {
    /// Asks for the tie, if nobody has yet; returns at once.
    pub(crate) fn want(&self) {
        self.nudge.notify_one();
    }

    /// Puts the first registration off while it is not known yet who this session is, or lets
    /// it go on.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Returns this session's name at the hub.
    pub(crate) fn name(&self) -> String {
        self.identity.borrow().name.clone()
    }

    /// Says which assistant this is; peers see it from the next registration on.
    pub(crate) fn set_agent(&self, agent: &str) {
        self.identity.send_modify(|id| id.agent = agent.to_owned());
    }

    /// Says what the session does: peers see it.
    pub(crate) fn set_state(&self, state: &str) {
        self.say(|said| {
            let changed = said.state != state;
            if changed {
                said.state = state.to_owned();
            }
            changed
        });
    }

    /// Says how messages reach the session now.
    pub(crate) fn set_push(&self, way: Way) {
        self.say(|said| {
            let changed = said.push.as_ref() != Some(&way);
            if changed {
                said.push = Some(way);
            }
            changed
        });
    }

    fn say(&self, change: impl FnOnce(&mut Said) -> bool) {
        self.identity.send_if_modified(|id| change(&mut id.said));
    }

    /// Takes another name: at the hub if this session is registered, else when it registers.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub(crate) async fn rename(&self, name: &str) -> Result<(), Refusal> {
        let registered = !matches!(*self.standing.borrow(), Standing::Idle);
        if registered {
            let line = json!({"type": "rename", "new_name": name});
            self.call(&line, Retry::Harmless).await?;
        }
        self.renamed(name);
        Ok(())
    }

    /// Returns whether this session is registered now.
    pub(crate) fn is_up(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Up { .. })
    }

    /// Registers under this name, if nobody has asked for the tie yet.
    pub(crate) fn prefer(&self, name: &str) {
        if matches!(*self.standing.borrow(), Standing::Idle) {
            self.renamed(name);
        }
    }

    /// Notes a new name, to be taken again after a reconnect.
    pub(crate) fn renamed(&self, name: &str) {
        self.identity.send_modify(|id| id.name = name.to_owned());
    }

    /// Notes a room, to be joined again after a reconnect.
    pub(crate) fn joined(&self, room: &str) {
        self.identity.send_modify(|id| {
            if id.rooms.len() < ROOMS {
                id.rooms.insert(room.to_owned());
            }
        });
    }

    /// Forgets a room.
    pub(crate) fn left(&self, room: &str) {
        self.identity.send_modify(|id| {
            id.rooms.remove(room);
        });
    }

    /// Sends a request and returns the answer; waits for a broken tie, and sends the request
    /// again after a break where `retry` allows it.
    ///
    /// # Errors
    /// The hub's refusal, or `hub_unreachable` with the reason.
    pub(crate) async fn call(&self, line: &Value, retry: Retry) -> Result<HubLine, Refusal> {
        let (mut last_generation, mut maybe_sent) = (0, false);
        for _ in 0..TRIES {
            let (client, generation) = self.up_after(last_generation).await.map_err(|refusal| {
                if maybe_sent {
                    not_known(&refusal.message)
                } else {
                    refusal
                }
            })?;
            last_generation = generation;
            match client.request(line).await {
                Ok(answer) => return Ok(answer),
                // The name was lost and the notice of it missed: take it again.
                Err(ClientError::Refused(refusal)) if refusal.code == ErrorCode::NotRegistered => {
                    client.close().await;
                }
                Err(ClientError::Lost { sent }) => {
                    maybe_sent |= sent;
                    if sent && retry == Retry::Never {
                        return Err(not_known(
                            "The connection to the hub was lost before it answered.",
                        ));
                    }
                }
                Err(error) => return Err(error.refusal()),
            }
        }
        Err(Refusal::new(
            ErrorCode::HubUnreachable,
            "The connection to the hub is lost again and again. `ecorelay doctor` finds out why.",
        ))
    }

    /// Sends a line without an answer, if the tie is up.
    pub(crate) async fn tell(&self, line: &Value) {
        let standing = self.standing.borrow().clone();
        if let Standing::Up { client, .. } = standing {
            // Lost with the connection, like the push it is about: the hub pushes anew.
            let _ = client.tell(line).await;
        }
    }

    /// Waits until the tie is up, newer than `generation`.
    async fn up_after(&self, generation: u64) -> Result<(HubClient, u64), Refusal> {
        let mut standing = self.standing.clone();
        let failures_before = match &*standing.borrow() {
            Standing::Down { failures, .. } => *failures,
            _ => 0,
        };
        let settled = |standing: &Standing| match standing {
            Standing::Idle => None,
            Standing::Up {
                client,
                generation: at,
            } => (*at > generation).then(|| Ok((client.clone(), *at))),
            // Waiting for a hub that cannot start is useless, but one attempt of its own is
            // due to every call: somebody may have mended it.
            Standing::Down {
                failures,
                why,
                definite,
            } => (*definite && *failures > failures_before).then(|| Err(why.clone())),
        };
        let deadline = Instant::now() + BACK_WITHIN;
        loop {
            self.nudge.notify_one();
            let look = deadline.min(Instant::now() + INSIST_EVERY);
            let wait = standing.wait_for(|standing| settled(standing).is_some());
            match timeout_at(look, wait).await {
                Ok(Ok(standing)) => {
                    return settled(&standing).unwrap_or_else(|| Err(unreachable(None)));
                }
                Ok(Err(_)) => return Err(unreachable(None)),
                Err(_) if Instant::now() >= deadline => {
                    return Err(unreachable(Some(&self.standing.borrow())));
                }
                Err(_) => {}
            }
        }
    }
}

fn unreachable(standing: Option<&Standing>) -> Refusal {
    let why = match standing {
        Some(Standing::Down { why, .. }) => why.message.as_str(),
        _ => "The hub does not answer.",
    };
    Refusal::new(
        ErrorCode::HubUnreachable,
        format!("{why} Try again later, or run `ecorelay doctor`."),
    )
}

/// Returns the refusal of a request of which nobody knows whether the hub has taken it.
fn not_known(why: &str) -> Refusal {
    Refusal::new(
        ErrorCode::HubUnreachable,
        format!("{why} It is not known whether this was done: look before you call it again."),
    )
}

impl Tie {
    /// Keeps the tie up for as long as this process lives. Begins when it is wanted.
    pub(crate) async fn run(mut self) {
        self.nudge.notified().await;
        // Whoever held it and is gone holds it no more.
        let _ = self.held.wait_for(|held| !held).await;
        let (mut failures, mut generation, mut in_a_row) = (0_u64, 0_u64, 0_usize);
        loop {
            let why = match self.attempt().await {
                Ok((client, pushes, said)) => {
                    generation += 1;
                    let since = Instant::now();
                    self.standing.send_replace(Standing::Up {
                        client: client.clone(),
                        generation,
                    });
                    self.forward(&client, pushes, said).await;
                    if since.elapsed() >= HELD {
                        in_a_row = 0;
                    }
                    ClientError::Lost { sent: false }
                }
                Err(error) => error,
            };
            failures += 1;
            let definite = !matches!(
                why,
                ClientError::Lost { .. }
                    | ClientError::HubUnreachable(_)
                    | ClientError::NoAnswer(_)
            );
            self.standing.send_replace(Standing::Down {
                failures,
                why: why.refusal(),
                definite,
            });
            self.pause(in_a_row).await;
            in_a_row += 1;
        }
    }

    /// Waits before the next attempt; a call that needs the hub cuts the wait short.
    async fn pause(&self, in_a_row: usize) {
        let pause = PAUSES_MS[in_a_row.min(PAUSES_MS.len() - 1)];
        // Sessions that lost the same hub need not all come back in the same millisecond.
        let jitter = fastrand::u64(0..=pause / 5);
        let deadline = Instant::now() + Duration::from_millis(pause + jitter);
        // In time or not, the next attempt is due.
        let _ = timeout_at(deadline, self.nudge.notified()).await;
    }

    /// Connects, registers and joins the rooms; returns also what the hub was told.
    async fn attempt(&self) -> Result<(HubClient, Pushes, Said), ClientError> {
        let dir = self.dir.as_ref().map_err(|why| {
            ClientError::HubCannotStart(format!("The hub cannot be reached: {why}."))
        })?;
        let (client, pushes) = HubClient::connect_or_start(dir, &self.start).await?;
        let identity = self.identity.borrow().clone();
        let mut register = json!({
            "type": "register",
            "name": identity.name,
            "cwd": shortened(&self.cwd.display().to_string(), CWD_CHARS),
            "git_branch": shortened(&git::branch(&self.cwd).unwrap_or_default(), BRANCH_CHARS),
            "protocol_version": PROTOCOL_V6,
            "agent": identity.agent,
            "suffix": true,
            "session_key": self.session_key,
        });
        identity.said.add_to(&mut register);
        if let HubLine::Ack {
            name: Some(given), ..
        } = client.request_within(&register, REGISTER_WITHIN).await?
        {
            self.identity.send_modify(|id| id.name = given);
        }
        for room in identity.rooms {
            let join = json!({"type": "join_room", "room": room});
            match client.request_within(&join, REGISTER_WITHIN).await {
                // A room that refuses now is left: the session's calls will say why.
                Ok(_) | Err(ClientError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((client, pushes, identity.said))
    }

    /// Notes that a command which acts for this session has joined or left a room.
    fn brought(&self, room: String, members: &[String]) {
        self.identity.send_modify(|id| {
            if !members.contains(&id.name) {
                id.rooms.remove(&room);
            } else if id.rooms.len() < ROOMS {
                id.rooms.insert(room);
            }
        });
    }

    /// Hands the hub's pushes on, and tells the hub what has changed since it was `told`, until
    /// the connection ends or the name is lost.
    async fn forward(&self, client: &HubClient, mut pushes: Pushes, mut told: Said) {
        let mut waiting = None;
        let mut identity = self.identity.subscribe();
        // Something may have changed since it was told.
        identity.mark_changed();
        let (mut changed, mut may_say) = (false, Instant::now());
        loop {
            tokio::select! {
                seen = identity.changed(), if !changed => match seen {
                    Ok(()) => changed = true,
                    Err(_) => return,
                },
                () = sleep_until(may_say), if changed => {
                    changed = false;
                    let now = identity.borrow_and_update().said.clone();
                    if now != told {
                        let mut line = json!({"type": "state"});
                        now.add_to(&mut line);
                        // Lost with the connection: the next registration says it.
                        let _ = client.tell(&line).await;
                        told = now;
                        may_say = Instant::now() + SAY_PAUSE;
                    }
                }
                () = client.closed() => return,
                line = pushes.next(), if waiting.is_none() => match line {
                    None => return,
                    Some(HubLine::Evicted { .. }) => {
                        client.close().await;
                        return;
                    }
                    Some(HubLine::RoomAck { room, members, .. }) => self.brought(room, &members),
                    line => waiting = line,
                },
                room = self.arrivals.reserve(), if waiting.is_some() => {
                    let (Ok(room), Some(line)) = (room, waiting.take()) else { return };
                    room.send(Arrival::Line(Box::new(line)));
                }
            }
        }
    }
}

/// Returns `text` cut to at most `chars` characters.
fn shortened(text: &str, chars: usize) -> &str {
    text.char_indices()
        .nth(chars)
        .map_or(text, |(at, _)| &text[..at])
}
