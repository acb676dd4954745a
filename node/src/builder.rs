//! Starting a node: everything it needs, in the order it needs it.

#[cfg(doc)]
use crate::ExitReason;
use crate::events::{self, Event, HubHandle};
use crate::hub_thread::{self, HubSetup};
use crate::lifecycle::{self, Footing, HubLock};
use crate::mesh::{Identity, MeshKeeper, MeshSettings, MeshSlot};
use crate::node::{About, Node};
use crate::pairing::{PairingSettings, pairing};
use crate::sessions::{Door, SocketListener, WebSocketListener};
use crate::store::SqliteStore;
use crate::{NodeError, node};
use ecorelay_config::{Config, DataDir};
use ecorelay_hub::{HubConfig, Tunables, Warning};
use ecorelay_protocol::HubId;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// The warning when the WebSocket port is not free.
const WS_PORT_TAKEN: &str = "ws_port_taken";

/// How a node is to be. Made by [`Node::builder`].
#[derive(Debug, Default)]
pub struct NodeBuilder {
    data_dir: Option<DataDir>,
    config: Config,
    idle_exit: Option<Duration>,
    websocket: bool,
}

impl NodeBuilder {
    /// Sets the data directory; without this it is [`DataDir::from_env`].
    #[must_use]
    pub fn data_dir(mut self, dir: DataDir) -> Self {
        self.data_dir = Some(dir);
        self
    }

    /// Sets all settings; without this they are [`Config::default`]. Undoes
    /// [`NodeBuilder::hub_id`], [`NodeBuilder::listen`] and [`NodeBuilder::mdns`] before it.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the hub's human name, the part behind the `@` of its sessions' addresses; without this
    /// it is made from the machine's name and the hub's key.
    #[must_use]
    pub fn hub_id(mut self, hub_id: HubId) -> Self {
        self.config.hub_id = Some(hub_id);
        self
    }

    /// Sets the multiaddrs at which other hubs reach this one once it is in a mesh; without this
    /// it is every interface. Port 0 is a port of the hub's own choice, the same after each start
    /// where it is free.
    #[must_use]
    pub fn listen<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.config.mesh.listen = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Says whether the hub looks for others on the local network and lets itself be found
    /// (mDNS); without this it does.
    #[must_use]
    pub fn mdns(mut self, on: bool) -> Self {
        self.config.mesh.mdns = on;
        self
    }

    /// Lets the node end by itself when nobody has needed it for this long ([`ExitReason::Idle`]).
    /// Without this, or with `None`, it stays.
    #[must_use]
    pub fn idle_exit(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.idle_exit = after.into();
        self
    }

    /// Opens the WebSocket endpoint on 127.0.0.1, at the port of the settings (0: not at all).
    /// Off unless this is called: a library opens no port unasked.
    #[must_use]
    pub fn websocket(mut self, open: bool) -> Self {
        self.websocket = open;
        self
    }

    /// Starts the node: when this returns, sessions can connect.
    ///
    /// # Errors
    /// [`NodeError`] with a sentence that says what to do; nothing is left running then.
    pub async fn start(self) -> Result<Node, NodeError> {
        let dir = match self.data_dir {
            Some(dir) => dir,
            None => DataDir::from_env()?,
        };
        lifecycle::prepare(&dir)?;
        let lock = HubLock::take(&dir.lock())?;
        let identity = Identity::load_or_create(&dir.identity_key())?;
        let hub_id = hub_id(&self.config, &identity)?;
        let mesh = MeshSettings {
            identity: identity.clone(),
            key: dir.mesh_key(),
            listen: self.config.mesh.listen.clone(),
            external: self.config.mesh.external_addresses.clone(),
            mdns: self.config.mesh.mdns,
        };
        let mesh_key = MeshKeeper::stored_key(&mesh)?;
        let store = SqliteStore::open(&dir.store())?;
        let footing = Footing::on(&[dir.lock(), dir.store()]).map_err(|source| NodeError::Io {
            action: "cannot read",
            path: dir.root().display().to_string(),
            source,
        })?;
        let (websocket, warning) = if self.websocket && self.config.ws_port != 0 {
            open_websocket(&dir, self.config.ws_port).await?
        } else {
            (None, None)
        };
        let about = About {
            hub_id,
            peer_id: identity.peer_id(),
            websocket: websocket.as_ref().map(WebSocketListener::address),
            data_dir: dir,
        };
        let (hub, inbox) = events::channel();
        let slot = MeshSlot::default();
        let settings = PairingSettings {
            identity: identity.clone(),
            listen: mesh.listen.clone(),
            mdns: mesh.mdns,
        };
        let (pairing_slot, pairing) = pairing(settings, hub.clone());
        let mut keeper = MeshKeeper::new(mesh, hub.clone(), slot.clone());
        let mut thread = hub_thread::spawn(HubSetup {
            config: HubConfig {
                mesh_key: mesh_key.clone(),
                ..hub_config(&about, &self.config)
            },
            identity,
            store,
            inbox,
            mesh: slot,
            pairing: pairing_slot,
            idle_exit: self.idle_exit,
        })
        .map_err(|source| NodeError::Io {
            action: "cannot start",
            path: "the hub thread".into(),
            source,
        })?;
        match (&mut thread.ready).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(NodeError::StoreLost(error)),
            Err(_) => return Err(NodeError::Died),
        }
        if let Some(warning) = warning {
            warn(&hub, warning).await;
        }
        let socket = SocketListener::bind(about.data_dir.socket()).map_err(|source| {
            hub.stop();
            NodeError::Socket {
                path: about.data_dir.socket().display().to_string(),
                source,
            }
        })?;
        if let Some(psk) = mesh_key {
            keeper.begin(psk).await;
        }
        let door = Door::new(hub.clone());
        let mut listeners = JoinSet::new();
        listeners.spawn(socket.run(door.clone()));
        if let Some(websocket) = websocket {
            listeners.spawn(websocket.run(door.clone()));
        }
        tracing::info!(hub_id = %about.hub_id, peer_id = %about.peer_id, "the hub is up");
        let supervisor = tokio::spawn(node::supervise(
            thread, listeners, keeper, pairing, door, lock, footing,
        ));
        Ok(Node::new(about, hub, supervisor))
    }
}

