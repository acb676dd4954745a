//! What a status says of the push path of each session.

use crate::world::World;
use ecorelay_hub::ConnId;
use serde_json::{Value, json};

fn register(name: &str) -> Value {
    json!({"type":"register","name":name,"cwd":"/","protocol_version":"6","agent":"demo",
        "push":"none","push_detail":"no plugin is attached at this moment"})
}

fn session(w: &mut World, asker: ConnId) -> Value {
    w.ask(asker, json!({"type":"status"}))["status"]["sessions"][0].clone()
}

#[test]
fn a_session_is_shown_with_the_path_it_has_and_since_when() {
    let mut w = World::new();
    let (a, person) = (w.connect(), w.connect());
    w.ask(a, register("api"));
    let begin = w.now;
    let shown = session(&mut w, person);
    assert_eq!(
        (&shown["push"], &shown["push_detail"], &shown["push_since"]),
        (
            &json!("none"),
            &json!("no plugin is attached at this moment"),
            &json!(begin)
        )
    );
    assert_eq!(shown["last_push"], Value::Null);

    w.pass(1_000);
    w.ask(a, json!({"type":"state","state":"idle","push":"plugin"}));
    let attached = w.now;
    w.pass(1_000);
    w.ask(
        a,
        json!({"type":"state","state":"idle","push":"plugin","push_detail":"it is slow"}),
    );
    let shown = session(&mut w, person);
    assert_eq!(
        (&shown["push"], &shown["push_detail"], &shown["push_since"]),
        (&json!("plugin"), &json!("it is slow"), &json!(attached)),
        "other words are no other path"
    );
    w.ask(a, json!({"type":"state","state":"busy"}));
    let shown = session(&mut w, person);
    assert_eq!(
        (&shown["push"], &shown["state"]),
        (&json!("plugin"), &json!("busy")),
        "what is not said stays as it was"
    );
}

#[test]
fn the_fate_of_the_last_push_is_shown() {
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    w.send(a, json!({"type":"send","to":"b","text":"x"}));
    let id = w.take_type(b, "incoming_message")[0]["msg_id"].clone();
    w.send(b, json!({"type":"pushed","msg_ids":[id],"result":"refused","path":"wait","detail":"no waiter"}));
    let at = w.now;
    let status = w.ask(a, json!({"type":"status"}))["status"].clone();
    assert_eq!(
        status["sessions"][1]["last_push"],
        json!({"ts":at,"result":"refused","path":"wait","detail":"no waiter"})
    );
    assert_eq!(status["sessions"][0]["last_push"], Value::Null);
}

#[test]
fn peers_of_version_6_see_the_path_and_others_get_no_new_key() {
    let mut w = World::new();
    let a = w.connect();
    w.ask(a, register("api"));
    let (old, new) = (w.v5("old"), w.v6("new"));
    let listed = |w: &mut World, by| w.ask(by, json!({"type":"list_peers"}))["peers"].clone();
    let seen = listed(&mut w, new);
    assert_eq!(seen[0]["push"], "none");
    assert!(seen[1].get("push").is_none(), "it says nothing: {seen}");
    assert!(listed(&mut w, old)[0].get("push").is_none());
}

#[test]
fn watchers_hear_of_a_change_and_of_nothing_else() {
    let mut w = World::new();
    let (a, person) = (w.connect(), w.connect());
    w.ask(a, register("api"));
    w.ask(person, json!({"type":"watch"}));
    w.pass(1_000);
    w.take(person);
    let line = json!({"type":"state","state":"","push":"wait"});
    w.ask(a, line.clone());
    w.pass(1_000);
    assert_eq!(w.take_type(person, "status_changed").len(), 1);
    w.ask(a, line);
    w.pass(1_000);
    assert!(w.take_type(person, "status_changed").is_empty());
}

#[test]
fn only_the_session_itself_says_how_it_is_reached() {
    let mut w = World::new();
    let (a, beside) = (w.connect(), w.connect());
    let mut line = register("api");
    line["session_key"] = json!("k");
    w.ask(a, line.clone());
    line["attach"] = json!(true);
    w.ask(beside, line);
    w.ask(
        beside,
        json!({"type":"state","state":"busy","push":"plugin"}),
    );
    assert_eq!(session(&mut w, beside)["push"], "none");
}
