//! Connections and sessions: who is there, and how answers find their way back.

use crate::hub::{Done, Turn, refuse};
use crate::push_path::PushView;
use crate::{ConnId, Effect, Hub, Origin, Store, Tag};
use ecorelay_protocol::{ErrorCode, HubLine, Name, PairStep, Refusal, Register, limits};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Which version of the local protocol a connection speaks, once it has registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V5,
    V6,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) origin: Origin,
    pub(crate) version: Option<Version>,
    /// The session it is.
    pub(crate) session: Option<Name>,
    /// The name it acts for without being its live session.
    pub(crate) attached: Option<Name>,
    /// When it last wrote a line, in ms.
    pub(crate) heard: u64,
    /// Version "5" answers keep the order of their requests: those behind one that waits for
    /// a confirmation wait here.
    pub(crate) held: VecDeque<Held>,
}

/// The place of one answer: the bytes and the tag, once they are known.
#[derive(Debug)]
pub(crate) struct Held {
    pending: u64,
    /// The promise it is the answer to, so that it can be taken back.
    promise: Option<u64>,
    answer: Option<(Arc<[u8]>, Option<Tag>)>,
}

/// One live session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) cwd: String,
    pub(crate) git_branch: String,
    pub(crate) agent: String,
    pub(crate) state: String,
    pub(crate) since: u64,
    pub(crate) last_seen: u64,
    pub(crate) rooms: BTreeSet<Name>,
    pub(crate) key: Option<String>,
    /// It reads too slowly: nothing is pushed until its queue is empty again.
    pub(crate) lagging: bool,
    /// Messages that were stored instead of pushed meanwhile.
    pub(crate) missed: usize,
    /// Pushes whose fate is not known yet.
    pub(crate) unconfirmed: usize,
    /// When the hub last asked whether it is there; `None` once it answered.
    pub(crate) pinged: Option<u64>,
    pub(crate) unresponsive: bool,
    /// How messages reach it.
    pub(crate) push: PushView,
}

impl Session {
    /// Returns whether a person's terminal is behind it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.agent == "terminal"
    }

    /// Returns what `relay_peers` and `status` call its state.
    pub(crate) fn shown_state(&self) -> &str {
        if self.unresponsive {
            "unresponsive"
        } else if self.state.is_empty() {
            "live"
        } else {
            &self.state
        }
    }
}

/// A newcomer that wants a held name waits until the holder has answered or not.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) id: String,
    pub(crate) name: Name,
    pub(crate) holder: ConnId,
    pub(crate) caller: Caller,
    pub(crate) register: Register,
    pub(crate) deadline: u64,
    /// The holder got its time once more.
    pub(crate) prolonged: bool,
}

/// Who asked, and the id its answer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) conn: ConnId,
    pub(crate) req_id: Option<String>,
}

impl Hub {
    pub(crate) fn connected(&mut self, t: &Turn<'_, impl Store>, conn: ConnId, origin: Origin) {
        let entry = Conn {
            origin,
            version: None,
            session: None,
            attached: None,
            heard: t.now,
            held: VecDeque::new(),
        };
        self.conns.insert(conn, entry);
        self.silent
            .insert((t.now + limits::SILENT_CONNECTION_MS, conn));
    }

