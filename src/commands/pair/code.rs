//! Codes as people type them.

use crate::error::CliError;
use crate::view::address::{host_port, without_peer};
use ecorelay_protocol::PairingCode;

/// Returns a code in its one right form.
///
/// # Errors
/// Wrong usage, with the form of a code or the word that was meant, where it is none.
pub(super) fn check(text: &str) -> Result<String, CliError> {
    if text.trim_start().starts_with("ecorelay-ticket-") {
        return Err(CliError::usage("This is a ticket, not a code.")
            .hint("A ticket is taken by `ecorelay join`."));
    }
    let code: PairingCode = text
        .parse()
        .map_err(|refusal: ecorelay_protocol::Refusal| CliError::usage(refusal.message))?;
    Ok(code.to_string())
}

/// Returns the code with the rendezvous server at which it is looked for.
///
/// # Errors
/// Wrong usage, where the server is none or the code names another.
pub(super) fn with_rendezvous(code: String, server: Option<&str>) -> Result<String, CliError> {
    let Some(server) = server.map(str::trim) else {
        return Ok(code);
    };
    let place = if server.starts_with('/') {
        host_port(without_peer(server))
    } else {
        server.to_owned()
    };
    match code.split_once('@') {
        None => check(&format!("{code}@{place}")),
        Some((bare, _)) if check(&format!("{bare}@{place}"))? == code => Ok(code),
        Some((_, named)) => Err(CliError::usage(format!(
            "The code names the rendezvous server {named}, --rendezvous another."
        ))
        .hint("Leave --rendezvous out.")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_is_no_code_is_told_with_what_was_meant() {
        assert_eq!(check(" 7 Otter lamp ").unwrap(), "7-otter-lamp");
        for (text, word) in [
            ("otter-lamp", "7-otter-lamp"),
            ("", "7-otter-lamp"),
            ("7-oter-lamp", "did you mean \"otter\"?"),
            ("ecorelay-ticket-2.AAAA", "ecorelay join"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.sentence().contains(word), "{text}: {error:?}");
            assert_eq!(error.kind, crate::error::ErrorKind::Usage);
        }
    }

    #[test]
    fn a_server_is_added_to_a_code_that_names_none() {
        let with = |code: &str, server| with_rendezvous(code.to_owned(), server);
        assert_eq!(with("4711-otter-lamp", None).unwrap(), "4711-otter-lamp");
        for server in [
            "203.0.113.7:4001",
            "203.0.113.7",
            "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWx",
        ] {
            assert_eq!(
                with("4711-otter-lamp", Some(server)).unwrap(),
                "4711-otter-lamp@203.0.113.7:4001"
            );
        }
        assert!(with("4711-otter-lamp@x:1", Some("x:1")).is_ok());
        assert!(with("4711-otter-lamp@x:1", Some("y:1")).is_err());
        assert!(with("4711-otter-lamp", Some("a b")).is_err());
    }
}
