//! One stream of somebody who pairs: a host waits here for its guest; a guest's stream is handed
//! to the host it asks for, and from then on bytes are passed on, unread.

use crate::config::Timing;
use crate::framing::{self, Framing};
use crate::metrics::Metrics;
use crate::pipes::{NoPipe, Place};
use ecorelay_protocol::rendezvous::{PipeAnswer, PipeOpening};
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::Stream;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Bytes on their way at a time, for each direction.
const BUFFER: usize = 16 * 1024;

/// How a waiting host is given its guest.
pub(crate) type Wake = oneshot::Sender<Guest>;

/// The stream of a guest.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: Stream,
    number: Number,
}

/// What a pipe asks the event loop.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To wait at a place; the answer says whether the host entered, and may so wait as long as
    /// it likes.
    Wait(Place, Wake, oneshot::Sender<Result<bool, NoPipe>>),
    /// For the host that waits there.
    Claim(Place, oneshot::Sender<Result<Wake, NoPipe>>),
}

/// The number of an open pipe; says when it is closed.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) pipe: u64,
    /// Holds no more than there are pipes.
    pub(crate) closed: mpsc::UnboundedSender<u64>,
}

impl Drop for Number {
    fn drop(&mut self) {
        // Nobody hears it when the whole server ends.
        let _ = self.closed.send(self.pipe);
    }
}

/// One stream of somebody who pairs.
pub(crate) struct PipeStream {
    pub(crate) stream: Stream,
    pub(crate) number: Number,
    pub(crate) ask: mpsc::Sender<(u64, Ask)>,
    pub(crate) timing: Timing,
    /// How much may pass.
    pub(crate) bytes: u64,
    pub(crate) metrics: Metrics,
}

impl PipeStream {
    /// Serves the stream until its end.
    pub(crate) async fn run(mut self) {
        match timeout(self.timing.idle, opening(&mut self.stream)).await {
            Ok(Some(PipeOpening::Host(place))) => match place.0.try_into() {
                Ok(place) => self.host(place).await,
                Err(_) => self.bad_message().await,
            },
            Ok(Some(PipeOpening::Guest(place))) => match place.0.try_into() {
                Ok(place) => self.guest(place).await,
                Err(_) => self.bad_message().await,
            },
            Ok(None) => self.bad_message().await,
            Err(_) => self.metrics.refuse("idle"),
        }
    }

    async fn host(mut self, place: Place) {
        let (wake, guest) = oneshot::channel();
        let waits = self.ask(|reply| Ask::Wait(place, wake, reply)).await;
        let patient = match waits {
            Ok(patient) => patient,
            Err(no) => return refuse(self.stream, no, &self.timing, &self.metrics).await,
        };
        if !self.write(&PipeAnswer::Waiting).await {
            return;
        }
        let wait = if patient {
            Duration::MAX
        } else {
            self.timing.pipe_wait
        };
        // A host that says something before its guest is there, or leaves, ends the pipe.
        let mut early = [0];
        let guest = tokio::select! {
            guest = guest => guest.ok(),
            _ = self.stream.read(&mut early) => None,
            () = tokio::time::sleep(wait) => None,
        };
        if let Some(guest) = guest {
            let life = self.timing.pipe_life;
            // However it ends: nobody is told more than that the stream has ended.
            let _ = timeout(life, self.join(guest)).await;
        }
    }

    async fn guest(self, place: Place) {
        let wake = match self.ask(|reply| Ask::Claim(place, reply)).await {
            Ok(wake) => wake,
            Err(no) => return refuse(self.stream, no, &self.timing, &self.metrics).await,
        };
        let guest = Guest {
            stream: self.stream,
            number: self.number,
        };
        if let Err(guest) = wake.send(guest) {
            // The host left this very moment.
            refuse(guest.stream, NoPipe::Nobody, &self.timing, &self.metrics).await;
        }
    }

    async fn join(mut self, mut guest: Guest) -> io::Result<()> {
        framing::write(&mut self.stream, &PipeAnswer::Joined).await?;
        framing::write(&mut guest.stream, &PipeAnswer::Joined).await?;
        self.metrics.joined.inc();
        let left = AtomicU64::new(self.bytes);
        let (mut host_in, mut host_out) = self.stream.split();
        let (mut guest_in, mut guest_out) = guest.stream.split();
        tokio::try_join!(
            copy(&mut host_in, &mut guest_out, &left, &self.metrics),
            copy(&mut guest_in, &mut host_out, &left, &self.metrics),
        )?;
        drop(guest.number);
        Ok(())
    }

    /// Not `async`: a stream may be borrowed by one thread only, and the task moves between them.
    fn ask<T, F: FnOnce(oneshot::Sender<Result<T, NoPipe>>) -> Ask>(
        &self,
        ask: F,
    ) -> impl Future<Output = Result<T, NoPipe>> + use<T, F> {
        let (reply, answer) = oneshot::channel();
        let (ask, sender) = ((self.number.pipe, ask(reply)), self.ask.clone());
        async move {
            sender.send(ask).await.map_err(|_| NoPipe::Full)?;
            answer.await.unwrap_or(Err(NoPipe::Full))
        }
    }

    async fn write(&mut self, answer: &PipeAnswer) -> bool {
        let written = timeout(self.timing.write, framing::write(&mut self.stream, answer)).await;
        matches!(written, Ok(Ok(())))
    }

    async fn bad_message(self) {
        self.metrics.refuse("bad_message");
        let message = "A pipe begins with the 32 bytes of a place.";
        say_and_close(self.stream, "bad_message", message, &self.timing).await;
    }
}

/// Reads what the stream is for; nothing where it says nothing sensible, or too much.
async fn opening(stream: &mut Stream) -> Option<PipeOpening> {
    let mut framing = Framing::default();
    loop {
        if let Some(opening) = framing.next().ok()? {
            return framing.into_rest().is_empty().then_some(opening);
        }
        if !framing.read(stream).await.ok()? {
            return None;
        }
    }
}

/// Tells why there is no pipe.
pub(crate) async fn refuse(stream: Stream, no: NoPipe, timing: &Timing, metrics: &Metrics) {
    let (reason, code, message) = match no {
        NoPipe::Taken => (
            "pipe_taken",
            "taken",
            "Another hub waits under this number; take another code.",
        ),
        NoPipe::Nobody => ("pipe_nobody", "nobody", "Nobody waits under this number."),
        NoPipe::Full => (
            "pipes_full",
            "full",
            "Too many pair through this server right now.",
        ),
    };
    metrics.refuse(reason);
    say_and_close(stream, code, message, timing).await;
}

async fn say_and_close(mut stream: Stream, code: &str, message: &str, timing: &Timing) {
    let refused = PipeAnswer::Refused {
        code: code.into(),
        message: message.into(),
    };
    let told = async {
        framing::write(&mut stream, &refused).await?;
        stream.close().await
    };
    let _ = timeout(timing.stop, told).await;
}

/// Passes bytes on until the end of `from`, or until nothing more may pass.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    left: &AtomicU64,
    metrics: &Metrics,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.close().await;
        }
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        let enough = |left: u64| left.checked_sub(bytes);
        if left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough)
            .is_err()
        {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        to.write_all(buffer.get(..length).unwrap_or_default())
            .await?;
        to.flush().await?;
        metrics.pipe_bytes.inc_by(bytes);
    }
}
