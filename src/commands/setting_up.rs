//! What `install` and `uninstall` have in common: nothing is changed unasked, each assistant goes
//! well or badly by itself, and both are said in the same way.

use crate::assistants::shown_name;
use crate::context::Context;
use crate::error::CliError;
use crate::view::setup;
use crate::view::style::{FAIL, paint};
use crate::view::text::count;
use ecorelay_adapters::{FileChange, Setup};
use serde_json::{Value, json};

/// What is changed for one assistant, or why nothing can be.
pub(crate) type Changes = Result<Vec<FileChange>, CliError>;

/// Returns the refusal where nobody can be asked; `what` is a sentence about what is changed.
pub(crate) fn nobody_to_ask(what: &str) -> CliError {
    CliError::usage(what).hint("To see what would be changed: `--dry-run`. To change it: `--yes`.")
}

/// Returns the lines below an assistant's title.
pub(crate) fn lines(changes: &Changes, home: &str) -> String {
    match changes {
        Ok(changes) => format!("\n{}", setup::changes(changes, Some(home))),
        Err(error) => format!("\n  {} {}\n", paint(FAIL, "✗"), error.sentence()),
    }
}

/// Returns what programs are told of an assistant; `before` and `after` are its state with and
/// without something left to change.
pub(crate) fn document(
    setup: &dyn Setup,
    changes: &Changes,
    acted: bool,
    [before, after]: [&str; 2],
) -> Value {
    let state = match changes {
        Err(_) => "failed",
        Ok(changes) if changes.is_empty() => after,
        Ok(_) if acted => "changed",
        Ok(_) => before,
    };
    let mut document = json!({
        "id": setup.id(),
        "name": shown_name(setup),
        "title": setup.title(),
        "state": state,
        "files": setup::document(changes.as_deref().unwrap_or_default()),
    });
    if let Err(error) = changes {
        document["message"] = error.sentence().into();
    }
    document
}

/// Returns how the command ends; `done` says what so many assistants could not be.
pub(crate) fn end(
    failed: usize,
    done: &str,
    declined: bool,
    context: &Context,
) -> Result<(), CliError> {
    if failed > 0 {
        let assistants = count(failed, "assistant");
        let broken = CliError::failed(format!("{assistants} could not be {done}."));
        return Err(match context.output.json() {
            true => broken.already_told(),
            false => broken.hint("What stands in the way is said above."),
        });
    }
    match declined {
        true => Err(CliError::failed("").already_told()),
        false => Ok(()),
    }
}