async fn warn(hub: &HubHandle, warning: Warning) {
    tracing::warn!(code = WS_PORT_TAKEN, "{}", warning.message);
    let event = Event::Warning {
        code: WS_PORT_TAKEN,
        warning: Some(warning),
    };
    // A hub that has ended already says so itself.
    let _ = hub.send(event).await;
}

fn hub_id(config: &Config, identity: &Identity) -> Result<HubId, NodeError> {
    if let Some(hub_id) = &config.hub_id {
        return Ok(hub_id.clone());
    }
    identity.default_hub_id().ok_or_else(|| {
        NodeError::Config(ecorelay_config::ConfigError::Invalid {
            place: "config.toml".into(),
            message: "set hub_id: none can be made from this machine's name".into(),
        })
    })
}

/// Opens the endpoint; a port that is taken is a warning only.
async fn open_websocket(
    dir: &DataDir,
    port: u16,
) -> Result<(Option<WebSocketListener>, Option<Warning>), NodeError> {
    let token = match std::env::var("ECORELAY_WS_TOKEN") {
        Ok(token) if !token.is_empty() => token,
        _ => ecorelay_config::load_or_create_token(&dir.ws_token())?,
    };
    Ok(match WebSocketListener::bind(port, &token).await {
        Ok(listener) => (Some(listener), None),
        Err(error) => {
            let warning = Warning {
                code: WS_PORT_TAKEN.into(),
                message: format!(
                    "The WebSocket endpoint is off: port {port} of 127.0.0.1 cannot be opened ({error})."
                ),
                remedy: "Set ws_port in config.toml (or ECORELAY_WS_PORT) to a free port, or to 0 to switch the endpoint off; then: ecorelay node restart".into(),
            };
            (None, Some(warning))
        }
    })
}

fn hub_config(about: &About, config: &Config) -> HubConfig {
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let document = json!({
        "peer_id": about.peer_id,
        "version": env!("CARGO_PKG_VERSION"),
        "data_dir": about.data_dir.root(),
        "mdns": config.mesh.mdns,
        "pid": std::process::id(),
        "started": u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        "store_path": about.data_dir.store(),
        "socket": about.data_dir.socket(),
        "ws": about.websocket.map(|address| format!("ws://{address}")),
    });
    let limits = &config.limits;
    HubConfig {
        hub_id: about.hub_id.clone(),
        tunables: Tunables {
            push_burst: limits.push_burst,
            push_per_minute: limits.push_per_minute,
            conversation_burst: limits.conversation_burst,
            conversation_per_minute: limits.conversation_per_minute,
            broadcasts_per_minute: limits.broadcasts_per_minute,
            mailbox_unread: limits.mailbox_unread,
            mailbox_read_kept: limits.mailbox_read_kept,
            sessions: limits.sessions,
        },
        started: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        mesh_key: None,
        about: match document {
            serde_json::Value::Object(map) => map,
            _ => serde_json::Map::new(),
        },
    }
}
