//! Fetching mail so that nothing is shown twice: a message counts as read when it has reached
//! the model, and a crash between the two must not bring it again.

use crate::link::Link;
use crate::remembered::Remembered;
use crate::results::Success;
use crate::tools::Retry;
use ecorelay_protocol::limits::INBOX_PAGE_DEFAULT;
use ecorelay_protocol::{ErrorCode, HubLine, InboxEntry, Refusal};
use serde_json::{Value, json};

/// Pages that may hold nothing but what was shown before.
const PAGES: usize = 10;

/// What was shown.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    shown: Remembered<()>,
}

impl Inbox {
    /// Returns the next page of mail for the `inbox` line of a call, and tells the hub that it
    /// is read.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub(crate) async fn fetch(&mut self, link: &Link, line: Value) -> Result<Success, Refusal> {
        // Who names a place to start from wants to read old messages again.
        let again = line.get("since_id").is_some();
        for _ in 0..PAGES {
            let answer = link.call(&line, Retry::Harmless).await?;
            let HubLine::InboxResult {
                messages,
                remaining,
                ..
            } = answer
            else {
                return Err(Refusal::new(
                    ErrorCode::Unexpected,
                    "The hub gave an answer of another kind; it may be of another version: `ecorelay node restart`.",
                ));
            };
            let ids: Vec<&str> = messages.iter().map(|m| m.msg_id.as_str()).collect();
            if !ids.is_empty() {
                link.tell(&json!({"type": "read", "msg_ids": ids})).await;
            }
            let asked = messages.len();
            let messages = if again {
                messages
            } else {
                self.fresh(messages)
            };
            for message in &messages {
                self.shown.insert(&message.msg_id, ());
            }
            // A page of repeats only, with more behind it: the model asked for news.
            if !messages.is_empty() || asked == 0 || remaining == 0 {
                return Ok(Success::Inbox {
                    messages,
                    remaining,
                });
            }
        }
        Err(Refusal::new(
            ErrorCode::Unexpected,
            format!(
                "The hub gave {} messages again that were read before; call relay_inbox once more.",
                PAGES * INBOX_PAGE_DEFAULT
            ),
        ))
    }

    fn fresh(&self, messages: Vec<InboxEntry>) -> Vec<InboxEntry> {
        messages
            .into_iter()
            .filter(|message| self.shown.get(&message.msg_id).is_none())
            .collect()
    }
}
