//! Sealed conversations: words between the brain and the other hub, until one of them ends it.

use super::conversation::Established;
use super::seal::{Opener, Sealer};
use super::wire::{ByteStream, TalkError, read, write};
use crate::events::{HubEnded, HubHandle};
use ecorelay_hub::{AttemptId, PairingInput, PairingSide};
use ecorelay_protocol::pairing::{Clear, Method, SEALED_BYTES, Word};
use ecorelay_protocol::{from_cbor, to_cbor};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// How long a sealed conversation may take: a person may be asked a question in it. The brain
/// ends it earlier.
const TALK_TIME: Duration = Duration::from_secs(300);
/// How long one word may take to leave: two megabytes over a poor connection.
const WORD_TIME: Duration = Duration::from_secs(60);
/// Words that wait to be sent; the brain says a handful in all.
const WORDS: usize = 16;
/// Longest sealed message of a guest that has nothing to give, in bytes: it says where it stands.
const SMALL_BYTES: usize = 16 * 1024;
/// How long the other side's last words are waited for after this side's.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// How long the end of a node waits for conversations.
const END_TIME: Duration = Duration::from_secs(1);
/// How much of them is read, in bytes.
const LINGER_BYTES: u64 = 4 * 1024 * 1024;

/// The sealed conversations, by their numbers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Talks {
    shared: Arc<Shared>,
    hub: HubHandle,
}

#[derive(Debug, Default)]
struct Shared {
    last: AtomicU64,
    orders: Mutex<HashMap<AttemptId, mpsc::Sender<Order>>>,
    /// How many conversations go on.
    active: watch::Sender<usize>,
}

/// What a conversation is to do.
#[derive(Debug)]
enum Order {
    Say(Box<Word>),
    Close,
}

impl Talks {
    pub(super) fn new(hub: HubHandle) -> Self {
        let shared = Arc::default();
        Self { shared, hub }
    }

    /// Says something; never waits. A conversation whose words do not leave is ended.
    pub(super) fn say(&self, attempt: AttemptId, word: Box<Word>) {
        self.order(attempt, Order::Say(word));
    }

    /// Ends a conversation once what was said is out; never waits.
    pub(super) fn close(&self, attempt: AttemptId) {
        self.order(attempt, Order::Close);
    }

    /// Ends all conversations once what was said is out, and waits for that, but not for long.
    pub(super) async fn end(&self) {
        self.lock().clear();
        let mut active = self.shared.active.subscribe();
        // Whoever takes nothing more is left behind.
        let _ = timeout(END_TIME, active.wait_for(|active| *active == 0)).await;
    }

    fn order(&self, attempt: AttemptId, order: Order) {
        let mut orders = self.lock();
        let full = |queue: &mpsc::Sender<Order>| queue.try_send(order).is_err();
        if orders.get(&attempt).is_some_and(full) {
            orders.remove(&attempt);
        }
    }

    /// Holds a conversation to its end.
    pub(super) async fn hold<S: ByteStream>(&self, established: Established<S>, side: PairingSide) {
        let attempt = AttemptId(self.shared.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (queue, orders) = mpsc::channel(WORDS);
        self.lock().insert(attempt, queue);
        self.shared.active.send_modify(|active| *active += 1);
        let _registered = Registered(self, attempt);
        let sealed = PairingInput::Sealed {
            attempt,
            peer: established.peer.clone(),
            method: established.method.clone(),
            side,
        };
        if self.hub.pairing(sealed).await.is_err() {
            return;
        }
        let talk = timeout(TALK_TIME, self.talk(attempt, established, side, orders));
        match talk.await.unwrap_or(Err(TalkError::TimedOut)) {
            Ok(()) => tracing::debug!(attempt = attempt.0, "a pairing conversation is over"),
            Err(why) => {
                tracing::info!(attempt = attempt.0, %why, "a pairing conversation broke off");
            }
        }
        // A hub that has ended needs no word of it.
        let _ = self.hub.pairing(PairingInput::Ended { attempt }).await;
    }

    async fn talk<S: ByteStream>(
        &self,
        attempt: AttemptId,
        established: Established<S>,
        side: PairingSide,
        orders: mpsc::Receiver<Order>,
    ) -> Result<(), TalkError> {
        // Only by a code can the guest be the one that gives.
        let most = match (side, &established.method) {
            (PairingSide::Host, Method::Ticket(_) | Method::Member) => SMALL_BYTES,
            _ => SEALED_BYTES,
        };
        let (mut reader, mut writer) = tokio::io::split(established.stream);
        let listening = self.listen(attempt, &mut reader, established.opener, most);
        let speaking = speak(&mut writer, established.sealer, orders);
        tokio::select! {
            heard = listening => return heard,
            said = speaking => said?,
        }
        // A socket that is closed with something unread takes back what it has sent.
        let mut rest = reader.take(LINGER_BYTES);
        let _ = timeout(
            LINGER_TIME,
            tokio::io::copy(&mut rest, &mut tokio::io::sink()),
        )
        .await;
        Ok(())
    }

    /// Hands the other side's words to the brain, until there are no more.
    async fn listen(
        &self,
        attempt: AttemptId,
        reader: &mut (impl AsyncRead + Unpin),
        mut opener: Opener,
        most: usize,
    ) -> Result<(), TalkError> {
        loop {
            let bytes = match read(reader, most).await {
                Ok(bytes) => bytes,
                Err(TalkError::HungUp) => return Ok(()),
                Err(error) => return Err(error),
            };
            let sealed = match from_cbor(&bytes)? {
                Clear::Sealed(sealed) => sealed,
                _ => return Err(TalkError::OutOfPlace),
            };
            let word = from_cbor(&opener.open(&sealed)?);
            let wrong = word.as_ref().err().cloned();
            let input = PairingInput::Word { attempt, word };
            if let Err(HubEnded) = self.hub.pairing(input).await {
                return Ok(());
            }
            if let Some(wrong) = wrong {
                return Err(wrong.into());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, mpsc::Sender<Order>>> {
        // One insertion or removal at a time: never half done.
        let orders = &self.shared.orders;
        orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a conversation when it is over, however that comes.
struct Registered<'a>(&'a Talks, AttemptId);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
        let active = &self.0.shared.active;
        active.send_modify(|active| *active = active.saturating_sub(1));
    }
}

/// Says what the brain wants said, until it wants the end.
async fn speak(
    writer: &mut (impl AsyncWrite + Unpin),
    mut sealer: Sealer,
    mut orders: mpsc::Receiver<Order>,
) -> Result<(), TalkError> {
    while let Some(Order::Say(word)) = orders.recv().await {
        let sealed = Clear::Sealed(sealer.seal(&to_cbor(&*word)));
        let said = timeout(WORD_TIME, write(writer, &[sealed])).await;
        said.unwrap_or(Err(TalkError::TimedOut))?;
    }
    let ended = timeout(WORD_TIME, writer.shutdown()).await;
    ended.map_err(|_| TalkError::TimedOut)??;
    Ok(())
}
