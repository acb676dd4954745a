//! A peer that speaks frames by hand, and says whatever the test wants.

use super::Mesh;
use ecorelay_hub::{Input, Keys as _, LinkId, LinkPath, MeshInput, PlainKeys};
use ecorelay_protocol::link::{Admission, Binding, Frame, Hello, Signable, Signed};
use ecorelay_protocol::{CborError, PeerId, from_cbor};

/// What came out of a link of such a peer.
#[derive(Debug, Default)]
pub struct Heard {
    pub frames: Vec<Frame>,
    pub bytes: usize,
    pub closed: bool,
}

/// A peer that is linked to one hub.
#[derive(Debug, Clone)]
pub struct Raw {
    pub at: usize,
    pub link: LinkId,
    pub keys: PlainKeys,
}

/// Returns a value signed with these keys.
pub fn sign<T: Signable>(keys: &PlainKeys, value: &T) -> Signed {
    Signed::new(keys.peer_id().clone(), value, |m| keys.sign(m))
}

impl Raw {
    /// Opens a link to a hub with the keys of this number; says nothing yet.
    pub fn open(mesh: &mut Mesh, at: usize, number: u8) -> Self {
        let keys = PlainKeys::numbered(number);
        let link = mesh.machines[at].new_link();
        mesh.raw.insert((at, link), Heard::default());
        let raw = Self { at, link, keys };
        mesh.machines[at].input(Input::Mesh(MeshInput::LinkUp {
            link,
            peer: raw.peer(),
            address: "/ip4/10.9.9.9/tcp/4001".into(),
            path: LinkPath::Direct,
        }));
        mesh.pass(5);
        raw
    }

    /// Opens a link and says hello as a hub that the mesh's first has admitted.
    pub fn member(mesh: &mut Mesh, at: usize, number: u8, name: &str) -> Self {
        let raw = Self::open(mesh, at, number);
        let mut hello = raw.hello(mesh, name);
        hello.admissions = vec![raw.admission(mesh)];
        raw.send(mesh, &Frame::Hello(Box::new(hello)));
        assert!(!raw.is_closed(mesh), "{:?}", raw.heard(mesh).frames);
        raw
    }

    /// Returns the admission that lets it in, signed by the mesh's first hub.
    pub fn admission(&self, mesh: &Mesh) -> Signed {
        let admission = Admission {
            root: mesh.machines[0].peer.clone(),
            subject: self.peer(),
            ts: mesh.machines[0].now(mesh.time),
            revoked: false,
            ticket: None,
            keeps: Vec::new(),
        };
        sign(&PlainKeys::numbered(1), &admission)
    }

    pub fn peer(&self) -> PeerId {
        self.keys.peer_id().clone()
    }

    /// Returns a hello as an honest hub says it.
    pub fn hello(&self, mesh: &Mesh, name: &str) -> Hello {
        let since = 1;
        let hub_id = name.parse().unwrap();
        Hello {
            oldest: 1,
            newest: 1,
            software: "raw".into(),
            binding: sign(&self.keys, &Binding { hub_id, since }),
            epoch: 1,
            now: mesh.machines[self.at].now(mesh.time),
            root: Some(mesh.machines[0].peer.clone()),
            admissions: Vec::new(),
            features: Vec::new(),
        }
    }

    pub fn send(&self, mesh: &mut Mesh, frame: &Frame) {
        self.send_bytes(mesh, &frame.encode());
    }

    /// Sends bytes as the body reads them.
    pub fn send_bytes(&self, mesh: &mut Mesh, bytes: &[u8]) {
        let link = self.link;
        let frame = Frame::decode(bytes).map(Box::new);
        mesh.machines[self.at].input(Input::Mesh(MeshInput::Frame { link, frame }));
        mesh.pass(2);
    }

    /// Publishes bytes over gossip.
    pub fn gossip(&self, mesh: &mut Mesh, bytes: &[u8]) {
        let publication: Result<_, CborError> = from_cbor(bytes).map(Box::new);
        let author = self.peer();
        mesh.machines[self.at].input(Input::Mesh(MeshInput::Gossip {
            author,
            publication,
        }));
        mesh.pass(2);
    }

    pub fn heard<'a>(&self, mesh: &'a Mesh) -> &'a Heard {
        &mesh.raw[&(self.at, self.link)]
    }

    pub fn is_closed(&self, mesh: &Mesh) -> bool {
        self.heard(mesh).closed
    }

    /// Goes away, as the body tells it.
    pub fn drop_link(&self, mesh: &mut Mesh) {
        let link = self.link;
        let reason = "gone".into();
        mesh.machines[self.at].input(Input::Mesh(MeshInput::LinkDown { link, reason }));
        mesh.pass(2);
    }
}
