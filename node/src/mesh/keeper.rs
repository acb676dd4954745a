//! The mesh's place in a node: it starts when there is a key, changes to another key when the hub
//! joins another mesh, and ends with the node.
//!
//! The hub thread holds a [`MeshSlot`] and never waits; the [`MeshKeeper`] does what takes time.

use super::{Identity, MeshConfig, MeshError, MeshHandle, MeshKeyError, Timing, key_file, ports};
use crate::events::{Event, HubHandle};
use ecorelay_hub::{MeshEffect, MeshPeers, Warning};
use ecorelay_protocol::Psk;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long the mesh may take to end; links then have sent what was queued, or never will.
const END_TIME: Duration = Duration::from_secs(3);

/// The warning when a configured port is not free.
const PORT_TAKEN: &str = "mesh_port_taken";
/// The warning when the mesh does not run.
const MESH_OFF: &str = "mesh_off";
/// The warning when the key cannot be written.
const KEY_NOT_SAVED: &str = "mesh_key_not_saved";

/// What the hub thread holds of a mesh that runs, or will, or never does.
#[derive(Debug, Clone, Default)]
pub(crate) struct MeshSlot(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A key is wanted.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// The key that the keeper has not followed yet.
    wanted: Option<Psk>,
    /// A mesh of another key that is to end.
    leaving: Option<MeshHandle>,
    /// The latest list, for a mesh that starts later.
    peers: MeshPeers,
}

#[derive(Debug, Clone)]
struct Running {
    psk: Psk,
    handle: MeshHandle,
}

impl MeshSlot {
    /// Carries an effect out, or starts to; never waits. Without a mesh, what is meant for a link
    /// is dropped: there is none.
    pub(crate) fn apply(&self, effect: MeshEffect) {
        let mut state = self.lock();
        match effect {
            MeshEffect::Key(psk) => {
                if state.running.as_ref().is_some_and(|r| r.psk == psk) {
                    return;
                }
                // From here on nothing reaches the old mesh.
                if let Some(old) = state.running.take() {
                    state.leaving = Some(old.handle);
                }
                state.wanted = Some(psk);
                self.0.wanted.notify_one();
            }
            effect => {
                if let MeshEffect::Hubs(peers) = &effect {
                    state.peers = peers.clone();
                }
                if let Some(running) = &state.running {
                    running.handle.apply(effect);
                }
            }
        }
    }

