//! Codex: a text goes into the queue of its thread, through the app-server that has the thread in
//! memory, or else through one that is started for that alone: the queue is a file, and the
//! process that has the thread looks at it every few seconds.
//!
//! Codex takes a text out of the queue when no turn runs, so a running turn, an open question
//! and what the user has begun to type are left alone. It counts as handed when it stands in the
//! thread's log, where Codex writes each turn's input; that is waited for.

mod rpc;

use super::talk::TalkError;
use super::{About, Verdict};
use ecorelay_adapters::codex::app_server::{Request, Thread, holds};
use ecorelay_adapters::codex::{Host, Receipt};
use ecorelay_adapters::{Parcel, Surroundings};
use rpc::Rpc;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long the log is watched: a turn with long-running tools, or a question that waits for a
/// person who is at lunch.
const WATCH_MOST: Duration = Duration::from_secs(4 * 60 * 60);
/// The first pause between two looks at the log; each is longer than the one before, up to
/// [`LOOK_LAST`].
const LOOK_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between two looks at the log.
const LOOK_LAST: Duration = Duration::from_secs(2);
/// How often it is asked whether a text still stands in the queue: its user can take it out.
const ASK_EVERY: Duration = Duration::from_secs(120);

/// The two ways into a thread of Codex.
#[derive(Debug)]
pub(crate) struct CodexPath {
    around: Surroundings,
    session: watch::Receiver<Option<String>>,
}

impl CodexPath {
    pub(crate) fn new(about: About) -> Self {
        Self {
            around: about.around,
            session: about.session,
        }
    }

    /// Returns why there is no app-server to hand a text to, as far as that is seen from outside:
    /// whether one that listens has the thread is asked only when there is a text for it.
    pub(crate) fn app_server_hindrance(&self) -> Option<String> {
        match self.thread() {
            Err(verdict) => verdict.detail,
            Ok((host, _)) if host.sockets().is_empty() => Some("no app-server listens".to_owned()),
            Ok(_) => None,
        }
    }

    /// Returns why nothing can be put into the thread's queue.
    pub(crate) fn queue_hindrance(&self) -> Option<String> {
        self.thread().err().and_then(|verdict| verdict.detail)
    }

    /// Hands a text to the app-server that has the thread in memory.
    pub(crate) async fn deliver_to_app_server(&mut self, parcel: &Parcel) -> Verdict {
        let (host, thread) = match self.thread() {
            Ok(known) => known,
            Err(verdict) => return verdict,
        };
        for socket in host.sockets() {
            let server = Server::Socket(socket);
            let Ok(mut rpc) = server.open().await else {
                continue;
            };
            let known = rpc.call(Request::Read { thread: &thread }).await;
            let known = known.map(|answer| Thread::of(&answer));
            if let Ok(Thread {
                loaded: true, log, ..
            }) = known
            {
                return queue(rpc, server, thread, log, parcel).await;
            }
            rpc.end().await;
        }
        Verdict::refused("no app-server has this session's thread")
    }

    /// Writes a text into the queue of a thread that another process has.
    pub(crate) async fn deliver_to_queue(&mut self, parcel: &Parcel) -> Verdict {
        let (host, thread) = match self.thread() {
            Ok(known) => known,
            Err(verdict) => return verdict,
        };
        let log = host.log_of(&thread).map(Path::to_owned);
        let server = Server::Program {
            program: host.program.unwrap_or_else(|| "codex".into()),
            home: host.home,
        };
        match server.open().await {
            Ok(rpc) => queue(rpc, server, thread, log, parcel).await,
            Err(error) => Verdict::refused(format!("Codex's app-server: {error}")),
        }
    }

    /// Returns the process of this session and its thread.
    fn thread(&self) -> Result<(Host, String), Verdict> {
        let host = Host::look(&self.around);
        if host.is_headless() {
            return Err(Verdict::refused(
                "`codex exec` may end before it has read what it is sent",
            ));
        }
        let known = self.session.borrow().clone();
        match known.or_else(|| host.only_thread()) {
            Some(thread) => Ok((host, thread)),
            None => Err(Verdict::refused(
                "Codex has not said yet which thread this session is",
            )),
        }
    }
}

/// Returns what the app-server that serves this process's threads says of one.
pub(crate) async fn read_thread(host: &Host, thread: &str) -> Option<Thread> {
    for socket in host.sockets() {
        let Ok(mut rpc) = Rpc::connect(&socket).await else {
            continue;
        };
        let known = rpc.call(Request::Read { thread }).await;
        rpc.end().await;
        if let Ok(answer) = known {
            return Some(Thread::of(&answer));
        }
    }
    None
}

/// Which server takes the text.
#[derive(Debug)]
enum Server {
    /// The one that listens here.
    Socket(PathBuf),
    /// One that is started for it.
    Program {
        program: PathBuf,
        home: Option<PathBuf>,
    },
}

impl Server {
    async fn open(&self) -> Result<Rpc, TalkError> {
        match self {
            Self::Socket(socket) => Rpc::connect(socket).await,
            Self::Program { program, home } => Rpc::start(program, home.as_deref()).await,
        }
    }
}

/// Puts a text into the thread's queue and waits until the thread has read it.
async fn queue(
    mut rpc: Rpc,
    server: Server,
    thread: String,
    log: Option<PathBuf>,
    parcel: &Parcel,
) -> Verdict {
    // Codex writes this id into the log, and nothing else has it.
    let message = format!("ecorelay-{}", uuid::Uuid::new_v4());
    let receipt = log.map(|log| Receipt::new(&log, &message));
    let request = Request::Queue {
        thread: &thread,
        message: &message,
        text: &parcel.text,
    };
    let queued = rpc.call(request).await;
    rpc.end().await;
    match queued {
        Ok(_) => {}
        Err(TalkError::Refused(why)) => {
            return Verdict::refused(format!("Codex does not take it: {why}"));
        }
        Err(error) => return Verdict::unknown(format!("Codex's app-server: {error}")),
    }
    match receipt {
        Some(receipt) => watch_for(receipt, server, &thread, &message).await,
        None => Verdict::unknown("it is in Codex's queue; whether it was read is not seen"),
    }
}

/// Waits until a queued message stands in the log.
async fn watch_for(mut receipt: Receipt, server: Server, thread: &str, message: &str) -> Verdict {
    let begin = Instant::now();
    let (mut pause, mut asked) = (LOOK_FIRST, begin);
    while begin.elapsed() < WATCH_MOST {
        if receipt.has_come() {
            return Verdict::handed();
        }
        if asked.elapsed() >= ASK_EVERY {
            asked = Instant::now();
            if is_queued(&server, thread, message).await == Some(false) {
                // It may have been taken while this was asked.
                sleep(LOOK_LAST).await;
                if receipt.has_come() {
                    return Verdict::handed();
                }
                return Verdict::unknown("somebody took it out of Codex's queue");
            }
        }
        sleep(pause).await;
        pause = (pause * 5 / 4).min(LOOK_LAST);
    }
    Verdict::unknown("it is in Codex's queue and no turn has taken it for hours")
}

/// Returns whether a message still stands in the queue; nothing where nobody says.
async fn is_queued(server: &Server, thread: &str, message: &str) -> Option<bool> {
    let mut rpc = server.open().await.ok()?;
    let list = rpc.call(Request::List { thread }).await;
    rpc.end().await;
    Some(holds(&list.ok()?, message))
}

#[cfg(all(test, unix))]
mod tests;
