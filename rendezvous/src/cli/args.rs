//! The arguments. Each flag is a setting of the file and overrides it.

use super::error::Failure;
use clap::{Parser, Subcommand, ValueEnum};
use ecorelay_rendezvous::{LogFormat, Settings};
use std::path::{Path, PathBuf};

/// Read when no other file is named, if it is there.
const CONFIG: &str = "/etc/ecorelay/rendezvous.toml";

/// A public host through which EcoRelay hubs find and reach each other. It learns nothing of what
/// they say.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = false)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Configuration file [default: /etc/ecorelay/rendezvous.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the identity and the socket of `status` are [default: /var/lib/ecorelay-rendezvous]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Check the configuration, the ports and the identity, say what a start would do, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Multiaddr to listen on; may be repeated [default: port 4001 of all addresses]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Multiaddr under which hubs reach this server; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    external: Vec<String>,
    /// File of the identity [default: identity.key in the data directory]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// IP and port on which Prometheus asks, such as 127.0.0.1:9100
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<String>,
    /// Namespace of a mesh that may enter; may be repeated [default: all meshes]
    #[arg(long, value_name = "HEX")]
    allow: Vec<String>,
    /// A limit, such as hubs_per_mesh=50; may be repeated
    #[arg(long, value_name = "NAME=NUMBER", value_parser = limit)]
    limit: Vec<(String, i64)>,
    /// How the log is written [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    log_format: Option<Format>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// What else it does than serve.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Show how the running server is
    Status {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
}

/// How the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A JSON object per line
    Json,
    /// For people
    Text,
}

fn limit(text: &str) -> Result<(String, i64), String> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=NUMBER")?;
    let value = value.parse().map_err(|_| "the number is a whole one")?;
    Ok((name.to_owned(), value))
}

impl Arguments {
    /// Returns the settings of the file, overridden by the flags.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let flags = Settings {
            listen: some(&self.listen),
            external: some(&self.external),
            data_dir: self.data_dir.clone(),
            identity: self.identity.clone(),
            metrics: self.metrics.clone(),
            allow: some(&self.allow),
            log_format: self.log_format.map(|format| match format {
                Format::Json => LogFormat::Json,
                Format::Text => LogFormat::Text,
            }),
            log_level: self.log_level.clone(),
            limits: self.limit.iter().cloned().collect(),
        };
        let file = match &self.config {
            Some(path) => Settings::load(path)?,
            None if Path::new(CONFIG).exists() => Settings::load(Path::new(CONFIG))?,
            None => Settings::default(),
        };
        Ok(file.overridden(flags))
    }
}
