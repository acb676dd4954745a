//! Types one text into a program and finds out what became of it. No I/O and no clock: what
//! stands on the screen and what time it is come from outside.
//!
//! The order of things: the prompt has settled and nobody types → the text, as one paste → it
//! shows on the screen → Enter, as a write of its own → the prompt is empty again.

use super::look::{Look, look};
use super::programs::Program;
use super::text::{self, Typed};
use ecorelay_protocol::PushResult;
use std::time::{Duration, Instant};
use vt100::Screen;

/// How long nobody may have typed.
const KEYS_QUIET: Duration = Duration::from_millis(1_500);
/// How long the prompt must have been ready: a program that is starting, or between two steps,
/// shows it for a moment.
const SETTLED: Duration = Duration::from_millis(400);
/// How long after the text Enter follows at the earliest: two programs measured take it for a
/// part of the paste before.
const ENTER_AFTER: Duration = Duration::from_millis(600);
/// How long the text may take to show.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// How long the prompt may take to become empty after Enter.
const GONE_WITHIN: Duration = Duration::from_secs(4);
/// What programs show in place of a long paste.
const PASTE_SIGNS: &[&str] = &["[Pasted", "[pasted", "[Paste"];

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing.
    Nothing,
    /// These bytes go to the program.
    Write(Vec<u8>),
    /// The text has come to its end.
    Done(PushResult, Option<String>),
}

/// Types into one program.
#[derive(Debug)]
pub(crate) struct Typist {
    program: &'static Program,
    stage: Stage,
    look: Look,
    ready_since: Option<Instant>,
    keys_at: Option<Instant>,
    /// The program has asked for pastes to be marked, at some time.
    marked: bool,
}

#[derive(Debug)]
enum Stage {
    Resting,
    /// The text is written; it is looked for.
    Text {
        at: Instant,
        ends: [String; 2],
        before: Sight,
    },
    /// Enter is written; `last` is the text's end.
    Enter {
        at: Instant,
        last: String,
    },
}

/// How often the ends of a text, and signs of a paste, stand on a screen.
#[derive(Debug, PartialEq, Eq)]
struct Sight([usize; 3]);

impl Sight {
    fn of(screen: &Screen, ends: &[String; 2]) -> Self {
        let contents = screen.contents();
        let squeezed = text::squeezed(&contents);
        let count = |end: &String| squeezed.matches(end.as_str()).count();
        let signs = PASTE_SIGNS
            .iter()
            .map(|sign| contents.matches(sign).count());
        Self([count(&ends[0]), count(&ends[1]), signs.sum()])
    }

    fn more_than(&self, before: &Self) -> bool {
        self.0
            .iter()
            .zip(before.0)
            .any(|(now, before)| *now > before)
    }
}

impl Typist {
    pub(crate) fn new(program: &'static Program) -> Self {
        Self {
            program,
            stage: Stage::Resting,
            look: Look::Busy,
            ready_since: None,
            keys_at: None,
            marked: false,
        }
    }

    /// Notes that the person has typed.
    pub(crate) fn on_keys(&mut self, now: Instant) {
        self.keys_at = Some(now);
    }

    /// Returns what the screen showed last.
    pub(crate) fn last_look(&self) -> Look {
        self.look
    }

    /// Returns whether a text stands at the prompt and is not entered yet: what the person
    /// types meanwhile would be entered with it.
    pub(crate) fn holds_keys(&self) -> bool {
        matches!(self.stage, Stage::Text { .. })
    }

    /// Returns whether a text is on its way.
    pub(crate) fn is_typing(&self) -> bool {
        !matches!(self.stage, Stage::Resting)
    }

