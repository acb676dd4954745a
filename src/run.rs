//! A program in a terminal of ours: the person uses it as ever, and messages of other sessions
//! are typed in when that harms nothing. For programs that offer no better way.
//!
//! One task owns everything ([`Wrapper`]). [`pty`] runs the program, [`terminal`] is the
//! person's side, [`typist`] decides what is typed when, [`source`] brings the messages.

mod attached;
mod look;
mod processes;
mod programs;
mod pty;
mod source;
mod terminal;
mod text;
mod typist;

use crate::args::Global;
use crate::context::{Context, SESSION_KEY};
use crate::error::{CliError, as_sentence};
use attached::Wanted;
use ecorelay_adapters::Surroundings;
use ecorelay_mcp_channel::attach::State;
use ecorelay_mcp_channel::client::StartHub;
use ecorelay_mcp_channel::{WrappedOptions, WrappedSession};
use programs::{Channel, Program, carries_out};
use pty::{Outcome, Pty};
use source::{HowTo, Order, Source, Text};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use terminal::RawTerminal;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use typist::{Act, Typist};

/// How long the program's start waits for the session's name; the hub may have to start.
const NAME_WITHIN: Duration = Duration::from_secs(4);
/// What the person types while a text goes in is held back, up to so many bytes.
const HELD_BYTES: usize = 64 * 1024;
/// How long the rest of the output may take after the program's end: a process of its may keep
/// the terminal open.
const REST_WITHIN: Duration = Duration::from_millis(300);
/// How long a program may take to end after it was asked to.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What the person wants to be run.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The program and its arguments; never empty.
    pub(crate) command: Vec<OsString>,
    /// The program it is to be treated as.
    pub(crate) like: Option<String>,
    /// The session's name.
    pub(crate) name: Option<String>,
}

/// Runs the program to its end and returns its exit code.
pub(crate) fn run(wish: Wish, global: &Global) -> Result<ExitCode, CliError> {
    let context = Context::new(global)?;
    let path = PathBuf::from(wish.command.first().cloned().unwrap_or_default());
    let program = program_of(&path, wish.like.as_deref())?;
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(CliError::usage(
            "`ecorelay run` needs a terminal for the program; there is none here.",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("The program cannot start: {e}.")))?;
    let code = runtime.block_on(wrap(wish, program, &path, &context));
    // A thread still reads the keyboard.
    runtime.shutdown_background();
    code.map(ExitCode::from)
}

/// Returns the row of the program.
fn program_of(path: &Path, like: Option<&str>) -> Result<&'static Program, CliError> {
    if let Some(name) = like {
        let program = Program::of_path(Path::new(name));
        if program.is_unknown() {
            return Err(CliError::usage(format!(
                "No program \"{}\" is known; --like takes aider, gemini, claude or codex.",
                ecorelay_protocol::visible(name)
            )));
        }
        return Ok(program);
    }
    let program = Program::of_path(path);
    let name = program.agent(path);
    if program.is_unknown() && carries_out(&name) {
        return Err(CliError::usage(format!(
            "{name} carries out what is typed into it, so that no message is ever typed there."
        ))
        .hint("Run the assistant itself, or say with `--like PROGRAM` which one this starts."));
    }
    Ok(program)
}

