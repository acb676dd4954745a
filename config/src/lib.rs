//! Where EcoRelay keeps its things and how it is set up: the data directory, `config.toml`,
//! secrets in files, and what an EcoRelay 0.8–1.0 directory holds.
//!
//! Types to know: [`DataDir`] (every path, from the environment), [`Config`] (`config.toml`),
//! [`mod@reference`] (reading a reference data directory).

mod data_dir;
mod file;
mod hub_id;
pub mod reference;
mod secret;

pub use data_dir::DataDir;
pub use file::{Config, LimitSettings, MeshSettings};
pub use hub_id::set_hub_id;
pub use secret::load_or_create_token;

/// Why a setting, a folder or a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No home folder is known.
    #[error("no home folder is known: set HOME, or ECORELAY_DATA_DIR to a folder you own")]
    NoHome,
    /// A folder or file cannot be made, read or written.
    #[error("{action} {path}: {source}. {remedy}")]
    Io {
        /// What was tried, such as "cannot create".
        action: &'static str,
        /// Where.
        path: String,
        /// The system's words.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The socket's path does not fit the system's limit.
    #[error(
        "the socket path {path} has {length} bytes, over the system's limit of {limit}: set RELAY_HUB_SOCKET to a shorter path, or ECORELAY_DATA_DIR to a shorter folder"
    )]
    SocketPathTooLong {
        /// The path.
        path: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A setting is wrong.
    #[error("{place}: {message}")]
    Invalid {
        /// The file (with its line) or the variable.
        place: String,
        /// What is wrong and what would be right.
        message: String,
    },
}
