//! Pairing's place in a node: the hub thread holds a [`PairingSlot`] and never waits, the
//! [`PairingKeeper`] opens and shuts what the brain wants open and shut.

use super::conversation::Call;
use super::dial::{Dial, Dialer};
use super::door::Door;
use super::lan::{Announced, Lan, Look, Seen};
use super::listener::{self, Host};
use super::places::{self, Places};
use super::ports;
use super::talk::Talks;
use crate::events::{HubEnded, HubHandle};
use crate::mesh::{Identity, Pipes};
use ecorelay_hub::{PairingEffect, PairingFailure, PairingInput, Window};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// Dials that may wait to be started, and that may go on at a time; the brain has a handful.
const DIALS: usize = 64;
/// How often the machine's addresses are looked at while the listener is open.
const ADDRESSES: Duration = Duration::from_secs(30);

/// What pairing is to do besides talking.
#[derive(Debug)]
enum Command {
    Dial(Dial),
    Undial(u64),
}

/// The hub thread's end of pairing. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PairingSlot {
    talks: Talks,
    commands: mpsc::Sender<Command>,
    /// The latest is the whole truth.
    door: watch::Sender<ecorelay_hub::Door>,
}

impl PairingSlot {
    /// Carries an effect out, or starts to; never waits.
    pub(crate) fn apply(&self, effect: PairingEffect) {
        match effect {
            PairingEffect::Door(door) => {
                self.door.send_replace(door);
            }
            PairingEffect::Dial {
                dial,
                method,
                secret,
                peer,
                addresses,
                rendezvous,
                until,
            } => self.command(Command::Dial(Dial {
                number: dial,
                call: Call {
                    method,
                    secret,
                    peer,
                },
                addresses,
                rendezvous,
                until,
            })),
            PairingEffect::Undial { dial } => self.command(Command::Undial(dial)),
            PairingEffect::Say { attempt, word } => self.talks.say(attempt, word),
            PairingEffect::Close { attempt } => self.talks.close(attempt),
        }
    }

    fn command(&self, command: Command) {
        // The brain gives a dial up by itself when nothing comes of it.
        if self.commands.try_send(command).is_err() {
            tracing::warn!("pairing has too much to do; this is skipped");
        }
    }
}

/// How a node pairs.
#[derive(Debug)]
pub(crate) struct PairingSettings {
    pub(crate) identity: Identity,
    /// Multiaddrs of the mesh's listeners, as they were configured: the same interfaces are used.
    pub(crate) listen: Vec<String>,
    /// Announce and look on the local network.
    pub(crate) mdns: bool,
}

/// Does what the brain wants done.
#[derive(Debug)]
pub(crate) struct PairingKeeper {
    hub: HubHandle,
    commands: mpsc::Receiver<Command>,
    wanted: watch::Receiver<ecorelay_hub::Door>,
    ips: Vec<IpAddr>,
    host: Host,
    dialer: Dialer,
    places: Places,
    listeners: Listeners,
    /// What is announced, and how.
    announced: Option<(Window, Option<Announced>)>,
    look: Option<Look>,
    dials: JoinSet<u64>,
    /// Dropping one gives its dial up.
    going: HashMap<u64, oneshot::Sender<()>>,
    /// The addresses and the neighbours that the brain was told last.
    told: Vec<String>,
    nearby: Vec<(String, u32)>,
}

