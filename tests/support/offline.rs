//! Tests with other people's programs run without a network: in a network namespace that has
//! nothing but loopback.

use super::process::run_within;
use std::process::Command;
use std::time::Duration;

/// Tells the test program that it is inside already.
const INSIDE: &str = "ECORELAY_TEST_OFFLINE";

/// How long such a test may take as a whole, unless it says otherwise.
pub(crate) const WHOLE_TEST: Duration = Duration::from_secs(600);

/// Runs `body`, the body of the test of this name, without a network: the test program runs
/// itself once more in a new network namespace. Where that is not allowed, it says so and runs
/// `body` with the network that is there.
pub(crate) fn offline(test: &str, body: impl FnOnce()) {
    offline_within(WHOLE_TEST, test, body);
}

/// As [`offline`], with another limit for the test as a whole.
pub(crate) fn offline_within(limit: Duration, test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let Some(unshare) = allowed() else {
        super::announce(&format!(
            "NOTE: {test}: no network namespace is allowed here; it runs with the network."
        ));
        return body();
    };
    let mut command = Command::new("unshare");
    command
        .args(unshare)
        .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1");
    let finished = run_within(command, limit);
    assert!(
        finished.status.success() && finished.stdout.contains("1 passed"),
        "{test} without a network:\n{}\n{}",
        finished.stdout,
        finished.stderr
    );
    for line in finished.stderr.lines() {
        if line.starts_with("NOTE: ") || line.starts_with("MEASURED: ") {
            super::announce(line);
        }
    }
}

/// Returns the arguments of `unshare` that work here: as root, or as the root of an own user
/// namespace.
fn allowed() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["-n"], &["-r", "-n"]];
    ways.into_iter().find(|way| {
        let mut command = Command::new("unshare");
        command.args(*way).args(["ip", "link", "set", "lo", "up"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}
