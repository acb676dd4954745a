//! What a machine on the network hears that everybody's packets reach.

use super::netns::Port;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket, sockopt};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Every kind of packet: `ETH_P_ALL`, in network byte order.
const EVERYTHING: u32 = (0x0003_u16).to_be() as u32;
/// How long one look for a packet takes; then the end is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Records every packet that comes by.
pub(crate) struct Wire {
    stop: Arc<AtomicBool>,
    recorder: JoinHandle<Vec<Vec<u8>>>,
}

impl Wire {
    /// Starts recording on a machine.
    pub(crate) fn tap(port: &Port) -> Self {
        let socket = port.enter(|| {
            let protocol = NonZeroU32::new(EVERYTHING).map(Protocol::from_raw);
            let socket = socket(AddressFamily::PACKET, SocketType::RAW, protocol);
            socket.expect("a packet socket")
        });
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LOOK))
            .expect("a time-out");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let recorder = std::thread::spawn(move || {
            let mut packets = Vec::new();
            let mut packet = vec![0; 1 << 16];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, _)) = recv(&socket, &mut packet[..], RecvFlags::empty()) {
                    packets.push(packet[..length].to_vec());
                }
            }
            packets
        });
        Self { stop, recorder }
    }

    /// Stops and returns the packets.
    pub(crate) fn packets(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.recorder.join().expect("the recorder")
    }
}

/// Returns whether any packet holds these bytes.
pub(crate) fn holds(packets: &[Vec<u8>], bytes: &[u8]) -> bool {
    packets
        .iter()
        .any(|packet| packet.windows(bytes.len()).any(|window| window == bytes))
}
