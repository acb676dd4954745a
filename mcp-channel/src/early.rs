//! Knows a session before its first call where its assistant can be looked into, and keeps it
//! by its name: Codex says only with a call which thread it comes from, but its process keeps a
//! file open for each thread that it writes, from before the first turn.

use crate::attach;
use crate::memory::{Known, Memory};
use crate::push::pusher::Event;
use crate::push::{Ready, read_thread};
use crate::sessions::Sessions;
use ecorelay_adapters::Surroundings;
use ecorelay_adapters::codex::Host;
use ecorelay_config::DataDir;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How often the process is looked at. An instance that is started only to list its tools lives
/// for some milliseconds, so it never comes to the first look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two looks for a thread that is not found; its first call tells it.
const LOOK_LAST: Duration = Duration::from_secs(30);
/// Threads of one server that are asked about in one look.
const ASKED: usize = 16;

/// Registers the session as soon as its thread is known, says when the thread can first be
/// written to, and keeps the names of sessions, for as long as this process lives.
pub(crate) async fn look(
    sessions: Arc<Sessions>,
    dir: Option<DataDir>,
    around: Surroundings,
    mut ready: watch::Receiver<Option<Ready>>,
) {
    // Where nobody ever says so, there is nothing to look for.
    let resumes = ready
        .wait_for(Option::is_some)
        .await
        .is_ok_and(|client| client.as_ref().is_some_and(|c| c.assistant.resumes));
    let Some(memory) = sessions.memory().filter(|_| resumes) else {
        return std::future::pending().await;
    };
    tokio::join!(
        find(&sessions, dir.as_ref(), &around, &memory),
        keep_names(&sessions, &memory)
    );
}

/// Finds out which thread this channel was started for.
async fn find(sessions: &Sessions, dir: Option<&DataDir>, around: &Surroundings, memory: &Memory) {
    let first = sessions.first();
    let mut pause = LOOK_EVERY;
    loop {
        sleep(pause).await;
        let host = Host::look(around);
        let thread = match first.id() {
            Some(thread) => Some(thread),
            None if host.is_headless() => None,
            None if host.is_server() => find_on_server(&host, around, memory).await,
            // Of several channels it is not known which is the thread's.
            None => host.only_thread().filter(|_| is_alone(dir, around.parent)),
        };
        let Some(thread) = thread else {
            pause = (pause * 9 / 8).min(LOOK_LAST);
            continue;
        };
        pause = LOOK_EVERY;
        if first.id().is_none() {
            // The first id is always taken.
            let _ = sessions.of(Some(&thread));
            // At once, so that the other channels leave it alone.
            let name = memory.recall(&thread).and_then(|known| known.name);
            let known = Known::now(name, sessions.title_of(&thread));
            let _ = memory.keep(&thread, &known);
            first.link.want();
        }
        if host.log_of(&thread).is_some() {
            return first.tell_pusher(Event::SessionKnown);
        }
    }
}

/// Returns the one thread of a server that works in this channel's folder and that no other
/// channel serves; nothing where there are several.
async fn find_on_server(host: &Host, around: &Surroundings, memory: &Memory) -> Option<String> {
    let free = |thread: &String| !memory.is_taken(thread, around.parent);
    let mut found = None;
    for thread in host.threads().into_iter().filter(free).take(ASKED) {
        let about = read_thread(host, &thread).await?;
        let here = about
            .cwd
            .as_deref()
            .is_some_and(|cwd| is_same(cwd, &around.cwd));
        if !here || about.is_part || !about.loaded {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some(thread);
    }
    found
}

fn is_same(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    one == other || plain(one) == plain(other)
}

/// Returns whether this is the only channel that `client` has started.
fn is_alone(dir: Option<&DataDir>, client: u32) -> bool {
    dir.is_some_and(|dir| attach::channels_of(dir, client) == 1)
}

/// Follows what the assistant calls its sessions, and remembers what they are called here.
async fn keep_names(sessions: &Sessions, memory: &Memory) {
    let mut kept: HashMap<String, Known> = HashMap::new();
    loop {
        sleep(LOOK_EVERY).await;
        let mut now = HashMap::new();
        for session in sessions.all() {
            let Some(id) = session.id().filter(|_| session.link.is_up()) else {
                continue;
            };
            let before = kept.remove(&id).or_else(|| memory.recall(&id));
            let title = sessions.title_of(&id);
            if before.as_ref().and_then(|before| before.title.as_ref()) != title.as_ref()
                && let Some(title) = &title
                && let Some(name) = sessions.name_for(&session, title)
            {
                // A name that another session holds is not fought for.
                let _ = session.link.rename(&name).await;
            }
            let known = Known::now(Some(session.link.name()), title);
            if before.as_ref() != Some(&known) {
                // What is not written down is called otherwise next time.
                let _ = memory.keep(&id, &known);
            }
            now.insert(id, known);
        }
        kept = now;
    }
}
