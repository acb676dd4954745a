//! The process of Codex that started a channel, as far as the system tells of it (Linux). Where
//! it tells nothing, the thread is known from its first tool call and messages go over the queue
//! program.

use crate::Surroundings;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where a shared app-server listens, below Codex's folder.
const CONTROL_SOCKET: &str = "app-server-control/app-server-control.sock";
/// The folder in which a process keeps a file open for each thread that it writes.
const WRITER_LOCKS: &str = "thread-writer-locks";
/// Open files that are looked at; a process has some hundred at most.
const FILES: usize = 4_096;
/// Names of the subcommand that runs one prompt and ends.
const HEADLESS: [&str; 2] = ["exec", "e"];
/// The subcommand that serves the threads of any number of terminals.
const SERVER: &str = "app-server";

/// A process of Codex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its program, where it is known and still there.
    pub program: Option<PathBuf>,
    /// The folder with its settings and threads.
    pub home: Option<PathBuf>,
    args: Vec<String>,
    files: Vec<PathBuf>,
}

impl Host {
    /// Looks at the process that started this channel.
    pub fn look(around: &Surroundings) -> Self {
        let process = Path::new("/proc").join(around.parent.to_string());
        let program = std::fs::read_link(process.join("exe")).ok();
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let args = line.split(|&byte| byte == 0).skip(1);
        let open = std::fs::read_dir(process.join("fd")).into_iter().flatten();
        let open = open.flatten().take(FILES);
        Self {
            program: program.filter(|program| program.is_file()),
            home: around.codex_home.clone(),
            args: args
                .map(|arg| String::from_utf8_lossy(arg).into_owned())
                .collect(),
            files: open
                .filter_map(|file| std::fs::read_link(file.path()).ok())
                .collect(),
        }
    }

    /// Returns whether it runs one prompt and ends. What stands in such a thread's queue may be
    /// lost with the process.
    pub fn is_headless(&self) -> bool {
        let before = self.args.iter().take_while(|arg| *arg != "--");
        before
            .into_iter()
            .any(|arg| HEADLESS.contains(&arg.as_str()))
    }

    /// Returns whether it is an app-server, which serves the threads of several terminals. What
    /// stands in its environment comes from whoever has started it.
    pub fn is_server(&self) -> bool {
        let name = |program: &PathBuf| {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("codex")
        };
        self.program.as_ref().is_some_and(name) && self.args.iter().any(|arg| arg == SERVER)
    }

    /// Returns the sockets of the app-servers that may serve its threads, likeliest first.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let control = self.home.as_ref().map(|home| home.join(CONTROL_SOCKET));
        let mut sockets: Vec<PathBuf> = self.listens().map(PathBuf::from).into_iter().collect();
        sockets.extend(control.filter(|path| path.exists()));
        sockets
    }

    /// Returns the socket that its arguments name.
    fn listens(&self) -> Option<&str> {
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            let address = match arg.strip_prefix("--listen") {
                Some("") => args.next()?.as_str(),
                Some(rest) => rest.strip_prefix('=')?,
                None => continue,
            };
            // Without a path it is the control socket.
            return address
                .strip_prefix("unix://")
                .filter(|path| path.starts_with('/'));
        }
        None
    }

    /// Returns the one thread that it writes; nothing where it writes several, because it is not
    /// known which of them started this channel.
    pub fn only_thread(&self) -> Option<String> {
        match &self.threads()[..] {
            [thread] => Some(thread.clone()),
            _ => None,
        }
    }

    /// Returns the threads that it writes.
    pub fn threads(&self) -> Vec<String> {
        let threads = self.files.iter().filter_map(|file| locked(file));
        let threads: BTreeSet<&str> = threads.collect();
        threads.into_iter().map(str::to_owned).collect()
    }

    /// Returns the file into which it writes a thread.
    pub fn log_of(&self, thread: &str) -> Option<&Path> {
        let end = format!("-{thread}.jsonl");
        let name = |file: &&PathBuf| file.file_name().and_then(OsStr::to_str).map(str::to_owned);
        let mut files = self.files.iter();
        let found = files.find(|file| {
            name(file).is_some_and(|name| name.starts_with("rollout-") && name.ends_with(&end))
        });
        found.map(PathBuf::as_path)
    }
}

