//! What a person sees while two machines pair: the code in its box with the time that is left,
//! other machines that show one, the question, the result.
//!
//! Type to know: [`Panel`], which is drawn again in place while the person types below it.

use super::style::{BOLD, DIM, GOOD, PLAIN, WARN, paint};
use super::text::{count, one_line, width};

/// So many machines that show a code are named one by one.
const NAMED: usize = 3;
/// What stands before the place where a code is typed.
const PROMPT: &str = "  code> ";

/// The code of this machine, and what is around it. It always takes the same number of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panel {
    code: String,
    expires: u64,
    nearby: Vec<(String, u32)>,
    note: String,
    /// Lines between the end of the panel and the cursor.
    below: usize,
}

impl Panel {
    /// Returns the panel of a code that is good until `expires`, in ms since 1970.
    pub(crate) fn new(code: &str, expires: u64) -> Self {
        Self {
            code: one_line(code),
            expires,
            nearby: Vec::new(),
            note: String::new(),
            below: 0,
        }
    }

    /// Sets which other machines show a code.
    pub(crate) fn set_nearby(&mut self, hubs: &[(String, u32)]) {
        self.nearby = hubs.to_vec();
    }

    /// Sets the last line.
    pub(crate) fn set_note(&mut self, note: &str) {
        self.note = one_line(note);
    }

    /// Notes that the person has pressed Enter.
    pub(crate) fn typed(&mut self) {
        self.below += 1;
    }

    /// Notes that the panel is drawn again below what was typed.
    pub(crate) fn at_bottom(&mut self) {
        self.below = 0;
    }

    /// Returns the lines that the panel and what is typed below it take.
    pub(crate) fn height(&self, now: u64) -> usize {
        self.lines(now).len() + 1 + self.below
    }

    /// Returns the panel as it is drawn first, with the place to type.
    pub(crate) fn first(&self, now: u64) -> String {
        format!("{}\n{PROMPT}", self.lines(now).join("\n"))
    }

    /// Returns what draws the panel anew where it stands, and leaves the cursor, and what is
    /// half typed, as they are.
    pub(crate) fn again(&self, now: u64, columns: usize) -> String {
        let lines = self.lines(now);
        let up = lines.len() + self.below;
        let mut out = format!("\x1b7\x1b[{up}A");
        for line in &lines {
            out.push_str(&format!(
                "\r\x1b[K{}\x1b[1B",
                super::live::cut(line, columns)
            ));
        }
        out.push_str("\x1b8");
        out
    }

    /// Returns a new place to type, on the line below the last one.
    pub(crate) fn prompt() -> &'static str {
        PROMPT
    }

    fn lines(&self, now: u64) -> Vec<String> {
        let mut lines = vec![String::new(), "  The code of this machine:".to_owned()];
        lines.extend(boxed(&self.code));
        let left = self.expires.saturating_sub(now).div_ceil(1_000);
        lines.push(format!(
            "  {}",
            match left {
                0 => paint(WARN, "it has run out"),
                left => paint(
                    DIM,
                    format!(
                        "good for {}:{:02}, once, for one machine",
                        left / 60,
                        left % 60
                    )
                ),
            }
        ));
        lines.push(String::new());
        lines.push(format!(
            "  On the other machine:  {}",
            paint(BOLD, format!("ecorelay pair {}", self.code))
        ));
        lines.push(
            "  Or type here the code that the other machine shows, and press Enter.".to_owned(),
        );
        lines.push(String::new());
        let mut nearby = nearby_lines(&self.nearby);
        nearby.resize(NAMED + 2, String::new());
        lines.extend(nearby);
        lines.push(format!("  {}", paint(WARN, &self.note)));
        lines
    }
}

/// Returns the code in a box.
fn boxed(code: &str) -> Vec<String> {
    let inner = width(code) + 10;
    let bar = "─".repeat(inner);
    let blank = " ".repeat(inner);
    vec![
        format!("    ┌{bar}┐"),
        format!("    │{blank}│"),
        format!("    │     {}     │", paint(BOLD, code)),
        format!("    │{blank}│"),
        format!("    └{bar}┘"),
    ]
}

