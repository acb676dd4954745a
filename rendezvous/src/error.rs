//! Why a server does not start or run.

/// Why a server does not start or run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No address to listen on.
    #[error("there is no address to listen on")]
    NoListenAddress,
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {message}. Is another program there? `listen` in the configuration says where"
    )]
    Listen {
        /// The multiaddr.
        address: String,
        /// Why.
        message: String,
    },
    /// The socket of `status`, or the one of the metrics, cannot be opened.
    #[error("cannot open {place}: {source}")]
    Open {
        /// Where.
        place: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// Something that needs no network failed.
    #[error("cannot be set up: {0}")]
    Setup(String),
    /// The server has ended.
    #[error("the server has ended")]
    Ended,
}
