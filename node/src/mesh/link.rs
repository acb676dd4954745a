//! One link: reads and decodes what the other hub says, writes what the brain wants said, and
//! watches whether the other end is alive.
//!
//! The reader waits while the hub thread has too much to do; the stream's window then fills, and
//! the other hub waits too. Nobody else does.

use super::config::Timing;
use super::framing::{Framing, frame_to};
use super::handle::Links;
use super::pulse::{Beat, Pulse};
use super::queue::{Batch, End, LinkQueue};
use crate::events::{HubEnded, HubHandle};
use ecorelay_hub::{LinkId, LinkPath, MeshInput};
use ecorelay_protocol::PeerId;
use ecorelay_protocol::link::{Frame, FrameError};
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, timeout_at};

/// How much is read at once. A muxer's frame has at most as much.
const READ_BYTES: usize = 16 * 1024;
/// Memory that the writer keeps between batches.
const KEEP: usize = 64 * 1024;
/// How long what waits may take to get out when a link is closed.
const FLUSH: Duration = Duration::from_secs(2);
/// How long the other end may take to close its side then: closing before it has read everything
/// could take the last frames from it.
const LINGER: Duration = Duration::from_secs(1);

/// What a link needs besides its stream.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    /// The hub at the other end; its key is proven.
    pub(super) peer: PeerId,
    /// Its address.
    pub(super) address: String,
    pub(super) path: LinkPath,
    pub(super) queue: Arc<LinkQueue>,
    pub(super) links: Links,
    pub(super) hub: HubHandle,
    pub(super) timing: Timing,
}

impl Link {
    /// Runs the link until it ends, and tells the hub thread all of it. `before` is a link to the
    /// same hub that this one replaces: a hub has one link at a time. `done` is awaited as soon
    /// as the connection is of no more use.
    pub(super) async fn run<S>(
        self,
        stream: S,
        before: Option<JoinHandle<()>>,
        done: impl Future<Output = ()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(before) = before {
            // It was cut. If it has panicked, it is gone as well.
            let _ = before.await;
        }
        let (link, peer) = (self.id, self.peer.clone());
        self.links.insert(link, Arc::clone(&self.queue));
        let up = MeshInput::LinkUp {
            link,
            peer: peer.clone(),
            address: self.address.clone(),
            path: self.path,
        };
        let reason = match self.hub.mesh(up, 0).await {
            Ok(()) => {
                tracing::info!(%peer, link = link.0, address = %self.address, "a link is up");
                self.carry(stream).await
            }
            Err(HubEnded) => HUB_ENDED.to_owned(),
        };
        self.links.remove(link);
        done.await;
        tracing::info!(%peer, link = link.0, reason, "a link is down");
        // A hub thread that has ended needs no word.
        let _ = self.hub.mesh(MeshInput::LinkDown { link, reason }, 0).await;
    }

    /// Reads and writes until the link ends; returns why it did.
    async fn carry<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> String {
        let (mut reader, mut writer) = stream.split();
        let reason = tokio::select! {
            biased;
            reason = self.ending() => return reason,
            reason = self.read(&mut reader) => return reason,
            written = self.write(&mut writer) => match written {
                Ok(()) => CLOSED_HERE.to_owned(),
                Err(error) => return error.to_string(),
            },
        };
        let drained = async {
            let mut chunk = vec![0; READ_BYTES];
            while matches!(reader.read(&mut chunk).await, Ok(1..)) {}
        };
        let _ = timeout(LINGER, drained).await;
        reason
    }

    /// Waits until this side ends the link and it can take no longer.
    async fn ending(&self) -> String {
        if let End::Cut(reason) = self.queue.ending().await {
            return reason.to_owned();
        }
        match timeout(FLUSH, self.queue.cut()).await {
            Ok(reason) => reason.to_owned(),
            Err(_) => CLOSED_HERE.to_owned(),
        }
    }

