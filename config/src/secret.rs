//! Secrets in files: made once, readable by their owner only.

use crate::ConfigError;
use std::io::Write as _;
use std::path::Path;

/// Returns the token in the file at `path` (64 hexadecimal digits, mode 0600); makes one where
/// there is none.
///
/// # Errors
/// When the file cannot be read or made, or holds something else.
pub fn load_or_create_token(path: &Path) -> Result<String, ConfigError> {
    let io = |action, source| ConfigError::Io {
        action,
        path: path.display().to_string(),
        source,
        remedy: "The file must be yours and readable; delete it and a new token is made.",
    };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let token = text.trim();
            if token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(token.to_owned());
            }
            return Err(ConfigError::Invalid {
                place: path.display().to_string(),
                message:
                    "the token is not 64 hexadecimal digits. Delete the file and a new one is made"
                        .into(),
            });
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("cannot read", e)),
    }
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| {
        io(
            "cannot make a random token for",
            std::io::Error::other(e.to_string()),
        )
    })?;
    let token: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    write_private(path, token.as_bytes()).map_err(|e| io("cannot write", e))?;
    Ok(token)
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
