//! Times as they are written in requests and answers.

use gosight_domain::{Hour, Timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What [`parse`] takes, for messages.
pub(crate) const ALLOWED: &str =
    "epoch seconds, epoch milliseconds, or RFC 3339 such as 2026-11-20T08:00:00Z";

/// Reads a time from a query: epoch seconds or milliseconds, or RFC 3339.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    match text.parse::<f64>() {
        Ok(number) => Timestamp::from_epoch(number).ok(),
        // A `+` in a query stands for a space unless it is escaped, and few escape it.
        Err(_) => parse_rfc3339(text).or_else(|| parse_rfc3339(&text.replace(' ', "+"))),
    }
}

/// Reads RFC 3339.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Timestamp::from_millis)
}

/// A time in RFC 3339; the number of milliseconds for one that has no such form.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    let formatted =
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|at| at.format(&Rfc3339).ok());
    formatted.unwrap_or_else(|| at.to_string())
}

/// The day of an hour, `YYYY-MM-DD`.
pub(crate) fn day(hour: Hour) -> String {
    rfc3339(hour.start()).split('T').next().unwrap_or_default().to_owned()
}

/// The first hour that does not start before `at`.
pub(crate) fn ceil_hour(at: Timestamp) -> Hour {
    Hour::from_index(at.plus_millis(-1).hour().index() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_three_forms() {
        let at = Timestamp::from_millis(1_795_204_259_500);
        for text in [
            "1795204259500",
            "1795204259.5",
            "2026-11-20T19:50:59.5Z",
            "2026-11-20T20:50:59.500+01:00",
            "2026-11-20T20:50:59.500 01:00",
            "2026-11-20t19:50:59.5z",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        for text in ["", "yesterday", "2026-11-20", "-1", "NaN", "1e300", "2026-13-20T00:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_rfc_3339() {
        let at = Timestamp::from_millis(1_795_204_259_500);
        assert_eq!(rfc3339(at), "2026-11-20T19:50:59.5Z");
        assert_eq!(rfc3339(at.hour().start()), "2026-11-20T19:00:00Z");
        assert_eq!(day(at.hour()), "2026-11-20");
        assert_eq!(rfc3339(Timestamp::from_millis(i64::MAX)), i64::MAX.to_string());
    }

    #[test]
    fn hours_are_rounded_up() {
        let hour = Timestamp::from_millis(1_795_204_259_500).hour();
        assert_eq!(ceil_hour(hour.start()), hour);
        assert_eq!(ceil_hour(hour.start().plus_millis(1)).index(), hour.index() + 1);
    }
}
