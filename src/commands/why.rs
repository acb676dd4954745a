//! `why`: the way of one message.

use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::style::{BOLD, DIM, GOOD, PLAIN, WARN, paint};
use crate::view::text::one_line;
use crate::view::time::{iso_ago, now_ms};
use clap::Args;
use ecorelay_protocol::{DeliveryState, HubLine, MessageTrace};
use serde_json::{Value, json};

/// The arguments of `why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The message's id, as `send` and `inbox` show it
    msg_id: String,
}

pub(crate) async fn run(args: WhyArgs, context: &Context) -> Result<(), CliError> {
    let (_, answer) = context
        .open(json!({"type": "why", "msg_id": args.msg_id}))
        .await?;
    let HubLine::WhyResult { trace, .. } = &answer else {
        return Err(CliError::odd_answer("why"));
    };
    context
        .output
        .result(|| flat(tool_result(&answer)), || page(trace, now_ms()))
}

/// Returns the trace's keys beside `ok`.
fn flat(mut document: Value) -> Value {
    let trace = document["trace"].take();
    match trace {
        Value::Object(mut trace) => {
            trace.insert("ok".into(), true.into());
            Value::Object(trace)
        }
        _ => document,
    }
}

fn page(trace: &MessageTrace, now: u64) -> String {
    let style = match trace.state {
        DeliveryState::Read | DeliveryState::Delivered => GOOD,
        _ => WARN,
    };
    let mut out = format!(
        "{} {} → {}: {}  {}\n",
        trace.kind.as_str(),
        paint(BOLD, &trace.from),
        paint(BOLD, &trace.to),
        paint(style, trace.state.as_str()),
        paint(DIM, one_line(&trace.msg_id)),
    );
    let widest = trace
        .steps
        .iter()
        .map(|step| step.step.len())
        .max()
        .unwrap_or(0);
    for step in &trace.steps {
        let (clock, past) = match step.ts.as_deref() {
            Some(ts) => (one_line(ts), iso_ago(now, ts)),
            None => (String::new(), String::new()),
        };
        out.push_str(&format!(
            "  {}  {}  {} {}\n",
            paint(DIM, format!("{clock:<24}")),
            paint(
                PLAIN,
                format!("{:<widest$}", one_line(&step.step).replace('_', " "))
            ),
            one_line(&step.detail),
            paint(DIM, past),
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn the_way_of_a_message() {
        let trace: MessageTrace = serde_json::from_value(json!({
            "msg_id": "m-1", "kind": "message", "from": "web", "to": "api", "state": "stored",
            "steps": [
                {"ts": "2026-11-22T10:55:16.789Z", "step": "accepted", "detail": "On disk here."},
                {"step": "left_mailbox", "detail": "Too old."},
            ],
        }))
        .unwrap();
        assert_eq!(
            plain(&page(&trace, 1_795_345_096_789)),
            "message web → api: stored  m-1\n  2026-11-22T10:55:16.789Z  accepted      On disk here. 3 min ago\n                            left mailbox  Too old. \n"
        );
        let answer = HubLine::WhyResult {
            trace,
            req_id: Some("1".into()),
        };
        let document = flat(tool_result(&answer));
        assert_eq!(
            (&document["ok"], &document["state"]),
            (&json!(true), &json!("stored"))
        );
    }
}
