//! What several hubs do together, each behaviour by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mesh_world;

use mesh_world::Mesh;
use serde_json::json;

#[test]
fn one_hub_without_a_mesh_serves_its_sessions() {
    let mut mesh = Mesh::new(2, 1);
    let ann = mesh.session(0, "ann");
    let sent = mesh.ask(ann, json!({"type":"send","to":"ann","text":"hi"}));
    assert_eq!(sent["type"], "send_ack", "{sent}");
    mesh.pass(60_000);
    assert_eq!(mesh.inbox(ann), ["hi"]);
    assert_eq!(mesh.traffic.links, 0);
}
