//! What does not fit: another key, another mesh, a name or an identity that is taken, a clock
//! that is off. Each is told in its own words, and the others are not disturbed.

use crate::discovery::is_linked;
use crate::support::machine::{Machine, mesh, wait_all_linked};
use crate::support::mail::{read_until, send};
use crate::support::netns::Lan;
use serde_json::Value;
use std::process::Command;

#[test]
fn a_hub_with_another_key_never_gets_in_and_its_owner_is_told() {
    let test = "a_hub_with_another_key_never_gets_in_and_its_owner_is_told";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, mut b, mut c] = mesh(&lan, ["a", "b", "c"]);
    let mut d = Machine::new(&lan, "d");
    d.start();
    d.invite(); // Makes quite another mesh.

    c.stop();
    let key = std::fs::read(d.home.data().join("mesh.key")).unwrap();
    let own = std::fs::read(c.home.data().join("mesh.key")).unwrap();
    assert_ne!(key, own);
    std::fs::write(c.home.data().join("mesh.key"), other_key(&own)).unwrap();
    c.start();
    let warning = c.wait_warning(&["mesh_key_differs"]);
    assert!(warning.contains("mesh.key"), "{warning}");
    let doctor = c.run(&["doctor"]);
    assert!(
        doctor.stdout.contains("mesh.key is not the key"),
        "{doctor:?}"
    );
    // Whoever of them dials meets a handshake that fails.
    c.wait_status("a handshake that failed, here or there", |status| {
        let warnings = status["warnings"].as_array()?;
        let told = warnings.iter().any(|w| w["code"] == "wrong_key");
        let there = [&mut a, &mut b].into_iter().any(|machine| {
            let status = machine.status();
            let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
            warnings.iter().any(|w| w["code"] == "wrong_key")
        });
        (told || there).then_some(())
    });

    // The others talk as if nothing were, and neither c nor d is ever among them.
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    for number in 0..50 {
        send(&mut alice, "bob@b", &number.to_string());
        send(&mut bob, "alice@a", &number.to_string());
    }
    send(&mut alice, "bob@b", "end");
    send(&mut bob, "alice@a", "end");
    assert_eq!(read_until(&mut bob, "end").len(), 50);
    assert_eq!(read_until(&mut alice, "end").len(), 50);
    for machine in [&mut a, &mut b] {
        let status = machine.status();
        assert!(!is_linked(&status, "c"), "{status}");
        assert!(
            crate::support::machine::other(&status, "d").is_none(),
            "{status}"
        );
    }
    let status = d.status();
    assert_eq!(status["hubs"], Value::Array(Vec::new()), "{status}");

    // With its own key back, c is in at once.
    c.stop();
    std::fs::write(c.home.data().join("mesh.key"), own).unwrap();
    c.start();
    c.wait_linked(&["a", "b"]);
}

/// Returns a key file with another key.
fn other_key(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let last = file
        .iter()
        .rposition(u8::is_ascii_hexdigit)
        .expect("a key in hex digits");
    file[last] = if file[last] == b'0' { b'1' } else { b'0' };
    file
}

#[test]
fn a_second_hub_of_the_same_name_is_refused_and_told_so() {
    let test = "a_second_hub_of_the_same_name_is_refused_and_told_so";
    let Some(lan) = Lan::new(test) else { return };
    let [mut a, mut b] = mesh(&lan, ["a", "twin"]);
    let mut c = Machine::new(&lan, "twin");
    c.start();
    let refused = c.try_join(&a.invite(), 8);
    let told = c.wait_warning(&["hub_id_taken"]);
    assert!(told.contains("twin") && told.contains("hub_id"), "{told}");
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(
        refused.stdout.contains("hub_id") || refused.stderr.contains("hub_id"),
        "{refused:?}"
    );

    let mut bob = b.session("bob");
    let mut alice = a.session("alice");
    send(&mut alice, "bob@twin", "to the first one");
    assert_eq!(
        bob.next_of(&["incoming_message"])["text"],
        "to the first one"
    );
    assert_eq!(a.status()["hubs"].as_array().map(Vec::len), Some(1));
    assert!(is_linked(&b.status(), "a"));

    // It does what it was told.
    c.hub_id = "other".into();
    c.configure("");
    c.run(&["node", "stop"]).expect_code(0);
    c.kill_9();
    c.start();
    c.wait_linked(&["a", "twin"]);
}

