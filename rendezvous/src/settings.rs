//! The configuration file, and the flags that override it. A wrong setting is refused with its
//! name and what is allowed.

use crate::config::{Config, LimitError, Limits, Namespace, Timing};
use crate::identity::{Identity, IdentityError};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a server listens when nobody says.
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001"];
/// Where the server's files are when nobody says.
const DATA_DIR: &str = "/var/lib/ecorelay-rendezvous";

/// Why the settings are of no use.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a setting that does not exist or is of the wrong kind.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// Where and what.
        message: String,
    },
    /// A setting has a value it cannot have.
    #[error("{name}: \"{value}\" is not {allowed}")]
    Value {
        /// Which.
        name: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A limit cannot be set.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A JSON object per line.
    Json,
    /// For people.
    Text,
}

/// The settings of the file, and those of the flags: a later one overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Multiaddrs to listen on.
    pub listen: Option<Vec<String>>,
    /// Multiaddrs under which hubs reach the server.
    pub external: Option<Vec<String>>,
    /// Where the identity and the socket of `status` are.
    pub data_dir: Option<PathBuf>,
    /// The identity's file, if it is elsewhere.
    pub identity: Option<PathBuf>,
    /// IP and port on which Prometheus asks; empty for none.
    pub metrics: Option<String>,
    /// Namespaces of the meshes that may enter, in hex; all where there are none.
    pub allow: Option<Vec<String>>,
    /// How the log is written.
    pub log_format: Option<LogFormat>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: Option<String>,
    /// Limits by name.
    pub limits: BTreeMap<String, i64>,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or says something that does not exist.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: name(),
            source,
        })?;
        toml::from_str(&text).map_err(|error: toml::de::Error| SettingsError::File {
            path: name(),
            message: plain(&error.to_string()),
        })
    }

    /// Returns these settings with those of `other` where it has them.
    #[must_use]
    pub fn overridden(mut self, other: Self) -> Self {
        self.limits.extend(other.limits);
        Self {
            listen: other.listen.or(self.listen),
            external: other.external.or(self.external),
            data_dir: other.data_dir.or(self.data_dir),
            identity: other.identity.or(self.identity),
            metrics: other.metrics.or(self.metrics),
            allow: other.allow.or(self.allow),
            log_format: other.log_format.or(self.log_format),
            log_level: other.log_level.or(self.log_level),
            limits: self.limits,
        }
    }

    /// Returns where the server's files are. A service manager may say so in `STATE_DIRECTORY`.
    pub fn data_dir(&self) -> PathBuf {
        let of_service = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let chosen = self.data_dir.clone().or_else(of_service);
        chosen.unwrap_or_else(|| DATA_DIR.into())
    }

    /// Returns the identity's file.
    pub fn identity_file(&self) -> PathBuf {
        let chosen = self.identity.clone();
        chosen.unwrap_or_else(|| self.data_dir().join("identity.key"))
    }

    /// Returns the socket on which `status` asks.
    pub fn status_socket(&self) -> PathBuf {
        self.data_dir().join("status.sock")
    }

    /// Returns the identity, made where there is none.
    ///
    /// # Errors
    /// When its file or the data directory cannot be read or made.
    pub fn load_identity(&self) -> Result<Identity, IdentityError> {
        let path = self.identity_file();
        if let Some(folder) = path.parent() {
            // Whether it is of use shows when the file is read or made.
            let _ = std::fs::create_dir_all(folder);
        }
        Identity::load_or_create(&path)
    }

    /// Returns the log level.
    ///
    /// # Errors
    /// When it is none.
    pub fn log_level(&self) -> Result<&str, SettingsError> {
        let level = self.log_level.as_deref().unwrap_or("info");
        if ["error", "warn", "info", "debug", "trace"].contains(&level) {
            return Ok(level);
        }
        Err(SettingsError::Value {
            name: "log_level",
            value: level.into(),
            allowed: "error, warn, info, debug or trace",
        })
    }

    /// Returns the configuration of a server with this identity.
    ///
    /// # Errors
    /// When a setting has a value it cannot have.
    pub fn config(&self, identity: Identity) -> Result<Config, SettingsError> {
        self.log_level()?;
        let listen = match &self.listen {
            Some(listen) => listen.clone(),
            None => LISTEN.map(Into::into).to_vec(),
        };
        let listen = listen.iter().map(|text| listen_address(text));
        let external = self.external.iter().flatten();
        let allow = self.allow.iter().flatten().map(|text| namespace(text));
        let mut limits = Limits::default();
        for (name, value) in &self.limits {
            limits.set(name, *value)?;
        }
        let allow: HashSet<Namespace> = allow.collect::<Result<_, _>>()?;
        Ok(Config {
            identity,
            listen: listen.collect::<Result<_, _>>()?,
            external: external
                .map(|text| external_address(text))
                .collect::<Result<_, _>>()?,
            allow: (!allow.is_empty()).then_some(allow),
            metrics: metrics(self.metrics.as_deref().unwrap_or_default())?,
            status_socket: Some(self.status_socket()),
            limits,
            timing: Timing::default(),
        })
    }
}

