//! Points in time as JSON carries them: RFC 3339, in UTC, with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// `2026-11-21T09:47:32.123Z`. Times before 1970 are shown as its first moment.
pub fn format(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since.as_secs() / DAY);
    let second = since.as_secs() % DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// Reads what [`format()`] wrote; `None` for anything else.
pub fn parse(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let punctuation = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':'), (19, '.'), (23, 'Z')];
    let marks = |(at, mark): (usize, char)| text.get(at..)?.chars().next().filter(|c| *c == mark);
    if text.len() != 24 || punctuation.into_iter().any(|mark| marks(mark).is_none()) {
        return None;
    }
    let days = days(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let since = Duration::from_secs(days.checked_mul(DAY)?.checked_add(seconds)?)
        + Duration::from_millis(number(20..23)?);
    UNIX_EPOCH.checked_add(since)
}

/// The civil date of a day since 1970. Years are counted from 1 March, so that the leap day is
/// the last of its year, within eras of 400 years, which all have the same number of days.
fn date(days: u64) -> (u64, u64, u64) {
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) =
        (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The opposite of [`date`]; `None` before 1970 and for a month that does not exist.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let (era, year) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * month + 2) / 5 + day - 1;
    (era * 146_097 + year * 365 + year / 4 - year / 100 + day).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(format(time), text);
            assert_eq!(parse(text), Some(time));
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "yesterday", "2024-13-01T00:00:00.000Z", "2024-01-01 00:00:00.000Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(millis in 0..7_258_118_400_000_u64) {
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(time)), Some(time));
        }

        #[test]
        fn bears_any_text(text in "\\PC{0,30}") {
            let _: Option<SystemTime> = parse(&text);
        }
    }
}
