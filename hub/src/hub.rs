//! The state machine: its parts, its entry points, and what a batch means.

use crate::asks::{Asks, Broadcast};
use crate::budget::Budgets;
use crate::clients::{Caller, Conn, Probe, Session};
use crate::delivery::Delivery;
use crate::groups::Groups;
use crate::mailboxes::Mailboxes;
use crate::mesh::Mesh;
use crate::pairing::Pairing;
use crate::{
    ConnId, Effect, Effects, HubConfig, Ids, Input, Keys, Store, StoreError, Warning, Write,
};
use ecorelay_protocol::{
    ErrorCode, GroupRequest, HubLine, Incoming, Name, PairStep, Psk, Refusal, Request,
};
use std::collections::{BTreeMap, BTreeSet};

/// How long a note that a push was confirmed may wait for a batch to travel with, in ms.
const LAZY_MS: u64 = 300;
/// How many such notes may wait.
const LAZY_WRITES: usize = 512;

/// A hub's brain. See the crate's documentation for how it is driven.
pub struct Hub {
    pub(crate) config: HubConfig,
    pub(crate) ids: Box<dyn Ids>,
    pub(crate) keys: Box<dyn Keys>,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) sessions: BTreeMap<Name, Session>,
    pub(crate) probes: Vec<Probe>,
    /// Connections that have not registered, by the time they are looked at again.
    pub(crate) silent: BTreeSet<(u64, ConnId)>,
    pub(crate) mail: Mailboxes,
    pub(crate) delivery: Delivery,
    pub(crate) asks: Asks,
    pub(crate) rooms: BTreeMap<Name, BTreeSet<Name>>,
    pub(crate) groups: Groups,
    pub(crate) mesh: Mesh,
    pub(crate) pairing: Pairing,
    mesh_started: bool,
    pub(crate) budgets: Budgets,
    pub(crate) warnings: BTreeMap<&'static str, Warning>,
    pub(crate) watchers: BTreeMap<ConnId, Option<Name>>,
    pub(crate) status_due: Option<u64>,
    /// A person wants this hub until it is stopped.
    pub(crate) stays: bool,
    pub(crate) sweep_due: u64,
    pub(crate) housekeeping_due: u64,
    /// The number of the promise the request at hand makes.
    pub(crate) promise: Option<u64>,
    last_promise: u64,
    batch: Batch,
    lazy: Vec<Write>,
    lazy_due: Option<u64>,
}

/// What the batch at hand did, so that it can be taken back.
#[derive(Debug, Default)]
struct Batch {
    failed: Option<StoreError>,
    writes: usize,
    /// Requests whose answer rests on what is on disk: the number of the promise and who got it.
    promised: Vec<(u64, Caller)>,
    /// Where in `effects.after` their answers are.
    answers: Vec<(usize, u64)>,
    renames: Vec<(ConnId, Name, Name)>,
    /// The mesh's key before the batch, where it has changed.
    key: Option<Option<Psk>>,
    lazy_written: Vec<Write>,
    /// Where in `effects.after` steps of pairing are, and who is told them.
    steps: Vec<(usize, Caller)>,
}

/// One input being handled: the time, the open transaction, and where effects go.
pub(crate) struct Turn<'a, S> {
    pub(crate) now: u64,
    pub(crate) store: &'a mut S,
    pub(crate) effects: &'a mut Effects,
}

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Fail {
    Refused(Refusal),
    Store(StoreError),
}

pub(crate) type Done<T = ()> = Result<T, Fail>;

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Returns a refusal as a failed request.
pub(crate) fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Done<T> {
    Err(Fail::Refused(Refusal::new(code, message)))
}

