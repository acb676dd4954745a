//! The outer form of a text file: its byte order mark and the ends of its lines. Editing is
//! done on text without either; both come back afterwards.

/// What some editors write in front of UTF-8.
const BOM: &str = "\u{feff}";

/// A text as it is edited, and what it needs to become the file again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    bom: bool,
    /// For each line whether it ends with CR LF.
    crlf: Vec<bool>,
    /// Whether most lines do.
    mostly: bool,
}

impl Form {
    /// Takes the form off a file's text.
    pub(super) fn split(file: &str) -> (Self, String) {
        let (bom, text) = match file.strip_prefix(BOM) {
            Some(rest) => (true, rest),
            None => (false, file),
        };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let crlf: Vec<bool> = lines.iter().map(|line| line.ends_with("\r\n")).collect();
        let ended = lines.iter().filter(|line| line.ends_with('\n')).count();
        let mostly = crlf.iter().filter(|crlf| **crlf).count() * 2 > ended;
        let form = Self { bom, crlf, mostly };
        (form, text.replace("\r\n", "\n"))
    }

    /// Returns the file's text after `before` was edited to `after`. Lines that stayed at the
    /// begin and at the end keep their ends; those between get what most lines have.
    pub(super) fn join(&self, before: &str, after: &str) -> String {
        let old: Vec<&str> = before.split_inclusive('\n').collect();
        let new: Vec<&str> = after.split_inclusive('\n').collect();
        let same_head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let rest = old.len().min(new.len()) - same_head;
        let tails = old.iter().rev().zip(new.iter().rev());
        let same_tail = tails.take(rest).take_while(|(a, b)| a == b).count();
        let mut out = String::with_capacity(after.len() + new.len());
        if self.bom {
            out.push_str(BOM);
        }
        for (at, line) in new.iter().enumerate() {
            let crlf = if at < same_head {
                self.crlf.get(at).copied()
            } else if at + same_tail >= new.len() {
                self.crlf.get(at + old.len() - new.len()).copied()
            } else {
                None
            };
            match line.strip_suffix('\n') {
                Some(text) if crlf.unwrap_or(self.mostly) => {
                    out.push_str(text);
                    out.push_str("\r\n");
                }
                _ => out.push_str(line),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_stays_keeps_its_end() {
        let file = "\u{feff}a\r\nb\nc\r\nd\r\n";
        let (form, text) = Form::split(file);
        assert_eq!(text, "a\nb\nc\nd\n");
        assert_eq!(form.join(&text, &text), file);
        let edited = form.join(&text, "a\nb\nnew\nlines\nc\nd\n");
        assert_eq!(edited, "\u{feff}a\r\nb\nnew\r\nlines\r\nc\r\nd\r\n");
        assert_eq!(form.join(&text, "a\nd\n"), "\u{feff}a\r\nd\r\n");
        let (form, text) = Form::split("");
        assert_eq!(form.join(&text, "x\n"), "x\n");
    }

    #[test]
    fn a_last_line_without_an_end_stays_so() {
        let (form, text) = Form::split("a\r\nb");
        assert_eq!(form.join(&text, "a\nx\nb"), "a\r\nx\r\nb");
    }
}
