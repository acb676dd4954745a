//! Knows a session before its first call where its assistant can be looked into: Codex says only
//! with a call which thread it comes from, but its process keeps a file open for each thread
//! that it writes, from before the first turn.

use crate::attach;
use crate::push::Ready;
use crate::push::pusher::Event;
use crate::sessions::Sessions;
use ecorelay_adapters::codex::Host;
use ecorelay_adapters::{Registration, Surroundings};
use ecorelay_config::DataDir;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How often the process is looked at. An instance that is started only to list its tools lives
/// for some milliseconds, so it never comes to the first look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Registers the session as soon as its thread is known, and says when the thread can first be
/// written to, for as long as this process lives.
pub(crate) async fn look(
    sessions: Arc<Sessions>,
    dir: Option<DataDir>,
    around: Surroundings,
    mut ready: watch::Receiver<Option<Ready>>,
) {
    // Where nobody ever says so, there is nothing to look for.
    let at_first_call = ready
        .wait_for(Option::is_some)
        .await
        .is_ok_and(|client| is_late(client.as_ref()));
    if !at_first_call {
        return std::future::pending().await;
    }
    let first = sessions.first().clone();
    loop {
        sleep(LOOK_EVERY).await;
        let known = first.id();
        let host = Host::look(&around);
        let Some(thread) = known.clone().or_else(|| host.only_thread()) else {
            continue;
        };
        if known.is_none() {
            if host.is_headless() || !is_alone(dir.as_ref(), around.parent) {
                continue;
            }
            // The first id is always taken.
            let _ = sessions.of(Some(&thread));
            first.link.want();
        }
        if host.log_of(&thread).is_some() {
            first.tell_pusher(Event::SessionKnown);
            return std::future::pending().await;
        }
    }
}

fn is_late(client: Option<&Ready>) -> bool {
    client.is_some_and(|client| client.assistant.registration == Registration::AtFirstCall)
}

/// Returns whether this is the only channel that `client` has started: of several, it is not
/// known which of them is the thread's.
fn is_alone(dir: Option<&DataDir>, client: u32) -> bool {
    dir.is_some_and(|dir| attach::channels_of(dir, client) == 1)
}
