//! Direct messages, the inbox, asks and answers.
use crate::world::World;
use ecorelay_hub::{StoreError, Tunables};
use serde_json::{Value, json};

fn send(to: &str, text: &str) -> Value {
    json!({"type":"send","to":to,"text":text})
}

#[test]
fn delivered_means_confirmed() {
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    w.send(a, json!({"type":"send","to":"b","text":"hi","req_id":"1"}));
    assert!(
        w.take(a).is_empty(),
        "no answer before the push is confirmed"
    );
    let push = w.confirm(b, "handed");
    assert!(
        push[0]["header"]
            .as_str()
            .unwrap()
            .starts_with("[ecorelay] message from a (a session on this machine)")
    );
    let ack = w.take(a).remove(0);
    assert_eq!(
        (&ack["status"], &ack["state"]),
        (&json!("delivered"), &json!("delivered"))
    );

    w.send(a, json!({"type":"send","to":"b","text":"hi","req_id":"2"}));
    w.confirm(b, "refused");
    assert_eq!(w.take(a)[0]["state"], "stored");
    w.send(a, json!({"type":"send","to":"b","text":"hi","req_id":"3"}));
    w.pass(400);
    assert_eq!(w.take(a)[0]["status"], "queued");
}

#[test]
fn version_5_gets_the_reference_answer() {
    let mut w = World::new();
    let (a, _b) = (w.v5("a"), w.v5("b"));
    let ack = w.ask(a, send("b", "hi"));
    assert_eq!(
        ack,
        json!({"type":"send_ack","msg_id":ack["msg_id"],"status":"delivered","req_id":"q"})
    );
    assert_eq!(w.ask(a, send("nobody", "hi"))["status"], "queued");
}

#[test]
fn version_5_answers_keep_their_order() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    let lines = vec![
        w.line(a, json!({"type":"send","to":"b","text":"x","req_id":"1"})),
        w.line(a, json!({"type":"send","to":"off","text":"x","req_id":"2"})),
        w.line(a, json!({"type":"list_peers","req_id":"3"})),
        w.line(a, json!({"type":"inbox","req_id":"4"})),
    ];
    w.run(lines);
    assert!(w.take(a).is_empty());
    w.confirm(b, "handed");
    let ids: Vec<_> = w
        .take(a)
        .iter()
        .map(|l| l["req_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
}

#[test]
fn an_inbox_page_is_read_once_it_is_written() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v5("b"));
    for n in 0..45 {
        w.ask(a, send("b", &n.to_string()));
    }
    w.take(b);
    let mut got = Vec::new();
    for remaining in [25, 5, 0, 0] {
        let page = w.ask(b, json!({"type":"inbox"}));
        assert_eq!(page["remaining"], remaining);
        got.extend(
            page["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| m["text"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(got, (0..45).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn pipelined_inbox_requests_never_show_a_message_twice() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v5("b"));
    for n in 0..4 {
        w.ask(a, send("b", &n.to_string()));
    }
    w.take(b);
    let lines = (0..2)
        .map(|_| w.line(b, json!({"type":"inbox","limit":2})))
        .collect();
    w.run(lines);
    let pages = w.take(b);
    assert_eq!(pages[0]["messages"][0]["text"], "0");
    assert_eq!(pages[1]["messages"][0]["text"], "2");
}

#[test]
fn a_version_6_page_stays_unread_until_it_is_acknowledged() {
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    w.send(a, send("b", "x"));
    let page = w.ask(b, json!({"type":"inbox"}));
    assert_eq!(
        w.ask(b, json!({"type":"inbox"}))["messages"],
        page["messages"]
    );
    let id = &page["messages"][0]["msg_id"];
    w.ask(b, json!({"type":"read","msg_ids":[id]}));
    assert_eq!(w.inbox(b).len(), 0);
    assert_eq!(
        w.ask(b, json!({"type":"why","msg_id":id}))["trace"]["state"],
        "read"
    );
}

#[test]
fn since_id_goes_on_after_a_message() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v5("b"));
    let ids: Vec<Value> = (0..5)
        .map(|n| w.ask(a, send("b", &n.to_string()))["msg_id"].clone())
        .collect();
    let page = w.ask(b, json!({"type":"inbox","since_id":ids[1],"limit":2}));
    assert_eq!(
        (page["messages"][0]["text"].as_str(), &page["remaining"]),
        (Some("2"), &json!(1))
    );
}

