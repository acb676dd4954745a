//! The sessions that one channel process serves. Most assistants start a channel per session;
//! some have one for all of theirs and say with each call which session it is about. Each of
//! those is a peer of its own: its own name, its own link to the hub, its own pushes.
//!
//! Types to know: [`Session`], [`Sessions`] (all of them).

mod names;

use crate::attach::protocol::{Attach, Kind};
use crate::client::StartHub;
use crate::inbox::Inbox;
use crate::link::{self, Link};
use crate::name;
use crate::push::Ready;
use crate::push::pusher::{self, ARRIVALS, Arrival, EVENTS, Event};
use ecorelay_adapters::{Assistant, PushChoice, PushPath, Registration, Surroundings};
use ecorelay_config::DataDir;
use ecorelay_protocol::{ErrorCode, Refusal};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Sessions that one process serves beside the first.
const SESSIONS: usize = 63;
/// A session beside the first that nothing is attached to and that called nothing for so long
/// is over: its assistant has no way to say so.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How often idle sessions are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// One session of the assistant: one peer.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its tie to the hub.
    pub(crate) link: Link,
    /// What its pusher is to know.
    pub(crate) events: mpsc::Sender<Event>,
    /// Held for the whole of a fetch, so that two at once do not show a message twice.
    pub(crate) inbox: tokio::sync::Mutex<Inbox>,
    /// The assistant's own id of it.
    id: watch::Sender<Option<String>>,
    /// Plugins and terminals that are attached.
    attached: AtomicUsize,
    used: Mutex<Instant>,
}

impl Session {
    /// Returns the assistant's own id of the session.
    pub(crate) fn id(&self) -> Option<String> {
        self.id.borrow().clone()
    }

    /// Tells the pusher something that is no loss if it cannot be told now.
    pub(crate) fn tell_pusher(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    fn is(&self, id: &str) -> bool {
        self.id.borrow().as_deref() == Some(id)
    }

    fn set_id(&self, id: &str) {
        let changed = self.id.send_if_modified(|known| {
            let changed = known.as_deref() != Some(id);
            if changed {
                *known = Some(id.to_owned());
            }
            changed
        });
        if changed {
            self.tell_pusher(Event::SessionKnown);
        }
    }

    fn touch(&self) {
        *locked(&self.used) = Instant::now();
    }

    fn is_over(&self) -> bool {
        self.attached.load(Ordering::Relaxed) == 0 && locked(&self.used).elapsed() >= IDLE
    }
}

/// One who attached to a session; plugins and terminals are counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Present {
    session: Arc<Session>,
    counts: bool,
}

impl Present {
    pub(crate) fn new(session: Arc<Session>, kind: Kind) -> Self {
        let counts = matches!(kind, Kind::Plugin | Kind::Terminal);
        session
            .attached
            .fetch_add(usize::from(counts), Ordering::Relaxed);
        session.touch();
        Self { session, counts }
    }

    /// Returns the session.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let counted = usize::from(self.counts);
        self.session.attached.fetch_sub(counted, Ordering::Relaxed);
        self.session.touch();
    }
}

/// What every session is made of.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) dir: Result<DataDir, String>,
    pub(crate) start: StartHub,
    pub(crate) around: Surroundings,
    pub(crate) choice: PushChoice,
    pub(crate) ready: watch::Receiver<Option<Ready>>,
}

/// The sessions of this process.
#[derive(Debug)]
pub(crate) struct Sessions {
    recipe: Recipe,
    /// The one that needs no id: what the first id names, and all calls without one.
    first: Arc<Session>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    client: Option<(&'static Assistant, String)>,
    others: HashMap<String, Other>,
}

#[derive(Debug)]
struct Other {
    session: Arc<Session>,
    /// Its tasks, which end with it.
    _tasks: JoinSet<()>,
}

impl Sessions {
    /// Returns the sessions, of which there is one, and its tasks. `notices` are told in it.
    pub(crate) fn new(
        recipe: Recipe,
        wanted_name: String,
        notices: Vec<String>,
    ) -> (Arc<Self>, JoinSet<()>) {
        let (first, tasks) = begin(&recipe, wanted_name, None, notices);
        let sessions = Arc::new(Self {
            recipe,
            first,
            table: Mutex::default(),
        });
        (sessions, tasks)
    }