#[test]
fn a_cloned_data_directory_is_told_so() {
    let test = "a_cloned_data_directory_is_told_so";
    let Some(lan) = Lan::new(test) else { return };
    let [a, mut b] = mesh(&lan, ["a", "b"]);
    b.stop();
    let mut clone = Machine::new(&lan, "b");
    std::fs::remove_dir_all(clone.home.data()).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([b.home.data(), clone.home.data()])
        .status();
    assert!(copied.unwrap().success());
    b.start();
    b.wait_linked(&["a"]);
    clone.start();
    // Who started last has the name; the other one is told. Which of the two finds out first
    // depends on who hears whom.
    let code = "cloned_identity";
    let told = b.wait_status("a warning on one of the two", |status| {
        let here = warning(status, code);
        here.or_else(|| warning(&clone.status(), code))
    });
    assert!(told.contains("identity.key"), "{told}");
    let mut alice = a.session("alice");
    send(&mut alice, "bob@b", "end");
}

#[test]
fn a_clock_that_is_years_off_is_told_on_both_sides_and_nothing_else_suffers() {
    let test = "a_clock_that_is_years_off_is_told_on_both_sides_and_nothing_else_suffers";
    let Some(lan) = Lan::new(test) else { return };
    let Some(mut machines) = with_a_wrong_clock(test, &lan) else {
        return;
    };
    wait_all_linked(&mut machines);
    let [a, b] = &mut machines;
    for machine in [&mut *a, &mut *b] {
        let told = machine.wait_warning(&["clock_skew"]);
        assert!(told.contains("clock"), "{told}");
    }
    let (mut alice, mut bob) = (a.session("alice"), b.session("bob"));
    for number in 0..20 {
        send(&mut alice, "bob@b", &number.to_string());
        send(&mut bob, "alice@a", &number.to_string());
    }
    send(&mut alice, "bob@b", "end");
    send(&mut bob, "alice@a", "end");
    assert_eq!(read_until(&mut bob, "end").len(), 20);
    assert_eq!(read_until(&mut alice, "end").len(), 20);
}

/// The seconds by which the wrong clock is behind: four years.
const BEHIND: &str = "126000000";

/// Gives a program another time of day: only the C library is asked for it.
const WRONG_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t which, struct timespec *out) {
    int result = (int)syscall(SYS_clock_gettime, which, out);
    if (result == 0 && which == CLOCK_REALTIME) out->tv_sec -= BEHIND;
    return result;
}
"#;

/// Returns two hubs of a mesh, started anew; the clock of the second is wrong.
fn with_a_wrong_clock(test: &str, lan: &Lan) -> Option<[Machine; 2]> {
    let mut machines = mesh(lan, ["a", "b"]);
    let [_, b] = &mut machines;
    let (source, library) = (
        b.home.path().join("clock.c"),
        b.home.path().join("clock.so"),
    );
    std::fs::write(&source, WRONG_CLOCK).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-DBEHIND={BEHIND}"), "-o"])
        .args([&library, &source])
        .output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        crate::support::announce(&format!("SKIPPED: {test}: needs a C compiler called cc"));
        return None;
    }
    b.stop();
    b.home
        .set("LD_PRELOAD", library.to_str().expect("a plain path"));
    b.start();
    Some(machines)
}

/// Returns the words of a warning of this code.
fn warning(status: &Value, code: &str) -> Option<String> {
    let warnings = status["warnings"].as_array()?;
    let warning = warnings.iter().find(|warning| warning["code"] == code)?;
    Some(format!("{} {}", warning["message"], warning["remedy"]))
}