/// Starts the session, the terminal and the program, and stays until it has ended.
async fn wrap(
    wish: Wish,
    program: &'static Program,
    path: &Path,
    context: &Context,
) -> Result<u8, CliError> {
    let agent = program.agent(path);
    let mut around = Surroundings::of_process(0);
    // Another program's names are not this one's.
    around.claude_dirs.clear();
    around.peer_id = wish.name.or(around.peer_id);
    let session_key = WrappedOptions::new_key();
    let mut options = WrappedOptions {
        dir: context.dir.clone(),
        start: StartHub::default(),
        agent: agent.clone(),
        session_key: session_key.clone(),
        around,
    };
    let mut variables = vec![(
        "ECORELAY_DATA_DIR",
        OsString::from(context.dir.root().as_os_str()),
    )];
    // With it, `ecorelay` inside the program may act for the session.
    variables.push((SESSION_KEY, session_key.into()));
    variables.extend(path_with_ecorelay().map(|path| ("PATH", path)));
    let own = match program.channel {
        Channel::Expected => None,
        Channel::Never | Channel::Perhaps => Some(own_session(&options, context).await),
    };
    let name = match &own {
        Some(own) => Some(own.name()),
        None => options.around.peer_id.clone(),
    };
    variables.extend(name.clone().map(|name| ("RELAY_PEER_ID", name.into())));
    // From now on it is this name, whoever holds the session.
    options.around.peer_id.clone_from(&name);

    let raw = RawTerminal::enter().map_err(|error| {
        CliError::failed(format!("The terminal cannot be made ready: {error}."))
    })?;
    let started = pty::start(
        pty::Program {
            command: wish.command,
            variables,
        },
        terminal::size(),
        terminal::screen(),
    );
    let (pty, outcome) = match started {
        Ok(started) => started,
        Err(error) => {
            drop(raw);
            return Err(CliError::failed(as_sentence(&error))
                .hint("Check the name of the program after `--`."));
        }
    };
    let wanted = (program.channel != Channel::Never).then(|| Wanted {
        dir: context.dir.clone(),
        program: pty.pid,
        agent,
        name: options.around.peer_id.clone(),
    });
    let source = source::start(source::Plan {
        options,
        own,
        wanted,
        how_to: HowTo {
            run: program.how_to_run,
            name_is_set: name.is_some(),
        },
    });
    let keys = terminal::keys()
        .map_err(|error| CliError::failed(format!("The keyboard cannot be read: {error}.")))?;
    let (columns, rows) = terminal::size();
    let wrapper = Wrapper {
        typist: Typist::new(program),
        screen: vt100::Parser::new(rows, columns, 0),
        pty,
        source,
        raw,
        held: Vec::new(),
        asked: false,
        in_hand: None,
        on_its_way: None,
        told: None,
    };
    wrapper.stay(outcome, keys).await
}

/// Returns a session that is registered, if the hub is quick; a person is told otherwise.
async fn own_session(options: &WrappedOptions, context: &Context) -> WrappedSession {
    let (session, notice) = WrappedSession::start(options.clone());
    if let Some(notice) = notice {
        context.output.note(&notice);
    }
    if let Ok(Err(refusal)) = timeout(NAME_WITHIN, session.registered()).await {
        context.output.note(&refusal.message);
    }
    session
}

/// Returns a search path on which `ecorelay` is found; nothing where the present one will do.
fn path_with_ecorelay() -> Option<OsString> {
    let own = std::env::current_exe().ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let name = Path::new("ecorelay").with_extension(std::env::consts::EXE_EXTENSION);
    if folders.iter().any(|folder| folder.join(&name).is_file()) {
        return None;
    }
    folders.push(own.parent()?.to_owned());
    std::env::join_paths(folders).ok()
}