/// Returns the lines about other machines that show a code; their names are theirs.
pub(crate) fn nearby_lines(hubs: &[(String, u32)]) -> Vec<String> {
    if hubs.is_empty() {
        return vec![paint(DIM, "  Nearby nobody else shows a code.")];
    }
    let mut lines = vec![format!(
        "  Nearby, with a code of its own {}:",
        paint(DIM, "(names as they say them; nobody has checked them)")
    )];
    for (name, number) in hubs.iter().take(NAMED) {
        lines.push(format!(
            "    {}  its code begins with {number}-",
            paint(BOLD, one_line(name))
        ));
    }
    if hubs.len() > NAMED {
        lines.push(format!("    and {} more", hubs.len() - NAMED));
    }
    lines
}

/// Returns what is said of a code where nothing can be drawn again.
pub(crate) fn window(code: &str, seconds: u64) -> String {
    let code = one_line(code);
    format!(
        "The code of this machine is {}, good for {seconds} s, once.\nOn the other machine: ecorelay pair {code}",
        paint(BOLD, &code)
    )
}

/// Returns why a person is asked what becomes of this hub's mesh, without the question. Names
/// that stand in `both` keep the meshes from being merged.
pub(crate) fn two_meshes(
    hub_id: &str,
    theirs: &[String],
    ours: &[String],
    both: &[String],
) -> String {
    let (hub, theirs, ours) = (one_line(hub_id), named(theirs), named(ours));
    let merge = if both.is_empty() {
        format!(
            "  merge  both meshes become one: {ours} come along, those that are off when they are\n         \
             back; all of them reach each other."
        )
    } else {
        format!(
            "  merge  is not possible while a hub of each mesh is called {}: set another hub_id in\n         \
             config.toml of one of them first, then: ecorelay node restart",
            named(both)
        )
    };
    format!(
        "{} belongs to a mesh with {theirs}; this hub belongs to another, with {ours}.\n\
         A hub is in one mesh at a time:\n{merge}\n  \
         leave  only this hub moves: its sessions, mail and groups stay here, but it no longer\n         \
         reaches {ours}, and what waits for them is not sent.\n  \
         no     nothing changes.",
        paint(BOLD, hub),
    )
}

