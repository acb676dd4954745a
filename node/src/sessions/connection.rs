//! One connection that speaks lines: reads, decodes, hands over; writes what is queued.
//!
//! One task, two loops. The reader waits when the hub thread has too much to do; the writer
//! never waits for the reader. A client that closes its sending side still gets its answers.

use super::queue::{Outgoing, Queued};
use crate::events::{Event, HubEnded, HubHandle, LINES_PER_EVENT};
use ecorelay_hub::{ConnId, Origin, Tag};
use ecorelay_protocol::{ErrorCode, Framed, HubLine, LineFramer, Refusal, decode_request, limits};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long what is queued may take once a connection is to end.
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(2);
/// How long a client may leave its socket full before it is closed.
const STUCK_TIME: Duration = Duration::from_secs(60);
/// Size of a read: small for the many quiet clients, large while much comes.
const READ_SMALL: usize = 4 * 1024;
const READ_LARGE: usize = 64 * 1024;

/// Serves one client until either side ends it.
pub(crate) async fn serve(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    origin: Origin,
    hub: &HubHandle,
) {
    let queue = Arc::new(Outgoing::default());
    let Ok(conn) = hub.connected(origin, Arc::clone(&queue)).await else {
        return;
    };
    let link = Link::new(conn, queue, hub.clone());
    let read = async {
        if let Err(error) = link.read_all(reader).await {
            tracing::debug!(conn = conn.0, %error, "reading ended");
        }
        link.say_gone().await;
        // The writer goes on until the hub ends the connection.
        std::future::pending::<()>().await;
    };
    let write = async {
        if let Err(error) = link.write_all(writer).await {
            tracing::debug!(conn = conn.0, %error, "writing ended");
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
        () = link.overdue() => {}
    }
    link.end().await;
}

/// What the loops of one connection share.
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) queue: Arc<Outgoing>,
    pub(crate) hub: HubHandle,
    /// The hub knows that the client is gone.
    gone: AtomicBool,
    /// Tags of the lines that are being written.
    writing: Mutex<Vec<Tag>>,
}

impl Link {
    pub(crate) fn new(conn: ConnId, queue: Arc<Outgoing>, hub: HubHandle) -> Self {
        Self {
            conn,
            queue,
            hub,
            gone: AtomicBool::new(false),
            writing: Mutex::default(),
        }
    }

    async fn read_all(&self, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut framer = LineFramer::default();
        let mut buffer = vec![0; READ_SMALL];
        loop {
            let n = reader.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            framer.push(&buffer[..n]);
            if n == buffer.len() {
                buffer.resize(READ_LARGE, 0);
            } else if n < READ_SMALL / 2 && buffer.len() > READ_SMALL && framer.pending() == 0 {
                buffer = vec![0; READ_SMALL];
            }
            if self.hand_over(&mut framer).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Hands the whole lines of the framer over.
    ///
    /// # Errors
    /// When the connection is to end.
    pub(crate) async fn hand_over(&self, framer: &mut LineFramer) -> Result<(), HubEnded> {
        loop {
            self.queue.room().await;
            let (mut lines, mut longest) = (Vec::new(), 0);
            while lines.len() < LINES_PER_EVENT
                && let Some(framed) = framer.next_line()
            {
                lines.push(match framed {
                    Framed::Line(line) => {
                        longest = longest.max(line.len());
                        decode_request(&line)
                    }
                    Framed::TooLong(req_id) => Err((req_id, too_long())),
                    Framed::Hopeless => {
                        self.give_up();
                        return Err(HubEnded);
                    }
                });
            }
            if lines.is_empty() {
                return Ok(());
            }
            self.hub.lines(self.conn, lines, longest).await?;
        }
    }

    /// Tells the client that its line has no end, and closes.
    fn give_up(&self) {
        let Refusal { code, message } = too_long();
        let line = HubLine::Err {
            code,
            message,
            req_id: None,
            ask_id: None,
        };
        self.queue.offer(line.encode().into(), None, false);
        self.queue.finish();
    }

    async fn write_all(&self, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
        let (mut batch, mut joined) = (Vec::new(), Vec::new());
        while self.next_lines(&mut batch).await {
            if let [line] = &*batch {
                write_slowly(&mut writer, &line.bytes).await?;
            } else {
                for line in &batch {
                    joined.extend_from_slice(&line.bytes);
                }
                write_slowly(&mut writer, &joined).await?;
                joined.clear();
                joined.shrink_to(READ_SMALL);
            }
            self.written(&batch).await;
        }
        writer.shutdown().await
    }

    /// Waits for lines to write; returns `false` when the connection ends.
    pub(crate) async fn next_lines(&self, batch: &mut Vec<Queued>) -> bool {
        batch.clear();
        let more = self.queue.take(batch).await;
        let tags = batch.iter().filter_map(|line| line.tag);
        self.writing().extend(tags);
        more
    }

    /// Tells the hub that these lines have been written.
    pub(crate) async fn written(&self, batch: &[Queued]) {
        let bytes = batch.iter().map(|line| line.bytes.len()).sum();
        let drained = self.queue.written(batch.len(), bytes);
        self.report(true).await;
        if drained && !self.gone.load(Ordering::Relaxed) {
            let _ = self.hub.send(Event::Drained { conn: self.conn }).await;
        }
    }

    /// Tells the hub what became of the lines that were being written, even when it knows that
    /// the client is gone: mail on a page counts as read only when the page was written.
    async fn report(&self, ok: bool) {
        let tags = std::mem::take(&mut *self.writing());
        let conn = self.conn;
        if !tags.is_empty() {
            let _ = self.hub.send(Event::Flushed { conn, tags, ok }).await;
        }
    }

    fn writing(&self) -> std::sync::MutexGuard<'_, Vec<Tag>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the connection was to end for longer than [`CLOSE_TIME`].
    pub(crate) async fn overdue(&self) {
        self.queue.ending().await;
        tokio::time::sleep(CLOSE_TIME).await;
    }

    /// Tells the hub, once, that the client is gone.
    pub(crate) async fn say_gone(&self) {
        if !self.gone.load(Ordering::Relaxed) {
            let conn = self.conn;
            if self.hub.send(Event::Gone { conn }).await.is_ok() {
                self.gone.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Ends the connection for the hub: what was not written is reported, then the end itself.
    pub(crate) async fn end(&self) {
        let unwritten = self.queue.abandon();
        self.writing().extend(unwritten);
        self.report(false).await;
        self.say_gone().await;
    }
}

/// Writes everything; gives up when the client leaves its socket full for [`STUCK_TIME`].
async fn write_slowly(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = timeout(STUCK_TIME, writer.write(rest)).await??;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[n..];
    }
    Ok(())
}

fn too_long() -> Refusal {
    Refusal::new(
        ErrorCode::TooLarge,
        format!(
            "The line is longer than {} MiB. Send the text in parts, or put it in a file and send the path.",
            limits::LINE_BYTES / (1024 * 1024)
        ),
    )
}