    /// Reads until nothing more can be read; returns why.
    async fn read(&self, stream: &mut (impl AsyncRead + Unpin)) -> String {
        let mut framing = Framing::default();
        let mut chunk = vec![0; READ_BYTES];
        let mut pulse = Pulse::new(self.timing, Instant::now());
        self.ping(pulse.ask(Instant::now()));
        loop {
            let read = timeout_at(pulse.next().into(), stream.read(&mut chunk)).await;
            let now = Instant::now();
            let count = match read {
                Ok(Ok(0)) => return "the other hub closed it".to_owned(),
                Ok(Ok(count)) => count,
                Ok(Err(error)) => return error.to_string(),
                Err(_) => match pulse.beat(now) {
                    Some(Beat::Ping(value)) => {
                        self.ping(value);
                        continue;
                    }
                    Some(Beat::Dead) => {
                        let seconds = self.timing.dead.as_secs_f32();
                        return format!("nothing came from it for {seconds} s");
                    }
                    None => continue,
                },
            };
            framing.push(chunk.get(..count).unwrap_or_default());
            while let Some((frame, bytes)) = framing.next() {
                match self.frame(frame, bytes, &mut pulse, now).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        // The brain closes the link, and may say why before.
                        sleep(FLUSH).await;
                        return error.to_string();
                    }
                    Err(HubEnded) => return HUB_ENDED.to_owned(),
                }
            }
            // Time spent waiting for the hub thread is not the other hub's silence.
            pulse.heard(Instant::now());
        }
    }

    /// Hands a frame to the hub thread; heartbeats are answered here.
    async fn frame(
        &self,
        frame: Result<Frame, FrameError>,
        bytes: usize,
        pulse: &mut Pulse,
        now: Instant,
    ) -> Result<Result<(), FrameError>, HubEnded> {
        let link = self.id;
        let input = match frame {
            Ok(Frame::Ping(value)) => {
                self.queue.heartbeat(Frame::Pong(value).encode());
                return Ok(Ok(()));
            }
            Ok(Frame::Pong(value)) => {
                let Some(time) = pulse.answer(value, now) else {
                    return Ok(Ok(()));
                };
                let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                MeshInput::RoundTrip { link, micros }
            }
            Ok(frame) => MeshInput::Frame {
                link,
                frame: Ok(Box::new(frame)),
            },
            Err(error) => {
                tracing::warn!(peer = %self.peer, link = link.0, %error, "a hub sends what is no frame");
                let frame = Err(error.clone());
                self.hub.mesh(MeshInput::Frame { link, frame }, 0).await?;
                return Ok(Err(error));
            }
        };
        self.hub.mesh(input, bytes).await?;
        Ok(Ok(()))
    }

    fn ping(&self, value: u64) {
        self.queue.heartbeat(Frame::Ping(value).encode());
    }

    /// Writes what waits, until the link is to end; closes the stream then.
    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let stall = self.timing.stall;
        let mut batch = Batch::default();
        let mut buffer = Vec::new();
        while self.queue.take(&mut batch).await {
            for heartbeat in batch.heartbeats.drain(..) {
                frame_to(&mut buffer, &heartbeat);
            }
            let frames = batch.frames.len();
            let mut bytes = 0;
            for frame in batch.frames.drain(..) {
                bytes += frame.len();
                frame_to(&mut buffer, &frame);
            }
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let count = within(stall, stream.write(rest)).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = rest.get(count..).unwrap_or_default();
            }
            within(stall, stream.flush()).await?;
            self.queue.written(frames, bytes);
            buffer.clear();
            buffer.shrink_to(KEEP);
        }
        within(stall, stream.close()).await
    }
}

const HUB_ENDED: &str = "this hub ends";
const CLOSED_HERE: &str = "this hub closed it";

/// Gives the other hub this long to take something.
async fn within<T>(stall: Duration, written: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(stall, written).await {
        Ok(written) => written,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it took nothing for {} s", stall.as_secs_f32()),
        )),
    }
}