/// Returns names as a list; of many only the first.
fn named(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| one_line(name)).collect();
    match names.len() - shown.len() {
        0 if shown.is_empty() => "no other hub".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What came of a pairing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paired {
    /// The other hub's human name.
    pub(crate) hub_id: String,
    /// The mesh was made for this.
    pub(crate) created: bool,
    /// The hubs of the mesh now, this one included.
    pub(crate) hubs: usize,
    /// Hubs that come along with the other one.
    pub(crate) brings: Vec<String>,
    /// How the hubs are linked; empty while they are not.
    pub(crate) link: String,
    /// A session there, `name@hub`, where one is known.
    pub(crate) example: Option<String>,
}

/// Returns the result, and what it means.
pub(crate) fn paired(paired: &Paired) -> String {
    let hub = one_line(&paired.hub_id);
    let mesh = if !paired.brings.is_empty() {
        format!(
            "The two meshes become one: {} come along with {hub}.",
            named(&paired.brings)
        )
    } else if paired.created || paired.hubs <= 2 {
        "The two hubs are a mesh.".to_owned()
    } else {
        format!(
            "The mesh has {} now, this one included.",
            count(paired.hubs, "hub")
        )
    };
    let link = match paired.link.as_str() {
        "" => format!(
            "They are not linked yet; the hub goes on trying: {}.",
            paint(BOLD, "ecorelay hubs")
        ),
        link => format!("Linked: {}.", one_line(link)),
    };
    let others = match paired.hubs {
        0..=2 => format!("Sessions on {hub}"),
        _ => format!("Sessions on {hub} and on the other hubs of the mesh"),
    };
    let example = paired
        .example
        .as_deref()
        .map_or_else(|| format!("NAME@{hub}"), one_line);
    let rows = [
        (
            "write to a session there",
            format!("ecorelay send {example} \"…\""),
        ),
        ("who is there", "ecorelay peers".to_owned()),
        (
            "hear less of it",
            format!("ecorelay hubs policy {hub} quiet"),
        ),
        ("undo the pairing", format!("ecorelay hubs revoke {hub}")),
    ];
    let mut out = format!(
        "{} {mesh} {link}\n\n\
         {others} can now write to the sessions here and ask\n\
         them, share rooms and groups with them, and see their names, folders and branches.\n\
         Yours can do the same there. Nobody gets any rights on this machine.\n\n",
        paint(GOOD, format!("✓ Paired with {hub}.")),
    );
    for (what, command) in rows {
        out.push_str(&format!("  {what:<26}{}\n", paint(PLAIN, command)));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn the_panel_shows_the_code_the_time_and_who_is_near() {
        let mut panel = Panel::new("7-otter-lamp", 120_000);
        panel.set_nearby(&[("lap\u{1b}top".to_owned(), 12)]);
        panel.set_note("No answer.");
        let text = plain(&panel.first(1_500));
        assert!(text.contains("│     7-otter-lamp     │"), "{text}");
        assert!(text.contains("good for 1:59, once"), "{text}");
        assert!(text.contains("ecorelay pair 7-otter-lamp"), "{text}");
        assert!(
            text.contains("lap⟨U+001B⟩top  its code begins with 12-"),
            "{text}"
        );
        assert!(text.ends_with("No answer.\n  code> "), "{text}");
        assert!(plain(&panel.first(120_000)).contains("run out"));
    }

    #[test]
    fn the_panel_keeps_its_height_and_its_place() {
        let mut panel = Panel::new("7-otter-lamp", 120_000);
        let before = panel.height(0);
        let many: Vec<(String, u32)> = (0..9).map(|n| (format!("hub{n}"), n)).collect();
        panel.set_nearby(&many);
        assert_eq!(panel.height(0), before);
        assert!(plain(&panel.first(0)).contains("and 6 more"));
        let lines = before - 1;
        assert!(
            panel
                .again(0, 80)
                .starts_with(&format!("\x1b7\x1b[{lines}A"))
        );
        panel.typed();
        assert!(
            panel
                .again(0, 80)
                .starts_with(&format!("\x1b7\x1b[{}A", lines + 1))
        );
    }

    #[test]
    fn the_result_says_what_the_other_may_do_and_how_to_undo_it() {
        let mut result = Paired {
            hub_id: "laptop".into(),
            created: true,
            hubs: 2,
            brings: Vec::new(),
            link: "direct, 0.4 ms".into(),
            example: Some("api@laptop".into()),
        };
        assert_eq!(
            plain(&paired(&result)),
            "✓ Paired with laptop. The two hubs are a mesh. Linked: direct, 0.4 ms.\n\n\
             Sessions on laptop can now write to the sessions here and ask\n\
             them, share rooms and groups with them, and see their names, folders and branches.\n\
             Yours can do the same there. Nobody gets any rights on this machine.\n\n\
             \x20 write to a session there  ecorelay send api@laptop \"…\"\n\
             \x20 who is there              ecorelay peers\n\
             \x20 hear less of it           ecorelay hubs policy laptop quiet\n\
             \x20 undo the pairing          ecorelay hubs revoke laptop\n"
        );
        result.hubs = 4;
        result.created = false;
        result.link = String::new();
        result.example = None;
        let text = plain(&paired(&result));
        assert!(
            text.contains("4 hubs now") && text.contains("NAME@laptop"),
            "{text}"
        );
        assert!(text.contains("not linked yet"), "{text}");
    }

    #[test]
    fn both_meshes_are_named_before_one_is_left() {
        let many: Vec<String> = (0..8).map(|n| format!("h{n}")).collect();
        let text = plain(&two_meshes("desk", &["nas".into()], &many, &[]));
        assert!(text.contains("both meshes become one"), "{text}");
        let clash = plain(&two_meshes("desk", &["nas".into()], &many, &["nas".into()]));
        assert!(clash.contains("is called nas"), "{clash}");
        assert!(text.contains("desk belongs to a mesh with nas;"), "{text}");
        assert!(text.contains("h4 and 3 more"), "{text}");
    }
}
