//! The command line: parse, do, print.

pub(crate) mod args;
pub(crate) mod check;
pub(crate) mod error;
pub(crate) mod log;
pub(crate) mod run;
pub(crate) mod status;