/// Returns what a caller is told when the store cannot keep its message.
fn store_refusal(error: &StoreError) -> Refusal {
    let remedy = match error {
        StoreError::Full => {
            "Nothing was accepted; free some space on the hub's disk and send again"
        }
        StoreError::Io(_) => "Nothing was accepted; `ecorelay doctor` says more",
    };
    Refusal::new(
        ErrorCode::MailboxError,
        format!("The hub cannot store it: {error}. {remedy}."),
    )
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("hub_id", &self.config.hub_id)
            .field("sessions", &self.sessions.len())
            .field("connections", &self.conns.len())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// Returns a hub with what the store remembers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        config: HubConfig,
        ids: Box<dyn Ids>,
        keys: Box<dyn Keys>,
        store: &mut impl Store,
    ) -> Result<Self, StoreError> {
        let durable = store.load()?;
        Ok(Self {
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            probes: Vec::new(),
            silent: BTreeSet::new(),
            mail: Mailboxes::new(&durable),
            delivery: Delivery::default(),
            asks: Asks::new(&durable),
            rooms: BTreeMap::new(),
            groups: Groups::new(&durable),
            mesh_started: false,
            mesh: Mesh::new(&config, keys.peer_id(), &durable),
            pairing: Pairing::new(&durable),
            budgets: Budgets::new(&config.tunables),
            warnings: BTreeMap::new(),
            watchers: BTreeMap::new(),
            status_due: None,
            stays: false,
            sweep_due: 0,
            housekeeping_due: 0,
            promise: None,
            last_promise: 0,
            batch: Batch::default(),
            lazy: Vec::new(),
            lazy_due: None,
            config,
            ids,
            keys,
        })
    }

    /// Takes one input at the time `now` (ms since 1970) inside an open transaction. A store
    /// error is kept for [`Hub::failed`]: the body must then roll the batch back.
    pub fn handle(
        &mut self,
        now: u64,
        input: Input,
        store: &mut impl Store,
        effects: &mut Effects,
    ) {
        let mut t = Turn {
            now,
            store,
            effects,
        };
        if let Err(Fail::Store(error)) = self.adopt_groups(&mut t) {
            self.note_failure(error);
        }
        match input {
            Input::Connected { conn, origin } => self.connected(&t, conn, origin),
            Input::Line { conn, incoming } => self.line(&mut t, conn, incoming),
            Input::Disconnected { conn } => self.disconnected(&mut t, conn),
            Input::Flushed { conn, tag, ok } => self.flushed(&mut t, conn, tag, ok),
            Input::Drained { conn } => self.drained(&mut t, conn),
            Input::Warning { code, warning } => {
                match warning {
                    Some(warning) => self.warnings.insert(code, warning),
                    None => self.warnings.remove(code),
                };
                self.status_changed(&t);
            }
            Input::Mesh(input) => {
                if let Err(Fail::Store(error)) = self.mesh_input(&mut t, input) {
                    self.note_failure(error);
                }
            }
            Input::Pairing(input) => {
                if let Err(Fail::Store(error)) = self.pairing_input(&mut t, input) {
                    self.note_failure(error);
                }
            }
            Input::Ending => {
                if let Err(Fail::Store(error)) = self.flush_lazy(&mut t) {
                    self.note_failure(error);
                }
            }
            Input::Tick => {}
        }
        if self.next_deadline().is_some_and(|due| due <= now) {
            self.run_timers(&mut t);
        }
        self.tell_door(&mut t);
    }

    /// Returns the store error of this batch, if one happened: the batch cannot be committed.
    pub fn failed(&self) -> Option<&StoreError> {
        self.batch.failed.as_ref()
    }

    /// Returns whether this batch wrote anything (an empty one needs no commit).
    pub fn dirty(&self) -> bool {
        self.batch.writes > 0
    }

    /// Ends a batch that was committed, or that wrote nothing.
    pub fn batch_committed(&mut self) {
        self.batch = Batch::default();
        self.delivery.batch_ended();
    }

    /// Ends a batch that was rolled back: forgets what it did to durable things, and turns the
    /// answers of the batch that wait in `effects.after` (and those that wait for a
    /// confirmation) into `mailbox_error` refusals. The pushes in `effects.now` are left alone.
    ///
    /// # Errors
    /// When the store cannot even be read: the hub must end.
    pub fn batch_failed(
        &mut self,
        now: u64,
        error: &StoreError,
        store: &mut impl Store,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        for (conn, old, new) in batch.renames.into_iter().rev() {
            self.move_session(conn, &new, &old);
        }
        // Confirmations are noted again with a later batch; what other hubs said of messages is
        // heard again on their next links.
        self.lazy.splice(0..0, batch.lazy_written);
        self.lazy
            .retain(|write| !matches!(write, Write::MarkOutgoing { .. }));
        self.lazy_due = (!self.lazy.is_empty()).then_some(now + LAZY_MS);
        let durable = store.load()?;
        self.mail = Mailboxes::new(&durable);
        self.asks = Asks::new(&durable);
        self.groups = Groups::new(&durable);
        let mut at = 0;
        effects.after.retain(|_| {
            at += 1;
            if batch.steps.iter().any(|(place, _)| *place == at - 1) {
                return false;
            }
            let promise = batch.answers.iter().find(|(place, _)| *place == at - 1);
            promise.is_none_or(|(_, number)| batch.promised.iter().all(|(n, _)| n != number))
        });
        // Nothing that rests on the batch may reach another hub.
        effects
            .after
            .retain(|effect| !matches!(effect, Effect::Mesh(_) | Effect::Pairing(_)));
        if let Some(key) = batch.key {
            self.mesh.key = key;
        }
        let refused = |caller: &Caller| batch.promised.iter().any(|(_, other)| other == caller);
        self.pairing.forget_invites(refused);
        self.mesh.forget_revokes(refused);
        self.mesh.reload(&durable, effects);
        let mut told = self.pairing.reload(now, &durable, effects);
        told.extend(batch.steps.into_iter().map(|(_, caller)| caller));
        told.sort_by_key(|caller| caller.conn);
        told.dedup_by_key(|caller| caller.conn);
        let mut t = Turn {
            now,
            store,
            effects,
        };
        // What the body was to be told in this batch was dropped; it is told what still holds.
        self.mesh_started(&mut t);
        for caller in told {
            let step = PairStep::Failed {
                code: "mailbox_error".into(),
                message: store_refusal(error).message,
            };
            self.answer_step(&mut t, &caller, step);
        }
        self.tell_door(&mut t);
        let mut waiting = self.delivery.forget_batch();
        self.mail.note_pages(self.delivery.pages());
        self.groups.note_cursors(self.delivery.cursors());
        let refusal = store_refusal(error);
        let line = HubLine::Err {
            code: refusal.code,
            message: refusal.message,
            req_id: None,
            ask_id: None,
        };
        // First what waits for its turn, for the answers below may let it out.
        let held: Vec<bool> = batch
            .promised
            .iter()
            .map(|(promise, caller)| self.replace_held(caller, *promise, line.clone()))
            .collect();
        for ((_, caller), held) in batch.promised.into_iter().zip(held) {
            if let Some(at) = waiting.iter().position(|(_, waiter)| *waiter == caller) {
                let (pending, _) = waiting.remove(at);
                self.answer_held(&mut t, &caller, pending, None, line.clone());
            } else if !held {
                self.answer(&mut t, &caller, line.clone());
            }
        }
        self.batch = Batch::default();
        Ok(())
    }

    /// Returns when [`Input::Tick`] is due, in ms since 1970.
    pub fn next_deadline(&self) -> Option<u64> {
        let probe = self.probes.iter().map(|p| p.deadline).min();
        let silent = self.silent.first().map(|(due, _)| *due);
        [
            probe,
            silent,
            self.delivery.next_deadline(),
            self.mesh.next_deadline(),
            self.pairing.next_deadline(),
            self.renewal_deadline(),
            (!self.mesh_started).then_some(0),
            self.groups.next_deadline(),
            self.lazy_due,
            self.status_due,
            Some(self.sweep_due),
            Some(self.housekeeping_due),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Returns whether anyone needs this hub: a registered session, a connection that watches or
    /// acts for a name, other hubs (it is in a mesh), or a person who said that it stays.
    pub fn in_use(&self) -> bool {
        self.stays
            || !self.sessions.is_empty()
            || !self.watchers.is_empty()
            || self.mesh.row.is_some()
            || self.mesh.has_outbox()
            || self.pairing.in_use()
            || self.conns.values().any(|c| c.attached.is_some())
    }

    fn run_timers(&mut self, t: &mut Turn<'_, impl Store>) {
        let result = self
            .probe_timers(t)
            .and_then(|()| self.delivery_timers(t))
            .and_then(|()| {
                if self.lazy_due.is_some_and(|due| due <= t.now) {
                    self.flush_lazy(t)?;
                }
                Ok(())
            })
            .and_then(|()| self.mesh_timers(t))
            .and_then(|()| self.pairing_timers(t))
            .and_then(|()| self.group_timers(t))
            .and_then(|()| self.sweep(t))
            .and_then(|()| self.housekeeping(t));
        if !std::mem::replace(&mut self.mesh_started, true) {
            self.mesh_started(t);
        }
        self.silent_timers(t);
        self.status_timer(t);
        if let Err(Fail::Store(error)) = result {
            self.batch.failed.get_or_insert(error);
        }
    }

    fn line(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        incoming: Result<Incoming, (Option<String>, Refusal)>,
    ) {
        if !self.heard(t, conn) {
            return;
        }
        let (caller, request) = match incoming {
            Ok(Incoming { req_id, request }) => (Caller { conn, req_id }, request),
            Err((req_id, refusal)) => {
                return self.answer_refusal(t, &Caller { conn, req_id }, refusal, None);
            }
        };
        let promised = rests_on_disk(&request);
        let ask_id = match &request {
            Request::Reply { ask_id, .. } => Some(ask_id.clone()),
            _ => None,
        };
        if promised {
            self.last_promise += 1;
            self.promise = Some(self.last_promise);
            self.batch
                .promised
                .push((self.last_promise, caller.clone()));
        }
        let result = if promised && self.batch.failed.is_some() {
            Ok(()) // answered when the batch is taken back
        } else {
            self.request(t, &caller, request)
        };
        match result {
            Ok(()) => {}
            Err(Fail::Refused(refusal)) => self.answer_refusal(t, &caller, refusal, ask_id),
            Err(Fail::Store(error)) => {
                if !promised {
                    self.answer_refusal(t, &caller, store_refusal(&error), None);
                }
                self.batch.failed.get_or_insert(error);
            }
        }
        self.promise = None;
    }

    /// Notes where the answer to a promise is, until the batch ends.
    pub(crate) fn note_answer(&mut self, place: usize, promise: Option<u64>) {
        if let Some(promise) = promise {
            self.batch.answers.push((place, promise));
        }
    }

    fn request(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller, request: Request) -> Done {
        if for_a_person_only(&request) {
            self.is_a_person(caller)?;
        }
        match request {
            Request::Register(register) => self.register(t, caller, register),
            Request::Rename { new_name } => self.rename(t, caller, &new_name),
            Request::ListPeers => self.list_peers(t, caller),
            Request::ListRooms => self.list_rooms(t, caller),
            Request::Send(message) => self.send(t, caller, message),
            Request::Inbox { limit, since_id } => self.inbox(t, caller, limit, since_id.as_deref()),
            Request::Read { msg_ids } => self.read(t, caller, &msg_ids),
            Request::Broadcast {
                question,
                broadcast_id,
                exclude_self,
                scope,
            } => {
                let broadcast = Broadcast {
                    question,
                    broadcast_id,
                    exclude_self,
                    scope,
                };
                self.broadcast(t, caller, broadcast)
            }
            Request::Reply {
                ask_id,
                text,
                msg_id,
            } => self.reply(t, caller, &ask_id, text, msg_id),
            Request::JoinRoom { room } => self.join_room(t, caller, &room),
            Request::LeaveRoom { room } => self.leave_room(t, caller, &room),
            Request::RoomMessage { room, text, msg_id } => {
                self.room_message(t, caller, &room, &text, msg_id)
            }
            Request::Group { group, request } => self.group(t, caller, &group, request),
            Request::GroupList => self.group_list(t, caller),
            Request::Ping => {
                let req_id = caller.req_id.clone().unwrap_or_default();
                self.answer(t, caller, HubLine::Pong { req_id });
                Ok(())
            }
            Request::Pong { probe } => {
                self.pong(t, caller.conn, &probe);
                Ok(())
            }
            Request::Pushed {
                msg_ids,
                result,
                path,
                detail,
            } => {
                self.note_pushed(t, caller, result, &path, detail.as_deref());
                for id in msg_ids {
                    self.settle(t, caller.conn, &id, result, &path, detail.clone())?;
                }
                if caller.req_id.is_some() {
                    self.answer_ack(t, caller);
                }
                Ok(())
            }
            Request::State { state, push } => self.set_state(t, caller, state, push),
            Request::Status => self.status(t, caller),
            Request::Watch { name } => self.watch(t, caller, name.as_deref()),
            Request::Why { msg_id } => self.why(t, caller, &msg_id),
            Request::Invite { expires_s, uses } => self.invite(t, caller, expires_s, uses),
            Request::Join { ticket } => self.join(t, caller, &ticket),
            Request::Connect { address } => self.connect_to(t, caller, &address),
            Request::Hub { hub, change } => self.change_hub(t, caller, &hub, change),
            Request::Pair { code } => self.pair(t, caller, code.as_deref()),
            Request::PairAnswer { choice } => self.pair_answer(t, caller, choice),
            Request::Rendezvous { address, add } => {
                self.change_rendezvous(t, caller, &address, add)
            }
            Request::Stay => {
                self.stays = true;
                self.answer_ack(t, caller);
                Ok(())
            }
            Request::Stop => {
                self.flush_lazy(t)?;
                self.answer_ack(t, caller);
                t.effects.after.push(Effect::Stop);
                Ok(())
            }
            Request::ImportMailbox(import) => self.import_mailbox(t, caller, import),
            Request::ImportGroup(import) => self.import_group(t, caller, import),
        }
    }

    /// Makes one change of the store, after those that were waiting for company.
    pub(crate) fn write(&mut self, t: &mut Turn<'_, impl Store>, write: Write) -> Done<usize> {
        self.flush_lazy(t)?;
        self.write_now(t, write)
    }

    fn write_now(&mut self, t: &mut Turn<'_, impl Store>, write: Write) -> Done<usize> {
        self.batch.writes += 1;
        let read = match &write {
            Write::MarkRead { keys, .. } => keys.first().map(|key| key.mailbox),
            _ => None,
        };
        let changed = t.store.write(write)?;
        if let Some(mailbox) = read {
            self.status_changed(t);
            self.mail.note_read(mailbox, changed);
        }
        Ok(changed)
    }

    /// Makes a change that may be lost with a crash (it would only be noted again), and that is
    /// not worth a sync of its own.
    pub(crate) fn write_lazily(&mut self, t: &mut Turn<'_, impl Store>, write: Write) -> Done {
        self.lazy.push(write);
        self.lazy_due.get_or_insert(t.now + LAZY_MS);
        if self.lazy.len() >= LAZY_WRITES {
            self.flush_lazy(t)?;
        }
        Ok(())
    }

    pub(crate) fn flush_lazy(&mut self, t: &mut Turn<'_, impl Store>) -> Done {
        self.lazy_due = None;
        for write in std::mem::take(&mut self.lazy) {
            self.batch.lazy_written.push(write.clone());
            self.write_now(t, write)?;
        }
        Ok(())
    }

    /// Notes a store error outside a request.
    pub(crate) fn note_failure(&mut self, error: StoreError) {
        self.batch.failed.get_or_insert(error);
    }

    /// Notes where a step of pairing is, until the batch ends.
    pub(crate) fn note_step(&mut self, place: usize, caller: Caller) {
        self.batch.steps.push((place, caller));
    }

    /// Changes the mesh's key; taken back if the batch fails.
    pub(crate) fn set_key(&mut self, key: Psk) {
        let before = self.mesh.key.replace(key);
        self.batch.key.get_or_insert(before);
    }

    /// Notes a rename, so that it is taken back if the batch fails.
    pub(crate) fn note_rename(&mut self, conn: ConnId, old: Name, new: Name) {
        self.batch.renames.push((conn, old, new));
    }
}

/// Returns whether only a person decides this, at a terminal of this machine: who belongs to the
/// mesh, and what others may do here.
fn for_a_person_only(request: &Request) -> bool {
    matches!(
        request,
        Request::Invite { .. }
            | Request::Join { .. }
            | Request::Pair { .. }
            | Request::PairAnswer { .. }
            | Request::Hub { .. }
            | Request::Rendezvous { .. }
    )
}

/// Returns whether the answer to a request rests on what is on disk: an `ok` that something is,
/// or a page of what is.
fn rests_on_disk(request: &Request) -> bool {
    match request {
        Request::Send(_)
        | Request::Reply { .. }
        | Request::Broadcast { .. }
        | Request::Rename { .. }
        | Request::Read { .. }
        | Request::Inbox { .. }
        | Request::Invite { .. }
        | Request::Join { .. }
        | Request::Connect { .. }
        | Request::PairAnswer { .. }
        | Request::Hub { .. }
        | Request::Rendezvous { .. }
        | Request::ImportMailbox(_)
        | Request::ImportGroup(_) => true,
        Request::Group { request, .. } => !matches!(request, GroupRequest::Info),
        _ => false,
    }
}
