//! Times on the wire: ISO 8601 in UTC with milliseconds, as the reference prints them.

/// Returns the time `ms` (milliseconds since 1970, UTC) as `2026-11-22T10:00:00.000Z`.
pub fn iso_ms(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Civil date from a day count: the era is 400 years, the year begins in March.
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second, milli) = (
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1_000 % 60,
        rest % 1_000,
    );
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Returns the time that `text` says, in ms since 1970: `2026-11-22T10:00:00Z` with or without
/// fractions of a second; `None` for anything else, other time zones and years before 1970.
pub fn parse_iso_ms(text: &str) -> Option<u64> {
    let bytes = text.strip_suffix('Z')?.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0_u64, |n, b| {
            b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|&(at, mark)| bytes.get(at) == Some(&mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = match bytes.get(19) {
        None => 0,
        Some(b'.') if (21..=29).contains(&bytes.len()) => {
            let digits = bytes.len() - 20;
            let (whole, scale) = (number(20, bytes.len())?, 10_u64.pow(digits as u32));
            whole * 1_000 / scale
        }
        Some(_) => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fits = year >= 1_970
        && (1..=12).contains(&month)
        && (1..=longest).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fits {
        return None;
    }
    // The inverse of the day count above: the year begins in March.
    let year_from_march = year - u64::from(month <= 2);
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::{iso_ms, parse_iso_ms};
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        assert_eq!(iso_ms(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_ms(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso_ms(1_795_345_096_789), "2026-11-22T10:58:16.789Z");
    }

    #[test]
    fn what_is_not_a_time_is_none() {
        for text in [
            "",
            "Z",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22T10:00:00+01:00Z",
            "2026-13-22T10:00:00Z",
            "2023-02-29T10:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00.12xZ",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_iso_ms(text), None, "{text}");
        }
        assert_eq!(parse_iso_ms("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(parse_iso_ms("1970-01-01T00:00:00.5Z"), Some(500));
        assert_eq!(parse_iso_ms("1970-01-01T00:00:00.1239999Z"), Some(123));
    }

    proptest! {
        #[test]
        fn a_printed_time_is_read_back(ms in 0_u64..253_402_300_800_000) {
            prop_assert_eq!(parse_iso_ms(&iso_ms(ms)), Some(ms));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "[0-9TZ:.é-]{0,32}") {
            let _ = parse_iso_ms(&text);
        }
    }
}
