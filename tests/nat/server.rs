//! A rendezvous server on a public host.

use crate::support::nat::PUBLIC;
use crate::support::netns::move_thread;
use ecorelay_rendezvous::{Config, Identity, Server};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Where the first one listens.
const PORT: u16 = 4_001;

/// A server that runs until it is killed or dropped.
pub(crate) struct PublicServer {
    namespace: String,
    port: u16,
    identity: Identity,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl PublicServer {
    /// Starts a server on the host of this namespace.
    pub(crate) fn start(namespace: &str) -> Self {
        Self::start_nth(namespace, 0)
    }

    /// Starts one more server there.
    pub(crate) fn start_nth(namespace: &str, n: u16) -> Self {
        let mut server = Self {
            namespace: namespace.to_owned(),
            port: PORT + n,
            identity: Identity::generate(),
            running: None,
        };
        server.restart();
        server
    }

    /// Returns the address to give to hubs.
    pub(crate) fn address(&self) -> String {
        let (port, peer) = (self.port, self.identity.peer_id());
        format!("/ip4/{PUBLIC}/tcp/{port}/p2p/{peer}")
    }

    /// Starts it again, with the same key at the same place.
    pub(crate) fn restart(&mut self) {
        let port = self.port;
        let config = Config {
            listen: vec![
                format!("/ip4/0.0.0.0/tcp/{port}")
                    .parse()
                    .expect("an address"),
            ],
            external: vec![
                format!("/ip4/{PUBLIC}/tcp/{port}")
                    .parse()
                    .expect("an address"),
            ],
            ..Config::local(self.identity.clone())
        };
        let namespace = self.namespace.clone();
        let (stop, stopped) = oneshot::channel();
        let (started, ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            move_thread(&namespace);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let _server = Server::start(config).await.expect("a server");
                started.send(()).expect("the test");
                let _ = stopped.await;
            });
            // Its tasks end with it, in the middle of what they do.
            runtime.shutdown_background();
        });
        ready.recv().expect("the server has started");
        self.running = Some((stop, thread));
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().expect("the server's thread");
        }
    }
}

impl Drop for PublicServer {
    fn drop(&mut self) {
        self.kill();
    }
}
