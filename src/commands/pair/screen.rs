//! What stands on the terminal while hubs pair. On a terminal the code keeps its place and the
//! time is drawn anew; elsewhere each thing is said once.

use crate::output::Output;
use crate::view::live::fits;
use crate::view::pairing::{Panel, nearby_lines, window};
use crate::view::style::{BOLD, DIM, paint};
use crate::view::text::one_line;
use crate::view::time::now_ms;
use std::io::IsTerminal as _;

/// The screen of one pairing.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    panel: Option<Panel>,
}

impl Screen {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            panel: None,
        }
    }

    /// Returns whether a person can be asked here.
    pub(super) fn asks(&self) -> bool {
        !self.output.json() && std::io::stderr().is_terminal()
    }

    /// Says that the machine with this code is looked for.
    pub(super) fn looking(&mut self, code: &str) {
        let text = format!("Looking for the machine that shows {} …", one_line(code));
        self.output.note(&paint(DIM, text));
    }

    /// Shows the code of this machine. Programs read it from standard error, too: it is no
    /// result.
    pub(super) fn window(&mut self, code: &str, expires: u64) {
        let now = now_ms();
        if self.output.json() {
            let step = serde_json::json!({"step": "window", "code": code, "expires": expires});
            self.output.event(&step);
            return;
        }
        let panel = Panel::new(code, expires);
        if self.output.can_redraw() && fits(self.output.terminal(), panel.height(now)) {
            self.output.draw(&panel.first(now));
            self.panel = Some(panel);
        } else {
            let seconds = expires.saturating_sub(now).div_ceil(1_000);
            self.output.note(&window(code, seconds));
        }
    }

    /// Shows which other machines show a code.
    pub(super) fn nearby(&mut self, hubs: &[(String, u32)]) {
        match &mut self.panel {
            Some(panel) => {
                panel.set_nearby(hubs);
                self.tick();
            }
            None if self.output.json() => {
                let step = serde_json::json!({"step": "nearby", "hubs": hubs});
                self.output.event(&step);
            }
            None if hubs.is_empty() => {}
            None => self.output.note(&nearby_lines(hubs).join("\n")),
        }
    }

    /// Says something beside the result.
    pub(super) fn note(&mut self, text: &str) {
        match &mut self.panel {
            Some(panel) => {
                panel.set_note(text);
                self.tick();
            }
            None => self.output.note(&one_line(text)),
        }
    }

    /// Says something that stays.
    pub(super) fn say(&mut self, text: &str) {
        self.leave();
        self.output.note(text);
    }

    /// Asks for a line.
    pub(super) fn ask(&mut self, why: &str, question: &str) {
        self.say(why);
        self.output.prompt(&format!("{} ", paint(BOLD, question)));
    }

    /// Notes that a line was typed.
    pub(super) fn typed(&mut self) {
        let size = self.output.terminal();
        let Some(panel) = &mut self.panel else {
            return;
        };
        panel.typed();
        if fits(size, panel.height(now_ms())) {
            self.output.draw(Panel::prompt());
        } else {
            // What was typed has pushed the panel off the screen: it is drawn below.
            let mut fresh = panel.clone();
            fresh.at_bottom();
            self.output.draw(&fresh.first(now_ms()));
            self.panel = Some(fresh);
        }
    }

    /// Draws what changes with time.
    pub(super) fn tick(&mut self) {
        if let (Some(panel), Some((columns, _))) = (&self.panel, self.output.terminal()) {
            self.output.draw(&panel.again(now_ms(), columns));
        }
    }

    /// Leaves the panel as it stands; what is written next stands below it.
    pub(super) fn leave(&mut self) {
        if self.panel.take().is_some() {
            self.output.draw("\r\x1b[K");
        }
    }
}
