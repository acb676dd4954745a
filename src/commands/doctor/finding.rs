//! What a check found.

use crate::view::style::{BOLD, DIM, FAIL, GOOD, WARN, paint};
use crate::view::text::{count, one_line};
use serde::Serialize;

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// It works.
    Ok,
    /// It works, but wants a look.
    Warn,
    /// It does not work.
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How good it is.
    pub(super) level: Level,
    /// What was found, as a sentence.
    pub(super) message: String,
    /// What to do; always there unless it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

/// Returns a finding that something works.
pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        check,
        level: Level::Ok,
        message: message.into(),
        remedy: None,
    }
}

/// Returns a finding that something wants a look.
pub(super) fn warn(
    check: &'static str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        check,
        level: Level::Warn,
        message: message.into(),
        remedy: Some(remedy.into()),
    }
}

/// Returns a finding that something does not work.
pub(super) fn fail(
    check: &'static str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        check,
        level: Level::Fail,
        message: message.into(),
        remedy: Some(remedy.into()),
    }
}

/// Returns the findings for people.
pub(super) fn page(findings: &[Finding]) -> String {
    let widest = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Ok => paint(GOOD, "ok  "),
            Level::Warn => paint(WARN, "warn"),
            Level::Fail => paint(FAIL, "fail"),
        };
        let check = paint(BOLD, format!("{:<widest$}", finding.check));
        out.push_str(&format!(
            "{mark}  {check}  {}\n",
            one_line(&finding.message)
        ));
        if let Some(remedy) = &finding.remedy {
            let indent = " ".repeat(widest + 8);
            out.push_str(&format!(
                "{indent}{} {}\n",
                paint(DIM, "→"),
                one_line(remedy)
            ));
        }
    }
    let number = |level| findings.iter().filter(|f| f.level == level).count();
    let verdict = match (number(Level::Fail), number(Level::Warn)) {
        (0, 0) => paint(GOOD, "Everything works."),
        (0, warned) => format!("It works; {} to look at.", count(warned, "thing")),
        (failed, _) => paint(FAIL, format!("{} to mend.", count(failed, "thing"))),
    };
    out.push_str(&format!("\n{verdict}\n"));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

    #[test]
    fn findings_are_aligned_and_say_what_to_do() {
        let findings = [
            ok("hub", "It answers."),
            warn("socket", "A stale one.", "rm it"),
            fail("x", "No.", "Do."),
        ];
        assert_eq!(
            plain(&page(&findings)),
            "ok    hub     It answers.\nwarn  socket  A stale one.\n              → rm it\nfail  x       No.\n              → Do.\n\n1 thing to mend.\n"
        );
        let json = serde_json::to_value(&findings[1]).unwrap();
        assert_eq!(json["level"], "warn");
    }
}
