//! The program that is measured.

use crate::Outcome;
use ecorelay_rendezvous::Snapshot;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Bounds per origin that are lifted, for here all hubs have one.
const LIFTED: [&str; 7] = [
    "connections_per_ip",
    "connects_per_minute",
    "handshakes_per_ip",
    "handshakes",
    "reservations_per_ip",
    "circuits_per_ip",
    "connections",
];

/// A running server.
pub(crate) struct Running {
    child: Child,
    dir: tempfile::TempDir,
    /// Its address, as hubs are told.
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn start() -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_ecorelay-rendezvous"))
            .arg("--data-dir")
            .arg(dir.path())
            .args(["--listen", "/ip4/127.0.0.1/tcp/0", "--log-level", "error"])
            .args(
                LIFTED
                    .iter()
                    .flat_map(|name| ["--limit".into(), format!("{name}=10000")]),
            )
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            child,
            dir,
            address,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn snapshot(&self) -> Outcome<Snapshot> {
        Ok(ecorelay_rendezvous::ask_status(&self.dir.path().join("status.sock")).await?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