    /// Closes all links at once: what was sent on them rests on something that is not stored.
    pub(crate) fn cut_links(&self) {
        if let Some(running) = &self.lock().running {
            running.handle.cut_links();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // One assignment at a time: never half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a node's mesh is to be.
#[derive(Debug)]
pub(crate) struct MeshSettings {
    pub(crate) identity: Identity,
    /// `mesh.key`.
    pub(crate) key: PathBuf,
    /// Multiaddrs to listen on, as they were configured.
    pub(crate) listen: Vec<String>,
    /// Multiaddrs at which others reach this hub, as they were configured.
    pub(crate) external: Vec<String>,
    pub(crate) mdns: bool,
}

/// Starts and ends the mesh of a node.
#[derive(Debug)]
pub(crate) struct MeshKeeper {
    settings: MeshSettings,
    hub: HubHandle,
    slot: MeshSlot,
    /// Warnings that were raised.
    raised: Vec<&'static str>,
}

impl MeshKeeper {
    pub(crate) fn new(settings: MeshSettings, hub: HubHandle, slot: MeshSlot) -> Self {
        Self {
            settings,
            hub,
            slot,
            raised: Vec::new(),
        }
    }

    /// Returns the key in `mesh.key`, where that file is.
    ///
    /// # Errors
    /// When it is not a key.
    pub(crate) fn stored_key(settings: &MeshSettings) -> Result<Option<Psk>, MeshKeyError> {
        key_file::load(&settings.key)
    }

    /// Starts the mesh with the key of `mesh.key`.
    pub(crate) async fn begin(&mut self, psk: Psk) {
        self.start(psk).await;
    }

    /// Follows the hub thread's wishes; returns when the mesh has died.
    pub(crate) async fn run(&mut self) {
        loop {
            let running = self.slot.lock().running.clone();
            let died = async {
                match &running {
                    Some(running) => running.handle.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.slot.0.wanted.notified() => {}
                () = died => return,
            }
            self.follow().await;
        }
    }

    /// Ends the mesh; links send what is queued before.
    pub(crate) async fn end(&mut self) {
        let handles = {
            let mut state = self.slot.lock();
            let running = state.running.take().map(|running| running.handle);
            [running, state.leaving.take()]
        };
        for handle in handles.into_iter().flatten() {
            end(&handle).await;
        }
    }

    /// Changes to the key that is wanted.
    async fn follow(&mut self) {
        let (wanted, leaving) = {
            let mut state = self.slot.lock();
            (state.wanted.take(), state.leaving.take())
        };
        if let Some(old) = leaving {
            end(&old).await;
        }
        let Some(psk) = wanted else {
            return;
        };
        match key_file::save(&self.settings.key, &psk) {
            Ok(()) => self.lift(KEY_NOT_SAVED).await,
            Err(error) => {
                let message = format!("The mesh's key is not saved: {error}.");
                let remedy = "Make room and the data directory writable; the hub writes the file at its next start: ecorelay node restart";
                self.warn(KEY_NOT_SAVED, message, remedy).await;
            }
        }
        self.start(psk).await;
    }

    async fn start(&mut self, psk: Psk) {
        let places = ports::choose(&self.settings.listen, &self.settings.identity);
        let started = match self.open(&psk, places.listen) {
            // Another program was faster than the look.
            Err(MeshError::Listen { .. }) => self.open(&psk, ports::any(&self.settings.listen)),
            outcome => outcome,
        };
        match started {
            Ok(handle) => {
                {
                    let mut state = self.slot.lock();
                    handle.apply(MeshEffect::Hubs(state.peers.clone()));
                    state.running = Some(Running { psk, handle });
                }
                self.lift(MESH_OFF).await;
            }
            Err(error) => {
                let message = format!("This hub takes no part in its mesh: {error}.");
                let remedy = "Check mesh.listen in config.toml, then: ecorelay node restart";
                self.warn(MESH_OFF, message, remedy).await;
            }
        }
        if places.taken.is_empty() {
            self.lift(PORT_TAKEN).await;
        } else {
            let message = format!(
                "Another program uses the port of {}: the mesh listens on another one.",
                places.taken.join(" and ")
            );
            let remedy = "End the other program or set another port in mesh.listen of config.toml; then: ecorelay node restart";
            self.warn(PORT_TAKEN, message, remedy).await;
        }
    }

    fn open(&self, psk: &Psk, listen: Vec<String>) -> Result<MeshHandle, MeshError> {
        let config = MeshConfig {
            identity: self.settings.identity.clone(),
            psk: psk.clone(),
            listen,
            external: self.settings.external.clone(),
            mdns: self.settings.mdns,
            punch: true,
            timing: Timing::default(),
        };
        super::start(config, self.hub.clone())
    }

    async fn warn(&mut self, code: &'static str, message: String, remedy: &str) {
        tracing::warn!(code, "{message}");
        if !self.raised.contains(&code) {
            self.raised.push(code);
        }
        let warning = Warning {
            code: code.into(),
            message,
            remedy: remedy.into(),
        };
        self.tell(code, Some(warning)).await;
    }

    async fn lift(&mut self, code: &'static str) {
        if self.raised.contains(&code) {
            self.raised.retain(|raised| *raised != code);
            self.tell(code, None).await;
        }
    }

    async fn tell(&self, code: &'static str, warning: Option<Warning>) {
        // A hub that has ended already says so itself.
        let _ = self.hub.send(Event::Warning { code, warning }).await;
    }
}

async fn end(handle: &MeshHandle) {
    if timeout(END_TIME, handle.shutdown()).await.is_err() {
        tracing::warn!("the mesh did not end in time");
    }
}
