//! A code that one machine shows and a person types on another: `7-otter-lamp`.
//!
//! The number says which hub is meant and is no secret; the words are the secret. Behind an `@`
//! stands where else than on the local network the hub can be found.

use crate::Refusal;
use crate::words::{WORDS, nearest};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Words of a code.
const COUNT: usize = 2;
/// The port of a rendezvous server where a code names none.
pub const RENDEZVOUS_PORT: u16 = 4001;
/// Longest text that is read as a code, in bytes.
const TEXT_BYTES: usize = 400;
/// Longest host name. Source: RFC 1035.
const HOST_BYTES: usize = 253;
/// A word with more wrong letters than this is no slip of the finger.
const SLIPS: usize = 2;

/// A pairing code.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode {
    /// Says which of the hubs that show a code is meant.
    pub number: u32,
    /// The secret: the words, joined by `-`.
    pub words: String,
    /// A rendezvous server at which the hub waits too: `host:port`.
    pub rendezvous: Option<String>,
}

impl PairingCode {
    /// Returns the code with this number whose words are these random bytes.
    pub fn from_random(number: u32, bytes: [u8; COUNT], rendezvous: Option<String>) -> Self {
        Self {
            number,
            words: bytes.map(|byte| WORDS[usize::from(byte)]).join("-"),
            rendezvous,
        }
    }

    /// Returns the rendezvous server as a multiaddr, without its PeerId: the code's words prove
    /// who is there, not the server.
    pub fn rendezvous_multiaddr(&self) -> Option<String> {
        let (host, port) = split_port(self.rendezvous.as_deref()?)?;
        Some(match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => format!("/ip4/{ip}/tcp/{port}"),
            Ok(IpAddr::V6(ip)) => format!("/ip6/{ip}/tcp/{port}"),
            Err(_) => format!("/dns/{host}/tcp/{port}"),
        })
    }
}

impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.words)?;
        match &self.rendezvous {
            Some(rendezvous) => write!(f, "@{rendezvous}"),
            None => Ok(()),
        }
    }
}

/// Without the words: they are a secret.
impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairingCode({}, hidden)", self.number)
    }
}

impl FromStr for PairingCode {
    type Err = Refusal;

    /// Returns the code in a text as a person types it: in capitals, with spaces for dashes.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal::bad_args(message);
        let shape = || {
            bad("This is not a pairing code: one is a number and two words, such as 7-otter-lamp, and is shown by `ecorelay pair` on the other machine.".into())
        };
        if text.len() > TEXT_BYTES {
            return Err(shape());
        }
        let (code, rendezvous) = match text.trim().split_once('@') {
            Some((code, rendezvous)) => (code, Some(rendezvous)),
            None => (text.trim(), None),
        };
        let is_gap = |c: char| c.is_whitespace() || "-_.,–—‑".contains(c);
        let mut parts = code.split(is_gap).filter(|part| !part.is_empty());
        let number = parts.next().and_then(number).ok_or_else(shape)?;
        let words: Vec<String> = parts.map(str::to_lowercase).collect();
        if words.len() != COUNT {
            return Err(shape());
        }
        for word in &words {
            if WORDS.binary_search(&word.as_str()).is_ok() {
                continue;
            }
            let shown = crate::visible(word);
            return Err(bad(match nearest(word, SLIPS) {
                Some(near) => {
                    format!("\"{shown}\" is not a word of pairing codes; did you mean \"{near}\"?")
                }
                None => format!(
                    "\"{shown}\" is not a word of pairing codes. Type the code as the other machine shows it, such as 7-otter-lamp."
                ),
            }));
        }
        Ok(Self {
            number,
            words: words.join("-"),
            rendezvous: rendezvous.map(host_and_port).transpose()?,
        })
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Returns what stands behind the `@`, with its port.
fn host_and_port(text: &str) -> Result<String, Refusal> {
    // A code is often copied out of a sentence.
    let text = text.trim().trim_end_matches([',', ';', '.']).to_lowercase();
    let bad = || {
        Refusal::bad_args(
            "What stands behind the @ of the code is not the address of a rendezvous server: write a host name or an IP address and a port, such as relay.example.org:4001.",
        )
    };
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Ok(format!("[{ip}]:{RENDEZVOUS_PORT}"));
    }
    let text = if text.ends_with(']') || !text.contains(':') {
        format!("{text}:{RENDEZVOUS_PORT}")
    } else {
        text
    };
    split_port(&text).is_some().then_some(text).ok_or_else(bad)
}

