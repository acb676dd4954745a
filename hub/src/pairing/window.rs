//! What a person at a terminal asks for: a code that this machine shows, or the code of another.
//!
//! Everything a person waits for hangs on the connection of the command line and ends with it.

use super::{AttemptId, PairingEffect, PairingFailure, Purpose, shown};
use crate::clients::Caller;
use crate::hub::{Done, Turn, refuse};
use crate::{ConnId, Hub, Store};
use ecorelay_protocol::pairing::{CODE_MS, Method, PairingCode as Why};
use ecorelay_protocol::rendezvous::pairing_place;
use ecorelay_protocol::{Bytes, ErrorCode, PairStep, PairingCode, limits};

/// A hub that shows a code is looked for this long, in ms: multicast takes a second or two, a
/// rendezvous server that does not answer ten.
const DIAL_MS: u64 = 20_000;
/// Hubs that show a code of which a person is told.
const NEARBY: usize = 32;
/// Connections that may wait for a result at a time.
const ASKERS: usize = 16;
/// Numbers of codes that are known on the local network only, and of those that are open at a
/// rendezvous server as well: there the number alone must not meet another's.
const NUMBERS_NEAR: std::ops::RangeInclusive<u32> = 1..=99;
const NUMBERS_FAR: std::ops::RangeInclusive<u32> = 1_000..=9_999;

/// Who waits for the result of `pair`.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) caller: Caller,
    /// This machine's code is open for it.
    pub(super) shows: bool,
    /// The dial for the code it typed.
    pub(super) dial: Option<u64>,
    /// The conversation that came of it.
    pub(super) attempt: Option<AttemptId>,
}

/// The code that is open.
#[derive(Debug)]
pub(super) struct OpenWindow {
    pub(super) conn: ConnId,
    pub(super) code: PairingCode,
    /// When it shuts, in ms.
    pub(super) until: u64,
}

impl Hub {
    pub(crate) fn pair(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        caller: &Caller,
        code: Option<&str>,
    ) -> Done {
        let asker = self.pairing.askers.get(&caller.conn);
        if asker.is_some_and(|asker| asker.dial.is_some() || asker.attempt.is_some()) {
            return refuse(
                ErrorCode::BadArgs,
                "This machine is pairing already; wait for the result.",
            );
        }
        if asker.is_none() && self.pairing.askers.len() >= ASKERS {
            return refuse(
                ErrorCode::RateLimited,
                "Too many commands on this machine are pairing at the same time.",
            );
        }
        match code {
            Some(code) => self.dial_code(t, caller, code),
            None => self.open_window(t, caller),
        }
    }

    fn asker(&mut self, caller: &Caller) -> &mut Asker {
        let asker = self.pairing.askers.entry(caller.conn);
        asker.or_insert_with(|| Asker {
            caller: caller.clone(),
            shows: false,
            dial: None,
            attempt: None,
        })
    }

    /// Shows a code.
    fn open_window(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller) -> Done {
        if self.pairing.window.is_some() {
            return refuse(
                ErrorCode::BadArgs,
                "This machine shows a code already: there is one `ecorelay pair` at a time. Use that code, or end it first.",
            );
        }
        let code = self.new_code();
        let until = t.now + CODE_MS;
        self.asker(caller).shows = true;
        let step = PairStep::Window {
            code: code.to_string(),
            expires: until,
        };
        self.pairing.window = Some(OpenWindow {
            conn: caller.conn,
            code,
            until,
        });
        self.pairing.door.changed();
        self.step(t, caller.conn, step);
        if !self.pairing.nearby.is_empty() {
            self.tell_nearby(t, caller.conn);
        }
        Ok(())
    }

    /// Returns a code with a number that nobody near shows.
    fn new_code(&mut self) -> PairingCode {
        let rendezvous = self.server_for_codes();
        let numbers = match rendezvous {
            Some(_) => NUMBERS_FAR,
            None => NUMBERS_NEAR,
        };
        let [a, b, first, second, ..] = self.ids.secret();
        let all = numbers.end() - numbers.start() + 1;
        let at = u32::from(u16::from_be_bytes([a, b])) % all;
        let number = |step| numbers.start() + (at + step) % all;
        let is_free = |wanted: &u32| !self.pairing.nearby.iter().any(|(_, n)| n == wanted);
        let number = (0..all).map(number).find(is_free).unwrap_or(number(0));
        PairingCode::from_random(number, [first, second], rendezvous)
    }