/// Returns the thread whose lock this file is.
fn locked(file: &Path) -> Option<&str> {
    let folder = file.parent()?.file_name()?;
    let thread = file.file_name()?.to_str()?.strip_suffix(".lock")?;
    (folder == WRITER_LOCKS && is_thread(thread)).then_some(thread)
}

/// Returns whether a text can be a thread's id: a UUID.
fn is_thread(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const A: &str = "01a20524-e130-7cc1-8c69-2e0b37676f5a";
    const B: &str = "01a20525-e130-7cc1-8c69-2e0b37676f5b";

    fn host(args: &[&str], files: &[String]) -> Host {
        Host {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            files: files.iter().map(PathBuf::from).collect(),
            ..Host::default()
        }
    }

    #[test]
    fn the_thread_is_known_where_the_process_writes_only_one() {
        let lock = |thread: &str| format!("/h/.codex/thread-writer-locks/{thread}.lock");
        let other = "/h/.codex/state_5.sqlite".to_owned();
        assert_eq!(host(&[], &[]).only_thread(), None);
        let one = host(&[], &[other.clone(), lock(A), lock(A)]);
        assert_eq!(one.only_thread().as_deref(), Some(A));
        let two = host(&[], &[lock(B), lock(A), lock(B)]);
        assert_eq!(
            (two.only_thread(), two.threads()),
            (None, vec![A.into(), B.into()])
        );
        for nonsense in [lock("x"), lock(""), format!("/h/{A}.lock"), "/".into()] {
            assert_eq!(host(&[], &[nonsense]).only_thread(), None);
        }
    }

    #[test]
    fn the_log_of_a_thread_is_one_of_the_open_files() {
        let log = format!("/h/.codex/sessions/2026/11/22/rollout-2026-11-22T21-23-52-{A}.jsonl");
        let host = host(&[], &["/dev/null".into(), log.clone()]);
        assert_eq!(host.log_of(A), Some(Path::new(&log)));
        assert_eq!(host.log_of(B), None);
    }

    #[test]
    fn the_arguments_tell_where_it_listens_and_whether_it_ends_by_itself() {
        for (args, socket) in [
            (
                &["app-server", "--listen", "unix:///t/a.sock"][..],
                Some("/t/a.sock"),
            ),
            (&["app-server", "--listen=unix:///t/b"], Some("/t/b")),
            (
                &["app-server", "--listen", "unix://", "--managed-daemon"],
                None,
            ),
            (&["app-server", "--listen", "ws://127.0.0.1:1"], None),
            (&["app-server", "--listen"], None),
            (&["--listening", "unix:///x"], None),
            (&[], None),
        ] {
            assert_eq!(host(args, &[]).listens(), socket, "{args:?}");
        }
        assert!(host(&["-m", "x", "exec", "do it"], &[]).is_headless());
        assert!(!host(&["--no-daemon", "--", "exec"], &[]).is_headless());
        assert!(!host(&["resume"], &[]).is_headless());
    }

    #[test]
    fn an_app_server_is_known_by_its_program_and_its_subcommand() {
        let is_server = |program: &str, args: &[&str]| {
            let program = Some(program.into());
            Host {
                program,
                ..host(args, &[])
            }
            .is_server()
        };
        assert!(is_server(
            "/r/bin/codex",
            &["app-server", "--listen", "unix://"]
        ));
        assert!(!is_server("/r/bin/codex", &["--no-daemon"]));
        assert!(!is_server("/usr/bin/node", &["app-server"]));
        assert!(!host(&["app-server"], &[]).is_server());
    }

    #[test]
    fn a_process_that_is_not_there_tells_nothing() {
        let around = Surroundings {
            parent: u32::MAX,
            ..Surroundings::default()
        };
        assert_eq!(Host::look(&around), Host::default());
        let own = Surroundings {
            parent: std::process::id(),
            ..Surroundings::default()
        };
        let own = Host::look(&own);
        assert!(!cfg!(target_os = "linux") || own.program.is_some());
        assert_eq!(own.only_thread(), None);
    }
}
