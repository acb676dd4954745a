//! What differs between operating systems, in one file for each family.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// What is wrong with a folder that is to hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FolderProblem {
    /// It belongs to another user.
    OtherOwner {
        /// The owner's number.
        owner: u32,
    },
    /// Others may write into it.
    OthersWrite {
        /// Its mode.
        mode: u32,
    },
}