    /// Looks for the machine that shows a code.
    fn dial_code(&mut self, t: &mut Turn<'_, impl Store>, caller: &Caller, text: &str) -> Done {
        let code: PairingCode = text.parse()?;
        let own = self.pairing.window.as_ref().map(|window| &window.code);
        if own.is_some_and(|own| own.number == code.number && own.words == code.words) {
            return refuse(
                ErrorCode::BadArgs,
                "This is the code that this machine shows. Type it on the other one, or type the other one's code here.",
            );
        }
        let place = pairing_place(&code.number.to_string());
        let mut servers: Vec<String> = code.rendezvous_multiaddr().into_iter().collect();
        servers.extend(self.rendezvous_servers());
        let until = t.now + DIAL_MS;
        let dial = |dial| PairingEffect::Dial {
            dial,
            method: Method::Code(code.number),
            secret: Bytes(code.words.into_bytes()),
            peer: None,
            addresses: Vec::new(),
            rendezvous: servers.into_iter().map(|s| (s, place.clone())).collect(),
            until,
        };
        let dial = self.dial_pairing(t, Purpose::Code(caller.conn), dial, until);
        self.asker(caller).dial = Some(dial);
        Ok(())
    }

    /// A dial for a code came to nothing.
    pub(super) fn code_dial_failed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        failure: PairingFailure,
    ) {
        if let Some(asker) = self.pairing.askers.get_mut(&conn) {
            asker.dial = None;
            if asker.attempt.is_some() {
                return; // it came the other way round
            }
        }
        let (code, message) = match failure {
            PairingFailure::NotFound => (
                "not_found".to_owned(),
                "No machine that shows this code was found. Is `ecorelay pair` still running there, is the number right, and are both machines on one network? If not, both need a rendezvous server: ecorelay rendezvous add".to_owned(),
            ),
            PairingFailure::Unreachable(why) => (
                "unreachable".to_owned(),
                format!(
                    "The machine that shows this code was found but cannot be reached: {}. A firewall may be in between: ecorelay doctor",
                    shown(&why, 200)
                ),
            ),
            PairingFailure::WrongCode => (
                word_of(Why::WrongCode),
                "The words are wrong, and a code is good for one try: it is used up. Show a new one there: ecorelay pair".to_owned(),
            ),
            PairingFailure::Refused(refuse) => (
                word_of(refuse.code),
                format!("The other machine refuses: {}", shown(&refuse.message, 400)),
            ),
            PairingFailure::Broken(why) => (
                "unreachable".to_owned(),
                format!(
                    "The conversation with the other machine broke off: {}. Show a new code there and try again: ecorelay pair",
                    shown(&why, 200)
                ),
            ),
        };
        self.pairing_failed(t, conn, code, message);
    }

    /// Tells the command line of a step.
    pub(super) fn step(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId, step: PairStep) {
        if let Some(asker) = self.pairing.askers.get(&conn) {
            let caller = asker.caller.clone();
            self.answer_step(t, &caller, step);
        }
    }

    /// Ends what a connection waits for: it could not be done.
    pub(super) fn pairing_failed(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        conn: ConnId,
        code: String,
        message: String,
    ) {
        self.step(t, conn, PairStep::Failed { code, message });
        self.end_asker(t, conn);
    }

    /// Ends what a connection waits for; a conversation of it goes on by itself.
    pub(super) fn end_asker(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        let Some(asker) = self.pairing.askers.remove(&conn) else {
            return;
        };
        if let Some(dial) = asker.dial {
            self.undial(t, dial);
        }
        if asker.shows {
            self.pairing.window.take_if(|window| window.conn == conn);
        }
        for attempt in self.pairing.attempts.values_mut() {
            attempt.asker.take_if(|asker| *asker == conn);
        }
        self.pairing.door.changed();
        self.silent_again(t, conn);
    }

    pub(super) fn undial(&mut self, t: &mut Turn<'_, impl Store>, dial: u64) {
        if self.pairing.dials.remove(&dial).is_some() {
            self.say_pairing(t, PairingEffect::Undial { dial });
        }
    }

    /// A connection is gone, and with it whoever waited there.
    pub(crate) fn pairing_gone(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        self.pairing
            .invites
            .retain(|invite| invite.caller.conn != conn);
        if let Some(asker) = self.pairing.askers.get(&conn) {
            if let Some(attempt) = asker.attempt {
                self.cancel_attempt(t, attempt);
            }
            self.end_asker(t, conn);
        }
    }

    /// Somebody had the open code wrong.
    pub(super) fn burnt(&mut self, t: &mut Turn<'_, impl Store>, number: u32, from: &str) {
        let window = self.pairing.window.as_ref();
        let Some(conn) = window.filter(|w| w.code.number == number).map(|w| w.conn) else {
            return;
        };
        self.pairing.window = None;
        self.pairing.door.changed();
        if let Some(asker) = self.pairing.askers.get_mut(&conn) {
            asker.shows = false;
            if asker.dial.is_some() || asker.attempt.is_some() {
                // The other way round it may still come to a result.
                return;
            }
        }
        let message = format!(
            "Somebody at {} tried this code with other words; a code is good for one try, so it is used up. If that was you, show a new one: ecorelay pair",
            shown(from, 100)
        );
        self.pairing_failed(t, conn, word_of(Why::WrongCode), message);
    }

    pub(super) fn window_timer(&mut self, t: &mut Turn<'_, impl Store>) {
        let due = self.pairing.window.take_if(|window| window.until <= t.now);
        let Some(window) = due else { return };
        self.pairing.door.changed();
        if let Some(asker) = self.pairing.askers.get_mut(&window.conn) {
            asker.shows = false;
            if asker.dial.is_some() || asker.attempt.is_some() {
                return;
            }
        }
        let message = "Nobody typed the code within 2 minutes. Show a new one: ecorelay pair";
        self.pairing_failed(t, window.conn, word_of(Why::Expired), message.to_owned());
    }

    /// Returns whether a person is to be told of hubs that show a code.
    pub(super) fn looks_nearby(&self) -> bool {
        let mut askers = self.pairing.askers.values();
        askers.any(|asker| asker.shows && asker.attempt.is_none())
    }

    pub(super) fn heard_nearby(&mut self, t: &mut Turn<'_, impl Store>, hubs: Vec<(String, u32)>) {
        let hubs = hubs.into_iter().take(NEARBY);
        let hubs = hubs.map(|(name, number)| (shown(&name, limits::HUB_ID_CHARS), number));
        self.pairing.nearby = hubs.collect();
        let askers = self.pairing.askers.iter();
        let looking = askers.filter(|(_, asker)| asker.shows && asker.attempt.is_none());
        for conn in looking.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.tell_nearby(t, conn);
        }
    }

    fn tell_nearby(&mut self, t: &mut Turn<'_, impl Store>, conn: ConnId) {
        let own = self.pairing.window.as_ref().map(|w| w.code.number);
        let name = self.config.hub_id.to_string();
        let hubs = self.pairing.nearby.iter();
        let others = hubs.filter(|(hub, number)| Some(*number) != own || *hub != name);
        let hubs = others.cloned().collect();
        self.step(t, conn, PairStep::Nearby { hubs });
    }

    /// The body says whether the code is known at a rendezvous server.
    pub(super) fn window_at(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        rendezvous: &str,
        trouble: Option<String>,
    ) {
        let conn = self.pairing.window.as_ref().map(|window| window.conn);
        if let (Some(conn), Some(trouble)) = (conn, trouble) {
            let message = format!(
                "The rendezvous server {} does not take part: {}",
                shown(rendezvous, 200),
                shown(&trouble, 200)
            );
            self.step(t, conn, PairStep::Trouble { message });
        }
    }
}

/// Returns a reason as programs read it.
pub(super) fn word_of(code: Why) -> String {
    let word = match code {
        Why::WrongCode => "wrong_code",
        Why::Unknown => "unknown",
        Why::Expired => "expired",
        Why::Used => "used",
        Why::NotMember => "not_member",
        Why::OtherMesh => "other_mesh",
        Why::HubIdTaken => "hub_id_taken",
        Why::Version => "version",
        Why::BadMessage => "bad_message",
        Why::Busy => "busy",
        Why::Cancelled => "cancelled",
        Why::Other => "other",
    };
    word.to_owned()
}
