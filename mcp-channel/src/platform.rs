//! Everything that depends on the operating system: who owns the other end of a socket, how a
//! hub outlives the program that started it, when this process has to end.
#![allow(unsafe_code)] // five calls of the C library, each a plain system call

use std::future::Future;
use std::process::Command;

/// Returns whether the process at the other end of `stream` belongs to this user. True where
/// the platform does not tell.
pub(crate) fn same_user(stream: &interprocess::local_socket::tokio::Stream) -> bool {
    #[cfg(unix)]
    {
        use interprocess::local_socket::traits::StreamCommon as _;
        let other = stream.peer_creds().ok().and_then(|creds| creds.euid());
        other.is_none_or(|other| other == user_id())
    }
    #[cfg(not(unix))]
    {
        let _ = stream;
        true
    }
}

/// Returns the user that this process acts as.
#[cfg(unix)]
pub(crate) fn user_id() -> u32 {
    // SAFETY: geteuid takes nothing, changes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Returns the id of the process that listens where `stream` is connected to, where the platform
/// tells.
pub(crate) fn listener(stream: &interprocess::local_socket::tokio::Stream) -> Option<u32> {
    #[cfg(unix)]
    {
        use interprocess::local_socket::traits::StreamCommon as _;
        u32::try_from(stream.peer_creds().ok()?.pid()?).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = stream;
        None
    }
}

/// Makes the command's process independent of this one: a session of its own, so that neither
/// Ctrl-C in this terminal nor the terminal's end reaches it.
pub(crate) fn detach(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // SAFETY: the closure runs between fork and exec and makes one async-signal-safe call.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
    }
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt as _;
        const DETACHED_PROCESS: u32 = 0x0000_0008;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }
}

/// Returns the process id of the client that started this process; 0 where the platform has
/// no such thing.
pub(crate) fn parent_id() -> u32 {
    #[cfg(unix)]
    return std::os::unix::process::parent_id();
    #[cfg(not(unix))]
    0
}

/// Returns a future that ends when this process is asked to end (SIGINT, SIGTERM, SIGHUP) or
/// its parent is gone.
///
/// The parent is looked at every two seconds; on Linux the kernel says so at once. That signal
/// also comes when only the parent's *thread* that started us ended, so it proves nothing by
/// itself and is a harmless one (SIGURG).
///
/// # Errors
/// When a signal handler cannot be set.
#[cfg(unix)]
pub(crate) fn asked_to_end(
    parent: u32,
) -> std::io::Result<impl Future<Output = &'static str> + Send> {
    use std::time::Duration;
    use tokio::signal::unix::{SignalKind, signal};

    const LOOK_AT_PARENT: Duration = Duration::from_secs(2);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut parent_death = signal(SignalKind::from_raw(libc::SIGURG))?;
    #[cfg(target_os = "linux")]
    // SAFETY: prctl with PR_SET_PDEATHSIG only sets a signal number for this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGURG);
    }
    Ok(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => return "interrupted",
                _ = terminate.recv() => return "terminated",
                _ = hangup.recv() => return "the terminal is gone",
                _ = parent_death.recv() => {}
                () = tokio::time::sleep(LOOK_AT_PARENT) => {}
            }
            if parent_id() != parent {
                return "the client is gone";
            }
        }
    })
}

/// Returns a future that ends when this process is asked to end with Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn asked_to_end(
    _parent: u32,
) -> std::io::Result<impl Future<Output = &'static str> + Send> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
        "interrupted"
    })
}
