//! Pairing through a rendezvous server.