/// Splits `host:port`; the brackets of an IPv6 address are gone.
fn split_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    if let Some(ip) = host.strip_prefix('[') {
        let ip = ip.strip_suffix(']')?;
        return ip.parse::<Ipv6Addr>().is_ok().then_some((ip, port));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_host = host.len() <= HOST_BYTES && host.trim_end_matches('.').split('.').all(is_label);
    is_host.then_some((host, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<String, String> {
        let code: Result<PairingCode, Refusal> = text.parse();
        code.map(|code| code.to_string())
            .map_err(|refusal| refusal.message)
    }

    #[test]
    fn a_code_is_read_however_a_person_types_it() {
        for text in [
            "7-otter-lamp",
            " 7 Otter  Lamp ",
            "7 – OTTER – LAMP\n",
            "7_otter.lamp",
            "007-otter-lamp",
        ] {
            assert_eq!(parse(text).as_deref(), Ok("7-otter-lamp"), "{text}");
        }
    }

    #[test]
    fn a_slip_is_named_with_the_word_it_was_to_be() {
        let near = parse("7-oter-lamp").unwrap_err();
        assert!(
            near.contains("\"oter\"") && near.contains("\"otter\""),
            "{near}"
        );
        let far = parse("7-zzzzzzzz-lamp").unwrap_err();
        assert!(far.contains("zzzzzzzz") && !far.contains("mean"), "{far}");
        for text in [
            "",
            "otter-lamp",
            "7",
            "7-otter",
            "7-otter-lamp-lamp",
            "-7-otter-lamp-x",
            "99999999999-otter-lamp",
            "ecorelay-ticket-1.abc",
        ] {
            let shape = parse(text).unwrap_err();
            assert!(shape.contains("7-otter-lamp"), "{text}: {shape}");
        }
        assert!(
            !parse("7-o\u{202e}er-lamp")
                .unwrap_err()
                .contains('\u{202e}')
        );
    }

    #[test]
    fn a_code_may_carry_a_rendezvous_server() {
        for (text, shown, multiaddr) in [
            (
                "4711-otter-lamp@203.0.113.7:4001",
                "203.0.113.7:4001",
                "/ip4/203.0.113.7/tcp/4001",
            ),
            (
                "4711-otter-lamp@203.0.113.7:4001,",
                "203.0.113.7:4001",
                "/ip4/203.0.113.7/tcp/4001",
            ),
            (
                "4711-otter-lamp@203.0.113.7",
                "203.0.113.7:4001",
                "/ip4/203.0.113.7/tcp/4001",
            ),
            (
                "4711 otter lamp @ Relay.Example.org:9",
                "relay.example.org:9",
                "/dns/relay.example.org/tcp/9",
            ),
            (
                "4711-otter-lamp@[2001:db8::1]:7",
                "[2001:db8::1]:7",
                "/ip6/2001:db8::1/tcp/7",
            ),
            (
                "4711-otter-lamp@2001:db8::1",
                "[2001:db8::1]:4001",
                "/ip6/2001:db8::1/tcp/4001",
            ),
            (
                "4711-otter-lamp@[2001:db8::1]",
                "[2001:db8::1]:4001",
                "/ip6/2001:db8::1/tcp/4001",
            ),
        ] {
            let code: PairingCode = text.parse().unwrap();
            assert_eq!(code.rendezvous.as_deref(), Some(shown), "{text}");
            assert_eq!(code.rendezvous_multiaddr().as_deref(), Some(multiaddr));
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        for text in [
            "@",
            "@:4001",
            "@a b:1",
            "@host:0",
            "@host:99999",
            "@host/tcp/1:1",
            "@[zz]:1",
        ] {
            let message = parse(&format!("7-otter-lamp{text}")).unwrap_err();
            assert!(message.contains("behind the @"), "{text}: {message}");
        }
    }

    #[test]
    fn the_words_are_not_in_what_is_logged() {
        let code = PairingCode::from_random(7, [0, 255], None);
        assert_eq!(code.to_string(), "7-acorn-zipper");
        assert!(!format!("{code:?}").contains("acorn"));
    }

    proptest! {
        #[test]
        fn a_code_of_any_bytes_is_read_back(number: u32, bytes: [u8; COUNT]) {
            let code = PairingCode::from_random(number, bytes, None);
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }

        #[test]
        fn any_text_is_a_code_or_refused(text in "[0-9]{0,3}[-@: .a-z\\[\\]\u{202e}]{0,40}|\\PC{0,40}") {
            if let Ok(code) = text.parse::<PairingCode>() {
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
    }
}
