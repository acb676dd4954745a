//! `ecorelay hook`, which an assistant runs after each tool call and waits for: how long its user
//! waits when nothing has come.

use crate::channel::Conversation;
use crate::plan::Plan;
use crate::shared::Outcome;
use crate::shared::client::{message_id, send_line};
use crate::shared::hub::{Home, Hub};
use crate::shared::table::{Budget, Row, Series, Table, Unit};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The client whose hooks are run, as it names itself.
const CLIENT: &str = "gemini-cli-mcp-client";
/// The session that is hooked.
const NAME: &str = "hooked";
/// What the hook is given: it asks its channel for messages.
const HAPPENED: &str = r#"{"hook_event_name":"AfterTool","session_id":"s-1"}"#;

/// Measures runs of the hook beside a live channel with nothing to take, and without a channel.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let hub = Hub::start()?;
    let (mut alone, mut nothing, mut floor) = <(Series, Series, Series)>::default();
    for _ in 0..plan.hook_runs {
        alone.add_times(&[run(hub.home())?.0]);
    }
    let mut mcp = hub.home().command(&["mcp"]);
    mcp.env("RELAY_PEER_ID", NAME);
    let mut channel = Conversation::start(&mut mcp)?;
    channel.register_as(CLIENT)?;
    takes_what_is_there(&hub)?;
    for _ in 0..plan.hook_runs {
        let began = Instant::now();
        Command::new("true").stdin(Stdio::null()).status()?;
        floor.add_times(&[began.elapsed()]);
        let (took, said) = run(hub.home())?;
        if !said.is_empty() {
            return Err(format!("a hook with nothing to say said: {said}").into());
        }
        nothing.add_times(&[took]);
    }
    let floor = Some(("a process that does nothing (true)", floor));
    for (what, subject) in [
        ("ecorelay hook, nothing to take", nothing),
        ("ecorelay hook, no channel", alone),
    ] {
        table.add(Row {
            what: what.into(),
            unit: Unit::Time,
            subject,
            floor: floor.clone(),
            budgets: vec![Budget::AtMost(100e-3)],
        });
    }
    Ok(())
}

/// Sends the session a message and makes sure that a hook takes it: what is measured afterwards
/// then does talk to the channel.
fn takes_what_is_there(hub: &Hub) -> Outcome<()> {
    let mut sender = hub.session("sender")?;
    sender.write(&send_line(NAME, &message_id(), "take this"))?;
    sender.expect("send_ack")?;
    let (_, said) = run(hub.home())?;
    match said.contains("take this") {
        true => Ok(()),
        false => Err(format!("the hook did not take the message; it said: {said:?}").into()),
    }
}

/// Runs the hook; returns how long that took and what it printed.
fn run(home: &Home) -> Outcome<(Duration, String)> {
    let mut command = home.command(&["hook", "gemini"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let began = Instant::now();
    let mut hook = command.spawn()?;
    if let Some(mut input) = hook.stdin.take() {
        input.write_all(HAPPENED.as_bytes())?;
    }
    let output = hook.wait_with_output()?;
    let took = began.elapsed();
    Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()))
}