#[test]
fn unread_mail_is_never_evicted_and_a_full_mailbox_says_so() {
    let mut w = World::with(Tunables {
        mailbox_unread: 700,
        mailbox_read_kept: 50,
        ..Tunables::default()
    });
    let (a, b) = (w.v5("a"), w.v5("b"));
    w.gone(b);
    for n in 0..700 {
        assert_eq!(w.ask(a, send("b", &n.to_string()))["status"], "queued");
    }
    let refused = w.ask(a, send("b", "one too many"));
    assert_eq!(refused["code"], "mailbox_error");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("700 messages that nobody has read since 20")
    );
    let b = w.v5("b");
    let mut got = Vec::new();
    for _ in 0..7 {
        got.extend(w.inbox(b));
    }
    assert_eq!(got, (0..700).map(|n| n.to_string()).collect::<Vec<_>>());
    for _ in 0..100 {
        w.ask(a, send("b", "x"));
        w.inbox(b);
    }
    assert!(
        w.store.messages().count() <= 50 + 40,
        "read mail is evicted down to what is kept"
    );
}

#[test]
fn a_session_that_gets_everything_pushed_never_fills_its_mailbox() {
    let mut w = World::with(Tunables {
        mailbox_unread: 100,
        conversation_burst: 10_000,
        ..Tunables::default()
    });
    let (a, b) = (w.v6("a"), w.v6("b"));
    for n in 0..500 {
        w.send(
            a,
            json!({"type":"send","to":"b","text":n.to_string(),"req_id":"q"}),
        );
        w.confirm(b, "handed");
        assert_eq!(w.take(a)[0]["status"], "delivered");
    }
}

#[test]
fn a_name_never_seen_is_said_to_be_unknown_with_near_matches() {
    let mut w = World::new();
    let a = w.v6("a");
    let backend = w.v6("backend");
    w.gone(backend);
    let ack = w.ask(a, send("bakend", "x"));
    assert_eq!(
        (&ack["status"], &ack["state"]),
        (&json!("queued"), &json!("unknown"))
    );
    assert!(
        ack["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean \"backend\"?"),
        "{ack}"
    );
    let ack = w.ask(a, send("backend", "x"));
    assert_eq!(ack["state"], "stored");
    let first = w.v5("bakend");
    assert_eq!(w.inbox(first), ["x"]);
}

#[test]
fn mail_for_a_name_that_never_comes_expires_and_is_bounded() {
    let mut w = World::new();
    let a = w.v5("a");
    let mut id = Value::Null;
    for n in 0..1_000 {
        let ack = w.ask(a, send(&format!("typo{n}"), "x"));
        assert_eq!(ack["status"], "queued");
        id = ack["msg_id"].clone();
    }
    assert_eq!(w.ask(a, send("one-more", "x"))["code"], "mailbox_error");
    let known = w.v5("known");
    assert_eq!(w.ask(a, send("known", "x"))["status"], "delivered");
    w.gone(known);
    w.gone(a);
    w.pass(8 * 86_400_000);
    let a = w.v6("a");
    assert_eq!(w.ask(a, send("one-more", "x"))["status"], "queued");
    // No more is said of it than is known: nobody ever got it.
    let trace = w.ask(a, json!({"type":"why","msg_id":id}))["trace"].clone();
    assert_eq!(trace["state"], "unknown");
    assert_eq!(trace["steps"][1]["step"], "expired");
}

#[test]
fn an_address_on_a_hub_never_seen_is_refused_and_the_own_hub_is_not() {
    let mut w = World::new();
    let (a, _b) = (w.v6("a"), w.v5("b"));
    assert_eq!(w.ask(a, send("b@elsewhere", "x"))["code"], "peer_not_found");
    assert_eq!(w.ask(a, send("b@here", "x"))["status"], "delivered");
}