/// The open listeners: where, and at which port.
#[derive(Debug, Default)]
struct Listeners {
    open: Vec<(IpAddr, u16)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listeners {
    fn shut(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        self.open.clear();
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Returns the hub thread's end and the keeper's.
pub(crate) fn pairing(settings: PairingSettings, hub: HubHandle) -> (PairingSlot, PairingKeeper) {
    let (commands, received) = mpsc::channel(DIALS);
    let (door, wanted) = watch::channel(ecorelay_hub::Door::default());
    let talks = Talks::new(hub.clone());
    let (pipes, identity) = (Pipes::default(), Arc::new(settings.identity));
    let host = Host {
        identity: Arc::clone(&identity),
        door: Door::default(),
        talks: talks.clone(),
    };
    let dialer = Dialer {
        lan: Lan::new(settings.mdns, identity.peer()),
        identity,
        pipes: pipes.clone(),
        talks: talks.clone(),
        hub: hub.clone(),
    };
    let keeper = PairingKeeper {
        commands: received,
        wanted,
        ips: ports::places(&settings.listen),
        places: Places::new(host.clone(), pipes, hub.clone()),
        hub,
        host,
        dialer,
        listeners: Listeners::default(),
        announced: None,
        look: None,
        dials: JoinSet::new(),
        going: HashMap::new(),
        told: Vec::new(),
        nearby: Vec::new(),
    };
    let slot = PairingSlot {
        talks,
        commands,
        door,
    };
    (slot, keeper)
}

impl PairingKeeper {
    /// Follows the hub thread's wishes; when that has ended there are none.
    pub(crate) async fn run(&mut self) -> Infallible {
        let mut addresses = interval(ADDRESSES);
        addresses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Ok(()) = self.step(&mut addresses).await {}
        std::future::pending().await
    }

    /// Ends pairing; what was said goes out before.
    pub(crate) async fn end(&mut self) {
        self.listeners.shut();
        self.announced = None;
        self.look = None;
        self.places.set(&[], &[]);
        self.going.clear();
        self.host.talks.end().await;
        self.dials.shutdown().await;
    }

    async fn step(&mut self, addresses: &mut tokio::time::Interval) -> Result<(), HubEnded> {
        tokio::select! {
            command = self.commands.recv() => match command {
                Some(Command::Dial(dial)) => self.dial(dial).await,
                Some(Command::Undial(number)) => {
                    self.going.remove(&number);
                    Ok(())
                }
                None => Err(HubEnded),
            },
            changed = self.wanted.changed() => {
                changed.map_err(|_| HubEnded)?;
                self.follow().await
            }
            () = self.host.door.spent() => {
                if let Some((number, from)) = self.host.door.take_burnt() {
                    tracing::warn!(number, from, "a wrong attempt has used up the code");
                    let burnt = PairingInput::Burnt { number, from };
                    self.hub.pairing(burnt).await?;
                }
                self.follow().await
            }
            Some(ended) = self.dials.join_next() => {
                if let Ok(number) = ended {
                    self.going.remove(&number);
                }
                Ok(())
            }
            seen = seen(self.look.as_mut()) => self.tell_nearby(&seen).await,
            _ = addresses.tick(), if !self.listeners.open.is_empty() => self.tell_addresses().await,
        }
    }

    /// Opens and shuts what the door says.
    async fn follow(&mut self) -> Result<(), HubEnded> {
        let wanted = self.wanted.borrow_and_update().clone();
        let door = self.host.door.clone();
        door.set(&wanted);
        match (door.is_open(), self.listeners.open.is_empty()) {
            (true, true) => self.listen().await,
            (false, false) => self.listeners.shut(),
            _ => {}
        }
        self.tell_addresses().await?;
        let window = door.window();
        if self.announced.as_ref().map(|(window, _)| window) != window.as_ref() {
            // The old one is taken back before the new one is made: they have one name.
            self.announced = None;
            self.announced = window.map(|window| {
                let announced = self.announce(&window);
                (window, announced)
            });
        }
        self.places.set(&places::of_code(&door), &wanted.places);
        match (wanted.look, self.look.is_some()) {
            (true, false) => self.look = self.dialer.lan.look(),
            (false, true) => {
                self.look = None;
                self.nearby.clear();
            }
            _ => {}
        }
        Ok(())
    }

    fn announce(&self, window: &Window) -> Option<Announced> {
        let (_, port) = *self.listeners.open.first()?;
        self.dialer.lan.announce(window, &self.ips, port)
    }

    async fn listen(&mut self) {
        for ip in &self.ips {
            let ports = ports::candidates(self.host.identity.peer());
            let opened = listener::open(*ip, ports).await;
            match opened.and_then(|listener| Ok((listener.local_addr()?.port(), listener))) {
                Ok((port, listener)) => {
                    self.listeners.open.push((*ip, port));
                    let served = listener::serve(listener, self.host.clone());
                    self.listeners.tasks.push(tokio::spawn(served));
                }
                Err(error) => tracing::warn!(%ip, %error, "no listener for pairing"),
            }
        }
    }

    async fn dial(&mut self, dial: Dial) -> Result<(), HubEnded> {
        let number = dial.number;
        if self.dials.len() >= DIALS {
            let failure = PairingFailure::Unreachable("too many dials at a time".into());
            let failed = PairingInput::DialFailed {
                dial: number,
                failure,
            };
            return self.hub.pairing(failed).await;
        }
        let (going, given_up) = oneshot::channel();
        self.going.insert(number, going);
        let dialer = self.dialer.clone();
        self.dials.spawn(async move {
            dialer.run(dial, given_up).await;
            number
        });
        Ok(())
    }

    async fn tell_addresses(&mut self) -> Result<(), HubEnded> {
        let addresses = ports::told(&self.listeners.open);
        if addresses == self.told {
            return Ok(());
        }
        self.told.clone_from(&addresses);
        let listening = PairingInput::Listening { addresses };
        self.hub.pairing(listening).await
    }

    async fn tell_nearby(&mut self, seen: &[Seen]) -> Result<(), HubEnded> {
        let hubs: Vec<_> = seen
            .iter()
            .map(|seen| (seen.name.clone(), seen.number))
            .collect();
        if hubs == self.nearby {
            return Ok(());
        }
        self.nearby.clone_from(&hubs);
        self.hub.pairing(PairingInput::Nearby { hubs }).await
    }
}

/// Returns what is seen on the local network when it has changed.
async fn seen(look: Option<&mut Look>) -> Vec<Seen> {
    if let Some(look) = look
        && look.seen.changed().await.is_ok()
    {
        return look.seen.borrow_and_update().clone();
    }
    std::future::pending().await
}
