//! Where the messages come from that are typed: a session of the program's own, held here, or
//! the EcoRelay channel that the program has started. One task; it hands out one text at a time
//! and only when it is asked to.

use super::attached::{Attached, Wanted};
use ecorelay_mcp_channel::attach::State;
use ecorelay_mcp_channel::{WrappedOptions, WrappedSession};
use ecorelay_protocol::PushResult;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

/// How long a program may take to start its channel before a session is held for it.
const CHANNEL_WITHIN: Duration = Duration::from_secs(20);
/// How long a channel that is gone may take to come back: programs restart theirs.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// How often a channel is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After this time the hub is told why a message waits; it waits a little longer itself.
const TOLD_AFTER: Duration = Duration::from_millis(300);

/// One text to be typed.
#[derive(Debug)]
pub(crate) struct Text {
    /// What is typed.
    pub(crate) text: String,
    ticket: Ticket,
}

/// To whom the outcome is told.
#[derive(Debug)]
pub(crate) enum Ticket {
    Own(Vec<String>),
    Attached(u64),
}

/// What the source is asked and told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Something may be typed now.
    Take,
    /// What became of a text.
    Done(Ticket, PushResult, Option<String>),
    /// What the program does, and why nothing may be typed now.
    State {
        /// As channels call it.
        state: State,
        /// As words for the sender.
        why: &'static str,
    },
}

impl Text {
    /// Returns what the source is told when the text has come to its end.
    pub(crate) fn outcome(self, result: PushResult, detail: Option<String>) -> Order {
        Order::Done(self.ticket, result, detail)
    }
}

/// The other end of the source's task.
#[derive(Debug)]
pub(crate) struct Source {
    /// Whether something waits.
    pub(crate) waiting: watch::Receiver<bool>,
    /// What was asked for with [`Order::Take`]; nothing where it has gone meanwhile.
    pub(crate) texts: mpsc::Receiver<Option<Text>>,
    /// Bounded by one: orders are few, and a lost `State` is repeated by the next.
    pub(crate) orders: mpsc::Sender<Order>,
}

/// What the task needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The session to hold where the program has no channel.
    pub(crate) options: WrappedOptions,
    /// The session, where it is held from the start.
    pub(crate) own: Option<WrappedSession>,
    /// Which channel to look for, if any.
    pub(crate) wanted: Option<Wanted>,
    /// What the model is told about answering.
    pub(crate) how_to: HowTo,
}

/// How a model without tools answers.
#[derive(Debug)]
pub(crate) struct HowTo {
    /// How a command is run in the program.
    pub(crate) run: &'static str,
    /// The name of the session is in the program's environment.
    pub(crate) name_is_set: bool,
}

impl HowTo {
    /// Returns the line below a text: short once the long one was shown.
    fn line(&self, name: &str, first: bool) -> String {
        let acting = if self.name_is_set {
            String::new()
        } else {
            format!(" --as {name}")
        };
        let reply = format!("ecorelay reply{acting} ID \"TEXT\"");
        if !first {
            return format!("[ecorelay] to answer: {reply}");
        }
        format!(
            "[ecorelay] You are \"{name}\". Without relay tools, answer with the command `{reply}`, with the id from the line above the message. {} Others: `ecorelay peers`, `ecorelay send{acting} NAME \"TEXT\"`, `ecorelay inbox{acting}`, `ecorelay room join{acting} ROOM`, `ecorelay room send{acting} ROOM \"TEXT\"`.",
            self.run
        )
    }
}

/// Starts the task.
pub(crate) fn start(plan: Plan) -> Source {
    let (waiting_tx, waiting) = watch::channel(false);
    let (texts_tx, texts) = mpsc::channel(1);
    let (orders, orders_rx) = mpsc::channel(8);
    let task = Task {
        plan,
        waiting: waiting_tx,
        texts: texts_tx,
        orders: orders_rx,
        state: (State::Busy, "waits: the program is starting"),
        answered_before: false,
    };
    tokio::spawn(task.run());
    Source {
        waiting,
        texts,
        orders,
    }
}