/// Everything that belongs to the running program.
struct Wrapper {
    typist: Typist,
    /// What the program shows, as far as it is known.
    screen: vt100::Parser,
    pty: Pty,
    source: Source,
    raw: RawTerminal,
    /// What the person typed while a text went in.
    held: Vec<u8>,
    /// The source was asked for a text and has not answered.
    asked: bool,
    /// A text that waits for the right moment.
    in_hand: Option<Text>,
    /// The text that is being typed.
    on_its_way: Option<Text>,
    /// The state that the source knows.
    told: Option<(State, &'static str)>,
}

impl Wrapper {
    /// Works until the program has ended; returns its exit code.
    async fn stay(
        mut self,
        mut outcome: Outcome,
        mut keys: mpsc::Receiver<Vec<u8>>,
    ) -> Result<u8, CliError> {
        let mut signals = Signals::new()?;
        let (mut shows, mut types) = (true, true);
        let mut kill_at: Option<tokio::time::Instant> = None;
        let code = loop {
            self.act().await;
            let next = self.next().map(tokio::time::Instant::from_std);
            tokio::select! {
                code = &mut outcome.ended => break code.unwrap_or(1),
                bytes = outcome.output.recv(), if shows => match bytes {
                    Some(bytes) => self.on_output(&bytes, &mut outcome.output),
                    None => shows = false,
                },
                bytes = keys.recv(), if types && !self.pty.is_full() => match bytes {
                    Some(bytes) => self.on_keys(bytes).await,
                    None => types = false,
                },
                text = self.source.texts.recv(), if self.asked => {
                    self.asked = false;
                    self.in_hand = text.flatten();
                }
                // The source ends with this task only.
                _ = self.source.waiting.changed(), if !self.waits() => {}
                event = signals.next() => match event {
                    Event::Resized => self.resize(),
                    Event::Continued => self.raw.again(),
                    Event::Signal(number) => {
                        signal(self.pty.pid, number);
                        if kill_at.is_none() && ends(number) {
                            kill_at = Some(tokio::time::Instant::now() + END_WITHIN);
                        }
                    }
                },
                () = sleep_until(next.unwrap_or_else(tokio::time::Instant::now)), if next.is_some() => {}
                () = sleep_until(kill_at.unwrap_or_else(tokio::time::Instant::now)), if kill_at.is_some() => {
                    signal(self.pty.pid, KILL);
                    kill_at = None;
                }
            }
        };
        // What it showed last.
        let rest = async {
            while let Some(bytes) = outcome.output.recv().await {
                self.screen.process(&bytes);
            }
        };
        let _ = timeout(REST_WITHIN, rest).await;
        self.finish().await;
        Ok(code)
    }

    /// Looks at the screen and does what is due.
    async fn act(&mut self) {
        let now = Instant::now();
        match self.typist.step(now, self.screen.screen()) {
            Act::Nothing => {}
            Act::Write(bytes) => self.pty.write(bytes).await,
            Act::Done(result, detail) => {
                if let Some(text) = self.on_its_way.take() {
                    // The source ends with this task only.
                    let _ = self.source.orders.send(text.outcome(result, detail)).await;
                }
            }
        }
        if !self.typist.holds_keys() && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.pty.write(held).await;
        }
        let hindrance = self.hindrance(now);
        self.tell(hindrance);
        if hindrance.is_some() {
            return;
        }
        if let Some(text) = self.in_hand.take() {
            let screen = self.screen.screen();
            let bytes = self.typist.begin(&text.text, now, screen);
            self.on_its_way = Some(text);
            self.pty.write(bytes).await;
        } else if self.waits() && !self.asked {
            self.asked = self.source.orders.send(Order::Take).await.is_ok();
        }
    }