    /// Notes that a connection wrote something; returns whether it is known.
    pub(crate) fn heard(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) -> bool {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return false;
        };
        entry.heard = t.now;
        if let Some(session) = entry
            .session
            .as_ref()
            .and_then(|name| self.sessions.get_mut(name))
        {
            session.last_seen = t.now;
            session.pinged = None;
            if std::mem::take(&mut session.unresponsive) {
                self.status_changed(t);
            }
        }
        true
    }

    pub(crate) fn disconnected(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        self.end_session(t, conn);
        self.probes.retain(|probe| probe.caller.conn != conn);
        self.watchers.remove(&conn);
        self.pairing_gone(t, conn);
        self.delivery.forget_caller(conn);
        let held = self.conns.remove(&conn).map(|entry| entry.held);
        for tag in held.into_iter().flatten().filter_map(|h| h.answer?.1) {
            self.flushed(t, conn, tag, false);
        }
    }

    /// Ends the session of a connection, which may stay open: its name is free, its rooms are
    /// left, what was pushed and not confirmed waits in the mailbox.
    pub(crate) fn end_session(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        self.settle_all(t, conn);
        let Some(name) = self.conns.get_mut(&conn).and_then(|c| c.session.take()) else {
            return;
        };
        if let Some(session) = self.sessions.remove(&name) {
            for room in &session.rooms {
                self.leave_quietly(room, &name);
            }
        }
        self.mail.note_seen(&name, t.now);
        self.silent
            .insert((t.now + limits::SILENT_CONNECTION_MS, conn));
        self.status_changed(t);
    }

    /// Returns the name the caller acts under.
    pub(crate) fn me(&self, caller: &Caller) -> Done<Name> {
        let conn = self.conns.get(&caller.conn);
        match conn.and_then(|c| c.session.as_ref().or(c.attached.as_ref())) {
            Some(name) => Ok(name.clone()),
            None => refuse(
                ErrorCode::NotRegistered,
                "This connection has no name (any more); register first.",
            ),
        }
    }

    /// Refuses a caller that is a session, or comes over the WebSocket: what only a person
    /// decides is asked on a connection of its own, as the command line does.
    pub(crate) fn is_a_person(&self, caller: &Caller) -> Done {
        let conn = self.conns.get(&caller.conn);
        let alone =
            |c: &Conn| c.origin != Origin::WebSocket && c.session.is_none() && c.attached.is_none();
        match conn.is_some_and(alone) {
            true => Ok(()),
            false => refuse(
                ErrorCode::BadMsg,
                "Only a person decides this, at a terminal of this machine: `ecorelay pair`, `ecorelay hubs`, `ecorelay rendezvous`. No session can.",
            ),
        }
    }

    /// Returns whether a connection gets the keys of version "6" too. One that has not
    /// registered does: it asked for nothing that the reference knows otherwise.
    pub(crate) fn extended(&self, conn: ConnId) -> bool {
        self.conns
            .get(&conn)
            .is_none_or(|c| c.version != Some(Version::V5))
    }

    /// Answers a request after the commit.
    pub(crate) fn answer(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller, line: HubLine) {
        self.answer_tagged(t, caller, line, None);
    }

    /// Answers a request after the commit and asks for word of the line's fate.
    pub(crate) fn answer_tagged(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        mut line: HubLine,
        tag: Option<Tag>,
    ) {
        let Some(conn) = self.conns.get_mut(&caller.conn) else {
            return;
        };
        set_req_id(&mut line, caller.req_id.clone());
        if conn.held.is_empty() {
            t.effects.answer(caller.conn, &line, tag);
            self.note_answer(t.effects.after.len() - 1, self.promise);
        } else {
            let answer = Some((line.encode().into(), tag));
            conn.held.push_back(Held {
                pending: 0,
                promise: self.promise,
                answer,
            });
        }
    }

    /// Tells of a step of pairing after the commit; of a batch that is taken back it is not told.
    pub(crate) fn answer_step(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        step: PairStep,
    ) {
        if self.conns.contains_key(&caller.conn) {
            let req_id = caller.req_id.clone();
            t.effects
                .answer(caller.conn, &HubLine::Pair { step, req_id }, None);
            self.note_step(t.effects.after.len() - 1, caller.clone());
        }
    }

    /// Looks at a connection again that no longer waits for anything.
    pub(crate) fn silent_again(&mut self, t: &Turn<'_, impl Store>, conn: ConnId) {
        if self.conns.contains_key(&conn) {
            self.silent
                .insert((t.now + limits::SILENT_CONNECTION_MS, conn));
        }
    }

    /// Answers a request with a plain `ack`.
    pub(crate) fn answer_ack(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) {
        self.answer(
            t,
            caller,
            HubLine::Ack {
                me: None,
                name: None,
                req_id: None,
            },
        );
    }

    /// Answers a request with a refusal.
    pub(crate) fn answer_refusal(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        refusal: Refusal,
        ask_id: Option<String>,
    ) {
        let line = HubLine::Err {
            code: refusal.code,
            message: refusal.message,
            req_id: None,
            ask_id,
        };
        self.answer(t, caller, line);
    }

    /// Keeps a place for an answer that comes later, where the connection needs its answers in
    /// order.
    pub(crate) fn hold_place(&mut self, caller: &Caller, pending: u64) {
        if let Some(conn) = self.conns.get_mut(&caller.conn)
            && conn.version == Some(Version::V5)
        {
            conn.held.push_back(Held {
                pending,
                promise: self.promise,
                answer: None,
            });
        }
    }

    /// Answers a request whose place was kept, and lets out what waited behind it.
    pub(crate) fn answer_held(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        pending: u64,
        promise: Option<u64>,
        mut line: HubLine,
    ) {
        let Some(conn) = self.conns.get_mut(&caller.conn) else {
            return;
        };
        set_req_id(&mut line, caller.req_id.clone());
        let Some(place) = conn.held.iter_mut().find(|held| held.pending == pending) else {
            t.effects.answer(caller.conn, &line, None);
            return self.note_answer(t.effects.after.len() - 1, promise);
        };
        place.answer = Some((line.encode().into(), None));
        let mut released = Vec::new();
        while conn.held.front().is_some_and(|held| held.answer.is_some()) {
            released.extend(conn.held.pop_front());
        }
        for held in released {
            if let Some((bytes, tag)) = held.answer {
                t.effects.after.push(Effect::Line {
                    conn: caller.conn,
                    bytes,
                    tag,
                    may_drop: false,
                });
                self.note_answer(t.effects.after.len() - 1, held.promise);
            }
        }
    }

    /// Replaces an answer that waits for its turn; returns whether there was one.
    pub(crate) fn replace_held(
        &mut self,
        caller: &Caller,
        promise: u64,
        mut line: HubLine,
    ) -> bool {
        let held = self.conns.get_mut(&caller.conn).map(|conn| &mut conn.held);
        let place = held.and_then(|held| {
            held.iter_mut()
                .find(|h| h.promise == Some(promise) && h.answer.is_some())
        });
        let Some(place) = place else {
            return false;
        };
        set_req_id(&mut line, caller.req_id.clone());
        place.answer = Some((line.encode().into(), None));
        true
    }

    /// Closes connections that have said nothing for too long and are nobody.
    pub(crate) fn silent_timers(&mut self, t: &mut Turn<'_, impl Store>) {
        while let Some(&(due, id)) = self.silent.first() {
            if due > t.now {
                break;
            }
            self.silent.pop_first();
            let Some(conn) = self.conns.get(&id) else {
                continue;
            };
            let somebody = conn.session.is_some() || conn.attached.is_some();
            let waits = self.watchers.contains_key(&id)
                || self.pairing.waits(id)
                || self.probes.iter().any(|probe| probe.caller.conn == id);
            let again = conn.heard + limits::SILENT_CONNECTION_MS;
            if somebody || conn.origin == Origin::InProcess {
                // Looked at again when its session ends.
            } else if waits {
                self.silent
                    .insert((t.now + limits::SILENT_CONNECTION_MS, id));
            } else if again > t.now {
                self.silent.insert((again, id));
            } else {
                let refusal = Refusal::new(
                    ErrorCode::NotRegistered,
                    "Closed: nothing came for 10 s and this connection has not registered.",
                );
                self.answer_refusal(
                    t,
                    &Caller {
                        conn: id,
                        req_id: None,
                    },
                    refusal,
                    None,
                );
                t.effects.after.push(Effect::Close { conn: id });
            }
        }
    }
}

