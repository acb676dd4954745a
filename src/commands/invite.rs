//! `invite`: a ticket with which another machine joins.

use crate::context::Context;
use crate::error::CliError;
use crate::output::tool_result;
use crate::view::address::is_loopback;
use crate::view::style::{BOLD, WARN, paint};
use crate::view::time::{lasting, now_ms, utc};
use clap::Args;
use ecorelay_protocol::{HubLine, Ticket, limits};
use serde_json::{Value, json};

/// The arguments of `invite`.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// How long the ticket is good: 30m, 24h, 7d (at most 30d)
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    expires: u64,
}

/// Returns a span of time in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    const MOST: u64 = limits::TICKET_MOST_S as u64;
    let wrong = || "write a number and s, m, h or d, such as 30m, 24h or 7d".to_owned();
    let text = text.trim();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(each) {
        Some(0) => Err("a ticket that is good for no time lets nobody in".to_owned()),
        Some(seconds) if seconds <= MOST => Ok(seconds),
        _ => Err("a ticket is good for 30 days at most".to_owned()),
    }
}

pub(crate) async fn run(args: InviteArgs, context: &Context) -> Result<(), CliError> {
    let request = json!({"type": "invite", "expires_s": args.expires});
    let (_, answer) = context.open(request).await?;
    let HubLine::InviteResult { ticket: text, .. } = &answer else {
        return Err(CliError::odd_answer("invite"));
    };
    let ticket = Ticket::decode(text).map_err(|_| CliError::odd_answer("invite"))?;
    context.output.note(&about(&ticket, now_ms()));
    context
        .output
        .result(|| document(&answer, &ticket), || text.clone())
}

fn document(answer: &HubLine, ticket: &Ticket) -> Value {
    let mut document = tool_result(answer);
    document["addresses"] = json!(ticket.addresses);
    document
}

/// Returns what a person has to know of a ticket.
fn about(ticket: &Ticket, now: u64) -> String {
    let left = ticket.expires.saturating_sub(now) / 1_000;
    let mut text = format!(
        "{} Whoever has this ticket can join your mesh until {} ({}).\n\
         On the other machine: `ecorelay join`, and paste it. Or from here: `ecorelay invite | ssh HOST ecorelay join`.\n",
        paint(BOLD, "A secret."),
        utc(ticket.expires),
        // To the minute: the seconds that went by since are noise.
        lasting((left + 30) / 60 * 60),
    );
    if ticket.addresses.iter().all(|address| is_loopback(address)) {
        text.push_str(&format!(
            "{} This hub listens on no address that another machine can reach. A machine on the same network may still find it by itself; \
             otherwise see `[mesh]` in docs/operations.md, and invite again.\n",
            paint(WARN, "warning:")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;
    use ecorelay_protocol::link::Signed;
    use ecorelay_protocol::{Bytes, PeerId, Psk};

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("90s", 90),
            ("30m", 1_800),
            ("24h", 86_400),
            (" 30d ", 2_592_000),
        ] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for (text, word) in [
            ("", "30m"),
            ("24", "30m"),
            ("h", "30m"),
            ("-1h", "30m"),
            ("1.5h", "30m"),
            ("2ü", "30m"),
            ("0m", "nobody"),
            ("31d", "30 days"),
            ("99999999999999999999d", "30m"),
            ("9999999999999999d", "30 days"),
        ] {
            let said = seconds(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
    }

    fn ticket(addresses: &[&str]) -> Ticket {
        let peer: PeerId = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
            .parse()
            .unwrap();
        Ticket {
            psk: Psk::new([7; 32]),
            root: peer.clone(),
            inviter: peer.clone(),
            hub_id: "desk".parse().unwrap(),
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            expires: 1_795_345_096_789 + 86_399_000,
            claim: Signed {
                by: peer,
                payload: Bytes(vec![1]),
                signature: Bytes(vec![2]),
            },
        }
    }

    #[test]
    fn it_is_said_what_a_ticket_is_and_when_nobody_can_use_it() {
        let said = |addresses: &[&str]| plain(&about(&ticket(addresses), 1_795_345_096_789));
        assert_eq!(
            said(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/4001"]),
            "A secret. Whoever has this ticket can join your mesh until 2026-11-23 10:58 UTC (1 day).\n\
             On the other machine: `ecorelay join`, and paste it. Or from here: `ecorelay invite | ssh HOST ecorelay join`.\n"
        );
        for lonely in [&[][..], &["/ip4/127.0.0.1/tcp/1"]] {
            assert!(said(lonely).contains("warning: This hub listens on no address"));
        }
    }
}
