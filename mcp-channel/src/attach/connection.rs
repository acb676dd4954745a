//! One connection of who attaches.

use super::protocol::{FromAttacher, FromChannel, Kind, Lines, VERSION};
use crate::push::pusher::Event;
use crate::push::{Attachment, Handover, Verdict};
use crate::sessions::{Present, Sessions};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long the first line may take.
const ATTACH_WITHIN: Duration = Duration::from_secs(5);
/// How long who attached may take to read a line.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long the pusher may take to note something: it is never busy for long.
const NOTE_WITHIN: Duration = Duration::from_secs(5);
/// Texts that wait on the way to who attached; one is sent at a time.
const HANDOVERS: usize = 2;

/// Serves who connected until it goes.
pub(crate) async fn serve(stream: UnixStream, number: u64, sessions: Arc<Sessions>) {
    let (reader, writer) = stream.into_split();
    let mut input = Input {
        reader,
        lines: Lines::of_attacher(),
    };
    let mut output = Output { writer };
    let first = timeout(ATTACH_WITHIN, input.next()).await;
    let Ok(Some(first)) = first else { return };
    let attached = match FromAttacher::read(&first) {
        Some(FromAttacher::Attach(attach)) if attach.version == VERSION => {
            sessions.attach(&attach).map(|present| (present, attach))
        }
        Some(FromAttacher::Attach(_)) => Err(format!("This channel speaks version {VERSION}.")),
        _ => Err("The first line must be an attach.".to_owned()),
    };
    match attached {
        Err(message) => {
            // It goes away in any case.
            let _ = output.say(&FromChannel::Refused { message }).await;
        }
        Ok((present, attach)) => {
            let (handovers, given) = mpsc::channel(HANDOVERS);
            let mut connection = Connection {
                sessions,
                kind: attach.kind,
                number,
                present,
                handovers,
                open: HashMap::new(),
                last_push: 0,
                output,
            };
            // What it ends with has been dealt with.
            let _ = connection.run(input, given, attach.name).await;
            connection.leave().await;
        }
    }
}

/// The connection is over.
struct Over;

struct Connection {
    sessions: Arc<Sessions>,
    kind: Kind,
    number: u64,
    present: Present,
    handovers: mpsc::Sender<Handover>,
    /// Pushes whose fate is not known.
    open: HashMap<u64, Open>,
    last_push: u64,
    output: Output,
}

/// A push whose fate is not known. Dropped with the connection, it tells the pusher that nobody has
/// taken it.
struct Open {
    verdict: oneshot::Sender<Verdict>,
    taken: bool,
}

impl Connection {
    async fn run(
        &mut self,
        mut input: Input,
        mut given: mpsc::Receiver<Handover>,
        name: Option<String>,
    ) -> Result<(), Over> {
        let session = self.present.session();
        let attached = FromChannel::Attached {
            name: session.link.name(),
            session: session.id(),
        };
        self.output.say(&attached).await?;
        if self.kind != Kind::Hook {
            self.begin_to_take().await?;
        }
        if let (true, Some(name)) = (self.speaks_for_session(), name) {
            self.sessions.rename(self.present.session(), &name);
        }
        loop {
            tokio::select! {
                line = input.next() => {
                    let line = line.ok_or(Over)?;
                    if let Some(line) = FromAttacher::read(&line) {
                        self.on_line(line).await?;
                    }
                }
                handover = given.recv() => self.push(handover.ok_or(Over)?).await?,
            }
        }
    }

    async fn begin_to_take(&mut self) -> Result<(), Over> {
        let attachment = Attachment {
            id: self.number,
            path: self.kind.path(),
            handovers: self.handovers.clone(),
        };
        if self.kind == Kind::Wait {
            // Only the pusher holds one now: it lets go when another waiter comes, and that
            // ends this connection.
            self.handovers = mpsc::channel(1).0;
        }
        self.note(Event::Attached(attachment)).await
    }

