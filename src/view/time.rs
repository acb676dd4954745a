//! Times for people: how long ago, and for how long.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Returns the time of the system's clock, in ms since 1970; 0 when it stands before that.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns how long ago `then` was (both in ms since 1970); a day and clock time after 30 days.
pub(crate) fn ago(now: u64, then: u64) -> String {
    let past = now.saturating_sub(then);
    let number = |unit: u64, name: &str| {
        let n = past / unit;
        format!(
            "{n} {name}{} ago",
            if name == "day" && n != 1 { "s" } else { "" }
        )
    };
    match past {
        _ if then > now.saturating_add(MINUTE) => "in the future".to_owned(),
        0..10_000 => "just now".to_owned(),
        p if p < MINUTE => number(SECOND, "s"),
        p if p < HOUR => number(MINUTE, "min"),
        p if p < DAY => number(HOUR, "h"),
        p if p < 30 * DAY => number(DAY, "day"),
        _ => utc(then),
    }
}

/// Returns how long something has lasted, in its two largest units.
pub(crate) fn lasting(seconds: u64) -> String {
    let ms = seconds.saturating_mul(SECOND);
    let two = |unit: u64, name: &str, small: u64, small_name: &str| {
        let (n, rest) = (ms / unit, ms % unit / small);
        let plural = |n: u64, name: &str| match name {
            "day" if n != 1 => format!("{n} days"),
            _ => format!("{n} {name}"),
        };
        match rest {
            0 => plural(n, name),
            _ => format!("{} {}", plural(n, name), plural(rest, small_name)),
        }
    };
    match ms {
        m if m < MINUTE => format!("{seconds} s"),
        m if m < HOUR => two(MINUTE, "min", MINUTE, ""),
        m if m < DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "day", HOUR, "h"),
    }
}

/// Returns `2026-11-22 10:58 UTC`.
pub(crate) fn utc(ms: u64) -> String {
    let iso = ecorelay_protocol::iso_ms(ms);
    format!("{} UTC", iso.get(..16).unwrap_or(&iso).replace('T', " "))
}

/// Returns how long ago an ISO time was, or the text itself where it is not one.
pub(crate) fn iso_ago(now: u64, iso: &str) -> String {
    ecorelay_protocol::parse_iso_ms(iso)
        .map_or_else(|| super::text::one_line(iso), |then| ago(now, then))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn how_long_ago() {
        let now = 1_795_345_096_789;
        for (past, words) in [
            (0, "just now"),
            (9_999, "just now"),
            (25 * SECOND, "25 s ago"),
            (3 * MINUTE, "3 min ago"),
            (HOUR, "1 h ago"),
            (DAY, "1 day ago"),
            (3 * DAY, "3 days ago"),
            (40 * DAY, "2026-10-13 10:58 UTC"),
        ] {
            assert_eq!(ago(now, now - past), words);
        }
        assert_eq!(ago(now, now + 5 * SECOND), "just now");
        assert_eq!(ago(now, now + HOUR), "in the future");
    }

    #[test]
    fn how_long() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (3_599, "59 min"),
            (7_500, "2 h 5 min"),
            (86_400, "1 day"),
            (3 * 86_400 + 7_200, "3 days 2 h"),
        ] {
            assert_eq!(lasting(seconds), words);
        }
    }
}