#[test]
fn sending_again_with_the_same_id_is_harmless() {
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    let line = json!({"type":"send","to":"b","text":"x","msg_id":"m-1","req_id":"q"});
    w.send(a, line.clone());
    w.confirm(b, "handed");
    w.take(a);
    assert_eq!(w.ask(a, line.clone())["state"], "delivered");
    assert_eq!(w.inbox(b), ["x"]);
    let other = json!({"type":"send","to":"b","text":"y","msg_id":"m-1"});
    assert_eq!(w.ask(a, other)["code"], "bad_args");
}

#[test]
fn a_broadcast_is_answered_to_its_asker_live_or_gone() {
    let mut w = World::new();
    let (a, b, c) = (w.v5("a"), w.v5("b"), w.v6("c"));
    let ack = w.ask(
        a,
        json!({"type":"broadcast","question":"who?","broadcast_id":"bc"}),
    );
    assert_eq!(
        ack,
        json!({"type":"broadcast_ack","broadcast_id":"bc","peer_count":2})
    );
    let ask = w.take_type(b, "incoming_ask").remove(0);
    assert_eq!(
        (ask["ask_id"].as_str(), ask["thread_id"].as_str()),
        (Some("bc:b"), Some("bc"))
    );
    w.send(b, json!({"type":"reply","ask_id":"bc:b","text":"me"}));
    let reply = w.take_type(a, "incoming_reply").remove(0);
    assert_eq!(
        (
            reply["text"].as_str(),
            reply["from"].as_str(),
            reply["broadcast_id"].as_str()
        ),
        (Some("me"), Some("b"), Some("bc"))
    );
    w.gone(a);
    let ack = w.ask(c, json!({"type":"reply","ask_id":"bc:c","text":"late"}));
    assert_eq!(ack["state"], "stored");
    let a = w.v6("a");
    let entry = w.ask(a, json!({"type":"inbox"}))["messages"][0].clone();
    assert_eq!(
        (
            entry["text"].as_str(),
            entry["kind"].as_str(),
            entry["ask_id"].as_str()
        ),
        (Some("late"), Some("reply"), Some("bc:c"))
    );
}

#[test]
fn a_version_5_reply_without_a_request_id_gets_no_answer_unless_it_is_refused() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v5("b"));
    w.send(a, send("b", "q"));
    let id = w.take_type(b, "incoming_message").remove(0)["msg_id"].clone();
    w.take(b);
    w.send(b, json!({"type":"reply","ask_id":id,"text":"r"}));
    assert!(w.take(b).is_empty());
    assert_eq!(w.take_type(a, "incoming_message")[0]["reply_to"], id);
    // One who gives an id waits for an answer.
    let ack = w.ask(b, json!({"type":"reply","ask_id":id,"text":"r"}));
    assert_eq!(ack["type"], "send_ack");
}

#[test]
fn an_unknown_ask_is_an_error_and_the_text_is_not_lost_in_silence() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    assert_eq!(
        w.ask(b, json!({"type":"reply","ask_id":"nope","text":"x"}))["code"],
        "unknown_ask"
    );
    w.send(a, json!({"type":"reply","ask_id":"nope","text":"x"}));
    assert_eq!(w.take(a)[0]["ask_id"], "nope");
}

#[test]
fn an_answer_to_a_message_goes_to_its_sender_and_marks_it() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    let id = {
        w.send(a, send("b", "q"));
        w.confirm(b, "handed")[0]["msg_id"].clone()
    };
    let ack = w.ask(b, json!({"type":"reply","ask_id":id,"text":"r"}));
    assert_eq!(ack["status"], "delivered");
    let push = w.take_type(a, "incoming_message").remove(0);
    assert_eq!(push["reply_to"], id);
    assert!(w.inbox(b).is_empty(), "answered is read");
    let steps = w.ask(b, json!({"type":"why","msg_id":id}))["trace"]["steps"].clone();
    let steps: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["step"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(steps, ["accepted", "stored", "pushed", "read", "answered"]);
}

