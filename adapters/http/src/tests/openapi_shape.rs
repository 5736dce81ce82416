//! The API only grows: what version 09ea4e6 described is described still, and what came is listed here.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::openapi;

/// The description of version 09ea4e6 without its words.
const BEFORE: &str = include_str!("openapi_09ea4e6.json");

/// What came since, by the beginning of its place in the description.
const ADDED: [&str; 16] = [
    "/components/schemas/AggregationAnswer/properties/skipped/",
    "/components/schemas/ConsumerAnswer/properties/",
    "/components/schemas/ConsumerAnswer/required ",
    "/components/schemas/ConsumerMetricsAnswer/properties/",
    "/components/schemas/ConsumerMetricsAnswer/required ",
    "/components/schemas/EnricherAnswer/",
    "/components/schemas/EnrichmentAnswer/",
    "/components/schemas/Event/properties/",
    "/components/schemas/ProcessorLoad/",
    "/components/schemas/ProcessorPartition/properties/",
    "/components/schemas/ProcessorPartition/required ",
    "/components/schemas/SkippedMeasure/",
    "/components/schemas/StoredEvent/properties/library/",
    "/components/schemas/WindowAnswer/properties/skipped/",
    "/paths/~api~v1~idle-sessions/",
    "/paths/~v1~ndjson/",
];

#[test]
fn the_api_of_version_09ea4e6_is_there_and_what_came_is_listed() {
    let lines = |text: &str| {
        let document: Value = serde_json::from_str(text).unwrap();
        let mut lines = BTreeSet::new();
        shape(&document, &document, "", &mut lines);
        lines
    };
    let (before, now) = (lines(BEFORE), lines(&openapi()));
    let gone: Vec<&String> = before.difference(&now).collect();
    assert!(gone.is_empty(), "gone or changed: {gone:#?}");
    let came: Vec<&String> = now.difference(&before).collect();
    assert!(came.iter().any(|line| line.starts_with("/paths/~v1~ndjson/")), "the comparison sees nothing");
    let unlisted: Vec<_> =
        came.iter().filter(|line| !ADDED.iter().any(|place| line.starts_with(place))).collect();
    assert!(unlisted.is_empty(), "not listed: {unlisted:#?}");
}

/// Members that hold nothing but words, where they hold text.
const WORDS: [&str; 6] = ["description", "title", "summary", "example", "examples", "info"];

/// Each scalar of `value` with its place. `allOf` is written as the one object that it stands for.
fn shape(value: &Value, document: &Value, place: &str, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in &united(object, document) {
                let is_text = value.is_string() || (place.is_empty() && value.is_object());
                if !(WORDS.contains(&name.as_str()) && is_text) {
                    shape(value, document, &format!("{place}/{}", name.replace('/', "~")), lines);
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
                let name = name.unwrap_or_else(|| index.to_string());
                match value {
                    Value::Object(_) => shape(value, document, &format!("{place}/{name}"), lines),
                    other => drop(lines.insert(format!("{place} {other}"))),
                }
            }
        }
        scalar => drop(lines.insert(format!("{place} {scalar}"))),
    }
}

fn united(object: &Map<String, Value>, document: &Value) -> Map<String, Value> {
    let Some(parts) = object.get("allOf").and_then(Value::as_array) else { return object.clone() };
    let mut whole = Map::new();
    for part in parts {
        let part = match part.get("$ref").and_then(Value::as_str) {
            Some(reference) => document.pointer(&reference[1..]).unwrap(),
            None => part,
        };
        for (name, value) in part.as_object().unwrap() {
            match (whole.get_mut(name), value) {
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.clone()),
                (_, value) => drop(whole.insert(name.clone(), value.clone())),
            }
        }
    }
    whole
}
