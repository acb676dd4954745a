//! The operator's view: everything that is in the memory of a running server while a mesh uses
//! it. It finds PeerIds, addresses and namespaces; no key, and nothing of what is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

mod support;

use ecorelay_protocol::Psk;
use ecorelay_protocol::rendezvous::namespace;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::process::{Child, Command, Stdio};
use support::hub::Hub;
use support::soon;

/// A running server that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns all memory of a process that can be written to.
fn memory(pid: u32) -> std::io::Result<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut file = File::open(format!("/proc/{pid}/mem"))?;
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        if rights.starts_with("rw") && !line.contains("[v") {
            file.seek(SeekFrom::Start(from))?;
            let mut part = vec![0; usize::try_from(to - from).unwrap()];
            // Pages that were never touched or that went meanwhile are not there.
            if file.read_exact(&mut part).is_ok() {
                all.extend(part);
            }
        }
    }
    Ok(all)
}

fn holds(memory: &[u8], what: &[u8]) -> bool {
    memory.windows(what.len()).any(|window| window == what)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_finds_who_and_where_and_nothing_of_what() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ecorelay-rendezvous"))
        .arg("--data-dir")
        .arg(dir.path())
        .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    let server = Running(child);
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let id = address.rsplit('/').next().unwrap().parse().unwrap();

    // A mesh that uses it: its hubs enter, and say something to each other over a circuit.
    let key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 7 + 3).unwrap());
    let psk = Psk::new(key);
    let token = psk.admission_token(&id);
    let (ann, bob) = (Hub::new(&address), Hub::new(&address));
    let mut ann_in = ann.enter_with(vec![token.to_vec()]).await.unwrap();
    let _bob_in = bob.enter_with(vec![token.to_vec()]).await.unwrap();
    ann_in.others(1).await;
    bob.reserve().await.unwrap();
    let mut stream = ann.echo(bob.peer).await.unwrap();
    let secret = b"the deploy key of the payment service is under the doormat";
    let mut back = vec![0; secret.len()];
    for _ in 0..50 {
        soon("the echo", async {
            stream.write_all(secret).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut back).await.unwrap();
        })
        .await;
        assert_eq!(back, secret);
    }

    let memory = match memory(server.0.id()) {
        Ok(memory) => memory,
        Err(error) => return println!("SKIPPED: the memory of the server cannot be read: {error}"),
    };
    println!(
        "{} KiB of the server's memory were searched",
        memory.len() / 1024
    );
    // What it must know to do its work; and so that this search is known to find things.
    assert!(holds(&memory, bob.peer.to_base58().as_bytes()));
    assert!(holds(&memory, &namespace(&token)));
    assert!(holds(&memory, ann_in.observed.as_bytes()));
    // What it must not.
    assert!(!holds(&memory, &key), "the key of the mesh");
    assert!(!holds(&memory, secret), "a message");
    assert!(!holds(&memory, &secret[..24]), "a part of a message");

    // With all that it holds, its operator enters no mesh: it has the namespace, not the token.
    let operator = std::fs::read(dir.path().join("identity.key")).unwrap();
    let operator = libp2p::identity::Keypair::from_protobuf_encoding(&operator).unwrap();
    assert_eq!(operator.public().to_peer_id().to_base58(), id.to_string());
    let eve = Hub::new(&address);
    let mut eve_in = eve
        .enter_with(vec![namespace(&token).to_vec()])
        .await
        .unwrap();
    assert!(eve_in.others(0).await.is_empty());
    eve.echo(bob.peer).await.unwrap_err();
}
