//! `ecorelay-rendezvous`: a public host through which hubs find and reach each other.

fn main() {}
