//! What a person is shown: status, the way of one message, a live view.

use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{Effect, Found, Hub, MessageRow, OutgoingRow, Store, StoreError};
use ecorelay_protocol::{
    Address, DeliveryState, ErrorCode, HubId, HubLine, MessageKind, MessageTrace, Name, PushResult,
    TraceStep, iso_ms,
};
use serde_json::{Value, json};

/// Watchers hear of changes at most this often, in ms.
const STATUS_MS: u64 = 200;

impl Hub {
    /// Notes that something a status shows has changed, and perhaps what other hubs are told
    /// of this one's sessions.
    pub(crate) fn status_changed(&mut self, t: &Turn<'_, impl Store>) {
        self.directory_changed(t.now);
        self.status_shown(t);
    }

    /// Notes that something only a status shows has changed.
    pub(crate) fn status_shown(&mut self, t: &Turn<'_, impl Store>) {
        if !self.watchers.is_empty() {
            self.status_due.get_or_insert(t.now + STATUS_MS);
        }
    }

    pub(crate) fn status_timer(&mut self, t: &mut Turn<'_, impl Store>) {
        if self.status_due.is_some_and(|due| due <= t.now) {
            self.status_due = None;
            let bytes: std::sync::Arc<[u8]> = HubLine::StatusChanged.encode().into();
            for conn in self.watchers.keys() {
                t.effects.after.push(Effect::Line {
                    conn: *conn,
                    bytes: bytes.clone(),
                    tag: None,
                    may_drop: false,
                });
            }
        }
    }

    pub(crate) fn watch(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        name: Option<&str>,
    ) -> Done {
        let name = name.map(|name| Name::parse(name, "The name")).transpose()?;
        self.watchers.insert(caller.conn, name);
        self.answer_ack(t, caller);
        Ok(())
    }

    /// Shows a stored message to those who watch its recipient.
    pub(crate) fn copy_to_watchers(&mut self, t: &mut Turn<'_, impl Store>, row: &MessageRow) {
        self.status_changed(t);
        let watched = self
            .watchers
            .values()
            .any(|n| n.as_ref() == Some(&row.to.name));
        if watched {
            let line = HubLine::Watched {
                name: row.to.name.to_string(),
                kind: row.kind,
                from: row.from.to_string(),
                text: row.text.clone(),
                msg_id: row.msg_id.clone(),
                ts: iso_ms(row.ts),
                ask_id: row.ask_id.clone(),
                room: None,
                group: row.group.as_ref().map(ToString::to_string),
            };
            self.send_to_watchers(t, &row.to.name, &line);
        }
    }

    /// Shows a message that is not stored to those who watch its recipient.
    #[allow(clippy::too_many_arguments)] // the parts of one line
    pub(crate) fn copy_text_to_watchers(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        to: &Name,
        kind: MessageKind,
        place: Option<&Name>,
        from: &str,
        text: &str,
        id: &str,
    ) {
        let place_of = |wanted| place.filter(|_| kind == wanted).map(ToString::to_string);
        if self.watchers.values().any(|n| n.as_ref() == Some(to)) {
            let line = HubLine::Watched {
                name: to.to_string(),
                kind,
                from: from.to_owned(),
                text: text.to_owned(),
                msg_id: id.to_owned(),
                ts: iso_ms(t.now),
                ask_id: (kind == MessageKind::Ask).then(|| id.to_owned()),
                room: place_of(MessageKind::Room),
                group: place_of(MessageKind::Group),
            };
            self.send_to_watchers(t, to, &line);
        }
    }

    fn send_to_watchers(&mut self, t: &mut Turn<'_, impl Store>, to: &Name, line: &HubLine) {
        let bytes: std::sync::Arc<[u8]> = line.encode().into();
        for (conn, name) in &self.watchers {
            if name.as_ref() == Some(to) {
                // A watcher that reads too slowly misses copies, not messages.
                let tag = self.delivery.tag(crate::delivery::TagUse::Copy);
                t.effects.push(*conn, bytes.clone(), Some(tag));
            }
        }
    }