#[test]
fn a_message_that_was_refused_and_handed_later_is_delivered() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    let pushed = |id: &Value, result: &str| json!({"type":"pushed","msg_ids":[id],"result":result,"path":"plugin"});
    let last_word = |w: &mut World, id: &Value| {
        let trace = w.ask(b, json!({"type":"why","msg_id":id}))["trace"].clone();
        let steps = trace["steps"].as_array().unwrap().clone();
        let word = steps.iter().rfind(|s| s["step"] == "pushed").unwrap();
        word["detail"].as_str().unwrap_or_default().to_owned()
    };
    w.send(a, send("b", "q"));
    let id = w.confirm(b, "refused")[0]["msg_id"].clone();
    assert!(last_word(&mut w, &id).contains("not handed over"));
    w.send(b, pushed(&id, "handed"));
    assert_eq!(
        last_word(&mut w, &id),
        "By plugin: handed to the live session."
    );
    // Whatever is said after that: it was handed.
    w.send(b, pushed(&id, "refused"));
    assert!(last_word(&mut w, &id).contains("handed to the live session"));
    // Nobody else can say so of it.
    w.send(a, send("b", "r"));
    let id = w.confirm(b, "refused")[0]["msg_id"].clone();
    let c = w.v6("c");
    w.send(c, pushed(&id, "handed"));
    assert!(last_word(&mut w, &id).contains("not handed over"));
    // It does not come again when the session comes back.
    w.send(b, pushed(&id, "handed"));
    w.gone(b);
    let b = w.v6("b");
    assert!(w.take_type(b, "incoming_message").is_empty());
    assert_eq!(w.inbox(b), ["q", "r"], "handed is not read");
}

#[test]
fn an_ask_that_was_handed_later_is_told_once() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    let ask = json!({"type":"broadcast","question":"who?","broadcast_id":"bc"});
    w.send(a, ask);
    w.confirm(b, "refused");
    let handed = json!({"type":"pushed","msg_ids":["bc:b"],"result":"handed","path":"hook"});
    w.send(b, handed);
    w.pass(1_000);
    assert!(w.inbox(b).is_empty());
}

#[test]
fn a_session_that_comes_back_is_told_what_waits() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    w.gone(b);
    for n in 0..25 {
        w.ask(a, send("b", &n.to_string()));
    }
    let b = w.v6("b");
    let lines = w.confirm(b, "handed");
    let texts: Vec<_> = lines
        .iter()
        .filter(|l| l["type"] == "incoming_message")
        .map(|l| l["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    let notice = lines.iter().find(|l| l["type"] == "notice").unwrap();
    assert!(
        notice["text"]
            .as_str()
            .unwrap()
            .contains("25 unread messages")
    );
}

#[test]
fn a_storm_is_stored_quietly_and_the_sender_is_told() {
    let mut w = World::with(Tunables {
        conversation_burst: 3,
        ..Tunables::default()
    });
    let (a, b) = (w.v6("a"), w.v5("b"));
    for _ in 0..3 {
        assert_eq!(w.ask(a, send("b", "x"))["status"], "delivered");
    }
    let ack = w.ask(a, send("b", "x"));
    assert_eq!(ack["state"], "stored");
    assert!(ack["detail"].as_str().unwrap().contains("without waking"));
    assert_eq!(w.inbox(b).len(), 4);
}

#[test]
fn nothing_is_acknowledged_while_the_store_fails_and_all_is_well_after() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    w.fail_store(Some(StoreError::Full));
    for to in ["b", "nobody"] {
        let refused = w.ask(a, send(to, "x"));
        assert_eq!(refused["code"], "mailbox_error", "{refused}");
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("disk is full")
        );
    }
    for line in [
        json!({"type":"broadcast","question":"x","broadcast_id":"i"}),
        json!({"type":"group_create","name":"g","members":["b"]}),
    ] {
        w.send(a, line);
        assert_eq!(w.take_type(a, "err")[0]["code"], "mailbox_error");
    }
    assert_eq!(w.ask(a, json!({"type":"list_peers"}))["type"], "peers");
    let late = w.v6("late");
    w.fail_store(None);
    w.take(b);
    assert!(w.inbox(b).is_empty() && w.inbox(late).is_empty());
    assert_eq!(w.ask(a, send("late", "x")), Value::Null);
    w.confirm(late, "handed");
    assert_eq!(w.take_type(a, "send_ack")[0]["status"], "delivered");
}

