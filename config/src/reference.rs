//! Reading an EcoRelay 0.8–1.0 data directory.
