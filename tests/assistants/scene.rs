//! Assistants of several vendors in one room: set up by one command, started side by side, they do
//! a task of as many steps as they are. Each hears in the room that its step is next and what was
//! done before, does it, and says so there; nobody knows more than its own step.

mod parts;

use crate::support::mock_model::Reply;
use crate::support::scene::play_within;
use crate::support::scripted::between;
use parts::{Deed, Hands, PARTS, Script};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the whole may take: each of the assistants starts in up to half a minute where two
/// slow cores are shared with other tests.
const WHOLE_SCENE: Duration = Duration::from_secs(900);
/// What the person types to each session first.
const JOIN: &str = "please join the others";
/// What the person types to the one that begins.
const BEGIN: &str = "please begin the release";
/// What the last one says in the room, before the names of all who have done a step.
const FINISHED: &str = "the release is finished by ";
/// The room.
const ROOM: &str = "release";

#[test]
fn assistants_of_several_vendors_do_a_task_together_in_one_room() {
    let test = "scene::assistants_of_several_vendors_do_a_task_together_in_one_room";
    let assistants: Vec<&str> = PARTS.iter().map(|part| part.assistant).collect();
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    play_within(WHOLE_SCENE, test, &assistants, |mut scene| {
        let mut models = Vec::new();
        for (at, part) in PARTS.iter().enumerate() {
            let model = (part.model)(script(at + 1, part.name, part.hands));
            let project = scene.project(part.name);
            (part.prepare)(&mut scene, &project, &model);
            models.push(model);
        }
        let files = PARTS.iter().flat_map(|part| part.files);
        let before: Vec<(&str, String)> = files.map(|file| (*file, scene.read(file))).collect();
        scene.install_all();
        let mut vera = scene.peer("vera");

        // One after the other, each in the room before the next is started.
        let mut members = Vec::new();
        for (at, (part, model)) in PARTS.iter().zip(models).enumerate() {
            let member = (part.start)(&scene, &scene.project(part.name), model);
            (part.say)(&*member, JOIN);
            (part.allow)(member.terminal());
            scene.wait_for_members(ROOM, &names[..=at]);
            member.model().wait_for_end_of(JOIN);
            members.push(member);
        }

        (PARTS[0].say)(&*members[0], BEGIN);
        for (at, part) in PARTS.iter().enumerate().skip(1) {
            let step = next(at + 1);
            let heard = |newest: &str| newest.contains(&step) && newest.contains("] room release");
            members[at].model().wait_for(&step, 0, heard);
            (part.allow)(members[at].terminal());
        }
        let last = vera.hears(&format!("{FINISHED}{}.", names.join(", ")));
        assert_eq!(last["from"], names[0], "{last}");

        drop(members);
        scene.uninstall_all();
        for (file, text) in before {
            assert_eq!(scene.read(file), text, "{file}");
        }
    });
}

/// Returns the words with which step `number` is next; the names of those who have done theirs
/// follow.
fn next(number: usize) -> String {
    format!("step {number} of the release is next after ")
}

/// Returns what the model of the session `name` does, whose step is `step`; number 1 begins and
/// reports.
fn script(step: usize, name: &'static str, hands: Hands) -> Script {
    let (joined, done, reported) = <(AtomicBool, AtomicBool, AtomicBool)>::default();
    let first_time = |flag: &AtomicBool| !flag.swap(true, Ordering::SeqCst);
    Box::new(move |newest| {
        if newest.contains(JOIN) && first_time(&joined) {
            return hands.carry_out(&Deed::Join { room: ROOM });
        }
        let names = if step == 1 && newest.contains(BEGIN) {
            Some(name.to_owned())
        } else {
            between(newest, &next(step), ".").map(|names| format!("{names}, {name}"))
        };
        if let Some(names) = names.filter(|_| first_time(&done)) {
            let words = if step == PARTS.len() {
                FINISHED.to_owned()
            } else {
                next(step + 1)
            };
            let text = format!("{words}{names}.");
            return hands.carry_out(&Deed::Say { room: ROOM, text });
        }
        let finished = between(newest, FINISHED, ".").filter(|_| step == 1);
        if let Some(names) = finished.filter(|_| first_time(&reported)) {
            let text = format!("{FINISHED}{names}.");
            return hands.carry_out(&Deed::Send { to: "vera", text });
        }
        Reply::text("Noted.")
    })
}
