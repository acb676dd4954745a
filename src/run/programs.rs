//! What is known of the programs that are run in a terminal of ours: how their prompt looks,
//! how a question does. A new program is a new row; nothing else branches on its name.

use std::path::Path;

/// One program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The name peers see; empty in the row for programs that nobody knows.
    pub(crate) id: &'static str,
    /// The names of its file.
    pub(crate) files: &'static [&'static str],
    /// Whether it starts an EcoRelay channel of its own.
    pub(crate) channel: Channel,
    /// How it shows that it waits for input.
    pub(crate) prompt: Prompt,
    /// Takes several lines as one only when they are pasted, and not every way of starting it
    /// has that: without, a text is typed as one line.
    pub(crate) one_line: bool,
    /// Words that stand on the screen while it asks something that Enter would answer.
    pub(crate) questions: &'static [&'static str],
    /// Words that stand on the screen while it works and its input box stays open.
    pub(crate) works: &'static [&'static str],
    /// How its model gets a command run; told with the first message.
    pub(crate) how_to_run: &'static str,
}

/// Whether a program starts an EcoRelay channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// It knows no MCP.
    Never,
    /// It does where EcoRelay is set up in it, some time after its start.
    Expected,
    /// Nobody knows.
    Perhaps,
}

/// How a program shows that it waits for input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// The cursor stands behind one of these, which are alone in their row.
    Row(&'static [&'static str]),
    /// A row begins with one of the marks, a frame left out; what follows is blank or one of
    /// the invitations, of which the beginning is given.
    Box {
        marks: &'static [&'static str],
        invitations: &'static [&'static str],
    },
    /// The cursor stands behind one of these signs, which ends a short text in its row, and the
    /// program has asked for pastes to be marked.
    Sign(&'static [char]),
}

/// The programs known by name. Source: their screens, as the tests see them.
static PROGRAMS: [Program; 4] = [
    Program {
        id: "aider",
        files: &["aider"],
        channel: Channel::Never,
        prompt: Prompt::Row(&[
            ">",
            "ask>",
            "code>",
            "architect>",
            "help>",
            "context>",
            "diff>",
            "udiff>",
            "whole>",
        ]),
        one_line: true,
        questions: &["(Y)es/(N)o"],
        works: &[],
        how_to_run: "Suggest the command in a bash block, or let the person type it after /run.",
    },
    Program {
        id: "gemini-cli",
        files: &["gemini"],
        channel: Channel::Expected,
        prompt: Prompt::Box {
            marks: &[">", "*", "!"],
            invitations: &["Type your message"],
        },
        one_line: false,
        questions: &[
            "Allow once",
            "Allow execution",
            "Apply this change?",
            "Do you trust",
            "(y/n)",
        ],
        works: &["esc to cancel"],
        how_to_run: "Run the command with your shell tool.",
    },
    Program {
        id: "claude-code",
        files: &["claude"],
        channel: Channel::Expected,
        prompt: Prompt::Box {
            marks: &["❯", ">"],
            invitations: &["Try \""],
        },
        one_line: false,
        questions: &["Do you want to", "Esc to cancel", "Enter to confirm"],
        works: &["esc to interrupt"],
        how_to_run: "Run the command with your shell tool.",
    },
    Program {
        id: "codex",
        files: &["codex"],
        channel: Channel::Expected,
        prompt: Prompt::Box {
            marks: &["›"],
            invitations: &[
                "Ask Codex",
                "Explain this codebase",
                "Summarize recent commits",
                "Implement {feature}",
                "Find and fix a bug",
                "Write tests for",
                "Improve documentation",
                "Run /review",
                "Use /skills",
            ],
        },
        one_line: false,
        questions: &[
            "Would you like to",
            "Press enter to confirm",
            "Allow Codex",
            "Do you trust",
        ],
        works: &["esc to interrupt"],
        how_to_run: "Run the command with your shell tool.",
    },
];

/// The row for programs that nobody knows.
static UNKNOWN: Program = Program {
    id: "",
    files: &[],
    channel: Channel::Perhaps,
    prompt: Prompt::Sign(&['>', '❯', '›', '»']),
    one_line: false,
    questions: &[
        "(y/n)",
        "[y/n]",
        "(yes/no",
        "[yes/no",
        "(Y)es",
        "Do you want",
        "Allow ",
        "Enter to confirm",
        "enter to confirm",
        "to approve",
        "Password",
        "password",
        "Passphrase",
        "passphrase",
    ],
    works: &["esc to interrupt", "esc to cancel"],
    how_to_run: "Run the command in a shell.",
};

/// Programs that carry out what is typed, or show another program that may: peer text is never
/// typed while one of them has the terminal.
const CARRY_OUT: &[&str] = &[
    "sh",
    "bash",
    "zsh",
    "fish",
    "dash",
    "ksh",
    "mksh",
    "tcsh",
    "csh",
    "nu",
    "xonsh",
    "elvish",
    "busybox",
    "pwsh",
    "powershell",
    "cmd",
    "python",
    "ipython",
    "bpython",
    "ptpython",
    "node",
    "deno",
    "bun",
    "irb",
    "ruby",
    "perl",
    "lua",
    "ghci",
    "R",
    "psql",
    "mysql",
    "mariadb",
    "sqlite3",
    "mongosh",
    "redis-cli",
    "ssh",
    "mosh",
    "mosh-client",
    "telnet",
    "su",
    "sudo",
    "doas",
    "docker",
    "podman",
    "kubectl",
    "tmux",
    "screen",
    "zellij",
    "script",
    "expect",
    "gdb",
    "lldb",
    "pdb",
];

impl Program {
    /// Returns the row of the program with this path.
    pub(crate) fn of_path(path: &Path) -> &'static Self {
        let name = stem(path);
        PROGRAMS
            .iter()
            .find(|program| program.files.contains(&&*name))
            .unwrap_or(&UNKNOWN)
    }

    /// Returns the name peers see for the program with this path.
    pub(crate) fn agent(&self, path: &Path) -> String {
        match self.id {
            "" => stem(path),
            id => id.to_owned(),
        }
    }

    /// Returns whether nobody knows this program.
    pub(crate) fn is_unknown(&self) -> bool {
        self.id.is_empty()
    }
}

/// Returns whether a program of this name carries out what is typed.
pub(crate) fn carries_out(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    CARRY_OUT.contains(&name) || CARRY_OUT.contains(&bare)
}

/// Returns the file's name without the folder and the ending that makes it run on Windows.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lower = name.to_ascii_lowercase();
    for ending in [".exe", ".cmd", ".bat", ".ps1"] {
        if lower.ends_with(ending) {
            return name[..name.len() - ending.len()].to_owned();
        }
    }
    name.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_file() {
        let of = |path: &str| Program::of_path(Path::new(path));
        assert_eq!(of("/opt/venv/bin/aider").id, "aider");
        assert_eq!(of("aider.exe").id, "aider");
        assert_eq!(of("gemini").channel, Channel::Expected);
        assert!(of("/usr/bin/mystery").is_unknown());
        let path = Path::new("/usr/bin/mystery");
        assert_eq!(of("/usr/bin/mystery").agent(path), "mystery");
        assert_eq!(of("gemini").agent(Path::new("gemini")), "gemini-cli");
    }

    #[test]
    fn what_carries_out_what_is_typed_is_known_with_its_version() {
        for name in ["bash", "-zsh", "python3.11", "python", "ssh", "sqlite3"] {
            assert!(carries_out(name), "{name}");
        }
        for name in ["aider", "gemini", "my-agent", ""] {
            assert!(!carries_out(name), "{name}");
        }
    }
}
