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
    /// How many machines may join with it
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=limits::TICKET_USES as u64))]
    uses: u64,
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
    let request = json!({"type": "invite", "expires_s": args.expires, "uses": args.uses});
    let (_, answer) = context.open(request).await?;
    let HubLine::InviteResult { ticket: text, .. } = &answer else {
        return Err(CliError::odd_answer("invite"));
    };
    let ticket = Ticket::decode(text).map_err(|_| CliError::odd_answer("invite"))?;
    let about = About {
        expires: ticket.expires,
        uses: args.uses,
        addresses: &ticket.addresses,
        servers: &ticket.rendezvous,
    };
    context.output.note(&about.words(now_ms()));
    context
        .output
        .result(|| document(&answer, &ticket, args.uses), || text.clone())
}

fn document(answer: &HubLine, ticket: &Ticket, uses: u64) -> Value {
    let mut document = tool_result(answer);
    document["uses"] = json!(uses);
    document["addresses"] = json!(ticket.addresses);
    document["rendezvous"] = json!(ticket.rendezvous);
    document
}

/// What a person has to know of a ticket.
struct About<'a> {
    expires: u64,
    uses: u64,
    addresses: &'a [String],
    /// Rendezvous servers at which a hub of the mesh waits.
    servers: &'a [String],
}

impl About<'_> {
    fn words(&self, now: u64) -> String {
        let left = self.expires.saturating_sub(now) / 1_000;
        let who = match self.uses {
            1 => "Whoever has this ticket can join your mesh with one machine".to_owned(),
            n => format!("Whoever has this ticket can join your mesh, {n} machines in all,"),
        };
        let mut text = format!(
            "{} {who} until {} ({}).\n\
             On the other machine: `ecorelay join`, and paste it. Or from here: `ecorelay invite | ssh HOST ecorelay join`.\n",
            paint(BOLD, "A secret."),
            utc(self.expires),
            // To the minute: the seconds that went by since are noise.
            lasting((left + 30) / 60 * 60),
        );
        let lonely = self.addresses.iter().all(|address| is_loopback(address));
        if lonely && self.servers.is_empty() {
            text.push_str(&format!(
                "{} No address is known at which another machine reaches this one. If the other machine is elsewhere: \
                 `ecorelay rendezvous add`, or `[mesh]` in docs/operations.md, and invite again.\n",
                paint(WARN, "warning:")
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::view::style::plain;

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

    #[test]
    fn it_is_said_what_a_ticket_is_and_when_nobody_can_use_it() {
        let now = 1_795_345_096_789;
        let said = |uses: u64, addresses: &[&str]| {
            let addresses: Vec<String> = addresses.iter().map(|a| (*a).to_owned()).collect();
            let about = About {
                expires: now + 86_399_000,
                uses,
                addresses: &addresses,
                servers: &[],
            };
            plain(&about.words(now))
        };
        assert_eq!(
            said(1, &["127.0.0.1:11001", "10.0.0.1:11001"]),
            "A secret. Whoever has this ticket can join your mesh with one machine until 2026-11-23 10:58 UTC (1 day).\n\
             On the other machine: `ecorelay join`, and paste it. Or from here: `ecorelay invite | ssh HOST ecorelay join`.\n"
        );
        assert!(said(5, &["10.0.0.1:1"]).contains("5 machines in all, until"));
        for lonely in [&[][..], &["127.0.0.1:1", "[::1]:1"]] {
            assert!(said(1, lonely).contains("warning: No address is known"));
        }
    }
}
