//! What EcoRelay knows of each AI coding assistant: by which name it presents itself, how its
//! channel registers, and how a message gets into its live session.
//!
//! Types to know: [`Assistant`] (one row of the table), [`Surroundings`] (what a channel's
//! process finds around it), [`PushChoice`] and [`PushPath`] (which way a push goes),
//! [`PushItem`] (one message to push) and [`Batch`] (many messages in one text). Nothing here
//! opens a socket or reads a clock.

mod assistant;
mod batch;
pub mod claude_code;
mod generic;
mod push;
mod surroundings;

pub use assistant::{Assistant, ChannelNotifications, Registration};
pub use batch::{Batch, Offer, Parcel};
pub use push::{PushChoice, PushChoiceError, PushItem, PushPath};
pub use surroundings::Surroundings;
