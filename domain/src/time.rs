//! Points in time, and when a client's time is believed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::violation::{Violation, ViolationCode};

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds in a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Numbers below this are seconds, from this on milliseconds: 10^11 seconds is the year 5138, 10^11 ms is March 1973.
const SECONDS_BELOW: f64 = 1e11;
/// The largest number that is taken for a time, in ms (year 9999).
const MAX_MS: f64 = 253_402_300_799_999.0;

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From a number that a client calls a time: epoch seconds or milliseconds, told apart by size. Fractions of a
    /// millisecond are cut off.
    ///
    /// ```
    /// use gosight_domain::Timestamp;
    /// let at = Timestamp::from_epoch(1_795_204_259.5).unwrap();
    /// assert_eq!(at, Timestamp::from_epoch(1_795_204_259_500.0).unwrap());
    /// ```
    ///
    /// # Errors
    /// [`Violation`] for a number that is negative, not finite or past the year 9999.
    pub fn from_epoch(number: f64) -> Result<Self, Violation> {
        let millis = epoch_millis(number);
        if !(0.0..=MAX_MS).contains(&millis) {
            return Err(Violation::new(
                "timestamp",
                ViolationCode::OutOfRange,
                format!("{number} is not a time in epoch seconds or milliseconds"),
            ));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above, and the cut is meant")]
        Ok(Self(millis as i64))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The hour that this point lies in.
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(HOUR_MS))
    }

    /// This point moved by `millis`.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this point; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The milliseconds that a number stands for that a client calls a time, with their fraction.
pub fn epoch_millis(number: f64) -> f64 {
    if number.abs() < SECONDS_BELOW { number * 1000.0 } else { number }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole hour in UTC: hours since the Unix epoch. The grain of the rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(i64);

impl Hour {
    /// From hours since the Unix epoch.
    pub const fn from_index(hours: i64) -> Self {
        Self(hours)
    }

    /// Hours since the Unix epoch.
    pub const fn index(self) -> i64 {
        self.0
    }

    /// First millisecond of the hour.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * HOUR_MS)
    }

    /// First hour of the same day in UTC.
    #[must_use]
    pub const fn day_start(self) -> Self {
        Self(self.0.div_euclid(24) * 24)
    }
}

/// When a client's timestamp is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePolicy {
    /// How far ahead of the server a timestamp may be, in ms.
    pub max_future_ms: i64,
    /// How old a timestamp may be, in ms.
    pub max_age_ms: i64,
    /// A difference between `sent_at` and the server's time up to this, in ms, is taken for the network's latency and
    /// left alone; a larger one is a wrong clock and is taken off.
    pub skew_tolerance_ms: i64,
}

impl Default for TimePolicy {
    /// 5 minutes ahead, 30 days back, 2 seconds of latency.
    fn default() -> Self {
        Self { max_future_ms: 5 * 60_000, max_age_ms: 30 * DAY_MS, skew_tolerance_ms: 2_000 }
    }
}

impl TimePolicy {
    /// How far the client's clock is ahead of the server's, in ms, as its `sent_at` shows; 0 within the tolerance.
    pub fn skew_ms(&self, sent_at: Option<Timestamp>, received_at: Timestamp) -> i64 {
        let ahead = sent_at.map_or(0, |sent| sent.millis_since(received_at));
        if ahead.abs() <= self.skew_tolerance_ms { 0 } else { ahead }
    }

    /// Takes `skew_ms` off the client's time and judges the result against the server's.
    ///
    /// # Errors
    /// [`Violation`] when the time lies too far ahead or back.
    pub fn judge(
        &self,
        client: Timestamp,
        skew_ms: i64,
        received_at: Timestamp,
    ) -> Result<Timestamp, Violation> {
        let corrected = client.plus_millis(skew_ms.saturating_neg());
        let ahead_ms = corrected.millis_since(received_at);
        if ahead_ms > self.max_future_ms {
            return Err(Violation::new(
                "timestamp",
                ViolationCode::TimestampInFuture,
                format!("lies {ahead_ms} ms in the future, at most {} ms are allowed", self.max_future_ms),
            ));
        }
        if ahead_ms < -self.max_age_ms {
            return Err(Violation::new(
                "timestamp",
                ViolationCode::TimestampTooOld,
                format!("is {} ms old, at most {} ms are allowed", -ahead_ms, self.max_age_ms),
            ));
        }
        Ok(corrected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_204_259_500);

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        assert_eq!(Timestamp::from_epoch(1_795_204_259.0).unwrap().as_millis(), 1_795_204_259_000);
        assert_eq!(Timestamp::from_epoch(1_795_204_259_500.7).unwrap(), NOW);
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e18] {
            assert_eq!(Timestamp::from_epoch(bad).unwrap_err().code, ViolationCode::OutOfRange);
        }
    }

    #[test]
    fn the_bounds_are_inclusive() {
        let policy = TimePolicy::default();
        let judge = |offset| policy.judge(NOW.plus_millis(offset), 0, NOW);
        assert!(judge(300_000).is_ok());
        assert_eq!(judge(300_001).unwrap_err().code, ViolationCode::TimestampInFuture);
        assert!(judge(-30 * DAY_MS).is_ok());
        assert_eq!(judge(-30 * DAY_MS - 1).unwrap_err().code, ViolationCode::TimestampTooOld);
    }

    #[test]
    fn a_wrong_clock_is_taken_off_before_the_judgement() {
        let policy = TimePolicy::default();
        let ten_minutes = 600_000;
        let skew = policy.skew_ms(Some(NOW.plus_millis(ten_minutes)), NOW);
        assert_eq!(skew, ten_minutes);
        let corrected = policy.judge(NOW.plus_millis(ten_minutes - 50), skew, NOW).unwrap();
        assert_eq!(corrected, NOW.plus_millis(-50));
    }

    #[test]
    fn latency_is_not_taken_for_a_wrong_clock() {
        let policy = TimePolicy::default();
        assert_eq!(policy.skew_ms(Some(NOW.plus_millis(-2_000)), NOW), 0);
        assert_eq!(policy.skew_ms(None, NOW), 0);
        assert_eq!(policy.skew_ms(Some(NOW.plus_millis(-2_001)), NOW), -2_001);
    }

    #[test]
    fn hours_round_down_also_before_the_epoch() {
        assert_eq!(Timestamp::from_millis(-1).hour().index(), -1);
        assert_eq!(Timestamp::from_millis(HOUR_MS).hour(), Hour::from_index(1));
        assert_eq!(Hour::from_index(49).day_start(), Hour::from_index(48));
    }
}
