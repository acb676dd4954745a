//! The session of a program without tools in a room.

use crate::stage::Stage;
use crate::support::raw::RawClient;
use crate::support::wait_until;
use serde_json::json;

#[test]
fn a_command_inside_brings_the_session_into_a_room_for_good() {
    let stage = Stage::new().ready();
    let mut vera = stage.peer("vera");
    let joined = stage
        .run_inside(&["room", "join", "ops", "--json"])
        .expect_code(0);
    let expected = json!({"ok": true, "room": "ops", "members": ["docs"]});
    assert_eq!(joined.json(), expected);
    say(&mut vera, "the first");
    stage.entered("the first");

    // Its own words come to the others, and not back.
    vera.request(json!({"type": "join_room", "room": "ops"}));
    stage
        .run_inside(&["room", "send", "ops", "from inside"])
        .expect_code(0);
    let said = vera.next_of(&["incoming_room_msg"]);
    assert_eq!(
        (&said["from"], &said["text"]),
        (&json!("docs"), &json!("from inside"))
    );

    // The hub ends and comes back: rooms are joined again.
    stage.home.kill_hub();
    stage.wait_for_peer("docs");
    wait_until("the session in its room", || {
        let rooms = stage.home.run(&["room", "list", "--json"]).expect_code(0);
        let here = json!({"rooms": [{"name": "ops", "members": ["docs"]}]});
        (rooms.json() == here).then_some(())
    });
    let mut vera = stage.peer("vera");
    say(&mut vera, "the second");
    stage.entered("the second");

    stage.run_inside(&["room", "leave", "ops"]).expect_code(0);
    let rooms = stage.home.run(&["room", "list", "--json"]).expect_code(0);
    assert_eq!(rooms.json(), json!({"rooms": []}));
}

fn say(who: &mut RawClient, text: &str) {
    let answer = who.request(json!({"type": "room_msg", "room": "ops", "text": text}));
    assert_eq!(answer["type"], "room_send_ack", "{answer}");
}
