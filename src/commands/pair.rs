//! `pair`: two machines become one mesh with one command each.
//!
//! The hub does it; this shows its steps, takes the code that is typed, and asks the person
//! where the hub has a question. [`screen`] is what stands on the terminal meanwhile.

mod code;
mod outcome;
mod screen;

use super::live_status::status;
use super::presence::interrupted;
use super::typed::typed_lines;
use crate::context::Context;
use crate::error::CliError;
use crate::hub::Hub;
use crate::view::pairing::two_meshes;
use crate::view::style::{GOOD, paint};
use crate::view::text::one_line;
use crate::view::time::now_ms;
use clap::Args;
use ecorelay_protocol::{HubLine, MeshChoice, PairStep};
use outcome::Outcome;
use screen::Screen;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The longest that a hub is waited for: a code's two minutes, a person's thinking at either
/// side, and what the hubs say to each other.
const LONGEST: Duration = Duration::from_secs(600);
/// A hub that does not say that the code has run out is not waited for longer than this after.
const AFTER_EXPIRY_MS: u64 = 10_000;
/// How often the time that is left is drawn.
const TICK: Duration = Duration::from_secs(1);

/// The arguments of `pair`.
#[derive(Debug, Args)]
pub(crate) struct PairArgs {
    /// The code that the other machine shows, such as 7-otter-lamp; without one, this machine
    /// shows a code
    #[arg(value_name = "CODE", num_args = 0..=4)]
    code: Vec<String>,
    /// A rendezvous server through which machines on the internet find each other: with CODE its
    /// host and port, else its multiaddr with /p2p/…, which is kept
    #[arg(long, value_name = "ADDR")]
    rendezvous: Option<String>,
    /// If both hubs belong to a mesh with other hubs: leave that of this one without asking
    #[arg(long, conflicts_with = "yes_merge")]
    yes_leave: bool,
    /// If both hubs belong to a mesh with other hubs: make one mesh of both without asking
    #[arg(long)]
    yes_merge: bool,
}

pub(crate) async fn run(args: PairArgs, context: &Context) -> Result<(), CliError> {
    let code = match args.code.as_slice() {
        [] => None,
        words => Some(code::with_rendezvous(
            code::check(&words.join("-"))?,
            args.rendezvous.as_deref(),
        )?),
    };
    let server = match (&code, &args.rendezvous) {
        (None, Some(address)) => Some(super::rendezvous::server(address)?),
        _ => None,
    };
    // A hub that is looked at does not end in the middle of it.
    let (mut hub, _) = context.open(json!({"type": "watch"})).await?;
    let before = status(&mut hub).await?;
    if let Some(address) = server {
        hub.ask(json!({"type": "rendezvous", "address": address, "add": true}))
            .await?;
    }
    let mut screen = Screen::new(context.output);
    if let Some(code) = &code {
        screen.looking(code);
    }
    let ended = Talk {
        hub: &mut hub,
        screen: &mut screen,
        given: match (args.yes_merge, args.yes_leave) {
            (true, _) => Some(MeshChoice::Merge),
            (_, true) => Some(MeshChoice::Leave),
            _ => None,
        },
        requests: JoinSet::new(),
        question: None,
        expires: None,
    }
    .run(code)
    .await;
    screen.leave();
    match ended? {
        Outcome::Paired(paired) => outcome::welcome(&mut hub, paired, context).await,
        Outcome::Failed { code, message } => Err(outcome::failed(context.output, &code, &message)),
        Outcome::Interrupted => {
            hub.close().await;
            outcome::interrupted(&before, context).await
        }
    }
}

/// Returns the request for a code of this machine, or for dialling the one that shows `code`.
fn request(code: Option<&str>) -> Value {
    json!({"type": "pair", "code": code})
}

/// One pairing, from the request to its result.
struct Talk<'a> {
    hub: &'a mut Hub,
    screen: &'a mut Screen,
    /// What the arguments say becomes of this hub's mesh.
    given: Option<MeshChoice>,
    /// Waits for refusals: of the first request (`true`), or of a later one.
    requests: JoinSet<(bool, Option<CliError>)>,
    /// A question of the hub that is before the person: the refusal, should it be answered so.
    question: Option<String>,
    /// When the code of this machine runs out, in ms since 1970.
    expires: Option<u64>,
}