    async fn on_line(&mut self, line: FromAttacher) -> Result<(), Over> {
        let session = self.present.session();
        match line {
            FromAttacher::Pushed { id, result, detail } => {
                if let Some(open) = self.open.remove(&id) {
                    // The pusher may have given up on it.
                    let _ = open.verdict.send(Verdict { result, detail });
                }
            }
            FromAttacher::Taken { id } => {
                if let Some(open) = self.open.get_mut(&id) {
                    open.taken = true;
                }
            }
            FromAttacher::Take if self.kind == Kind::Hook => {
                let (taker, taken) = oneshot::channel();
                self.note(Event::Take(taker)).await?;
                match timeout(NOTE_WITHIN, taken).await {
                    Ok(Ok(handover)) => self.push(handover).await?,
                    _ => self.output.say(&FromChannel::Nothing).await?,
                }
            }
            FromAttacher::State { state } => session.link.set_state(state.shown()),
            FromAttacher::NameQuestion => {
                let name = session.link.name();
                self.output.say(&FromChannel::Name { name }).await?;
            }
            FromAttacher::Session { session, name } if self.speaks_for_session() => {
                self.move_to(session.as_deref(), name.as_deref()).await?;
            }
            FromAttacher::End if self.speaks_for_session() => {
                self.sessions.end(session);
                return Err(Over);
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns whether it speaks for a whole session.
    fn speaks_for_session(&self) -> bool {
        matches!(self.kind, Kind::Plugin | Kind::Terminal)
    }

    /// Follows the assistant to another session.
    async fn move_to(&mut self, id: Option<&str>, title: Option<&str>) -> Result<(), Over> {
        let before = self.present.session().clone();
        let now = self.sessions.changed(&before, id, title);
        if !Arc::ptr_eq(&before, &now) {
            let gone = Event::Detached(self.number);
            // In time or not: the handovers of a connection that is gone are refused.
            let _ = timeout(NOTE_WITHIN, before.events.send(gone)).await;
            self.present = Present::new(now, self.kind);
            self.begin_to_take().await?;
        }
        Ok(())
    }

    async fn push(&mut self, handover: Handover) -> Result<(), Over> {
        self.last_push += 1;
        self.open.retain(|_, open| !open.verdict.is_closed());
        let open = Open {
            verdict: handover.verdict,
            taken: false,
        };
        self.open.insert(self.last_push, open);
        let push = FromChannel::Push {
            id: self.last_push,
            text: handover.text,
            msg_ids: handover.ids,
            urgent: handover.urgent,
        };
        self.output.say(&push).await
    }

    async fn note(&self, event: Event) -> Result<(), Over> {
        let noted = timeout(NOTE_WITHIN, self.present.session().events.send(event));
        match noted.await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Over),
        }
    }

    async fn leave(mut self) {
        for (_, open) in self.open.drain().filter(|(_, open)| open.taken) {
            let why = format!(
                "the {} went away when the session had the message; whether a turn has begun with it is not seen",
                self.kind.path()
            );
            // The pusher may have given up on it.
            let _ = open.verdict.send(Verdict::unknown(why));
        }
        let gone = Event::Detached(self.number);
        // In time or not: the handovers of a connection that is gone are refused.
        let _ = timeout(NOTE_WITHIN, self.present.session().events.send(gone)).await;
    }
}

/// What is read.
struct Input {
    reader: OwnedReadHalf,
    lines: Lines,
}

impl Input {
    /// Returns the next line; `None` at the end and after a line that is too long. Safe to give
    /// up on and call again.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.lines.cut() {
                return Some(line);
            }
            if self.lines.is_too_long() {
                return None;
            }
            match self.reader.read_buf(self.lines.buffer()).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// What is written.
struct Output {
    writer: OwnedWriteHalf,
}

impl Output {
    async fn say(&mut self, line: &FromChannel) -> Result<(), Over> {
        let bytes = line.encode();
        match timeout(WRITE_WITHIN, self.writer.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Over),
        }
    }
}
