//! Cline: the hub that runs the sessions of all terminals but the first. It takes texts for a
//! session whose plugin is not there: Cline ends a plugin in whose session nothing happens, and
//! starts none where there is no node.
//!
//! The text waits here until no turn runs: what waits in Cline is thrown away when its user
//! breaks a turn off. The hub answers at once and writes down what it has to do; a text counts as
//! handed when the session has begun with it.

use super::talk::{ANSWER_WITHIN, TalkError, WebSocket, within};
use super::{About, Verdict};
use ecorelay_adapters::cline::hub::{self, Address, Request, Run, Session};
use ecorelay_adapters::{Parcel, Surroundings};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, http::HeaderValue};

/// How long the end of a turn is waited for: one with long-running tools, or a question that
/// waits for a person who is at lunch.
const WAIT_MOST: Duration = Duration::from_secs(4 * 60 * 60);
/// The first pause between two looks at a session; each is longer than the one before, up to
/// [`LOOK_LAST`].
const LOOK_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between two looks.
const LOOK_LAST: Duration = Duration::from_secs(2);
/// How long before its channel a session may have begun, in milliseconds: Cline starts the
/// servers of a session within a second, on a slow machine within some.
const OLDER_MS: u64 = 20_000;

/// The way through Cline's hub.
#[derive(Debug)]
pub(crate) struct ClineHubPath {
    around: Surroundings,
    session: watch::Receiver<Option<String>>,
    /// When this channel began, in milliseconds since 1970.
    born_ms: u64,
    /// The session's id, where no plugin has said it.
    found: Option<String>,
}

impl ClineHubPath {
    pub(crate) fn new(about: About) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_millis());
        Self {
            around: about.around,
            session: about.session,
            born_ms: u64::try_from(now).unwrap_or(u64::MAX),
            found: None,
        }
    }

    /// Has the session run with a text as soon as no turn runs.
    pub(crate) async fn deliver(&mut self, parcel: &Parcel) -> Verdict {
        let (mut talk, session) = match self.open().await {
            Ok(opened) => opened,
            Err(why) => return Verdict::refused(why),
        };
        let verdict = hand(&mut talk, &session, &parcel.text).await;
        talk.socket.close().await;
        verdict
    }

    /// Returns why no hub can run this session, as far as that is seen without asking one.
    pub(crate) fn hindrance(&self) -> Option<String> {
        self.address().err()
    }

    /// Returns where the hub is that started this channel.
    fn address(&self) -> Result<Address, String> {
        let file = self.around.cline_hub.as_deref();
        let file = file.ok_or("there is no home folder to look for Cline's hub in")?;
        let address = Address::read(file, user()).map_err(|error| error.to_string())?;
        if address.process != self.around.parent {
            return Err("no plugin is there, and this session does not run in Cline's hub".into());
        }
        Ok(address)
    }

    /// Returns a conversation with the hub that runs this session, and the session's id.
    async fn open(&mut self) -> Result<(Talk, String), String> {
        let address = self.address()?;
        let talk = Talk::begin(&address).await;
        let mut talk = talk.map_err(|error| format!("Cline's hub: {error}"))?;
        let known = self.session.borrow().clone().or(self.found.clone());
        let session = match known {
            Some(id) => id,
            None => self.look(&mut talk).await?,
        };
        Ok((talk, session))
    }

    /// Returns the session that began when this channel did. Where others began at about the same
    /// time, nobody can tell which of them this one is.
    async fn look(&mut self, talk: &mut Talk) -> Result<String, String> {
        let answer = talk.call(Request::Sessions).await;
        let answer = answer.map_err(|error| format!("Cline's hub: {error}"))?;
        let mut sessions = Session::list(&answer);
        let oldest = self.born_ms.saturating_sub(OLDER_MS);
        sessions.retain(|session| (oldest..=self.born_ms).contains(&session.born_ms));
        match sessions.as_slice() {
            [session] if session.hosted => {
                self.found = Some(session.id.clone());
                Ok(session.id.clone())
            }
            _ => Err("no plugin has said which session of Cline's hub this is".into()),
        }
    }
}

