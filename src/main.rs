//! The `ecorelay` command.
fn main() {}