    /// Returns why no text may be typed now.
    fn hindrance(&self, now: Instant) -> Option<&'static str> {
        if self.pty.is_full() {
            return Some("waits: the program reads nothing");
        }
        self.typist.hindrance(now).or_else(|| {
            // Looked at last, and only when there is something to type: it asks the system.
            let due = self.in_hand.is_some() || self.waits();
            let other = due.then(|| self.pty.other_in_front()).flatten()?;
            carries_out(&other).then_some("waits: a shell has the terminal")
        })
    }

    fn waits(&self) -> bool {
        *self.source.waiting.borrow()
    }

    /// Tells the source what the program does, if it has changed.
    fn tell(&mut self, hindrance: Option<&'static str>) {
        let state = self.typist.last_look().state();
        let why = hindrance.unwrap_or("waits for its turn");
        if self.told != Some((state, why))
            && self
                .source
                .orders
                .try_send(Order::State { state, why })
                .is_ok()
        {
            self.told = Some((state, why));
        }
    }

    /// Returns when to look again, if nothing happens until then.
    fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        let other = (self.waits() && !self.asked && !self.typist.is_typing())
            .then(|| now + Duration::from_millis(500));
        self.typist.next(now).into_iter().chain(other).min()
    }

    fn on_output(&mut self, bytes: &[u8], more: &mut mpsc::Receiver<Vec<u8>>) {
        self.screen.process(bytes);
        // Everything that is there: a program draws one picture in several pieces.
        while let Ok(bytes) = more.try_recv() {
            self.screen.process(&bytes);
        }
    }

    async fn on_keys(&mut self, bytes: Vec<u8>) {
        if text::is_report(&bytes) {
            return self.pty.write(bytes).await;
        }
        self.typist.on_keys(Instant::now());
        if self.typist.holds_keys() && self.held.len() + bytes.len() <= HELD_BYTES {
            self.held.extend(bytes);
        } else {
            self.pty.write(bytes).await;
        }
    }

    fn resize(&mut self) {
        let (columns, rows) = terminal::size();
        self.pty.resize((columns, rows));
        self.screen.set_size(rows, columns);
    }

    /// Leaves the terminal as it was.
    async fn finish(self) {
        let farewell = terminal::farewell(self.screen.screen());
        if !farewell.is_empty() {
            let mut out = terminal::screen();
            // A terminal that is gone needs no farewell.
            let _ = out
                .write_all(farewell.as_bytes())
                .and_then(|()| out.flush());
        }
        drop(self.raw);
    }
}

/// What the system tells this process.
enum Event {
    /// The terminal has another size.
    Resized,
    /// The process was stopped and goes on.
    Continued,
    /// A signal that is the program's business.
    Signal(i32),
}

#[cfg(unix)]
const KILL: i32 = rustix::process::Signal::KILL.as_raw();
#[cfg(not(unix))]
const KILL: i32 = 9;

/// Returns whether this signal asks a process to end.
fn ends(number: i32) -> bool {
    #[cfg(unix)]
    {
        use rustix::process::Signal;
        [Signal::TERM, Signal::HUP]
            .map(Signal::as_raw)
            .contains(&number)
    }
    #[cfg(not(unix))]
    {
        let _ = number;
        false
    }
}

/// Sends the program a signal.
fn signal(pid: u32, number: i32) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(number)) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }
    #[cfg(not(unix))]
    let _ = (pid, number);
}

/// The signals that are listened for.
#[cfg(unix)]
struct Signals {
    resized: tokio::signal::unix::Signal,
    continued: tokio::signal::unix::Signal,
    passed_on: [(i32, tokio::signal::unix::Signal); 4],
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, CliError> {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |signal_: Signal| {
            let number = signal_.as_raw();
            signal(SignalKind::from_raw(number))
                .map(|stream| (number, stream))
                .map_err(|e| CliError::failed(format!("Signals cannot be listened for: {e}.")))
        };
        Ok(Self {
            resized: listen(Signal::WINCH)?.1,
            continued: listen(Signal::CONT)?.1,
            passed_on: [
                listen(Signal::TERM)?,
                listen(Signal::HUP)?,
                listen(Signal::INT)?,
                listen(Signal::QUIT)?,
            ],
        })
    }

    async fn next(&mut self) -> Event {
        let [term, hup, int, quit] = &mut self.passed_on;
        tokio::select! {
            _ = self.resized.recv() => Event::Resized,
            _ = self.continued.recv() => Event::Continued,
            _ = term.1.recv() => Event::Signal(term.0),
            _ = hup.1.recv() => Event::Signal(hup.0),
            _ = int.1.recv() => Event::Signal(int.0),
            _ = quit.1.recv() => Event::Signal(quit.0),
        }
    }
}

/// There are none here; the terminal's size is looked at now and then.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, CliError> {
        Ok(Self)
    }

    async fn next(&mut self) -> Event {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Event::Resized
    }
}
