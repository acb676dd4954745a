//! The state machine.
use crate::{Effects, HubConfig, Ids, Input, Store, StoreError};

/// A hub's brain.
#[allow(missing_debug_implementations)]
pub struct Hub {
    config: HubConfig,
    ids: Box<dyn Ids>,
}

impl Hub {
    /// Returns a hub with what the store remembers.
    pub fn new(
        config: HubConfig,
        ids: Box<dyn Ids>,
        store: &mut impl Store,
    ) -> Result<Self, StoreError> {
        let _ = store.load()?;
        Ok(Self { config, ids })
    }

    /// Takes one input at the time `now` (ms since 1970) inside an open transaction. A store
    /// error is kept for [`Hub::failed`]: the body must then roll the batch back.
    pub fn handle(
        &mut self,
        now: u64,
        input: Input,
        store: &mut impl Store,
        effects: &mut Effects,
    ) {
        let _ = (now, input, store, effects, &self.config, &mut self.ids);
    }

    /// Returns the store error of this batch, if one happened: the batch cannot be committed.
    pub fn failed(&self) -> Option<&StoreError> {
        None
    }

    /// Returns whether this batch wrote anything (an empty one needs no commit).
    pub fn dirty(&self) -> bool {
        false
    }

    /// Ends a batch that was committed.
    pub fn batch_committed(&mut self) {}

    /// Ends a batch that was rolled back: forgets what it did to durable things, and turns the
    /// answers of the batch that wait in `effects.after` (and those that wait for a
    /// confirmation) into `mailbox_error` refusals. The pushes in `effects.now` are left alone.
    pub fn batch_failed(
        &mut self,
        now: u64,
        error: &StoreError,
        store: &mut impl Store,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let _ = (now, error, store, effects);
        Ok(())
    }

    /// Returns when [`Input::Tick`] is due, in ms since 1970.
    pub fn next_deadline(&self) -> Option<u64> {
        None
    }

    /// Returns whether anyone needs this hub: a registered session, or a connection that watches.
    pub fn in_use(&self) -> bool {
        false
    }
}
