//! `config.toml`: every setting is optional; a wrong one is refused with its place.

use crate::{ConfigError, DataDir};
use ecorelay_protocol::{HubId, limits};
use serde::Deserialize;

/// The port of the WebSocket endpoint when nobody sets one.
const WS_PORT: u16 = 19_736;

/// Where the hub listens for other hubs when nobody says.
const LISTEN: &str = "/ip4/0.0.0.0/tcp/0";

/// Most addresses that a person may add to those the hub finds itself.
const EXTERNAL: usize = 8;

/// As much of a wrong line is repeated, in characters.
const LINE_CHARS: usize = 80;

/// All settings, with their defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// This hub's human name; made from the host name where it is missing.
    pub hub_id: Option<HubId>,
    /// Port of the WebSocket endpoint on 127.0.0.1; 0 switches it off. `ECORELAY_WS_PORT` wins.
    pub ws_port: u16,
    /// Log level: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// How other machines reach this hub.
    pub mesh: MeshSettings,
    /// Bounds.
    pub limits: LimitSettings,
}

/// The `[mesh]` table. It matters once the hub belongs to a mesh: before that nothing listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeshSettings {
    /// Multiaddrs to listen on. Port 0 is a port of the hub's own choice, the same after each
    /// start where it is free. `ECORELAY_MESH_LISTEN`, separated by commas, wins.
    pub listen: Vec<String>,
    /// Find hubs on the local network, and be found. `ECORELAY_MDNS` (0 or 1) wins.
    pub mdns: bool,
    /// Multiaddrs at which others reach this hub and that it cannot find out itself: of a router
    /// that passes a port on, or of a host whose public address is not its own. At most 8.
    pub external_addresses: Vec<String>,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            listen: vec![LISTEN.into()],
            mdns: true,
            external_addresses: Vec::new(),
        }
    }
}

/// The `[limits]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Pushes one sender may cause at once; more are stored quietly.
    pub push_burst: u32,
    /// Pushes one sender may cause per minute in the long run.
    pub push_per_minute: u32,
    /// Pushes within one pair of peers at once.
    pub conversation_burst: u32,
    /// Pushes within one pair of peers per minute.
    pub conversation_per_minute: u32,
    /// Broadcasts per session and minute.
    pub broadcasts_per_minute: u32,
    /// Unread messages per mailbox.
    pub mailbox_unread: usize,
    /// Read messages kept per mailbox.
    pub mailbox_read_kept: usize,
    /// Sessions per hub.
    pub sessions: usize,
}

impl MeshSettings {
    /// Takes over what the environment says.
    fn take_over(&mut self, listen: Option<&str>, mdns: Option<&str>) -> Result<(), ConfigError> {
        if let Some(listen) = listen.filter(|listen| !listen.trim().is_empty()) {
            self.listen = listen.split(',').map(|a| a.trim().to_owned()).collect();
        }
        match mdns.map(str::trim) {
            None | Some("") => {}
            Some("0") => self.mdns = false,
            Some("1") => self.mdns = true,
            Some(other) => {
                return Err(ConfigError::Invalid {
                    place: "ECORELAY_MDNS".into(),
                    message: format!("\"{other}\" is neither 0 (off) nor 1 (on)"),
                });
            }
        }
        Ok(())
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            push_burst: 1_000,
            push_per_minute: 600,
            conversation_burst: 400,
            conversation_per_minute: 60,
            broadcasts_per_minute: 30,
            mailbox_unread: limits::MAILBOX_UNREAD,
            mailbox_read_kept: limits::MAILBOX_READ_KEPT,
            sessions: limits::SESSIONS,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hub_id: None,
            ws_port: WS_PORT,
            log_level: "info".into(),
            mesh: MeshSettings::default(),
            limits: LimitSettings::default(),
        }
    }
}

