//! yamux with a bound on what one connection may have waiting. Ready-made, libp2p's lets each
//! connection grow to a gigabyte of bytes that nobody has read yet, and a relay reads only as
//! fast as the other side takes.

use crate::origin::Origin;
use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use std::collections::{HashMap, VecDeque};
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// Streams one connection may have: its own, circuits, and those that wait to pair.
const STREAMS: usize = 256;
/// What one stream may have waiting, in bytes: the least that yamux has.
const WINDOW: usize = 256 * 1024;

/// How many streams there are, by origin: each may have [`WINDOW`] waiting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loads(Arc<Mutex<Vec<Load>>>);

/// Where a connection comes from and how many streams it has, for as long as it is there.
type Load = (Origin, Weak<AtomicUsize>);

impl Loads {
    fn add(&self, origin: Origin) -> Arc<AtomicUsize> {
        let streams = Arc::new(AtomicUsize::new(0));
        let load = (origin, Arc::downgrade(&streams));
        self.lock().push(load);
        streams
    }

    /// Returns how much may be waiting, all in all and of the origin with the most streams.
    /// To be called every now and then: it forgets connections that are gone.
    pub(crate) fn weigh(&self) -> Weight {
        let mut origins: HashMap<Origin, usize> = HashMap::new();
        self.lock().retain(|(origin, streams)| {
            let Some(streams) = streams.upgrade() else {
                return false;
            };
            *origins.entry(*origin).or_default() += streams.load(Ordering::Relaxed);
            true
        });
        let bytes = |streams: usize| u64::try_from(streams.saturating_mul(WINDOW));
        let all = bytes(origins.values().sum()).unwrap_or(u64::MAX);
        let heaviest = origins.into_iter().max_by_key(|(_, streams)| *streams);
        let heaviest = heaviest.map(|(origin, n)| (origin, bytes(n).unwrap_or(u64::MAX)));
        Weight { all, heaviest }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Load>> {
        // A list of counters is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much may be waiting to be read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// On all connections.
    pub(crate) all: u64,
    /// On those of the origin with the most.
    pub(crate) heaviest: Option<(Origin, u64)>,
}

/// Makes a connection one of many streams.
#[derive(Debug, Clone)]
pub(crate) struct Yamux {
    loads: Loads,
    origin: Origin,
}

impl Yamux {
    pub(crate) fn new(loads: Loads, origin: Origin) -> Self {
        Self { loads, origin }
    }

    fn muxer<C: AsyncRead + AsyncWrite + Unpin>(self, io: C, mode: yamux::Mode) -> Muxer<C> {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS);
        // As much as all streams have from the start: none gets more.
        config.set_max_connection_receive_window(Some(STREAMS * WINDOW));
        Muxer {
            connection: yamux::Connection::new(io, config, mode),
            waiting: VecDeque::new(),
            waker: None,
            open: self.loads.add(self.origin),
        }
    }
}

impl UpgradeInfo for Yamux {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Yamux {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, io: C, _: &'static str) -> Self::Future {
        ready(Ok(self.muxer(io, yamux::Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Yamux {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, io: C, _: &'static str) -> Self::Future {
        ready(Ok(self.muxer(io, yamux::Mode::Client)))
    }
}

/// A connection of many streams.
pub(crate) struct Muxer<C> {
    connection: yamux::Connection<C>,
    /// Streams that came while nobody asked for one; no more than [`STREAMS`].
    waiting: VecDeque<Substream>,
    waker: Option<Waker>,
    open: Arc<AtomicUsize>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn substream(&self, stream: yamux::Stream) -> Substream {
        self.open.fetch_add(1, Ordering::Relaxed);
        Substream {
            stream,
            open: self.open.clone(),
        }
    }

    /// Lets the connection go on until a stream comes in.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Substream, yamux::ConnectionError>> {
        self.connection.poll_next_inbound(cx).map(|next| {
            let stream = next.unwrap_or(Err(yamux::ConnectionError::Closed))?;
            Ok(self.substream(stream))
        })
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Substream;
    type Error = yamux::ConnectionError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.next(cx);
        if next.is_pending() {
            self.waker = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = self.connection.poll_new_outbound(cx);
        stream.map_ok(|stream| self.substream(stream))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        // What is ready is taken in, so that reading goes on while nobody wants a new stream.
        loop {
            match self.next(cx) {
                Poll::Ready(Ok(stream)) => {
                    self.waiting.push_back(stream);
                    if let Some(waker) = self.waker.take() {
                        waker.wake();
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// One stream, counted for as long as it is there.
#[derive(Debug)]
pub(crate) struct Substream {
    stream: yamux::Stream,
    open: Arc<AtomicUsize>,
}

impl Drop for Substream {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Substream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_origin_with_the_most_streams_is_the_heaviest_and_the_gone_are_forgotten() {
        let origin = |last: u8| Origin::of(&format!("/ip4/10.0.0.{last}/tcp/1").parse().unwrap());
        let loads = Loads::default();
        let (one, two, three) = (
            loads.add(origin(1)),
            loads.add(origin(2)),
            loads.add(origin(1)),
        );
        one.store(2, Ordering::Relaxed);
        two.store(3, Ordering::Relaxed);
        three.store(2, Ordering::Relaxed);
        let weight = |all, heaviest| Weight { all, heaviest };
        let window = u64::try_from(WINDOW).unwrap();
        let one_is = Some((origin(1), 4 * window));
        assert_eq!(loads.weigh(), weight(7 * window, one_is));
        drop(one);
        let two_is = Some((origin(2), 3 * window));
        assert_eq!(loads.weigh(), weight(5 * window, two_is));
        drop((two, three));
        assert_eq!(loads.weigh(), weight(0, None));
        assert!(loads.lock().is_empty());
    }
}
