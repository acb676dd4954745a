//! Folders, files, disk and clock.

use super::finding::{Finding, fail, ok, warn};
use super::mesh;
use crate::error::as_sentence;
use crate::view::time::{now_ms, utc};
use ecorelay_config::{Config, DataDir};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Less free space than this stops the hub from accepting messages soon, in bytes.
const FREE_LEAST: u64 = 16 * 1024 * 1024;
/// Less free space than this wants a look, in bytes.
const FREE_ENOUGH: u64 = 256 * 1024 * 1024;
/// No clock can stand before this program was written: 2026-01-01, in ms since 1970.
const CLOCK_LEAST: u64 = 1_767_225_600_000;
/// Files from further in the future than this mean that the clock was set back, in ms.
const CLOCK_SLACK: u64 = 5 * 60_000;
/// Every SQLite file begins so.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Checks everything that can be seen without a hub.
pub(super) fn check(dir: &DataDir) -> Vec<Finding> {
    let mut findings = vec![home(), folder(dir.root()), settings(dir), socket_path(dir)];
    if dir.root().is_dir() {
        findings.push(disk(dir.root()));
    }
    findings.extend(store(&dir.store()));
    findings.extend(secret("token", &dir.ws_token()));
    findings.extend(secret("identity", &dir.identity_key()));
    findings.extend(mesh::key(&dir.root().join("mesh.key")));
    findings.push(clock(&dir.store()));
    findings
}

fn home() -> Finding {
    let set_home = "Set HOME to a folder you own.";
    match std::env::home_dir().filter(|home| !home.as_os_str().is_empty()) {
        None => warn("home", "No home folder is known.", set_home),
        Some(home) if home.is_dir() => ok("home", format!("{} is there.", home.display())),
        Some(home) => warn(
            "home",
            format!("{} is not a folder.", home.display()),
            set_home,
        ),
    }
}

fn folder(root: &Path) -> Finding {
    let place = root.display();
    let elsewhere = "Set ECORELAY_DATA_DIR to a folder you can write.";
    if !root.exists() {
        return match root.ancestors().skip(1).find(|above| above.exists()) {
            Some(above) if writable(above).is_ok() => ok(
                "folder",
                format!("{place} is not there yet; the first start makes it."),
            ),
            Some(above) => fail(
                "folder",
                format!(
                    "{place} cannot be made: {} is not writable.",
                    above.display()
                ),
                elsewhere,
            ),
            None => fail("folder", format!("{place} cannot be made."), elsewhere),
        };
    }
    if let Err(error) = writable(root) {
        return fail(
            "folder",
            format!("{place} cannot be written: {error}."),
            elsewhere,
        );
    }
    match open_to_others(root) {
        Some(mode) => warn(
            "folder",
            format!("{place} is open to other users (mode {mode:o})."),
            format!("chmod 700 {place}"),
        ),
        None => ok("folder", format!("{place} is writable and yours alone.")),
    }
}

/// Tries to make a file, because permissions alone do not tell (read-only disks, quotas).
fn writable(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".ecorelay-doctor-{}", std::process::id()));
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)?;
    std::fs::remove_file(&probe)
}

/// Returns the mode bits when others than the owner have any.
pub(super) fn open_to_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

fn settings(dir: &DataDir) -> Finding {
    let file = dir.config_file();
    match Config::load(dir) {
        Ok(_) if file.exists() => ok("settings", format!("{} is valid.", file.display())),
        Ok(_) => ok("settings", "There is no config.toml; the defaults hold."),
        Err(error) => fail(
            "settings",
            format!("{}.", error.to_string().trim_end().trim_end_matches('.')),
            "Correct that line, or take it out: every setting has a default.",
        ),
    }
}

fn socket_path(dir: &DataDir) -> Finding {
    match dir.check_socket_path() {
        Ok(()) => ok(
            "socket",
            format!("{} is a path the system takes.", dir.socket().display()),
        ),
        Err(error) => fail(
            "socket",
            as_sentence(&error.to_string()),
            "Set RELAY_HUB_SOCKET to a shorter path, or ECORELAY_DATA_DIR to a shorter folder.",
        ),
    }
}

