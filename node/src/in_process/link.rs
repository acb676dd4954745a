//! A connection without a socket: the queue of the hub on one side, the lines of a session on
//! the other. A task takes what the hub writes, so that answers never wait behind pushes.

use super::SessionError;
use crate::events::{Event, HubHandle};
use crate::sessions::{Outgoing, Queued};
use ecorelay_hub::{ConnId, Origin, Tag};
use ecorelay_protocol::limits::QUEUE_LINES;
use ecorelay_protocol::{HubLine, Refusal, decode_request};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

/// How long the hub may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A connection without a socket.
#[derive(Debug)]
pub(super) struct Link {
    conn: ConnId,
    hub: HubHandle,
    queue: Arc<Outgoing>,
    shared: Arc<Shared>,
}

/// What the connection's task and its owner share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A push has come, or the connection has ended.
    pushed: Notify,
}

#[derive(Debug, Default)]
struct State {
    last_request: u64,
    asked: HashMap<String, oneshot::Sender<HubLine>>,
    pushes: VecDeque<HubLine>,
    /// A push was dropped since `pushes` was last empty.
    dropped: bool,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.queue.cut();
    }
}

impl Link {
    pub(super) async fn open(hub: HubHandle) -> Result<Self, SessionError> {
        let queue = Arc::new(Outgoing::default());
        let conn = hub
            .connected(Origin::InProcess, Arc::clone(&queue))
            .await
            .map_err(|_| SessionError::Ended)?;
        let shared = Arc::new(Shared::default());
        tokio::spawn(receive(
            conn,
            hub.clone(),
            Arc::clone(&queue),
            Arc::clone(&shared),
        ));
        Ok(Self {
            conn,
            hub,
            queue,
            shared,
        })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&self, mut request: Value) -> Result<HubLine, SessionError> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.shared.lock();
            if state.ended {
                return Err(SessionError::Ended);
            }
            state.last_request += 1;
            let id = state.last_request.to_string();
            state.asked.insert(id.clone(), answer);
            id
        };
        let asked = Asked {
            shared: &self.shared,
            id: &id,
        };
        request["req_id"] = Value::String(id.clone());
        self.tell(request).await?;
        let answer = timeout(ANSWER_TIME, answered).await;
        drop(asked);
        match answer.map_err(|_| SessionError::TimedOut)? {
            Ok(HubLine::Err { code, message, .. }) => {
                Err(SessionError::Refused(Refusal::new(code, message)))
            }
            Ok(line) => Ok(line),
            Err(_) => Err(SessionError::Ended),
        }
    }

    /// Sends a request that has no answer.
    pub(super) async fn tell(&self, request: Value) -> Result<(), SessionError> {
        tell(&self.hub, self.conn, &request).await
    }

    pub(super) async fn next_push(&self) -> Option<HubLine> {
        loop {
            let (push, emptied) = {
                let mut state = self.shared.lock();
                let push = state.pushes.pop_front();
                if push.is_none() && state.ended {
                    return None;
                }
                let emptied = state.pushes.is_empty() && std::mem::take(&mut state.dropped);
                (push, emptied)
            };
            if emptied {
                let _ = self.hub.send(Event::Drained { conn: self.conn }).await;
            }
            if push.is_some() {
                return push;
            }
            self.shared.pushed.notified().await;
        }
    }
}

/// Forgets a request whose caller no longer waits.
struct Asked<'a> {
    shared: &'a Shared,
    id: &'a str,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shared.lock().asked.remove(self.id);
    }
}

async fn tell(hub: &HubHandle, conn: ConnId, request: &Value) -> Result<(), SessionError> {
    let line = request.to_string();
    let incoming = decode_request(line.as_bytes());
    hub.lines(conn, vec![incoming], line.len())
        .await
        .map_err(|_| SessionError::Ended)
}

/// Takes what the hub writes until the connection ends.
async fn receive(conn: ConnId, hub: HubHandle, queue: Arc<Outgoing>, shared: Arc<Shared>) {
    let mut batch = Vec::new();
    while queue.take(&mut batch).await {
        let (mut taken, mut dropped) = (Vec::new(), Vec::new());
        for line in &batch {
            let ok = receive_line(conn, &hub, line, &shared).await;
            if let Some(tag) = line.tag {
                if ok { &mut taken } else { &mut dropped }.push(tag);
            }
        }
        let bytes = batch.iter().map(|line| line.bytes.len()).sum();
        let drained = queue.written(batch.len(), bytes);
        report(&hub, conn, taken, true).await;
        report(&hub, conn, dropped, false).await;
        if drained {
            let _ = hub.send(Event::Drained { conn }).await;
        }
        batch.clear();
    }
    {
        let mut state = shared.lock();
        state.ended = true;
        state.asked.clear();
    }
    shared.pushed.notify_one();
    report(&hub, conn, queue.abandon(), false).await;
    let _ = hub.send(Event::Gone { conn }).await;
}

async fn report(hub: &HubHandle, conn: ConnId, tags: Vec<Tag>, ok: bool) {
    if !tags.is_empty() {
        let _ = hub.send(Event::Flushed { conn, tags, ok }).await;
    }
}

/// Takes one line; returns `false` when it had to be dropped.
async fn receive_line(conn: ConnId, hub: &HubHandle, line: &Queued, shared: &Shared) -> bool {
    let Ok(line) = serde_json::from_slice::<HubLine>(&line.bytes) else {
        tracing::error!("the hub wrote a line that cannot be read");
        return false;
    };
    if let HubLine::Ping { req_id } = &line {
        let _ = tell(hub, conn, &json!({ "type": "pong", "req_id": req_id })).await;
        return true;
    }
    let mut state = shared.lock();
    let asker = line.req_id().and_then(|id| state.asked.remove(id));
    if let Some(asker) = asker {
        return asker.send(line).is_ok();
    }
    if line.req_id().is_some() {
        // Nobody waits for this answer any more; mail in it must not count as read.
        return false;
    }
    if state.pushes.len() >= QUEUE_LINES {
        state.dropped = true;
        return false;
    }
    state.pushes.push_back(line);
    drop(state);
    shared.pushed.notify_one();
    true
}
