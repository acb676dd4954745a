//! What a guest may come with: the open code, tickets, membership. And that a code is used once.
//!
//! A code has two words: whoever may guess often gets in. So one conversation at a time may use
//! it, and one that was answered and did not end sealed has used it up.

use super::guard::Guard;
use ecorelay_hub::Window;
use ecorelay_protocol::Bytes;
use ecorelay_protocol::pairing::{Method, PairingCode, PairingRefuse};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// The door, as the listener and the hub's side share it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Door(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The open code was used up.
    spent: Notify,
    guard: Guard,
}

#[derive(Debug, Default)]
struct State {
    window: Option<Window>,
    /// A conversation is using the open code.
    in_use: bool,
    /// The last code that was used up: it does not come back.
    spent: Option<Window>,
    /// Whose attempt used up the code, until that is told.
    burnt: Option<(u32, String)>,
    tickets: HashMap<Bytes, Bytes>,
    members: bool,
}

impl Door {
    /// Sets what guests may come with from now on.
    pub(super) fn set(&self, door: &ecorelay_hub::Door) {
        let mut state = self.lock();
        let window = door.window.clone();
        let window = window.filter(|window| state.spent.as_ref() != Some(window));
        if state.window != window {
            state.window = window;
            state.in_use = false;
        }
        state.tickets = door.tickets.iter().cloned().collect();
        state.members = door.members;
    }

    /// Returns the open code.
    pub(super) fn window(&self) -> Option<Window> {
        self.lock().window.clone()
    }

    /// Returns whether anybody may come at all.
    pub(super) fn is_open(&self) -> bool {
        let state = self.lock();
        state.window.is_some() || !state.tickets.is_empty() || state.members
    }

    /// Waits until the open code was used up.
    pub(super) async fn spent(&self) {
        self.0.spent.notified().await;
    }

    /// Returns the number of a code that somebody tried and did not have, and where from; once.
    pub(super) fn take_burnt(&self) -> Option<(u32, String)> {
        self.lock().burnt.take()
    }

