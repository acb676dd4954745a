//! The real assistants: which versions the tests were written for, and where `.ci/run` and the
//! contributor's guide put them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One assistant's program.
#[derive(Debug)]
pub(crate) struct Cli {
    /// Its short name: of its folder below `.clis/`, and of its program on a person's path,
    /// where `-old` is left out.
    pub(crate) name: &'static str,
    /// The version that the tests were written for.
    pub(crate) version: &'static str,
    /// The program, below `.clis/`; a stand-in below `tests/`.
    program: &'static str,
}

/// Every assistant that can be installed without an account, and stand-ins for two that cannot.
static CLIS: [Cli; 10] = [
    Cli {
        name: "claude",
        version: "2.1.330",
        program: "claude/node_modules/@anthropic-ai/claude-code-linux-x64/claude",
    },
    Cli {
        name: "claude-old",
        version: "2.1.197",
        program: "claude-old/node_modules/@anthropic-ai/claude-code-linux-x64/claude",
    },
    Cli {
        name: "codex",
        version: "0.169.0",
        program: "codex/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
    },
    Cli {
        name: "opencode",
        version: "1.18.33",
        program: "opencode/node_modules/opencode-linux-x64/bin/opencode",
    },
    Cli {
        name: "copilot",
        version: "1.0.102",
        program: "copilot/node_modules/@github/copilot-linux-x64/copilot",
    },
    Cli {
        name: "cline",
        version: "3.0.65",
        program: "cline/node_modules/@cline/cli-linux-x64/bin/cline",
    },
    Cli {
        name: "gemini",
        version: "0.61.0",
        program: "gemini/node_modules/.bin/gemini",
    },
    Cli {
        name: "aider",
        version: "0.86.2",
        program: "aider/bin/aider",
    },
    Cli {
        name: "agy",
        version: "(a stand-in)",
        program: "tests/support/fakes/agy.py",
    },
    Cli {
        name: "cursor-agent",
        version: "(a stand-in)",
        program: "tests/support/fakes/cursor_agent.py",
    },
];

/// Returns the program of the assistant `name`: what `ECORELAY_TEST_CLI_<NAME>` says, else the one
/// below `.clis/`. Where there is none, says which test is skipped.
///
/// # Panics
/// Where there is none and `ECORELAY_TEST_REQUIRE_CLIS` is set.
pub(crate) fn find(test: &str, name: &str) -> Option<PathBuf> {
    let cli = CLIS.iter().find(|cli| cli.name == name);
    let cli = cli.expect("an assistant of the table");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = if cli.program.starts_with("tests/") {
        root.join(cli.program)
    } else {
        root.join(".clis").join(cli.program)
    };
    let set = std::env::var_os(format!(
        "ECORELAY_TEST_CLI_{}",
        name.to_ascii_uppercase().replace('-', "_")
    ));
    let program = set.map_or(installed, PathBuf::from);
    let tmux = Command::new("tmux").arg("-V").output().is_ok();
    if program.is_file() && tmux {
        return Some(program);
    }
    let missing = format!(
        "{test}: needs tmux and {name} {}, looked for at {} (see CONTRIBUTING.md)",
        cli.version,
        program.display()
    );
    if std::env::var_os("ECORELAY_TEST_REQUIRE_CLIS").is_some() {
        panic!("{missing}");
    }
    super::announce(&format!("SKIPPED: {missing}"));
    None
}
