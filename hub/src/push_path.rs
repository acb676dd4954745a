//! By which push path each session is reached, and what became of the last push: what a person
//! looks at when a message did not wake a session. Known from the session's channel only, kept
//! for as long as the session is here, and told to nobody but those who ask.

use crate::clients::Caller;
use crate::hub::{Done, Turn};
use crate::{Hub, Pushed, Store};
use ecorelay_protocol::{PushResult, PushWay};
use serde_json::{Map, Value, json};

/// What is known of the pushes into one session.
#[derive(Debug, Default)]
pub(crate) struct PushView {
    /// The path that its channel has named last; nothing where it names none.
    way: Option<PushWay>,
    /// Since when it is that path, in ms since 1970.
    since: u64,
    /// What became of the last push.
    last: Option<Pushed>,
}

impl PushView {
    /// Returns what is known of a session that registers.
    pub(crate) fn new(way: Option<PushWay>, now: u64) -> Self {
        Self {
            way,
            since: now,
            last: None,
        }
    }

    /// Notes the path that there is now; returns whether that changes anything.
    fn note(&mut self, way: PushWay, now: u64) -> bool {
        if self.way.as_ref() == Some(&way) {
            return false;
        }
        // Other words about the same path are no new path.
        if self.path() != Some(&way.path) {
            self.since = now;
        }
        self.way = Some(way);
        true
    }

    /// Returns the name of the path.
    pub(crate) fn path(&self) -> Option<&str> {
        self.way.as_ref().map(|way| way.path.as_str())
    }

    /// Adds what a status shows of it.
    pub(crate) fn show(&self, session: &mut Map<String, Value>) {
        let detail = self.way.as_ref().and_then(|way| way.detail.as_ref());
        let last = self.last.as_ref().map(|last| {
            json!({
                "ts": last.ts, "result": last.result, "path": last.path, "detail": last.detail,
            })
        });
        let since = self.way.as_ref().map(|_| self.since);
        for (key, value) in [
            ("push", json!(self.path())),
            ("push_detail", json!(detail)),
            ("push_since", json!(since)),
            ("last_push", json!(last)),
        ] {
            session.insert(key.to_owned(), value);
        }
    }
}

impl Hub {
    /// Notes what a session does and how it is reached.
    pub(crate) fn set_state(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        state: String,
        push: Option<PushWay>,
    ) -> Done {
        let me = self.me(caller)?;
        if let Some(session) = self.sessions.get_mut(&me) {
            // Who acts beside a session knows nothing of how it is reached.
            let own = push.filter(|_| session.conn == caller.conn);
            let shown = own.is_some_and(|way| session.push.note(way, t.now));
            if session.state != state {
                session.state = state;
                self.status_changed(t);
            } else if shown {
                self.status_shown(t);
            }
        }
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Notes what a push path of a session says of messages.
    pub(crate) fn note_pushed(
        &mut self,
        t: &Turn<'_, impl Store>,
        caller: &Caller,
        result: PushResult,
        path: &str,
        detail: Option<&str>,
    ) {
        let now = t.now;
        if let Some(session) = self.session_of(caller.conn) {
            session.push.last = Some(Pushed {
                ts: now,
                result,
                path: path.to_owned(),
                detail: detail.map(str::to_owned),
            });
            self.status_shown(t);
        }
    }
}
