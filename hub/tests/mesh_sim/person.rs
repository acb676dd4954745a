//! The person at the terminals: makes the mesh on the first machine, takes the ticket to the
//! others, tries again when a hub was down.

use crate::mesh_world::Mesh;
use ecorelay_hub::ConnId;
use serde_json::{Value, json};

pub struct Person {
    ticket: Option<String>,
    joined: Vec<bool>,
    /// Commands that were not answered yet.
    open: Vec<(usize, ConnId)>,
}

impl Person {
    pub fn new(hubs: usize) -> Self {
        Self {
            ticket: None,
            joined: vec![false; hubs],
            open: Vec::new(),
        }
    }

    /// Does one thing that is still to be done.
    pub fn act(&mut self, rng: &mut fastrand::Rng, mesh: &mut Mesh) {
        let Some(ticket) = self.ticket.clone() else {
            return self.command(
                mesh,
                0,
                &json!({"type":"invite","uses":100,"req_id":"invite"}),
            );
        };
        let at = rng.usize(1..mesh.machines.len());
        if !self.joined[at] {
            self.command(
                mesh,
                at,
                &json!({"type":"join","ticket":ticket,"req_id":"join"}),
            );
        } else if rng.u32(0..4) == 0 {
            // Any member may invite; those who join later use the newest ticket.
            self.command(
                mesh,
                at,
                &json!({"type":"invite","uses":100,"req_id":"invite"}),
            );
        }
    }

    fn command(&mut self, mesh: &mut Mesh, at: usize, line: &Value) {
        if let Some(conn) = mesh.machines[at].connect() {
            mesh.machines[at].write(conn, line);
            self.open.push((at, conn));
        }
    }

    /// Reads the answers.
    pub fn listen(&mut self, mesh: &mut Mesh) {
        for (at, conn) in std::mem::take(&mut self.open) {
            let lines = mesh.machines[at].lines(conn);
            let answer = lines.into_iter().find(|line| !line["req_id"].is_null());
            match answer {
                Some(line) => {
                    if let Some(ticket) = line["ticket"].as_str() {
                        self.ticket = Some(ticket.to_owned());
                    }
                    if line["type"] == "join_result" {
                        self.joined[at] = true;
                    }
                    mesh.machines[at].disconnect(conn);
                }
                None if mesh.machines[at].is_closed(conn) => {}
                None => self.open.push((at, conn)),
            }
        }
    }

    /// Does everything that is still to be done.
    pub fn make_the_mesh(&mut self, mesh: &mut Mesh) {
        for _ in 0..100 {
            if self.ticket.is_none() {
                self.command(
                    mesh,
                    0,
                    &json!({"type":"invite","uses":100,"req_id":"invite"}),
                );
            }
            let ticket = self.ticket.clone().unwrap_or_default();
            for at in 1..mesh.machines.len() {
                if !ticket.is_empty() && !self.joined[at] {
                    self.command(
                        mesh,
                        at,
                        &json!({"type":"join","ticket":ticket,"req_id":"join"}),
                    );
                }
            }
            mesh.pass(1_000);
            self.listen(mesh);
            if self.ticket.is_some() && self.joined.iter().skip(1).all(|joined| *joined) {
                break;
            }
        }
        assert!(
            self.joined.iter().skip(1).all(|joined| *joined),
            "a hub could not join"
        );
        mesh.pass(5_000);
    }
}