/// Waits for the end of the running turn, has the session run with a text, and waits until it has
/// begun.
async fn hand(talk: &mut Talk, session: &str, text: &str) -> Verdict {
    if let Err(why) = wait_for_end_of_turn(talk, session).await {
        return Verdict::refused(why);
    }
    let answer = match talk.call(Request::Run { session, text }).await {
        Ok(answer) => answer,
        Err(TalkError::Refused(why)) => {
            return Verdict::refused(format!("Cline's hub does not take it: {why}"));
        }
        Err(error) => return Verdict::unknown(format!("Cline's hub: {error}")),
    };
    let Some(run) = Run::id(&answer) else {
        return Verdict::unknown("Cline's hub has taken it and gives it no number");
    };
    wait_for_begin(talk, session, run, text).await
}

/// Waits until no turn runs in a session.
async fn wait_for_end_of_turn(talk: &mut Talk, session: &str) -> Result<(), String> {
    let mut looks = Looks::begin();
    while looks.go_on() {
        let answer = talk.call(Request::Session(session)).await;
        let answer = answer.map_err(|error| format!("Cline's hub: {error}"))?;
        match Session::of(&answer) {
            Some(session) if session.hosted && session.busy => {}
            Some(session) if session.hosted => return Ok(()),
            _ => return Err("Cline's hub does not run this session".into()),
        }
        looks.pause().await;
    }
    Err("a turn of this session has been running for hours".into())
}

/// Waits until a session has begun with a text that the hub has taken.
async fn wait_for_begin(talk: &mut Talk, session: &str, run: &str, text: &str) -> Verdict {
    let lost = |error| Verdict::unknown(format!("Cline's hub has taken it; then {error}"));
    let mut looks = Looks::begin();
    while looks.go_on() {
        let runs = match talk.call(Request::Runs(session)).await {
            Ok(answer) => Run::of(&answer, run),
            Err(error) => return lost(error),
        };
        match runs {
            Some(Run::Queued) => {}
            // A turn that its user has begun a moment before goes first.
            Some(Run::Begun) => match talk.call(Request::Waiting(session)).await {
                Ok(answer) if hub::waits(&answer, text) => {}
                Ok(_) => return Verdict::handed(),
                Err(error) => return lost(error),
            },
            Some(Run::Failed(why)) => {
                return Verdict::unknown(format!("Cline's turn with it has failed: {why}"));
            }
            None => return Verdict::unknown("Cline's hub has taken it and lists it no more"),
        }
        looks.pause().await;
    }
    Verdict::unknown("Cline's hub has taken it and has not begun with it for hours")
}

/// Looks at something until it is as it should be.
struct Looks {
    begun: Instant,
    pause: Duration,
}

impl Looks {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            pause: LOOK_FIRST,
        }
    }

    fn go_on(&self) -> bool {
        self.begun.elapsed() < WAIT_MOST
    }

    async fn pause(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 5 / 4).min(LOOK_LAST);
    }
}

/// A conversation with the hub.
#[derive(Debug)]
struct Talk {
    socket: WebSocket<TcpStream>,
    client: String,
    last: u64,
}

impl Talk {
    async fn begin(address: &Address) -> Result<Self, TalkError> {
        let begun = async {
            let stream = TcpStream::connect(address.socket).await?;
            let url = format!("ws://{}{}", address.socket, address.path);
            let mut request = url.into_client_request()?;
            let protocol = format!("cline-hub-auth.{}", address.token);
            let protocol = HeaderValue::from_str(&protocol).map_err(tungstenite::Error::from)?;
            let headers = request.headers_mut();
            headers.insert("Sec-WebSocket-Protocol", protocol);
            let mut talk = Self {
                socket: WebSocket::open(request, stream).await?,
                client: format!("ecorelay-{}", std::process::id()),
                last: 0,
            };
            talk.ask(Request::Register).await?;
            Ok(talk)
        };
        within(ANSWER_WITHIN, begun).await
    }

    /// Sends a request and returns the answer.
    async fn call(&mut self, request: Request<'_>) -> Result<Value, TalkError> {
        within(ANSWER_WITHIN, self.ask(request)).await
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Value, TalkError> {
        self.last += 1;
        let frame = request.frame(&self.client, self.last);
        self.socket.send(frame).await?;
        loop {
            let frame = self.socket.next().await?;
            // Everything else is news that nobody asked for.
            if let Some(answer) = hub::answer(&frame, self.last) {
                return answer.map_err(TalkError::Refused);
            }
        }
    }
}

#[cfg(unix)]
fn user() -> u32 {
    crate::platform::user_id()
}

/// Files have no such owner on this platform.
#[cfg(not(unix))]
fn user() -> u32 {
    0
}

#[cfg(all(test, unix))]
mod tests;
