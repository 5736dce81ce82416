//! What follows for an event from what is known of its user and item: rules of learning, where users answer items.

use gosight_domain::decoded::DecodedEvent;
use gosight_domain::time::HOUR_MS;
use gosight_domain::{Event, JsonObject};
use serde_json::{Map, Value, json};

/// Fields of a payload that name an item.
const ITEM_FIELDS: [&str; 2] = ["item_id", "product_id"];

/// Whether a payload can name an item.
pub(super) fn names_item(payload: &JsonObject) -> bool {
    ITEM_FIELDS.iter().any(|name| payload.as_str().contains(name))
}

/// The item that an event is about, as its payload names it.
pub(super) fn item_id(payload: &Value) -> Option<String> {
    ITEM_FIELDS.into_iter().find_map(|field| match payload.get(field)? {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    })
}

/// Answers up to this take, in ms, are `fast`.
const FAST_RESPONSE_MS: f64 = 5_000.0;
/// Answers above this, in ms, are `slow`.
const SLOW_RESPONSE_MS: f64 = 30_000.0;
/// Skill and difficulty, both 0 to 1, that differ by less are a match.
const MATCHING_DIFFICULTY: f64 = 0.15;

/// What an event gets as its `context`: the profiles, and under `derived` what follows from them.
///
/// | derived | from | values |
/// | --- | --- | --- |
/// | `time_of_day` | timestamp, `user.utc_offset_hours` | `night` (0-5), `morning` (6-11), `afternoon` (12-17), `evening` |
/// | `response_time` | `payload.response_time_ms` | `fast` (up to 5 s), `normal`, `slow` (over 30 s) |
/// | `difficulty_match` | `user.skill`, `item.difficulty` (0 to 1) | `easier`, `matched` (within 0.15), `harder` |
/// | `performance` | `payload.score`, `item.average_score` | `below`, `expected` (within 10 %), `above` |
///
/// An event without any profile gets no context.
pub(super) fn context_of(
    event: &DecodedEvent,
    user: Option<&JsonObject>,
    item: Option<&JsonObject>,
) -> Map<String, Value> {
    if user.is_none() && item.is_none() {
        return Map::new();
    }
    let (event, payload) = (event.event(), event.payload());
    let user = user.map(JsonObject::to_value);
    let item = item.map(JsonObject::to_value);
    let number = |value: &Option<Value>, field: &str| value.as_ref()?.get(field)?.as_f64();
    let mut derived = Map::new();
    let offset_hours = number(&user, "utc_offset_hours").unwrap_or(0.0);
    derived.insert("time_of_day".into(), json!(time_of_day(event, offset_hours)));
    if let Some(ms) = payload.get("response_time_ms").and_then(Value::as_f64) {
        derived.insert("response_time".into(), json!(response_time(ms)));
    }
    if let (Some(skill), Some(difficulty)) = (number(&user, "skill"), number(&item, "difficulty")) {
        derived.insert("difficulty_match".into(), json!(difficulty_match(skill, difficulty)));
    }
    let score = payload.get("score").and_then(Value::as_f64);
    if let (Some(score), Some(average)) = (score, number(&item, "average_score")) {
        derived.insert("performance".into(), json!(performance(score, average)));
    }
    let mut context = Map::new();
    context.extend(user.map(|user| ("user".to_owned(), user)));
    context.extend(item.map(|item| ("item".to_owned(), item)));
    context.insert("derived".into(), Value::Object(derived));
    context
}

fn time_of_day(event: &Event, offset_hours: f64) -> &'static str {
    #[expect(clippy::cast_possible_truncation, reason = "offsets are small, and a wrong one saturates")]
    let offset_ms = (offset_hours.clamp(-24.0, 24.0) * 3_600_000.0) as i64;
    let hour = (event.timestamp.as_millis() + offset_ms).div_euclid(HOUR_MS).rem_euclid(24);
    match hour {
        0..=5 => "night",
        6..=11 => "morning",
        12..=17 => "afternoon",
        _ => "evening",
    }
}

fn response_time(ms: f64) -> &'static str {
    match ms {
        _ if ms <= FAST_RESPONSE_MS => "fast",
        _ if ms <= SLOW_RESPONSE_MS => "normal",
        _ => "slow",
    }
}

fn difficulty_match(skill: f64, difficulty: f64) -> &'static str {
    match difficulty - skill {
        gap if gap.abs() <= MATCHING_DIFFICULTY => "matched",
        gap if gap > 0.0 => "harder",
        _ => "easier",
    }
}

fn performance(score: f64, average: f64) -> &'static str {
    match score - average {
        gap if gap.abs() <= average.abs() * 0.1 => "expected",
        gap if gap > 0.0 => "above",
        _ => "below",
    }
}
