//! Clients that nobody knows by name.

use crate::{Assistant, ChannelNotifications, PushPath, Registration};

/// The row of a client without a row: it is taken at its word that it shows notifications,
/// because only a client made for them would start a channel without being in the table.
pub(crate) static GENERIC: Assistant = Assistant {
    id: "unknown",
    client_names: &[],
    registration: Registration::AtStart,
    notifications: ChannelNotifications::Shown,
    paths: &[PushPath::InboxSocket, PushPath::Channel],
    several_sessions: false,
    resumes: false,
    overlaps: false,
    remedy: "Its model finds messages with relay_inbox. A program in a terminal can be woken when it is started with: ecorelay run -- PROGRAM",
};