    /// Returns who is at the door and how often.
    pub(super) fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// Returns what a guest from `from` that comes in this way needs, or why it may not.
    pub(super) fn admit(&self, method: &Method, from: &str) -> Result<Claim, PairingRefuse> {
        let refuse = |code, message: &str| {
            let message = message.into();
            Err(PairingRefuse { code, message })
        };
        let strong = |secret: Bytes| {
            Ok(Claim {
                secret,
                code: None,
                answered: false,
            })
        };
        if !matches!(method, Method::Code(_)) && !self.0.guard.may_try(from) {
            return refuse(
                PairingCode::Busy,
                "Too many attempts from there; try again in a minute.",
            );
        }
        let mut state = self.lock();
        match method {
            Method::Code(number) => match &state.window {
                Some(window) if window.number != *number => {
                    refuse(PairingCode::Unknown, "This machine shows another code.")
                }
                None => refuse(
                    PairingCode::Unknown,
                    "This machine shows no code (any more).",
                ),
                Some(window) if window.until <= now() => {
                    refuse(PairingCode::Expired, "The code has expired.")
                }
                Some(_) if state.in_use => refuse(
                    PairingCode::Busy,
                    "Another machine is using the code just now.",
                ),
                Some(window) => {
                    let claim = Claim {
                        secret: Bytes(window.words.clone().into_bytes()),
                        code: Some(CodeClaim {
                            door: self.clone(),
                            window: window.clone(),
                            from: from.into(),
                        }),
                        answered: false,
                    };
                    state.in_use = true;
                    Ok(claim)
                }
            },
            Method::Ticket(id) => match state.tickets.get(id) {
                Some(secret) => strong(secret.clone()),
                None => refuse(
                    PairingCode::Unknown,
                    "This hub does not know the ticket: it was used up, has expired, or is of another mesh.",
                ),
            },
            Method::Member if state.members => strong(Bytes::default()),
            Method::Member => refuse(PairingCode::Unknown, "This hub is in no mesh."),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete when the lock is given back.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave for one conversation.
#[derive(Debug)]
pub(super) struct Claim {
    secret: Bytes,
    code: Option<CodeClaim>,
    answered: bool,
}

#[derive(Debug)]
struct CodeClaim {
    door: Door,
    window: Window,
    from: String,
}

impl Claim {
    /// Returns the secret the guest must have.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret.0
    }

    /// Notes that the guest is about to get an answer: it has its guess now.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// Notes that the guest has the secret.
    pub(super) fn sealed(mut self) {
        if let Some(code) = self.code.take() {
            code.end(Some(Spent::Sealed));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(code) = self.code.take() {
            code.end(self.answered.then_some(Spent::Burnt));
        }
    }
}

/// How a code was used up.
enum Spent {
    Sealed,
    Burnt,
}

impl CodeClaim {
    fn end(self, spent: Option<Spent>) {
        let mut state = self.door.lock();
        let is_open = state.window.as_ref() == Some(&self.window);
        if is_open {
            state.in_use = false;
        }
        let Some(spent) = spent else {
            return;
        };
        if is_open {
            state.window = None;
        }
        if let Spent::Burnt = spent {
            state.burnt = Some((self.window.number, self.from));
        }
        state.spent = Some(self.window);
        drop(state);
        self.door.0.spent.notify_one();
    }
}

/// Returns the time in ms since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::pairing::tests::window;

    fn door(window: Option<Window>) -> Door {
        let door = Door::default();
        door.set(&ecorelay_hub::Door {
            window,
            ..ecorelay_hub::Door::default()
        });
        door
    }

    fn refusal(door: &Door, method: &Method) -> PairingCode {
        door.admit(method, "there").unwrap_err().code
    }

    #[test]
    fn a_code_that_was_answered_and_not_sealed_is_used_up() {
        let door = door(Some(window(7, "otter-lamp")));
        let mut claim = door.admit(&Method::Code(7), "there").unwrap();
        assert_eq!(claim.secret(), b"otter-lamp");
        assert_eq!(refusal(&door, &Method::Code(7)), PairingCode::Busy);
        claim.answered();
        drop(claim);
        assert_eq!(refusal(&door, &Method::Code(7)), PairingCode::Unknown);
        assert_eq!(door.take_burnt(), Some((7, "there".into())));
        assert_eq!(door.take_burnt(), None);
    }

    #[test]
    fn an_attempt_that_was_not_answered_costs_nothing() {
        let door = door(Some(window(7, "otter-lamp")));
        assert_eq!(refusal(&door, &Method::Code(8)), PairingCode::Unknown);
        drop(door.admit(&Method::Code(7), "there").unwrap());
        assert!(door.admit(&Method::Code(7), "there").is_ok());
        assert_eq!(door.take_burnt(), None);
    }

    #[test]
    fn a_used_code_does_not_come_back_with_other_news() {
        let open = window(7, "otter-lamp");
        let door = door(Some(open.clone()));
        door.admit(&Method::Code(7), "there").unwrap().sealed();
        assert_eq!(door.take_burnt(), None);
        door.set(&ecorelay_hub::Door {
            window: Some(open),
            members: true,
            ..ecorelay_hub::Door::default()
        });
        assert!(door.window().is_none() && door.is_open());
        assert_eq!(refusal(&door, &Method::Code(7)), PairingCode::Unknown);
        assert!(door.admit(&Method::Member, "there").is_ok());
    }

    #[test]
    fn a_code_that_has_expired_is_shut_also_before_the_brain_says_so() {
        let late = Window {
            until: now() - 1,
            ..window(7, "otter-lamp")
        };
        let door = door(Some(late));
        assert_eq!(refusal(&door, &Method::Code(7)), PairingCode::Expired);
    }

    #[test]
    fn only_known_tickets_and_a_bounded_number_of_attempts() {
        let (id, secret) = (Bytes(vec![1; 16]), Bytes(vec![2; 32]));
        let door = Door::default();
        door.set(&ecorelay_hub::Door {
            tickets: vec![(id.clone(), secret.clone())],
            ..ecorelay_hub::Door::default()
        });
        let claim = door.admit(&Method::Ticket(id.clone()), "here").unwrap();
        assert_eq!(claim.secret(), secret.0);
        let other = Method::Ticket(Bytes(vec![3; 16]));
        assert_eq!(refusal(&door, &other), PairingCode::Unknown);
        assert_eq!(refusal(&door, &Method::Member), PairingCode::Unknown);
        for _ in 0..100 {
            refusal(&door, &other);
        }
        assert_eq!(refusal(&door, &other), PairingCode::Busy);
        assert!(door.admit(&Method::Ticket(id), "elsewhere").is_ok());
    }
}
