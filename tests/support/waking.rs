//! Models of assistants that a background command wakes: they start it when they are told how,
//! and again whenever it has brought something.

use super::mock_model::{Gate, Reply};
use super::scripted::{between, scripted};
use std::sync::Mutex;

/// How a model starts the waiting command, and notices that it has ended.
pub(crate) struct Waking {
    /// Its name for a tool of ours.
    pub(crate) tool: fn(&str) -> String,
    /// What stands before and after the command in the words that tell it to start it.
    pub(crate) told: (&'static str, &'static str),
    /// What it hears when the command has ended.
    pub(crate) ended: &'static str,
    /// The call that starts the command.
    pub(crate) start: fn(&str) -> Reply,
}

impl Waking {
    /// Returns the usual script, with the command started whenever it is due.
    pub(crate) fn script(self, gate: Gate) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
        let usual = scripted(self.tool, gate);
        self.beside(usual)
    }

    /// Returns a script, with the command started whenever it is due.
    pub(crate) fn beside(
        self,
        usual: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
        // The command once it is known, and whether it is to be started.
        let state = Mutex::new((None::<String>, false));
        move |newest| {
            let reply = usual(newest);
            let mut state = state.lock().expect("the state");
            if let Some(command) = between(newest, self.told.0, self.told.1) {
                *state = (Some(command.to_owned()), true);
            }
            state.1 |= newest.contains(self.ended);
            match (&reply, &*state) {
                (Reply::Text(_), (Some(command), true)) => {
                    let start = (self.start)(command);
                    state.1 = false;
                    start
                }
                _ => reply,
            }
        }
    }
}