/// Returns what the TOML reader says without its names of Rust's types.
fn plain(message: &str) -> String {
    let message = message.replace("expected i64", "expected a whole number");
    let message = message.replace("expected a sequence", "expected a list");
    message.trim_end().into()
}

fn listen_address(text: &str) -> Result<Multiaddr, SettingsError> {
    let address: Option<Multiaddr> = text.parse().ok();
    let address = address.filter(|address| {
        let parts: Vec<_> = address.iter().collect();
        matches!(
            parts.as_slice(),
            [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
        )
    });
    address.ok_or_else(|| SettingsError::Value {
        name: "listen",
        value: text.into(),
        allowed: "an IP and a TCP port, such as /ip4/0.0.0.0/tcp/4001",
    })
}

fn external_address(text: &str) -> Result<Multiaddr, SettingsError> {
    let address: Option<Multiaddr> = text.parse().ok();
    let address = address.filter(|address| {
        let parts: Vec<_> = address.iter().collect();
        matches!(
            parts.as_slice(),
            [
                Protocol::Ip4(_)
                    | Protocol::Ip6(_)
                    | Protocol::Dns(_)
                    | Protocol::Dns4(_)
                    | Protocol::Dns6(_),
                Protocol::Tcp(1..)
            ]
        )
    });
    address.ok_or_else(|| SettingsError::Value {
        name: "external",
        value: text.into(),
        allowed: "an IP or a name and a TCP port, such as /ip4/203.0.113.7/tcp/4001 or /dns4/relay.example.org/tcp/4001",
    })
}

fn namespace(text: &str) -> Result<Namespace, SettingsError> {
    let wrong = || SettingsError::Value {
        name: "allow",
        value: text.into(),
        allowed: "a namespace, 64 hexadecimal digits",
    };
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let mut namespace = Namespace::default();
    for (byte, pair) in namespace.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(namespace)
}

fn metrics(text: &str) -> Result<Option<SocketAddr>, SettingsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse().map_err(|_| SettingsError::Value {
        name: "metrics",
        value: text.into(),
        allowed: "an IP and a port, such as 127.0.0.1:9100",
    });
    address.map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rendezvous.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(&path)
    }

    fn config(text: &str) -> Result<Config, SettingsError> {
        read(text)?.config(Identity::generate())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = config("").unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.limits, Limits::default());
        assert!(config.allow.is_none() && config.metrics.is_none());
    }

    #[test]
    fn everything_can_be_set_and_flags_override_the_file() {
        let file = read(&format!(
            "listen = ['/ip4/127.0.0.1/tcp/1']\nexternal = ['/dns4/a.example/tcp/2']\n\
             data_dir = '/d'\nidentity = '/i'\nmetrics = '127.0.0.1:3'\nallow = ['{}']\n\
             log_format = 'text'\nlog_level = 'debug'\n[limits]\nmeshes = 4\npipes = 5\n",
            "aB".repeat(32)
        ))
        .unwrap();
        let flags = Settings {
            metrics: Some(String::new()),
            limits: [("pipes".to_owned(), 6)].into(),
            ..Settings::default()
        };
        let settings = file.overridden(flags);
        assert_eq!(settings.status_socket(), Path::new("/d/status.sock"));
        assert_eq!(settings.identity_file(), Path::new("/i"));
        let config = settings.config(Identity::generate()).unwrap();
        assert_eq!((config.limits.meshes, config.limits.pipes), (4, 6));
        assert!(config.metrics.is_none());
        assert_eq!(config.allow, Some([[0xab; 32]].into()));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        for (text, words) in [
            ("lisen = []", ["lisen", "listen"]),
            ("listen = 'x'", ["listen", "a list"]),
            ("listen = ['0.0.0.0:4001']", ["listen", "/tcp/4001"]),
            (
                "external = ['/ip4/1.2.3.4/udp/4']",
                ["external", "TCP port"],
            ),
            ("metrics = '9100'", ["metrics", "127.0.0.1:9100"]),
            ("allow = ['mine']", ["allow", "64 hexadecimal"]),
            ("log_level = 'loud'", ["log_level", "debug"]),
            ("log_format = 'xml'", ["xml", "json"]),
            ("[limits]\nmeshs = 1", ["meshs", "meshes"]),
            ("[limits]\nmeshes = 0", ["limits.meshes", "1 to 1000000"]),
            ("[limits]\nmeshes = 'many'", ["meshes", "a whole number"]),
            ("= 1", ["rendezvous.toml", "line 1"]),
        ] {
            let error = config(text).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }
}