struct Task {
    plan: Plan,
    waiting: watch::Sender<bool>,
    texts: mpsc::Sender<Option<Text>>,
    orders: mpsc::Receiver<Order>,
    state: (State, &'static str),
    /// The long words about answering were shown.
    answered_before: bool,
}

impl Task {
    /// Works until the wrapper ends.
    async fn run(mut self) {
        let mut own = self.plan.own.take();
        let mut own_from = Instant::now() + CHANNEL_WITHIN;
        loop {
            let found = match &self.plan.wanted {
                Some(wanted) => Attached::find(wanted).await,
                None => None,
            };
            if let Some(mut attached) = found {
                if let Some(own) = own.take() {
                    // The channel takes over, under the same name where it can.
                    attached.call_me(&own.name()).await;
                }
                if self.serve_attached(attached).await.is_none() {
                    return;
                }
                own_from = Instant::now() + BACK_WITHIN;
                continue;
            }
            if own.is_none() && Instant::now() >= own_from {
                own = Some(WrappedSession::start(self.plan.options.clone()).0);
            }
            let look_again = self.plan.wanted.is_some();
            let served = self.serve_own(own.as_mut(), look_again).await;
            if served.is_none() {
                return;
            }
        }
    }

    /// Serves the session held here, for a while or for ever; nothing when the wrapper has
    /// ended.
    async fn serve_own(
        &mut self,
        mut own: Option<&mut WrappedSession>,
        look_again: bool,
    ) -> Option<()> {
        let until = tokio::time::Instant::now() + LOOK_EVERY;
        loop {
            let waits = own.as_ref().and_then(|own| own.waiting_since()).is_some();
            self.waiting.send_if_modified(|known| {
                let changed = *known != waits;
                *known = waits;
                changed
            });
            let untold = own.as_ref().and_then(|own| own.untold_since());
            let tell_at = untold.map(|since| tokio::time::Instant::from_std(since + TOLD_AFTER));
            tokio::select! {
                order = self.orders.recv() => match (order?, own.as_mut()) {
                    (Order::Take, Some(own)) => {
                        let parcel = own.take().await;
                        let text = parcel.map(|parcel| {
                            let first = !std::mem::replace(&mut self.answered_before, true);
                            let line = self.plan.how_to.line(&own.name(), first);
                            Text {
                                text: format!("{}\n{line}", parcel.text),
                                ticket: Ticket::Own(parcel.ids),
                            }
                        });
                        self.texts.send(text).await.ok()?;
                    }
                    (Order::Take, None) => self.texts.send(None).await.ok()?,
                    (Order::Done(Ticket::Own(ids), result, detail), Some(own)) => {
                        own.conclude(&ids, result, detail).await;
                    }
                    // Of a channel that is gone: it has told the hub itself.
                    (Order::Done(..), _) => {}
                    (Order::State { state, why }, _) => self.state = (state, why),
                },
                arrival = arrival(&mut own) => {
                    if let Some(own) = own.as_mut() {
                        own.accept(arrival).await;
                    }
                }
                () = sleep_until(tell_at.unwrap_or(until)), if tell_at.is_some() => {
                    if let Some(own) = own.as_mut() {
                        own.tell_waiting(self.state.1).await;
                    }
                }
                () = sleep_until(until), if look_again => return Some(()),
            }
        }
    }

    /// Serves the program's channel until it is gone; nothing when the wrapper has ended.
    async fn serve_attached(&mut self, mut attached: Attached) -> Option<()> {
        attached.state(self.state.0).await;
        loop {
            self.waiting.send_if_modified(|known| {
                let changed = *known != attached.waits();
                *known = attached.waits();
                changed
            });
            tokio::select! {
                order = self.orders.recv() => match order? {
                    Order::Take => {
                        let text = attached.take().map(|(id, text)| Text {
                            text,
                            ticket: Ticket::Attached(id),
                        });
                        self.texts.send(text).await.ok()?;
                    }
                    Order::Done(Ticket::Attached(id), result, detail) => {
                        attached.pushed(id, result, detail).await;
                    }
                    // The own session has gone, and its messages wait in the mailbox.
                    Order::Done(Ticket::Own(_), ..) => {}
                    Order::State { state, why } => {
                        self.state = (state, why);
                        attached.state(state).await;
                    }
                },
                still = attached.read() => if !still {
                    self.waiting.send_replace(false);
                    return Some(());
                },
            }
        }
    }
}

/// Returns what comes next for the session; never, where there is none.
async fn arrival(own: &mut Option<&mut WrappedSession>) -> ecorelay_mcp_channel::WrappedArrival {
    match own {
        Some(own) => own.arrival().await,
        None => std::future::pending().await,
    }
}