impl Talk<'_> {
    async fn run(mut self, code: Option<String>) -> Result<Outcome, CliError> {
        self.begin(request(code.as_deref()), true);
        let mut typed = typed_lines();
        let mut stop = std::pin::pin!(interrupted());
        let mut tick = tokio::time::interval(TICK);
        let end = Instant::now() + LONGEST;
        loop {
            tokio::select! {
                () = &mut stop => return Ok(Outcome::Interrupted),
                () = tokio::time::sleep_until(end) => return Ok(Outcome::late()),
                Some(ended) = self.requests.join_next() => {
                    if let Ok((first, Some(error))) = ended {
                        if first {
                            return Err(error);
                        }
                        self.screen.note(&error.sentence());
                    }
                }
                line = self.hub.next_push() => match line {
                    None => {
                        return Err(CliError::no_hub("The hub has ended.")
                            .hint("Begin again with `ecorelay pair`; nothing is left half paired."));
                    }
                    Some(HubLine::Pair { step, .. }) => {
                        if let Some(outcome) = self.step(step) {
                            return Ok(outcome);
                        }
                    }
                    Some(_) => {}
                },
                Some(line) = typed.recv() => {
                    self.screen.typed();
                    self.typed(&line);
                }
                _ = tick.tick() => {
                    self.screen.tick();
                    if self.expires.is_some_and(|at| now_ms() > at + AFTER_EXPIRY_MS) {
                        return Ok(Outcome::late());
                    }
                }
            }
        }
    }

    fn begin(&mut self, request: Value, first: bool) {
        let refused = self.hub.begin(request, LONGEST);
        self.requests.spawn(async move { (first, refused.await) });
    }

    fn step(&mut self, step: PairStep) -> Option<Outcome> {
        match step {
            PairStep::Window { code, expires } => {
                self.expires = Some(expires);
                self.screen.window(&code, expires);
            }
            PairStep::Nearby { hubs } => self.screen.nearby(&hubs),
            PairStep::Trouble { message } => self.screen.note(&message),
            PairStep::Met { hub_id, peer_id } => {
                self.expires = None;
                self.screen.say(&format!(
                    "{} {} has the code. Its key ends in {}.",
                    paint(GOOD, "✓"),
                    one_line(&hub_id),
                    key_end(&peer_id),
                ));
            }
            PairStep::Question {
                hub_id,
                theirs,
                ours,
                both,
            } => self.question(&two_meshes(&hub_id, &theirs, &ours, &both)),
            PairStep::Paired {
                hub_id,
                peer_id,
                created,
                hubs,
                brings,
            } => {
                return Some(Outcome::Paired(outcome::Met {
                    hub_id,
                    peer_id,
                    created,
                    hubs,
                    brings,
                }));
            }
            PairStep::Failed { code, message } => {
                return Some(match self.question.take() {
                    // The person's own answer, or that there was nobody to ask.
                    Some(refusal) if !refusal.is_empty() => Outcome::Failed {
                        code,
                        message: refusal,
                    },
                    _ => Outcome::Failed { code, message },
                });
            }
        }
        None
    }

    /// Asks the person what becomes of this hub's mesh, where there is one to ask.
    fn question(&mut self, why: &str) {
        self.expires = None;
        if let Some(choice) = self.given {
            self.screen.say(why);
            self.screen.say(match choice {
                MeshChoice::Merge => "The meshes are merged (--yes-merge).",
                _ => "It leaves its mesh (--yes-leave).",
            });
            return self.answer(choice);
        }
        if self.screen.asks() && std::io::stdin().is_terminal() {
            self.question = Some(String::new());
            self.screen.ask(why, "merge, leave or no? [merge/leave/NO]");
            return;
        }
        self.question = Some(format!(
            "{} Which it is, you say with `--yes-merge` or `--yes-leave`; nobody can be asked here.",
            ecorelay_protocol::visible(&anstream::adapter::strip_str(why).to_string())
                .replace('\n', " ")
        ));
        self.answer(MeshChoice::Stay);
    }

    fn answer(&mut self, choice: MeshChoice) {
        self.begin(json!({"type": "pair_answer", "choice": choice}), false);
    }

    fn typed(&mut self, line: &str) {
        if self.question.is_some() {
            let choice = match line.trim().to_ascii_lowercase().as_str() {
                "m" | "merge" => MeshChoice::Merge,
                "l" | "leave" => MeshChoice::Leave,
                "" | "n" | "no" => MeshChoice::Stay,
                _ => {
                    self.screen
                        .note("Type merge, leave or no, and press Enter.");
                    return;
                }
            };
            self.question = (choice == MeshChoice::Stay).then(|| {
                "You answered no: this hub stays in its mesh. To pair all the same, answer merge or leave, or let the other hub leave its mesh."
                    .to_owned()
            });
            return self.answer(choice);
        }
        match code::check(line) {
            Ok(code) => {
                self.screen.note(&format!("Looking for {code} …"));
                self.begin(request(Some(&code)), false);
            }
            Err(error) => self.screen.note(&error.sentence()),
        }
    }
}

/// Returns the end of a key, short enough to compare by eye.
fn key_end(peer_id: &str) -> String {
    crate::view::text::keep_end(&one_line(peer_id), 9)
}
