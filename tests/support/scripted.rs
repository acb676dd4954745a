//! What the models of the assistants' tests do: always the same few things, said in words that
//! any of them gets to hear, so that one script serves every vendor.
//!
//! | it hears | it does |
//! |---|---|
//! | `please tell NAME: TEXT.` (typed by the person) | `relay_send` to NAME |
//! | `[ecorelay] message from …` with `question: TEXT?` in it | `relay_reply`: `the answer to TEXT`, once per id |
//! | `please work for long` | thinks until the [`Gate`] opens, then says [`WORK_DONE`] |
//! | anything else | `Noted.` |

use super::mock_model::{Gate, Reply};
use serde_json::json;
use std::sync::Mutex;

/// What a person types to make the session busy.
pub(crate) const WORK: &str = "please work for long";

/// What the model says when its long work is done.
pub(crate) const WORK_DONE: &str = "The long work is finished.";

/// Returns what a person types to have a message sent.
pub(crate) fn tell(name: &str, text: &str) -> String {
    format!("please tell {name}: {text}.")
}

/// Returns the text of a message that is answered with [`answer_to`].
pub(crate) fn question(topic: &str) -> String {
    format!("question: {topic}?")
}

/// Returns what a question is answered with.
pub(crate) fn answer_to(topic: &str) -> String {
    format!("the answer to {topic}")
}

/// Returns the model's script; `tool` gives a tool's name as this assistant knows it.
pub(crate) fn scripted(
    tool: impl Fn(&str) -> String + Send + Sync + 'static,
    gate: Gate,
) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
    let answered = Mutex::new(Vec::new());
    move |newest| {
        let open = pushed_questions(newest).into_iter().find(|(id, _)| {
            let mut answered = answered.lock().expect("the answered ids");
            let new = !answered.contains(id);
            answered.push(id.clone());
            new
        });
        if let Some((id, topic)) = open {
            let input = json!({"ask_id": id, "text": answer_to(&topic)});
            return Reply::tool(tool("relay_reply"), input);
        }
        if let Some((name, text)) = asked_to_tell(newest) {
            let input = json!({"to": name, "text": text});
            return Reply::tool(tool("relay_send"), input);
        }
        if newest.contains(WORK) {
            gate.pass();
            return Reply::text(WORK_DONE);
        }
        Reply::text("Noted.")
    }
}

/// Returns the id and the topic of each pushed question.
fn pushed_questions(newest: &str) -> Vec<(String, String)> {
    let messages = newest.split("[ecorelay] message from ").skip(1);
    messages
        .filter_map(|message| {
            let id = between(message, "ask_id \"", "\"")
                // Inside a JSON text the quotes are escaped.
                .or_else(|| between(message, "ask_id \\\"", "\\\""))?;
            let topic = between(message, "question: ", "?")?;
            Some((id.to_owned(), topic.to_owned()))
        })
        .collect()
}

fn asked_to_tell(newest: &str) -> Option<(&str, &str)> {
    between(newest, "please tell ", ".")?.split_once(": ")
}

/// Returns what stands between `before` and `after`.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}