#[test]
fn a_slow_reader_is_not_pushed_to_until_it_has_caught_up() {
    use ecorelay_hub::{Effect, Effects, Input};
    let mut w = World::new();
    let (a, b) = (w.v6("a"), w.v6("b"));
    let mut effects = Effects::default();
    let line = w.line(a, json!({"type":"send","to":"b","text":"x","req_id":"q"}));
    w.hub.handle(w.now, line, &mut w.store, &mut effects);
    let Some(Effect::Line { tag: Some(tag), .. }) = effects.now.pop() else {
        panic!()
    };
    w.store.commit().unwrap();
    w.hub.batch_committed();
    w.run(vec![Input::Flushed {
        conn: b,
        tag,
        ok: false,
    }]);
    assert_eq!(w.take(a)[0]["state"], "stored");
    assert_eq!(w.ask(a, send("b", "y"))["state"], "stored");
    w.run(vec![Input::Drained { conn: b }]);
    assert!(
        w.take_type(b, "notice")[0]["text"]
            .as_str()
            .unwrap()
            .contains("2 were not pushed")
    );
    assert_eq!(w.inbox(b), ["x", "y"]);
}

#[test]
fn an_ask_that_cannot_be_pushed_waits_in_the_inbox_and_can_be_answered() {
    let mut w = World::new();
    let (a, b) = (w.v5("a"), w.v6("b"));
    w.send(
        a,
        json!({"type":"broadcast","question":"who?","broadcast_id":"bc"}),
    );
    w.confirm(b, "refused");
    let entry = w.ask(b, json!({"type":"inbox"}))["messages"][0].clone();
    assert_eq!(
        (entry["kind"].as_str(), entry["ask_id"].as_str()),
        (Some("ask"), Some("bc:b"))
    );
    w.gone(b);
    let b = w.v6("b");
    assert_eq!(w.confirm(b, "handed")[0]["question"], "who?");
    assert!(w.take_type(a, "incoming_reply").is_empty());
    w.send(b, json!({"type":"reply","ask_id":"bc:b","text":"me"}));
    assert_eq!(w.take_type(a, "incoming_reply")[0]["text"], "me");
    w.pass(1_000);
    assert!(w.inbox(b).is_empty(), "handed over is told once");
}

#[test]
fn an_answer_to_another_hub_never_goes_to_a_namesake_here() {
    let mut w = World::new();
    let (b, web) = (w.v6("b"), w.v5("web"));
    let message = json!({"msg_id":"m-old","from":"web@desk","text":"q","ts":1});
    w.ask(
        b,
        json!({"type":"import_mailbox","owner":"b","messages":[message]}),
    );
    let refused = w.ask(b, json!({"type":"reply","ask_id":"m-old","text":"a"}));
    assert_eq!(refused["code"], "peer_not_found");
    assert!(w.inbox(web).is_empty());
}

#[test]
fn a_mailbox_that_cannot_be_imported_whole_is_not_begun() {
    let mut w = World::new();
    let b = w.v6("b");
    let good = json!({"msg_id":"m-1","from":"a","text":"q","ts":1});
    let bad = json!({"msg_id":"m-2","from":"not a name","text":"q","ts":2});
    let import = |messages: Value| json!({"type":"import_mailbox","owner":"b","messages":messages});
    let refused = w.ask(b, import(json!([good, bad])));
    assert_eq!(refused["code"], "bad_args");
    let page = w.ask(b, json!({"type":"inbox"}));
    assert_eq!(
        (&page["messages"], &page["remaining"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(w.ask(b, import(json!([good])))["taken"], 1);
    let page = w.ask(b, json!({"type":"inbox"}));
    assert_eq!(page["remaining"], 0);
}
