//! The channel as a whole: puts the parts together and ends when its client does.

use crate::attach;
use crate::client::StartHub;
use crate::early;
use crate::name;
use crate::platform;
use crate::server::Server;
use crate::sessions::{Recipe, Sessions};
use crate::stdio::LineTransport;
use ecorelay_adapters::codex::Host;
use ecorelay_adapters::{PushChoice, Surroundings};
use ecorelay_config::DataDir;
use std::io::{self, Read, Write};
use std::time::Duration;
use tokio::sync::watch;

/// How long answers that are nearly done may take when the client has closed its end. The
/// whole process is to be gone within 100 ms.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_millis(60);

/// How a channel is run.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// The data directory, or why there is none; the tools say so.
    pub dir: Result<DataDir, String>,
    /// How a hub is started where none runs.
    pub start: StartHub,
    /// The push path; the one of the environment, else the best one, where it is `None`.
    pub push: Option<PushChoice>,
    /// What stands around the process.
    pub around: Surroundings,
}

impl ChannelOptions {
    /// Returns the options of this process's environment.
    pub fn from_env() -> Self {
        Self {
            dir: DataDir::from_env().map_err(|error| error.to_string()),
            start: StartHub::default(),
            push: None,
            around: Surroundings::of_process(platform::parent_id()),
        }
    }
}

/// Runs the channel over standard input and output until the client closes it, is gone, or a
/// signal asks it to end. Returns the process's exit code.
pub fn run(options: ChannelOptions) -> i32 {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            warn(&format!("cannot run: {error}"));
            return 1;
        }
    };
    let parent = options.around.parent;
    let code = runtime.block_on(async {
        let asked_to_end = match platform::asked_to_end(parent) {
            Ok(future) => future,
            Err(error) => {
                warn(&format!("cannot watch for signals: {error}"));
                return 1;
            }
        };
        tokio::select! {
            served = serve(options, io::stdin(), io::stdout()) => match served {
                Ok(()) => 0,
                Err(error) => {
                    warn(&format!("cannot serve: {error}"));
                    1
                }
            },
            _why = asked_to_end => 0,
        }
    });
    // Not waited for: a thread may still be reading standard input.
    runtime.shutdown_background();
    code
}

/// Serves one client over a stream in and a stream out until one of them ends. Needs a tokio
/// runtime with time and I/O.
///
/// # Errors
/// When the threads that read and write cannot be started.
pub async fn serve(
    options: ChannelOptions,
    reader: impl Read + Send + 'static,
    writer: impl Write + Send + 'static,
) -> io::Result<()> {
    let (transport, ended) = LineTransport::new(reader, writer)?;
    let (around, shared) = without_others_wish(options.around);
    let resolved = name::resolve(&around);
    let (choice, push_problem) = push_choice(options.push, &around);
    let notices: Vec<String> = [resolved.notice, push_problem]
        .into_iter()
        .flatten()
        .collect();
    for notice in &notices {
        warn(notice);
    }
    if let Some(warning) = shared {
        warn(warning);
    }
    let (ready_tx, ready) = watch::channel(None);
    let recipe = Recipe {
        dir: options.dir,
        start: options.start,
        around,
        choice,
        ready,
    };
    let dir = recipe.dir.clone().ok();
    let early_ready = recipe.ready.clone();
    let around = recipe.around.clone();
    let (sessions, mut background) = Sessions::new(recipe, resolved.name, notices);
    background.spawn(name::follow(around.clone(), sessions.first().link.clone()));
    background.spawn(sessions.clone().sweep());
    background.spawn(attach::listen(dir.clone(), around.parent, sessions.clone()));
    background.spawn(early::look(sessions.clone(), dir, around, early_ready));
    let server = Server::new(sessions, ready_tx);
    let service = rmcp::service::serve_directly(server, transport, None);
    let served = async {
        ended.notified().await;
        // In time or not: the client is gone.
        let _ = tokio::time::timeout(LAST_ANSWERS_WITHIN, service.waiting()).await;
    };
    tokio::select! {
        () = served => Ok(()),
        // None of them ends by itself.
        ended = background.join_next() => match ended {
            Some(Err(error)) => Err(io::Error::other(error)),
            _ => Ok(()),
        },
    }
}

/// Leaves out a name that somebody else has wished for: what stands in the environment of a
/// Codex that serves several terminals comes from whoever has started it first, and would name
/// all of their threads. Returns a warning as well, if there was one.
fn without_others_wish(mut around: Surroundings) -> (Surroundings, Option<&'static str>) {
    if around.peer_id.is_none() || !Host::look(&around).is_server() {
        return (around, None);
    }
    around.peer_id = None;
    let warning = "RELAY_PEER_ID is left out: this Codex is a server for several threads, and one name cannot be the name of all. /rename in Codex names a thread; `codex --no-daemon` honours RELAY_PEER_ID.";
    (around, Some(warning))
}

/// Returns the wanted push path, and what is wrong with the one of the environment.
fn push_choice(given: Option<PushChoice>, around: &Surroundings) -> (PushChoice, Option<String>) {
    if let Some(choice) = given {
        return (choice, None);
    }
    match around.push.as_deref().unwrap_or_default().parse() {
        Ok(choice) => (choice, None),
        Err(error) => (
            PushChoice::Auto,
            Some(format!("ECORELAY_PUSH: {error}; auto is used.")),
        ),
    }
}

/// Says something on standard error, which clients keep for the person who looks for a fault.
fn warn(text: &str) {
    // Without a standard error nobody listens.
    let _ = writeln!(io::stderr(), "ecorelay mcp: {text}");
}
