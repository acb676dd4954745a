//! What a client should not write, and what only looks like it.

use crate::code;
use crate::support::home::TestHome;
use crate::support::raw::RawClient;
use serde_json::json;

#[test]
fn bad_input_is_answered_at_once_with_a_code_and_a_sentence() {
    let home = TestHome::new();
    let mut hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    let nested = "[".repeat(100_000);
    let too_long = format!(
        "{{\"type\":\"send\",\"to\":\"a\",\"req_id\":\"big\",\"text\":\"{}\"}}",
        "x".repeat(5_000_000)
    );
    let text = "x".repeat(524_289);
    let long_text = json!({"type": "send", "to": "a", "text": text, "req_id": "r"}).to_string();
    let id = Some("r");
    let table: Vec<(&[u8], &str, Option<&str>)> = vec![
        (b"nonsense", "bad_msg", None),
        (b"null", "bad_msg", None),
        (b"[]", "bad_msg", None),
        (b"\"x\"", "bad_msg", None),
        (b"{", "bad_msg", None),
        (
            b"\xef\xbb\xbf{\"type\":\"ping\",\"req_id\":\"r\"}",
            "bad_msg",
            None,
        ),
        (
            b"{\"type\":\"send\",\"to\":\"a\",\"text\":\"\xff\"}",
            "bad_msg",
            None,
        ),
        (b"\0\0\0", "bad_msg", None),
        (nested.as_bytes(), "bad_msg", None),
        (too_long.as_bytes(), "too_large", Some("big")),
        (long_text.as_bytes(), "too_large", id),
        (br#"{"req_id":"r"}"#, "bad_msg", id),
        (br#"{"type":7,"req_id":"r"}"#, "bad_msg", id),
        (br#"{"type":"dance","req_id":"r"}"#, "bad_msg", id),
        (br#"{"type":"ping","req_id":7}"#, "bad_msg", None),
        (br#"{"type":"send","req_id":"r"}"#, "bad_msg", id),
        (
            br#"{"type":"send","req_id":"r","to":5,"text":"x"}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a","text":[]}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a","text":"x","urgent":"yes"}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"","text":"x"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a b","text":"x"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"..","text":"x"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"send","req_id":"r","to":"a@nowhere","text":"x"}"#,
            "peer_not_found",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":0}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":101}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":1e300}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":-1}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","limit":"3"}"#,
            "bad_msg",
            id,
        ),
        (
            br#"{"type":"inbox","req_id":"r","since_id":""}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_create","req_id":"r","name":"","members":[]}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_create","req_id":"r","name":"g","members":[1]}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_create","req_id":"r","name":"g"}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_remove","req_id":"r","group":"g","peer":"b","reason":""}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_history","req_id":"r","group":"g","limit":501}"#,
            "bad_args",
            id,
        ),
        (
            br#"{"type":"group_info","req_id":"r","group":"none"}"#,
            "not_member",
            id,
        ),
        (
            br#"{"type":"join_room","req_id":"r","room":"a/b"}"#,
            "bad_args",
            id,
        ),
        (br#"{"type":"join_room","req_id":"r"}"#, "bad_msg", id),
        (
            br#"{"type":"rename","req_id":"r","new_name":"a@b"}"#,
            "bad_args",
            id,
        ),
    ];
    for (line, expected, req_id) in table {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        a.send_bytes(&[line, b"\n"].concat());
        let answer = a.next();
        assert_eq!(code(&answer), expected, "{shown}: {answer}");
        assert_eq!(answer["req_id"].as_str(), req_id, "{shown}: {answer}");
        assert!(
            answer["message"].as_str().is_some_and(|m| m.len() > 10),
            "{shown}: {answer}"
        );
    }
    assert_eq!(
        a.request(json!({"type": "ping"}))["type"],
        "pong",
        "the session is still there"
    );
    assert!(hub.runs());
}

#[test]
fn what_looks_odd_but_is_right_is_accepted() {
    let home = TestHome::new();
    let _hub = home.hub();
    let mut a = RawClient::session(&home.socket(), "a");
    // Its lines come byte by byte: the answer to a probe could land inside one.
    a.play_dead();
    for (line, text) in [
        // A character cut between two writes survives; a line may end with CR LF.
        (
            "{\"type\":\"send\",\"to\":\"a\",\"text\":\"世界 é\"}\r\n",
            "世界 é",
        ),
        // Duplicate keys: the last one counts; unknown ones are ignored.
        (
            "{\"type\":\"send\",\"to\":\"b\",\"to\":\"a\",\"text\":\"x\",\"text\":\"y\",\"z\":{}}\n",
            "y",
        ),
        (
            "{\"type\":\"send\",\"to\":\" a \",\"text\":\"\\ud83d\\ude00 \\ud800\"}\n",
            "😀 \u{fffd}",
        ),
        (
            "\n\n  \r\n{\"type\":\"send\",\"to\":\"a\",\"text\":\"\"}\n",
            "",
        ),
    ] {
        for byte in line.as_bytes() {
            a.send_bytes(&[*byte]);
        }
        let push = a.next_of(&["incoming_message", "err"]);
        assert_eq!(push["text"], text, "{push}");
        assert_eq!(a.next_of(&["send_ack"])["type"], "send_ack");
    }
}
