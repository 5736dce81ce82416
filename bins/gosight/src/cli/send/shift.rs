//! Moves the times in a recorded body, and leaves every other byte as it is.

use anyhow::{Context, ensure};
use gosight_domain::time::epoch_millis;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A recorded body as far as its times go. All parts are slices of the body.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp_start: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp_end: Option<&'a RawValue>,
    #[serde(borrow, default)]
    events: Vec<Stamped<'a>>,
}

#[derive(Deserialize)]
struct Stamped<'a> {
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

/// The body with `shift_ms` added to all of its times.
pub(super) fn shift_times(body: &str, shift_ms: i64) -> anyhow::Result<String> {
    // A derived `Body` would also take an array of its fields.
    ensure!(body.trim_start().starts_with('{'), "a recorded body is not a JSON object");
    let read: Body<'_> = serde_json::from_str(body).context("a recorded body is not as expected")?;
    let own = [read.timestamp, read.sent_at, read.timestamp_start, read.timestamp_end];
    let of_events = read.events.iter().map(|event| event.timestamp);
    let mut times: Vec<&str> = own.into_iter().chain(of_events).flatten().map(RawValue::get).collect();
    times.sort_by_key(|time| time.as_ptr());
    let mut shifted = String::with_capacity(body.len() + times.len());
    let mut copied = 0;
    for time in times {
        let start = time.as_ptr() as usize - body.as_ptr() as usize;
        shifted.push_str(&body[copied..start]);
        shifted.push_str(&shifted_time(time, shift_ms)?);
        copied = start + time.len();
    }
    shifted.push_str(&body[copied..]);
    Ok(shifted)
}

/// A time in epoch milliseconds, with its fraction if it has one, or in epoch seconds. What is no number is left alone.
fn shifted_time(time: &str, shift_ms: i64) -> anyhow::Result<String> {
    let Ok(number) = time.parse::<f64>() else { return Ok(time.to_owned()) };
    let is_seconds = epoch_millis(number).to_bits() != number.to_bits();
    if is_seconds {
        #[expect(clippy::cast_precision_loss, reason = "a shift is far below where that begins")]
        let moved_ms = epoch_millis(number) + shift_ms as f64;
        return Ok(format!("{:.3}", moved_ms / 1_000.0));
    }
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let Ok(millis) = whole.parse::<i64>() else { return Ok(time.to_owned()) };
    let moved = millis.checked_add(shift_ms).context("a time is too large")?;
    Ok(if fraction.is_empty() { moved.to_string() } else { format!("{moved}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_change() {
        let body = r#"{"project_key":"k", "timestamp_start":1795204251000,"timestamp_end" : 1795204252000,"sent_at":1795204253000,"events":[
            {"type":3,"data":{"timestamp":5,"x":1.50,"t":"\ud83d\ude00"},"timestamp":1795204251000},
            {"timestamp":1795204252000.25,"type":2}]}"#;
        let expected = r#"{"project_key":"k", "timestamp_start":1795204251500,"timestamp_end" : 1795204252500,"sent_at":1795204253500,"events":[
            {"type":3,"data":{"timestamp":5,"x":1.50,"t":"\ud83d\ude00"},"timestamp":1795204251500},
            {"timestamp":1795204252500.25,"type":2}]}"#;
        assert_eq!(shift_times(body, 500).unwrap(), expected);
        assert_eq!(shift_times(expected, -500).unwrap(), body);
    }

    #[test]
    fn seconds_stay_seconds() {
        let shifted = shift_times(r#"{"timestamp":1795204251,"sent_at":"2026-11-20T00:00:00Z"}"#, 86_400_500);
        assert_eq!(shifted.unwrap(), r#"{"timestamp":1795290651.500,"sent_at":"2026-11-20T00:00:00Z"}"#);
    }

    #[test]
    fn a_single_event_is_shifted_too() {
        let shifted = shift_times(r#"{"timestamp":1795204251000,"a":10}"#, 1).unwrap();
        assert_eq!(shifted, r#"{"timestamp":1795204251001,"a":10}"#);
        assert!(shift_times("[]", 1).is_err());
    }
}
