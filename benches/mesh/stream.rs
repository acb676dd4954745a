//! The floor of everything between two hubs: frames that another process sends back, on one
//! libp2p stream over the same layers as a link (TCP, pre-shared key, noise, yamux) on loopback.
//! The other process is this program again, in a hidden role; each has one thread.

use crate::shared::Outcome;
use crate::shared::client::DEADLINE;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::swarm::{Config, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, Transport as _};
use libp2p::{noise, tcp, yamux};
use libp2p_stream::Behaviour;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

const ROLE: &str = "--floor-stream";
const PROTOCOL: StreamProtocol = StreamProtocol::new("/ecorelay-bench/echo/1");
/// Any key: it is there for what its layer costs.
const KEY: [u8; 32] = [7; 32];
/// The length before each frame.
const HEAD: usize = 4;
const BUFFER: usize = 64 * 1024;

/// Plays the hidden role that the arguments name, if they do.
pub(crate) fn role(arguments: &[String]) -> Option<ExitCode> {
    let played = match arguments {
        [role, peer, address] if role == ROLE => {
            runtime().and_then(|runtime| runtime.block_on(send_back(peer, address)))
        }
        _ => return None,
    };
    Some(match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stream floor: {error}");
            ExitCode::FAILURE
        }
    })
}

fn runtime() -> Outcome<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn swarm() -> Outcome<Swarm<Behaviour>> {
    let keypair = Keypair::generate_ed25519();
    let transport = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .and_then(|socket, _| PnetConfig::new(PreSharedKey::new(KEY)).handshake(socket))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default())
        .boxed();
    let me = keypair.public().to_peer_id();
    Ok(Swarm::new(
        transport,
        Behaviour::new(),
        me,
        Config::with_tokio_executor(),
    ))
}

/// Dials, opens a stream, and sends back every frame until the other end closes it.
async fn send_back(peer: &str, address: &str) -> Outcome<()> {
    let peer: PeerId = peer.parse()?;
    let mut swarm = swarm()?;
    let mut control = swarm.behaviour().new_control();
    swarm.dial(address.parse::<Multiaddr>()?)?;
    let connected = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error),
                _ => {}
            }
        }
    };
    timeout(DEADLINE, connected).await??;
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let mut stream = timeout(DEADLINE, control.open_stream(peer, PROTOCOL)).await??;
    // The stream's protocol goes out with its first bytes.
    stream.write_all(&0_u32.to_be_bytes()).await?;
    stream.flush().await?;
    let mut frames = Frames::default();
    loop {
        if frames.read(&mut stream).await? == 0 {
            return Ok(());
        }
        let whole = frames.take();
        stream.write_all(&whole).await?;
        stream.flush().await?;
    }
}

/// Bytes that came, cut at the ends of frames.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
    chunk: Vec<u8>,
}

impl Frames {
    /// Reads what there is; returns how many bytes.
    async fn read(&mut self, stream: &mut Stream) -> Outcome<usize> {
        self.chunk.resize(BUFFER, 0);
        let count = stream.read(&mut self.chunk).await?;
        self.bytes.extend_from_slice(&self.chunk[..count]);
        Ok(count)
    }

    /// Takes the whole frames, with their lengths.
    fn take(&mut self) -> Vec<u8> {
        let (end, _) = self.whole();
        let rest = self.bytes.split_off(end);
        std::mem::replace(&mut self.bytes, rest)
    }

    /// Throws the whole frames away; returns how many they were.
    fn count(&mut self) -> usize {
        let (end, count) = self.whole();
        self.bytes.drain(..end);
        count
    }

    /// Returns where the last whole frame ends, and how many there are.
    fn whole(&self) -> (usize, usize) {
        let (mut at, mut count) = (0, 0);
        while let Some((head, rest)) = self.bytes[at..].split_first_chunk::<HEAD>() {
            let length = u32::from_be_bytes(*head) as usize;
            if rest.len() < length {
                break;
            }
            at += HEAD + length;
            count += 1;
        }
        (at, count)
    }
}

/// A stream to a process that sends everything back.
#[derive(Debug)]
pub(crate) struct Echo {
    child: Child,
    runtime: Runtime,
    stream: Stream,
    frames: Frames,
}

impl Echo {
    /// Starts the other process and connects.
    pub(crate) fn start() -> Outcome<Self> {
        let runtime = runtime()?;
        let (mut swarm, address) = runtime.block_on(async {
            let mut swarm = swarm()?;
            swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
            let address = timeout(DEADLINE, async {
                loop {
                    if let SwarmEvent::NewListenAddr { address, .. } =
                        swarm.select_next_some().await
                    {
                        return address;
                    }
                }
            });
            Ok::<_, Box<dyn std::error::Error>>(address.await?).map(|address| (swarm, address))
        })?;
        let mut incoming = swarm
            .behaviour()
            .new_control()
            .accept(PROTOCOL)
            .map_err(|error| error.to_string())?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([ROLE, &swarm.local_peer_id().to_base58()])
            .arg(address.to_string())
            .stdin(Stdio::null())
            .spawn()?;
        let connected = runtime.block_on(async {
            tokio::spawn(async move {
                loop {
                    swarm.select_next_some().await;
                }
            });
            let (_, stream) = timeout(DEADLINE, incoming.next())
                .await?
                .ok_or("the stream floor ended")?;
            Ok::<_, Box<dyn std::error::Error>>(stream)
        });
        let stream = connected.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let mut echo = Self {
            child,
            runtime,
            stream,
            frames: Frames::default(),
        };
        echo.await_frames(1)?; // its greeting
        Ok(echo)
    }

    fn await_frames(&mut self, count: usize) -> Outcome<()> {
        let Self {
            runtime,
            stream,
            frames,
            ..
        } = self;
        runtime.block_on(async {
            let mut came = 0;
            while came < count {
                if timeout(DEADLINE, frames.read(stream)).await?? == 0 {
                    return Err("the stream floor ended".into());
                }
                came += frames.count();
            }
            Ok(())
        })
    }

    /// Sends a text there and back; returns how long that takes.
    pub(crate) fn round_trip(&mut self, text: &str) -> Outcome<Duration> {
        let frame = frame(text);
        let Self {
            runtime,
            stream,
            frames,
            ..
        } = self;
        let there_and_back = async {
            let began = Instant::now();
            stream.write_all(&frame).await?;
            stream.flush().await?;
            loop {
                if frames.read(stream).await? == 0 {
                    return Err("the stream floor ended".into());
                }
                if frames.count() > 0 {
                    return Ok(began.elapsed());
                }
            }
        };
        runtime.block_on(async { timeout(DEADLINE, there_and_back).await? })
    }

    /// Sends a text many times, never more than `in_flight` on their way; returns how many a
    /// second came back.
    pub(crate) fn rate(&mut self, text: &str, count: usize, in_flight: usize) -> Outcome<f64> {
        let frame = frame(text);
        let Self {
            runtime,
            stream,
            frames,
            ..
        } = self;
        runtime.block_on(async {
            let began = Instant::now();
            let (mut written, mut back) = (0, 0);
            while back < count {
                let more = (back + in_flight).min(count) - written;
                if more > 0 {
                    stream.write_all(&frame.repeat(more)).await?;
                    stream.flush().await?;
                    written += more;
                }
                if timeout(DEADLINE, frames.read(stream)).await?? == 0 {
                    return Err("the stream floor ended".into());
                }
                back += frames.count();
            }
            Ok(count as f64 / began.elapsed().as_secs_f64())
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}