    /// Returns why no text may be typed now; nothing when one may.
    pub(crate) fn hindrance(&self, now: Instant) -> Option<&'static str> {
        if self.is_typing() {
            return Some("waits for the message before it");
        }
        if self.look != Look::Ready {
            return Some(self.look.why());
        }
        if self.keys_at.is_some_and(|at| now < at + KEYS_QUIET) {
            return Some("waits: the person is typing");
        }
        let settled = self.ready_since.is_some_and(|since| now >= since + SETTLED);
        (!settled).then_some(self.look.why())
    }

    /// Returns when to look again, if nothing happens until then.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        match &self.stage {
            Stage::Resting => {
                let keys = self.keys_at.map(|at| at + KEYS_QUIET);
                let ready = self.ready_since.map(|at| at + SETTLED);
                keys.into_iter().chain(ready).filter(|at| *at > now).min()
            }
            Stage::Text { at, .. } => {
                let early = *at + ENTER_AFTER;
                Some(if early > now {
                    early
                } else {
                    *at + SHOWN_WITHIN
                })
            }
            Stage::Enter { at, .. } => Some(*at + GONE_WITHIN),
        }
    }

    /// Begins with a text. Only to be called where [`Typist::hindrance`] finds none.
    pub(crate) fn begin(&mut self, text: &str, now: Instant, screen: &Screen) -> Vec<u8> {
        let Typed { bytes, ends } = if screen.bracketed_paste() || !self.program.one_line {
            text::paste(text)
        } else {
            text::line(text)
        };
        let before = Sight::of(screen, &ends);
        self.stage = Stage::Text {
            at: now,
            ends,
            before,
        };
        bytes
    }

    /// Looks at the screen and returns what is to be done.
    pub(crate) fn step(&mut self, now: Instant, screen: &Screen) -> Act {
        self.marked |= screen.bracketed_paste();
        self.look = look(self.program, screen, self.marked);
        if self.look != Look::Ready || self.is_typing() {
            self.ready_since = None;
        } else if self.ready_since.is_none() {
            self.ready_since = Some(now);
        }
        match &self.stage {
            Stage::Resting => Act::Nothing,
            Stage::Text { at, ends, before } => {
                let late = now >= *at + SHOWN_WITHIN;
                if now < *at + ENTER_AFTER {
                    return Act::Nothing;
                }
                if self.look == Look::Question {
                    return self.end(
                        PushResult::Unknown,
                        Some("it was typed, but not entered: the program asks something"),
                    );
                }
                let filled = self.look == Look::Draft;
                if filled || Sight::of(screen, ends).more_than(before) {
                    let last = ends[1].clone();
                    self.stage = Stage::Enter { at: now, last };
                    return Act::Write(vec![b'\r']);
                }
                if late {
                    return self.end(
                        PushResult::Unknown,
                        Some("it was typed, but the program does not show it; it was not entered"),
                    );
                }
                Act::Nothing
            }
            Stage::Enter { at, last } => {
                if self.look != Look::Draft && !stands_at_cursor(screen, last) {
                    return self.end(PushResult::Handed, None);
                }
                if now >= *at + GONE_WITHIN {
                    return self.end(
                        PushResult::Unknown,
                        Some("it was typed and entered, but still stands at the prompt"),
                    );
                }
                Act::Nothing
            }
        }
    }

    fn end(&mut self, result: PushResult, detail: Option<&str>) -> Act {
        self.stage = Stage::Resting;
        self.ready_since = None;
        Act::Done(result, detail.map(str::to_owned))
    }
}

