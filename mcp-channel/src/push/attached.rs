//! Whoever has attached to the channel takes texts and says what became of them.

use super::Verdict;
use ecorelay_adapters::{Parcel, PushPath};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long an attached plugin may hold a text until its session can take it: a turn with
/// long-running tools, or a question that waits for a person who is at lunch.
const HELD_MOST: Duration = Duration::from_secs(4 * 60 * 60);

/// A text on its way to who attached, and where the verdict goes. A verdict that is never
/// given means that the text was not taken.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) text: String,
    pub(crate) ids: Vec<String>,
    pub(crate) urgent: bool,
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

impl Handover {
    /// Returns the handover of a text, and what tells what became of it.
    pub(crate) fn of(parcel: &Parcel) -> (Self, oneshot::Receiver<Verdict>) {
        let (verdict, answer) = oneshot::channel();
        let handover = Self {
            text: parcel.text.clone(),
            ids: parcel.ids.clone(),
            urgent: parcel.urgent,
            verdict,
        };
        (handover, answer)
    }
}

/// A handle to who attached.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    /// Its number in this process.
    pub(crate) id: u64,
    /// Which path it is.
    pub(crate) path: PushPath,
    /// What it is given.
    pub(crate) handovers: mpsc::Sender<Handover>,
}

impl Attachment {
    /// Hands a text over and waits for its fate.
    pub(crate) async fn deliver(&mut self, parcel: &Parcel) -> Verdict {
        let (handover, answer) = Handover::of(parcel);
        // One text is under way at a time, so that there is room.
        if self.handovers.try_send(handover).is_err() {
            return Verdict::refused(format!("the {} has just gone", self.path));
        }
        fate(answer, self.path).await
    }
}

/// Waits for the fate of a text that was handed over.
pub(crate) async fn fate(answer: oneshot::Receiver<Verdict>, path: PushPath) -> Verdict {
    match timeout(HELD_MOST, answer).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => Verdict::refused(format!(
            "the {path} went away before it had handed the message on"
        )),
        Err(_) => Verdict::unknown(format!(
            "the {path} has held the message for {} hours",
            HELD_MOST.as_secs() / 3600
        )),
    }
}
