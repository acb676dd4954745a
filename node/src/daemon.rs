//! The node as a daemon: `ecorelay node run`.

use crate::{ExitReason, Node, NodeError, lifecycle, logging, platform};
use ecorelay_config::{Config, DataDir};
use std::time::Duration;

/// Threads for connections: the hub thread does the work that counts.
const WORKERS: usize = 2;
/// Stack of a worker: deep JSON is refused long before.
const STACK_BYTES: usize = 1024 * 1024;
/// How long tasks that are left may take when everything else has ended.
const LAST_TASKS: Duration = Duration::from_millis(500);

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Where its things are.
    pub data_dir: DataDir,
    /// Its settings.
    pub config: Config,
    /// It ends when nobody has needed it for this long; `None` for never.
    pub idle_exit: Option<Duration>,
}

/// Runs a node with logs and signals until it ends. Makes its own runtime: not to be called
/// from within another one.
///
/// # Errors
/// [`NodeError`] when it cannot start or had to end.
pub fn run_daemon(options: DaemonOptions) -> Result<ExitReason, NodeError> {
    platform::set_private_umask();
    platform::raise_open_files_limit();
    let dir = &options.data_dir;
    lifecycle::prepare(dir)?;
    let _logs = logging::install(&dir.logs(), &options.config.log_level).map_err(|source| {
        NodeError::Io {
            action: "cannot write to",
            path: dir.logs().display().to_string(),
            source,
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(STACK_BYTES)
        .thread_name("io")
        .enable_all()
        .build()
        .map_err(system("the runtime"))?;
    let exit = runtime.block_on(run(options));
    runtime.shutdown_timeout(LAST_TASKS);
    if let Err(error) = &exit {
        tracing::error!(%error, "the daemon ends");
    }
    exit
}

async fn run(options: DaemonOptions) -> Result<ExitReason, NodeError> {
    // Before anything else: a signal during the start must not leave things half done.
    let mut told = Box::pin(platform::told_to_end());
    let mut node = tokio::select! {
        signal = &mut told => {
            signal.map_err(system("signals"))?;
            return Ok(ExitReason::Stopped);
        }
        node = Node::builder()
            .data_dir(options.data_dir)
            .config(options.config)
            .idle_exit(options.idle_exit)
            .websocket(true)
            .start() => node?,
    };
    tokio::select! {
        exit = node.wait() => return exit,
        signal = told => {
            let signal = signal.map_err(system("signals"))?;
            tracing::info!(signal, "told to end");
        }
    }
    node.stop().await
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> NodeError {
    move |source| NodeError::Io {
        action: "cannot set up",
        path: what.into(),
        source,
    }
}
