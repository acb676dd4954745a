//! A store in memory.
/// A store in memory that forgets exactly what was not committed.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {}