/// Writes the request's id into its answer. The reference answers `register` and `broadcast`
/// without one; a version "5" client sends none with them, so nothing is lost by echoing.
fn set_req_id(line: &mut HubLine, id: Option<String>) {
    match line {
        HubLine::Ack { req_id, .. }
        | HubLine::Err { req_id, .. }
        | HubLine::Peers { req_id, .. }
        | HubLine::RoomsList { req_id, .. }
        | HubLine::SendAck { req_id, .. }
        | HubLine::InboxResult { req_id, .. }
        | HubLine::BroadcastAck { req_id, .. }
        | HubLine::RoomAck { req_id, .. }
        | HubLine::RoomSendAck { req_id, .. }
        | HubLine::GroupCreated { req_id, .. }
        | HubLine::GroupAck { req_id, .. }
        | HubLine::GroupMessages { req_id, .. }
        | HubLine::GroupListResult { req_id, .. }
        | HubLine::GroupInfoResult { req_id, .. }
        | HubLine::StatusResult { req_id, .. }
        | HubLine::WhyResult { req_id, .. }
        | HubLine::InviteResult { req_id, .. }
        | HubLine::JoinResult { req_id, .. }
        | HubLine::HubResult { req_id, .. }
        | HubLine::Pair { req_id, .. }
        | HubLine::ImportResult { req_id, .. } => *req_id = id,
        _ => {}
    }
}