    /// Returns the session that needs no id.
    pub(crate) fn first(&self) -> &Arc<Session> {
        &self.first
    }

    /// Takes note of who the client is.
    pub(crate) fn set_client(&self, assistant: &'static Assistant, agent: &str) {
        self.first.link.set_agent(agent);
        if let Some(id) = self.recipe.around.session_id(assistant) {
            self.first.set_id(id);
        }
        if assistant.overlaps
            && let Ok(dir) = &self.recipe.dir
        {
            self.succeed(dir.clone());
        }
        let mut table = locked(&self.table);
        for other in table.others.values() {
            other.session.link.set_agent(agent);
        }
        table.client = Some((assistant, agent.to_owned()));
    }

    /// Returns the client, once it is known.
    pub(crate) fn assistant(&self) -> &'static Assistant {
        let client = locked(&self.table).client.as_ref().map(|client| client.0);
        client.unwrap_or_else(|| Assistant::of_client(""))
    }

    /// Returns the session with this id of the assistant's, which may be new.
    ///
    /// # Errors
    /// When there are too many already.
    pub(crate) fn of(&self, id: Option<&str>) -> Result<Arc<Session>, Refusal> {
        self.of_or_new(id, None)
    }

    fn of_or_new(&self, id: Option<&str>, title: Option<&str>) -> Result<Arc<Session>, Refusal> {
        let Some(id) = id.filter(|id| !self.first.is(id)) else {
            self.first.touch();
            return Ok(self.first.clone());
        };
        let several = self.assistant().several_sessions;
        let own_name = self.name_of(id);
        let mut table = locked(&self.table);
        if let Some(other) = table.others.get(id) {
            other.session.touch();
            return Ok(other.session.clone());
        }
        if !several || self.first.id().is_none() {
            // The one session there is has this id now.
            if let Some(name) = own_name {
                self.first.link.prefer(&name);
            }
            self.first.set_id(id);
            return Ok(self.first.clone());
        }
        if table.others.len() >= SESSIONS {
            return Err(Refusal::new(
                ErrorCode::Unexpected,
                format!(
                    "This assistant has more than {SESSIONS} sessions here; close some of them."
                ),
            ));
        }
        let name = own_name.or_else(|| title.and_then(name::slug));
        let name = name.unwrap_or_else(|| name::resolve(&self.recipe.around).name);
        let (session, tasks) = begin(&self.recipe, name, Some(id.to_owned()), Vec::new());
        if let Some((_, agent)) = &table.client {
            session.link.set_agent(agent);
        }
        session.link.want();
        let other = Other {
            session: session.clone(),
            _tasks: tasks,
        };
        table.others.insert(id.to_owned(), other);
        Ok(session)
    }

    /// Returns the session that somebody wants to attach to, or a sentence about why not.
    pub(crate) fn attach(&self, attach: &Attach) -> Result<Present, String> {
        let id = attach.session.as_deref();
        let assistant = self.assistant();
        let several = assistant.several_sessions;
        if attach.kind == Kind::Wait && attach.agent.is_some() && !self.wants_waiter() {
            return Err("This session is reached on a better way than by waiting.".into());
        }
        let session = match attach.kind {
            Kind::Hook | Kind::Wait => self.asked_for(attach)?,
            Kind::Plugin | Kind::Terminal => {
                let belongs_to = self.first.id().filter(|known| Some(known.as_str()) != id);
                if let (false, Some(_), Some(known)) = (several, id, belongs_to) {
                    let pinned = self.recipe.around.session_id(assistant) == Some(&known);
                    if pinned || self.first.attached.load(Ordering::Relaxed) > 0 {
                        return Err(format!("This is the channel of session {known}."));
                    }
                }
                let of = self.of_or_new(id, attach.name.as_deref());
                of.map_err(|refusal| refusal.message)?
            }
        };
        // Who attaches is in a real session, not in one that only lists tools.
        session.link.want();
        Ok(Present::new(session, attach.kind))
    }

    /// Returns whether texts may go to a command that the assistant has wait for them: not
    /// where the channel itself has a way that is tried first.
    fn wants_waiter(&self) -> bool {
        let recipe = &self.recipe;
        let paths = recipe.choice.paths(self.assistant(), &recipe.around);
        let first = paths
            .iter()
            .find(|path| **path == PushPath::Wait || !path.is_attached());
        first == Some(&PushPath::Wait)
    }

