//! What the sessions of one channel are called.

use super::{Session, Sessions};
use crate::memory::Memory;
use crate::name;
use crate::succession;
use ecorelay_adapters::codex;
use ecorelay_config::DataDir;
use std::sync::Arc;

impl Sessions {
    /// Takes the name of the channel whose place this one takes, before it registers.
    pub(super) fn succeed(&self, dir: DataDir) {
        let (link, client) = (self.first.link.clone(), self.recipe.around.parent);
        let named = self.recipe.around.peer_id.is_some();
        link.hold(true);
        tokio::spawn(async move {
            let name = succession::predecessor(&dir, client).await;
            if let Some(name) = name.filter(|_| !named) {
                link.prefer(&name);
            }
            link.hold(false);
        });
    }

    /// Returns the memory of this assistant's sessions, where they can be taken up again.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let assistant = self.assistant();
        let dir = self.recipe.dir.as_ref().ok()?;
        (assistant.resumes).then(|| Memory::new(dir.clone(), assistant.id))
    }

    /// Returns what the assistant calls a session.
    pub(crate) fn title_of(&self, id: &str) -> Option<String> {
        let home = self.recipe.around.codex_home.as_deref()?;
        self.assistant()
            .resumes
            .then(|| codex::title_of(home, id))?
    }

    /// Returns what a session is to be called that was here before, or that its assistant has a
    /// name for. A name taken with relay_rename stays until the assistant's changes.
    pub(super) fn name_of(&self, id: &str) -> Option<String> {
        let memory = self.memory()?;
        if self.recipe.around.peer_id.is_some() {
            return None;
        }
        let title = self.title_of(id);
        let known = memory.recall(id);
        let (old_name, old_title) = known.map_or((None, None), |known| (known.name, known.title));
        let same = old_name.is_some() && old_title == title;
        let new = title.filter(|_| !same);
        new.and_then(|title| name::of_title(&title)).or(old_name)
    }

    /// Returns the name that a title gives a session; nothing where it has it already, or where
    /// a person chose one.
    pub(crate) fn name_for(&self, session: &Session, title: &str) -> Option<String> {
        let free = self.recipe.around.peer_id.is_none();
        name::of_title(title).filter(|name| free && session.link.name() != *name)
    }

    /// Gives a session the name that its assistant calls it by, unless a person chose one.
    pub(crate) fn rename(&self, session: &Arc<Session>, title: &str) {
        let Some(name) = self.name_for(session, title) else {
            return;
        };
        let link = session.link.clone();
        // Not waited for: the hub may be away. A name that another session holds is not fought
        // for.
        tokio::spawn(async move { link.rename(&name).await });
    }
}
