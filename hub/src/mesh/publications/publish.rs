//! What this hub publishes, and what it answers to those who missed some of it.

use crate::hub::Done;
use crate::hub::Turn;
use crate::mesh::LinkId;
use crate::{Effect, Hub, MeshEffect, Store};
use ecorelay_protocol::link::{Fill, Frame, PublicationKind};
use ecorelay_protocol::{Name, limits};
use std::sync::Arc;

impl Hub {
    /// Publishes to the mesh, if there is another hub in it.
    pub(crate) fn publish(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        from: &Name,
        id: &str,
        kind: PublicationKind,
        text: &str,
    ) {
        if !self.mesh.has_others() {
            return;
        }
        let epoch = self.mesh.epoch;
        let journal = &mut self.mesh.publishing.journal;
        let bytes = journal.publish(t.now, epoch, from, id, kind, text);
        let effect = Effect::Mesh(MeshEffect::Publish { bytes });
        t.effects.now.push(effect);
    }

    /// A linked hub asks for publications of this one.
    pub(crate) fn fill_asked(
        &mut self,
        t: &mut Turn<'_, impl Store>,
        link: LinkId,
        fill: &Fill,
    ) -> Done {
        let Some(entry) = self.mesh.links.get(&link) else {
            return Ok(());
        };
        let publishing = &mut self.mesh.publishing;
        if publishing.fills.len() > limits::HUBS {
            publishing.fills.clear();
        }
        let rate = publishing.fill_rate;
        let fills = publishing.fills.entry(entry.peer.clone());
        let budget = fills.or_insert_with(|| rate.full(t.now));
        if rate.take(budget, t.now) {
            let answer = publishing.journal.answer(self.mesh.epoch, fill);
            t.effects.frame(link, &Frame::Publications(answer));
        }
        Ok(())
    }

    /// Tells the linked hubs how far this one has published, and forgets what is too old.
    pub(super) fn journal_timers(&mut self, t: &mut Turn<'_, impl Store>) {
        let epoch = self.mesh.epoch;
        let publishing = &mut self.mesh.publishing;
        if publishing.journal.announce(t.now) {
            let published = Frame::Published(publishing.published(epoch));
            let bytes: Arc<[u8]> = published.encode().into();
            for (_, _, link) in self.mesh.linked() {
                t.effects.frame_bytes(link, bytes.clone());
            }
        }
        self.mesh.publishing.journal.forget_old(t.now);
    }
}