impl Config {
    /// Returns the settings in `config.toml` of this data directory, or the defaults where
    /// there is no such file; `ECORELAY_WS_PORT` overrides `ws_port`, `ECORELAY_MESH_LISTEN` and
    /// `ECORELAY_MDNS` override `mesh.listen` and `mesh.mdns`.
    ///
    /// # Errors
    /// When the file cannot be read, or a setting is unknown or wrong.
    pub fn load(dir: &DataDir) -> Result<Self, ConfigError> {
        let path = dir.config_file();
        let mut config = match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string())?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(source) => {
                return Err(ConfigError::Io {
                    action: "cannot read",
                    path: path.display().to_string(),
                    source,
                    remedy: "The file must be yours and readable.",
                });
            }
        };
        if let Ok(port) = std::env::var("ECORELAY_WS_PORT") {
            config.ws_port = port.trim().parse().map_err(|_| ConfigError::Invalid {
                place: "ECORELAY_WS_PORT".into(),
                message: format!(
                    "\"{port}\" is not a port from 0 to 65535 (0 switches the endpoint off)"
                ),
            })?;
        }
        let variable = |name| std::env::var(name).ok();
        config.mesh.take_over(
            variable("ECORELAY_MESH_LISTEN").as_deref(),
            variable("ECORELAY_MDNS").as_deref(),
        )?;
        Ok(config)
    }

    fn parse(text: &str, place: &str) -> Result<Self, ConfigError> {
        let invalid = |message: String| ConfigError::Invalid {
            place: place.to_owned(),
            message,
        };
        let config: Self = toml::from_str(text).map_err(|e| {
            let place = e.span().map_or_else(String::new, |span| {
                let before = text.get(..span.start).unwrap_or_default();
                let number = before.matches('\n').count();
                let line = text.lines().nth(number).unwrap_or_default().trim();
                let line: String = line.chars().take(LINE_CHARS).collect();
                format!("line {} ({line}): ", number + 1)
            });
            invalid(format!("{place}{}", e.message().replace('\n', "; ")))
        })?;
        if !["error", "warn", "info", "debug", "trace"].contains(&config.log_level.as_str()) {
            return Err(invalid(format!(
                "log_level \"{}\" is not one of error, warn, info, debug, trace",
                config.log_level
            )));
        }
        if config.mesh.listen.is_empty() {
            return Err(invalid(format!(
                "mesh.listen needs an address, such as \"{LISTEN}\""
            )));
        }
        let external = &config.mesh.external_addresses;
        if external.len() > EXTERNAL {
            return Err(invalid(format!(
                "mesh.external_addresses has more than {EXTERNAL} addresses"
            )));
        }
        let fits = |at: &&String| at.starts_with('/') && at.len() <= limits::MULTIADDR_CHARS;
        if let Some(wrong) = external.iter().find(|at| !fits(at)) {
            return Err(invalid(format!(
                "mesh.external_addresses: \"{wrong}\" is no multiaddr, such as \"/ip4/203.0.113.7/tcp/4711\""
            )));
        }
        let l = &config.limits;
        for (name, value, least, most) in [
            ("mailbox_unread", l.mailbox_unread, 1, 100_000),
            ("mailbox_read_kept", l.mailbox_read_kept, 1, 100_000),
            ("sessions", l.sessions, 1, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(invalid(format!(
                    "limits.{name} must be from {least} to {most}"
                )));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_wrong_setting_is_named() {
        for (text, word) in [
            ("hub_idd = \"x\"", "hub_idd"),
            ("hub_id = \"a b\"", "hub id"),
            ("ws_port = 70000", "ws_port"),
            ("log_level = \"loud\"", "loud"),
            ("[limits]\nsessions = 0", "sessions"),
            ("[mesh]\nport = 1", "port"),
            ("[mesh]\nlisten = []", "mesh.listen"),
            ("[mesh]\nexternal_addresses = [\"here:1\"]", "here:1"),
        ] {
            let error = Config::parse(text, "config.toml").unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let second_line = Config::parse("ws_port = 1\nport = 2", "config.toml").unwrap_err();
        let text = second_line.to_string();
        assert!(
            text.starts_with("config.toml: line 2 (port = 2): ") && !text.contains('\n'),
            "{text}"
        );
        assert_eq!(Config::parse("", "config.toml").unwrap(), Config::default());
    }

    #[test]
    fn the_environment_wins_over_the_mesh_table() {
        let mut config = Config::parse("[mesh]\nmdns = false", "config.toml").unwrap();
        assert_eq!(config.mesh.listen, [LISTEN]);
        config.mesh.take_over(None, Some("")).unwrap();
        assert!(!config.mesh.mdns);
        let two = "/ip4/127.0.0.1/tcp/0, /ip4/10.0.0.1/tcp/4711";
        config.mesh.take_over(Some(two), Some("1")).unwrap();
        assert!(config.mesh.mdns);
        assert_eq!(
            config.mesh.listen,
            ["/ip4/127.0.0.1/tcp/0", "/ip4/10.0.0.1/tcp/4711"]
        );
        let error = config.mesh.take_over(None, Some("no")).unwrap_err();
        assert!(error.to_string().contains("ECORELAY_MDNS"), "{error}");
    }
}
