//! A group on three hubs goes on while one of them is cut off, and is the same everywhere again
//! when the cable is mended.

use crate::support::machine::mesh;
use crate::support::netns::Lan;
use crate::support::raw::RawClient;
use crate::support::{found_within, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const GROUP: &str = "release";
/// Texts on each side while the mesh is parted.
const EACH: usize = 10;

#[test]
fn a_parted_group_is_the_same_everywhere_after_the_healing() {
    let test = "a_parted_group_is_the_same_everywhere_after_the_healing";
    let Some(lan) = Lan::new(test) else { return };
    let [a, b, mut c] = mesh(&lan, ["a", "b", "c"]);
    let (mut alice, mut ann) = (a.session("alice"), a.session("ann"));
    let (mut bob, mut bill) = (b.session("bob"), b.session("bill"));
    let (mut carol, mut cleo) = (c.session("carol"), c.session("cleo"));
    wait_until("alice to see everybody", || {
        (crate::discovery::peers(&mut alice).len() >= 5).then_some(())
    });
    let members = ["ann", "bob@b", "carol@c", "cleo@c"];
    done(
        &mut alice,
        json!({"type": "group_create", "name": GROUP, "members": members}),
    );
    for session in [&mut ann, &mut bob, &mut carol, &mut cleo] {
        wait_until("the group", || {
            (names(session, "x")?.len() == 5).then_some(())
        });
    }
    say(&mut carol, "before");
    wait_until("carol's text at bob's", || {
        (unread(&mut bob)? > 0).then_some(())
    });

    c.cut();
    c.wait_status("c to be alone", |status| {
        let hubs = status["hubs"].as_array()?;
        hubs.iter()
            .all(|hub| hub["state"] == "offline")
            .then_some(())
    });
    // On one side the admin changes who is in it …
    done(
        &mut alice,
        json!({"type": "group_invite", "group": GROUP, "peer": "bill@b"}),
    );
    wait_until("bill's group", || names(&mut bill, "b"));
    let removal =
        json!({"type": "group_remove", "group": GROUP, "peer": "carol@c", "reason": "away"});
    done(&mut alice, removal);
    for number in 0..EACH {
        say(&mut alice, &format!("alice {number}"));
        say(&mut bill, &format!("bill {number}"));
        // … on the other, one who does not know it yet goes on, and may do no more than before.
        say(&mut carol, &format!("carol {number}"));
    }
    for refused in [
        json!({"type": "group_invite", "group": GROUP, "peer": "bill@b"}),
        json!({"type": "group_remove", "group": GROUP, "peer": "alice@a", "reason": "mine now"}),
        json!({"type": "group_delete", "group": GROUP}),
    ] {
        let answer = carol.request(refused);
        assert_eq!(answer["code"], "not_admin", "{answer}");
    }
    done(&mut cleo, json!({"type": "group_leave", "group": GROUP}));
    say(&mut carol, "after cleo");

    c.mend();
    let together = ["alice@a", "ann@a", "bill@b", "bob@b"];
    for (session, hub) in [
        (&mut alice, "a"),
        (&mut ann, "a"),
        (&mut bob, "b"),
        (&mut bill, "b"),
    ] {
        let last = std::cell::RefCell::new(None);
        let found = found_within(Duration::from_secs(60), || {
            let now = names(session, hub);
            let same = now.as_deref() == Some(&together.map(str::to_owned));
            last.replace(now);
            same.then_some(())
        });
        assert!(
            found.is_some(),
            "the members at {hub}: {:?}",
            last.into_inner()
        );
    }
    for session in [&mut carol, &mut cleo] {
        wait_until("carol and cleo to be out", || {
            names(session, "c").is_none().then_some(())
        });
    }
    say(&mut bob, "end");
    while alice.next_of(&["incoming_group_msg"])["text"] != "end" {}
    let (at_a, at_b) = (history(&mut ann, "a"), history(&mut bob, "b"));
    assert_eq!(at_a, at_b, "the history is not the same");
    let texts: Vec<&str> = at_a.iter().map(|(_, text, _)| text.as_str()).collect();
    let own = |who: &str| {
        (0..EACH)
            .map(move |n| format!("{who} {n}"))
            .collect::<Vec<_>>()
    };
    let of = |who: &str| {
        texts
            .iter()
            .filter(|t| own(who).contains(&t.to_string()))
            .count()
    };
    assert_eq!((of("alice"), of("bill")), (EACH, EACH), "{texts:?}");
    for wanted in ["before", "alice removed carol: away", "cleo left", "end"] {
        let times = texts.iter().filter(|text| **text == wanted).count();
        assert_eq!(times, 1, "{wanted:?} in {texts:?}");
    }
    // What carol wrote behind her removal, in the order that is the same for all, does not count,
    // and she is told so.
    let carols: Vec<&String> = at_a
        .iter()
        .filter(|(from, text, _)| from == "carol@c" && text != "before")
        .map(|(_, text, _)| text)
        .collect();
    let written = own("carol").into_iter().chain(["after cleo".to_owned()]);
    let counted: Vec<String> = written.take(carols.len()).collect();
    assert!(carols.into_iter().eq(&counted), "{texts:?}");
    // It comes as a push, which is confirmed and so read.
    let mut told = String::new();
    wait_until("carol to be told", || {
        for line in carol.drain() {
            told.push_str(line["text"].as_str().unwrap_or_default());
        }
        let uncounted = told.contains("not count") || counted.len() == EACH + 1;
        (told.contains("removed carol") && uncounted).then_some(())
    });
}

fn done(session: &mut RawClient, request: Value) {
    let answer = session.request(request.clone());
    let kind = answer["type"].as_str().unwrap_or_default();
    assert!(
        matches!(kind, "group_ack" | "group_created"),
        "{request}: {answer}"
    );
}

fn say(session: &mut RawClient, text: &str) {
    done(
        session,
        json!({"type": "group_send", "group": GROUP, "text": text}),
    );
}

/// Returns the full addresses of the members, for a session on `hub`; `None` when it is none.
fn names(session: &mut RawClient, hub: &str) -> Option<Vec<String>> {
    let info = session.request(json!({"type": "group_info", "group": GROUP}));
    let members = info["members"].as_array()?;
    let names = members.iter().filter_map(|member| member["name"].as_str());
    let mut names: Vec<String> = names.map(|name| full(name, hub)).collect();
    names.sort_unstable();
    Some(names)
}

fn unread(session: &mut RawClient) -> Option<u64> {
    let info = session.request(json!({"type": "group_info", "group": GROUP}));
    info["unread_count"].as_u64()
}

/// Returns who wrote what, of which type, in the order in which a session on `hub` sees it.
fn history(session: &mut RawClient, hub: &str) -> Vec<(String, String, String)> {
    let history = session.request(json!({"type": "group_history", "group": GROUP, "limit": 500}));
    let entries = history["messages"].as_array().expect("messages");
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let text = |entry: &Value| match entry["type"] == "system" {
        // Each hub writes them for its own sessions.
        true => ["@a", "@b", "@c"]
            .iter()
            .fold(word(entry, "text"), |text, hub| text.replace(hub, "")),
        false => word(entry, "text"),
    };
    entries
        .iter()
        .map(|e| (full(&word(e, "from"), hub), text(e), word(e, "type")))
        .collect()
}

fn full(name: &str, hub: &str) -> String {
    match name.contains('@') {
        true => name.to_owned(),
        false => format!("{name}@{hub}"),
    }
}
