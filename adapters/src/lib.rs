//! What EcoRelay knows of each AI coding assistant: by which name it presents itself, how its
//! channel registers, and how a message gets into its live session.
//!
//! Types to know: [`Assistant`] (one row of the table), [`Surroundings`] (what a channel's
//! process finds around it), [`PushChoice`] and [`PushPath`] (which way a push goes),
//! [`PushItem`] (one message to push) and [`Batch`] (many messages in one text); for setting
//! assistants up: [`Setup`] (what an adapter knows), [`Machine`] (what is on a machine) and
//! [`Plan`] (what is to be changed), [`Installer`] (changes it).

pub mod agy;
mod aider;
mod assistant;
mod batch;
pub mod claude_code;
pub mod cline;
pub mod codex;
mod copilot;
pub mod cursor;
pub mod gemini;
mod generic;
pub mod hooks;
mod machine;
pub mod opencode;
mod plugin;
mod push;
mod settings;
mod setup;
mod surroundings;
mod table;

pub use assistant::{Assistant, ChannelNotifications, Registration};
pub use batch::{Batch, Offer, Parcel};
pub use machine::{Machine, Version};
pub use push::{PushChoice, PushChoiceError, PushItem, PushPath};
pub use setup::{
    Abilities, Check, Edit, FileChange, Found, Health, Installer, Plan, Setup, SetupError, Step,
    setup_of, setups,
};
pub use surroundings::Surroundings;
pub use table::abilities_table;