    pub(crate) fn status(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) -> Done {
        let mut sessions = Vec::new();
        for (name, s) in &self.sessions {
            let mut session = json!({
                "name": name, "agent": s.agent, "state": s.shown_state(), "cwd": s.cwd,
                "git_branch": s.git_branch, "last_seen": s.last_seen, "since": s.since,
                "unread": self.mail.unread(name),
                "protocol": if self.extended(s.conn) { "6" } else { "5" },
            });
            if let Value::Object(keys) = &mut session {
                s.push.show(keys);
            }
            sessions.push(session);
        }
        let mut mailboxes = Vec::new();
        for m in self
            .mail
            .iter()
            .filter(|m| m.unread > 0 && !self.sessions.contains_key(&m.row.name))
        {
            let oldest = t.store.unread(m.row.id, 1, 0)?.first().map(|row| row.ts);
            mailboxes.push(json!({
                "name": m.row.name, "unread": m.unread, "oldest_unread": oldest,
                "known": m.row.owned.is_some(), "last_seen": m.row.last_seen,
                "renamed_to": m.row.renamed_to,
            }));
        }
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|g| {
                json!({
                    "name": g.row.name, "admin": self.address_of(&g.row.admin), "entries": g.last_id,
                    "members": g.members.keys().map(|m| self.address_of(m)).collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut status = self.config.about.clone();
        let started = status
            .get("started")
            .and_then(Value::as_u64)
            .unwrap_or(t.now);
        let mut warnings: Vec<Value> = self.warnings.values().map(|w| json!(w)).collect();
        warnings.extend(self.mesh_warnings(t.now));
        let parts = json!({
            "hub_id": self.config.hub_id,
            "uptime_s": t.now.saturating_sub(started) / 1_000,
            "sessions": sessions,
            "mesh": self.mesh_view(),
            "hubs": self.hubs_view(),
            "rendezvous": self.servers_view(),
            "rooms": self.room_summaries(),
            "groups": groups,
            "mailboxes": mailboxes,
            "nearby": self.nearby_view(),
            "tickets": self.open_tickets(t.now),
            "dials": self.dials_view(),
            "connections": self.conns.len(),
            "in_flight": self.delivery.len(),
            "warnings": warnings,
        });
        if let Value::Object(parts) = parts {
            status.extend(parts);
        }
        self.answer(
            t,
            caller,
            HubLine::StatusResult {
                status: Value::Object(status),
                req_id: None,
            },
        );
        Ok(())
    }

    pub(crate) fn why(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        msg_id: &str,
    ) -> Done {
        self.flush_lazy(t)?;
        let trace = match t.store.find(msg_id)? {
            Some(Found::Message(row)) => self.trace_message(&row),
            Some(Found::Gone(gone)) => {
                let mut steps = vec![step(gone.ts, "accepted", "On disk at this hub.".into())];
                if let Some(read) = gone.read {
                    steps.push(step(
                        read,
                        "read",
                        "The recipient fetched or answered it.".into(),
                    ));
                }
                let state = gone.state();
                steps.push(match state {
                    DeliveryState::Unknown => step(
                        gone.left,
                        "expired",
                        "Nobody of this name came to fetch it; its text is gone.".into(),
                    ),
                    _ => step(
                        gone.left,
                        "left_mailbox",
                        "Left the mailbox, which keeps a bounded number of messages; its text is gone."
                            .into(),
                    ),
                });
                MessageTrace {
                    msg_id: gone.msg_id,
                    kind: gone.kind,
                    from: gone.from,
                    to: gone.to,
                    state,
                    steps,
                }
            }
            Some(Found::Group(entry)) => {
                let group = self.groups.iter().find(|g| g.row.id == entry.group);
                let name =
                    group.map_or_else(|| Name::slug("", "group"), |g| g.row.name.to_string());
                let read = group.map_or(0, |g| {
                    g.members
                        .values()
                        .filter(|m| m.last_read >= entry.id)
                        .count()
                });
                let members = group.map_or(0, |g| g.members.len());
                let from = self.address_of(&entry.from);
                let text = format!(
                    "Entry {} of the group \"{name}\"; {read} of {members} members have read that far.",
                    entry.id
                );
                MessageTrace {
                    msg_id: entry.msg_id,
                    kind: MessageKind::Group,
                    to: from.clone(),
                    from,
                    state: DeliveryState::Stored,
                    steps: vec![
                        step(entry.ts, "accepted", "On disk at this hub.".into()),
                        step(entry.ts, "stored", text),
                    ],
                }
            }
            Some(Found::Outgoing(row)) => {
                if self.ask_why(t, caller, &row) {
                    return Ok(());
                }
                self.trace_row(&row)
            }
            None => {
                return refuse(
                    ErrorCode::UnknownAsk,
                    "No message of this id is known here. Room messages and broadcasts are not stored.",
                );
            }
        };
        self.answer(
            t,
            caller,
            HubLine::WhyResult {
                trace,
                req_id: None,
            },
        );
        Ok(())
    }

    fn trace_message(&self, row: &MessageRow) -> MessageTrace {
        let mut steps = vec![step(row.ts, "accepted", "On disk at this hub.".into())];
        let now = self
            .mail
            .get(row.key.mailbox)
            .map_or(&row.to.name, |m| &m.row.name);
        let renamed = if *now == row.to.name {
            String::new()
        } else {
            format!(" (now called \"{now}\")")
        };
        let stored = format!(
            "Message {} in the mailbox of \"{}\"{renamed}.",
            row.key.seq, row.to.name
        );
        steps.push(step(row.ts, "stored", stored));
        if let Some(pushed) = &row.pushed {
            let path = if pushed.path.is_empty() {
                "a push path"
            } else {
                &pushed.path
            };
            let why = pushed
                .detail
                .as_ref()
                .map(|d| format!(" ({d})"))
                .unwrap_or_default();
            let word = match pushed.result {
                PushResult::Handed => "handed to the live session",
                PushResult::Refused => "not handed over",
                PushResult::Unknown => "written, but nothing tells whether it arrived",
            };
            steps.push(step(
                pushed.ts,
                "pushed",
                format!("By {path}: {word}{why}."),
            ));
        } else if row.read.is_some() {
            // Fetched without having been pushed.
        } else if !self.sessions.contains_key(now) {
            steps.push(TraceStep {
                ts: None,
                step: "waits".into(),
                detail: format!("\"{now}\" is not connected."),
            });
        } else {
            let text = "The session is connected; the push was held back or is not confirmed yet.";
            steps.push(TraceStep {
                ts: None,
                step: "waits".into(),
                detail: text.into(),
            });
        }
        if let Some(read) = row.read {
            steps.push(step(
                read,
                "read",
                "The recipient fetched or answered it.".into(),
            ));
        }
        if let Some((ts, by)) = &row.answered {
            steps.push(step(*ts, "answered", format!("With {by}.")));
        }
        MessageTrace {
            msg_id: row.msg_id.clone(),
            kind: row.kind,
            from: row.from.clone(),
            to: row.to.clone(),
            state: self.state_of(row),
            steps,
        }
    }
}

impl Hub {
    /// Returns the way of a message for another hub, with what is known of it by now.
    pub(crate) fn trace_outgoing(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        msg_id: &str,
    ) -> Result<MessageTrace, StoreError> {
        if let Err(crate::hub::Fail::Store(error)) = self.flush_lazy(t) {
            return Err(error);
        }
        match t.store.find(msg_id)? {
            Some(Found::Outgoing(row)) => Ok(self.trace_row(&row)),
            _ => Err(StoreError::Io("a message is gone".into())),
        }
    }

    fn trace_row(&self, row: &OutgoingRow) -> MessageTrace {
        let hub = row.to.hub.as_ref().map_or("its hub", HubId::as_str);
        let mut steps = vec![step(row.ts, "accepted", "On disk at this hub.".into())];
        match row.acked {
            None => {
                let detail = self.waits_for(&row.peer, hub);
                steps.push(TraceStep {
                    ts: None,
                    step: "outbox".into(),
                    detail,
                });
            }
            Some(ts) if row.refused => {
                let why = row.detail.clone().unwrap_or_default();
                steps.push(step(ts, "refused", why));
            }
            Some(ts) => {
                steps.push(step(ts, "stored", format!("On disk at {hub}.")));
                let detail = row.detail.clone();
                match row.state {
                    DeliveryState::Delivered => steps.push(step(
                        row.state_ts,
                        "pushed",
                        format!("{hub} handed it to the live session."),
                    )),
                    DeliveryState::Read => steps.push(step(
                        row.state_ts,
                        "read",
                        "The recipient fetched or answered it.".into(),
                    )),
                    _ => steps.extend(detail.map(|detail| TraceStep {
                        ts: None,
                        step: "waits".into(),
                        detail,
                    })),
                }
            }
        }
        MessageTrace {
            msg_id: row.msg_id.clone(),
            kind: row.kind,
            from: Address::local(row.from.clone()),
            to: row.to.clone(),
            state: row.state,
            steps,
        }
    }
}

fn step(ts: u64, step: &str, detail: String) -> TraceStep {
    TraceStep {
        ts: Some(iso_ms(ts)),
        step: step.into(),
        detail,
    }
}