/// Returns whether the cursor stands right behind a text that ends so: it was not entered.
fn stands_at_cursor(screen: &Screen, last: &str) -> bool {
    let (row, column) = screen.cursor_position();
    // A row above as well: the text's last row may be short.
    let before = screen.contents_between(row.saturating_sub(1), 0, row, column);
    let before = text::squeezed(&before);
    !before.is_empty() && !last.is_empty() && before.ends_with(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::path::Path;

    /// Aider with a screen of its own and a clock that the test turns.
    struct Scene {
        typist: Typist,
        screen: vt100::Parser,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let size = (24.try_into().unwrap(), 80.try_into().unwrap());
            let mut scene = Self {
                typist: Typist::new(Program::of_path(Path::new("aider"))),
                screen: vt100::Parser::new(size.0, size.1, 0),
                now: Instant::now(),
            };
            assert_eq!(scene.shows("\x1b[?2004h> "), Act::Nothing);
            scene
        }

        fn shows(&mut self, bytes: &str) -> Act {
            self.screen.process(bytes.as_bytes());
            self.typist.step(self.now, self.screen.screen())
        }

        fn after(&mut self, time: Duration) -> Act {
            self.now += time;
            self.shows("")
        }

        fn begin(&mut self) {
            assert_eq!(self.typist.hindrance(self.now), None);
            let screen = self.screen.screen();
            let bytes = self.typist.begin("[ecorelay] hello\nyou", self.now, screen);
            assert_eq!(bytes, b"\x1b[200~[ecorelay] hello\ryou\x1b[201~");
        }
    }

    const HANDED: Act = Act::Done(PushResult::Handed, None);

    #[test]
    fn a_text_is_entered_once_it_shows_and_handed_once_the_prompt_took_it() {
        let mut scene = Scene::new();
        assert!(
            scene.typist.hindrance(scene.now).is_some(),
            "not settled yet"
        );
        scene.after(SETTLED);
        scene.begin();
        assert!(scene.typist.hindrance(scene.now).is_some() && scene.typist.holds_keys());
        assert_eq!(scene.shows("[ecorelay] hello\r\n> you"), Act::Nothing);
        assert_eq!(scene.after(ENTER_AFTER), Act::Write(vec![b'\r']));
        assert!(!scene.typist.holds_keys());
        assert_eq!(scene.shows(""), Act::Nothing);
        assert_eq!(scene.shows("\x1b[?2004l\r\nWaiting"), HANDED);
        assert!(!scene.typist.is_typing());
    }

    #[test]
    fn nothing_is_typed_while_the_person_types_or_the_prompt_is_not_settled() {
        let mut scene = Scene::new();
        scene.after(SETTLED);
        scene.typist.on_keys(scene.now);
        assert!(
            scene
                .typist
                .hindrance(scene.now)
                .unwrap()
                .contains("typing")
        );
        assert_eq!(scene.typist.next(scene.now), Some(scene.now + KEYS_QUIET));
        scene.after(KEYS_QUIET);
        assert_eq!(scene.typist.hindrance(scene.now), None);
        scene.shows("draft");
        assert!(
            scene
                .typist
                .hindrance(scene.now)
                .unwrap()
                .contains("writing")
        );
        scene.shows("\r\x1b[K> ");
        assert!(scene.typist.hindrance(scene.now).is_some());
        scene.after(SETTLED);
        assert_eq!(scene.typist.hindrance(scene.now), None);
    }

    #[test]
    fn what_does_not_show_is_not_entered() {
        let mut scene = Scene::new();
        scene.after(SETTLED);
        scene.begin();
        assert_eq!(scene.after(ENTER_AFTER), Act::Nothing);
        let Act::Done(PushResult::Unknown, Some(why)) = scene.after(SHOWN_WITHIN) else {
            panic!("it ends");
        };
        assert!(why.contains("not entered"), "{why}");
    }

    #[test]
    fn a_question_that_comes_in_between_is_not_answered() {
        let mut scene = Scene::new();
        scene.after(SETTLED);
        scene.begin();
        scene.shows("\r\nAdd file? (Y)es/(N)o [Yes]: ");
        let Act::Done(PushResult::Unknown, Some(why)) = scene.after(ENTER_AFTER) else {
            panic!("it ends");
        };
        assert!(why.contains("asks"), "{why}");
    }

    #[test]
    fn what_stays_at_the_prompt_is_not_called_handed() {
        let mut scene = Scene::new();
        scene.after(SETTLED);
        scene.begin();
        scene.shows("[ecorelay] hello\r\n> you");
        assert_eq!(scene.after(ENTER_AFTER), Act::Write(vec![b'\r']));
        let Act::Done(PushResult::Unknown, Some(why)) = scene.after(GONE_WITHIN) else {
            panic!("it ends");
        };
        assert!(why.contains("still stands"), "{why}");
    }
}
