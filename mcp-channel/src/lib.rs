//! The per-session MCP server (`ecorelay mcp`) and the client of a hub's local socket.

pub mod client;
mod platform;