fn disk(root: &Path) -> Finding {
    let remedy = format!("Free some space where {} is.", root.display());
    match fs4::available_space(root) {
        Err(error) => warn(
            "disk",
            format!("The free space is unknown: {error}."),
            remedy,
        ),
        Ok(free) => {
            let message = format!("{} MiB are free.", free >> 20);
            match free {
                ..FREE_LEAST => fail("disk", message, remedy),
                FREE_LEAST..FREE_ENOUGH => warn("disk", message, remedy),
                _ => ok("disk", message),
            }
        }
    }
}

fn store(file: &Path) -> Option<Finding> {
    use std::io::Read as _;
    let place = file.display();
    let mut head = Vec::new();
    let read = match std::fs::File::open(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => Err(e),
        Ok(open) => open.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut head),
    };
    Some(match read {
        Err(error) => fail(
            "store",
            format!("{place} cannot be read: {error}."),
            format!("Make the file yours: chown $USER {place}"),
        ),
        Ok(n) if n > 0 && head != SQLITE_MAGIC => fail(
            "store",
            format!("{place} is not a store."),
            format!("Put back a backup, or move it away to start empty: mv {place} {place}.bad"),
        ),
        Ok(_) => match open_to_others(file) {
            Some(mode) => warn(
                "store",
                format!("{place} can be read by other users (mode {mode:o})."),
                format!("chmod 600 {place}"),
            ),
            None => ok("store", format!("{place} is there and yours alone.")),
        },
    })
}

fn secret(check: &'static str, file: &Path) -> Option<Finding> {
    if !file.exists() {
        return None;
    }
    Some(match open_to_others(file) {
        Some(mode) => open_to_others_fail(check, file, mode),
        None => ok(check, format!("{} is yours alone.", file.display())),
    })
}

/// Returns the finding that others can read a secret.
pub(super) fn open_to_others_fail(check: &'static str, file: &Path, mode: u32) -> Finding {
    let place = file.display();
    fail(
        check,
        format!("{place} is open to other users (mode {mode:o})."),
        format!("chmod 600 {place}"),
    )
}

fn clock(store: &Path) -> Finding {
    let now = now_ms();
    let remedy = "Set the system's clock: timedatectl set-ntp true";
    let written = std::fs::metadata(store)
        .and_then(|about| about.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_millis()).ok());
    if now < CLOCK_LEAST {
        return fail("clock", format!("The clock says {}.", utc(now)), remedy);
    }
    match written.filter(|written| *written > now + CLOCK_SLACK) {
        Some(written) => warn(
            "clock",
            format!("The store was written at {}, in the future.", utc(written)),
            remedy,
        ),
        None => ok("clock", format!("It says {}.", utc(now))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::finding::Level;
    use super::*;

    fn level(findings: &[Finding], check: &str) -> Option<Level> {
        findings.iter().find(|f| f.check == check).map(|f| f.level)
    }

    #[test]
    fn a_folder_in_order_has_no_finding_to_mend() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::at(root.path().join("data"));
        let before = check(&dir);
        assert_eq!(level(&before, "folder"), Some(Level::Ok));
        assert_eq!(level(&before, "store"), None);
        assert!(!dir.root().exists(), "looking makes nothing");
        dir.create().unwrap();
        assert_eq!(level(&check(&dir), "folder"), Some(Level::Ok));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_wrong_is_found_with_a_remedy() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::at(root.path()).with_socket("/tmp/".to_owned() + &"x".repeat(200));
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.path(), open).unwrap();
        std::fs::write(dir.config_file(), "hub_idd = 1").unwrap();
        std::fs::write(dir.store(), "this is not a database file").unwrap();
        std::fs::write(dir.ws_token(), "x").unwrap();
        std::fs::set_permissions(dir.ws_token(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let findings = check(&dir);
        for (check, expected) in [
            ("folder", Level::Warn),
            ("settings", Level::Fail),
            ("socket", Level::Fail),
            ("store", Level::Fail),
            ("token", Level::Fail),
        ] {
            assert_eq!(level(&findings, check), Some(expected), "{check}");
        }
        assert!(
            findings
                .iter()
                .all(|f| (f.level == Level::Ok) == f.remedy.is_none())
        );
    }
}