    /// Returns the session that a hook or a waiter means: by id, by name, else the first.
    fn asked_for(&self, attach: &Attach) -> Result<Arc<Session>, String> {
        let table = locked(&self.table);
        let others = table.others.values().map(|other| &other.session);
        let mut all = std::iter::once(&self.first).chain(others);
        if let Some(name) = attach.name.as_deref() {
            let named = all.find(|session| session.link.name() == name);
            return named
                .cloned()
                .ok_or_else(|| format!("No session here is called \"{name}\"."));
        }
        let several = table.client.as_ref().is_some_and(|c| c.0.several_sessions);
        let id = attach.session.as_deref();
        let meant = all.find(|session| id.is_some_and(|id| session.is(id)));
        match (meant, several, id, self.first.id()) {
            (Some(session), ..) => Ok(session.clone()),
            (None, true, Some(id), Some(_)) => Err(format!("There is no session {id} here.")),
            _ => {
                if let Some(id) = id {
                    self.first.set_id(id);
                }
                Ok(self.first.clone())
            }
        }
    }

    /// Takes note that a session is known under another id or title now; returns the session
    /// that has the id, which is another one if the id was known.
    pub(crate) fn changed(
        &self,
        session: &Arc<Session>,
        id: Option<&str>,
        title: Option<&str>,
    ) -> Arc<Session> {
        let mut session = session.clone();
        if let Some(id) = id.filter(|id| !session.is(id)) {
            let mut table = locked(&self.table);
            let known = match self.first.is(id) {
                true => Some(self.first.clone()),
                false => table.others.get(id).map(|other| other.session.clone()),
            };
            if let Some(known) = known {
                session = known;
            } else {
                let before = session.id().unwrap_or_default();
                if let Some(other) = table.others.remove(&before) {
                    table.others.insert(id.to_owned(), other);
                }
                session.set_id(id);
            }
        }
        if let Some(title) = title {
            self.rename(&session, title);
        }
        session
    }

    /// Returns the sessions that there are.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let table = locked(&self.table);
        let others = table.others.values().map(|other| other.session.clone());
        std::iter::once(self.first.clone()).chain(others).collect()
    }

    /// Ends a session that its assistant has ended. The first one stays for the next id.
    pub(crate) fn end(&self, session: &Arc<Session>) {
        if Arc::ptr_eq(session, &self.first) {
            if self.assistant().several_sessions {
                self.first.id.send_replace(None);
            }
            return;
        }
        let mut table = locked(&self.table);
        let others = &mut table.others;
        others.retain(|_, other| !Arc::ptr_eq(&other.session, session));
    }

    /// Asks for the ties of a client whose sessions are there from the start.
    pub(crate) fn started(&self) {
        if self.assistant().registration == Registration::AtStart {
            self.first.link.want();
        }
    }

    /// Ends idle sessions for as long as the process lives.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut table = locked(&self.table);
            table.others.retain(|_, other| !other.session.is_over());
        }
    }
}

/// Starts a session.
fn begin(
    recipe: &Recipe,
    wanted_name: String,
    id: Option<String>,
    notices: Vec<String>,
) -> (Arc<Session>, JoinSet<()>) {
    let (arrival_tx, arrivals) = mpsc::channel(ARRIVALS);
    let (events, event_rx) = mpsc::channel(EVENTS);
    for notice in notices {
        // The few there are fit in any case.
        let _ = arrival_tx.try_send(Arrival::Notice(notice));
    }
    let (link, tie) = link::link(
        wanted_name,
        recipe.dir.clone(),
        recipe.start.clone(),
        recipe.around.cwd.clone(),
        arrival_tx,
    );
    let (id, id_rx) = watch::channel(id);
    let parts = pusher::Parts {
        link: link.clone(),
        around: recipe.around.clone(),
        dir: recipe.dir.clone().ok(),
        session: id_rx,
        choice: recipe.choice,
    };
    // Tasks, so that what the hub answers first is also dealt with first.
    let mut tasks = JoinSet::new();
    tasks.spawn(tie.run());
    tasks.spawn(pusher::run(parts, arrivals, event_rx, recipe.ready.clone()));
    let session = Session {
        link,
        events,
        inbox: tokio::sync::Mutex::default(),
        id,
        attached: AtomicUsize::new(0),
        used: Mutex::new(Instant::now()),
    };
    (Arc::new(session), tasks)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is whole after every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
