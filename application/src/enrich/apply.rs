//! Checks what an enricher says, and puts it into events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosight_domain::decoded::DecodedEvent;
use gosight_domain::json::MAX_DEPTH;
use gosight_domain::{Device, Geo, JsonObject};
use serde_json::{Map, Value};

use crate::ports::Enrichment;

/// Most bytes, about, that one enricher adds to one event.
const MAX_EVENT_BYTES: usize = 256 << 10;
/// Most bytes, about, that all enrichers together add to the events of one batch.
const MAX_BATCH_BYTES: usize = 64 << 20;
/// Longest name in a device or a place.
const MAX_NAME_BYTES: usize = 256;

/// What may still be added to the events of a batch.
#[derive(Debug)]
pub(super) struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_BATCH_BYTES))
    }
}

impl Room {
    fn take(&self, bytes: usize) -> Result<(), String> {
        let take = |left: usize| left.checked_sub(bytes);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("all enrichments of a batch have more than {MAX_BATCH_BYTES} bytes")),
        }
    }
}

/// Checks an enrichment: no store can hold all that a plug-in may say, and no event may grow without end.
pub(super) fn check(found: &Enrichment, room: &Room) -> Result<(), String> {
    let mut bytes = 0;
    walk_members(&found.context, MAX_DEPTH, &mut bytes)?;
    let Device { browser, browser_version, os, os_version, device_type, .. } = &found.device;
    let names = [browser, browser_version, os, os_version, device_type, &found.geo.country, &found.geo.city];
    for name in names.into_iter().flatten() {
        check_text(name)?;
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("a name has {} bytes, at most {MAX_NAME_BYTES} are allowed", name.len()));
        }
    }
    room.take(bytes)
}

fn walk(value: &Value, depth_left: usize, bytes: &mut usize) -> Result<(), String> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => count(8, bytes),
        Value::String(text) => check_text(text).and_then(|()| count(text.len() + 2, bytes)),
        Value::Array(values) => {
            let depth_left = deeper(depth_left)?;
            count(2, bytes)?;
            values.iter().try_for_each(|value| walk(value, depth_left, bytes))
        }
        Value::Object(members) => walk_members(members, depth_left, bytes),
    }
}

fn walk_members(members: &Map<String, Value>, depth_left: usize, bytes: &mut usize) -> Result<(), String> {
    let depth_left = deeper(depth_left)?;
    count(2, bytes)?;
    members.iter().try_for_each(|(name, value)| {
        check_text(name)?;
        count(name.len() + 4, bytes)?;
        walk(value, depth_left, bytes)
    })
}

fn deeper(depth_left: usize) -> Result<usize, String> {
    depth_left.checked_sub(1).ok_or_else(|| format!("the context is nested deeper than {MAX_DEPTH} levels"))
}

fn count(more: usize, bytes: &mut usize) -> Result<(), String> {
    *bytes += more;
    if *bytes > MAX_EVENT_BYTES {
        return Err(format!("a context has more than {MAX_EVENT_BYTES} bytes"));
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("has text with a NUL character".to_owned()) } else { Ok(()) }
}

/// Puts what was found into the event.
pub(super) fn apply(found: Enrichment, event: &mut DecodedEvent) {
    if !found.device.is_empty() {
        event.set_device(join_device(event.event().device.clone(), found.device));
    }
    if !found.geo.is_empty() {
        event.set_geo(join_geo(event.event().geo.clone(), found.geo));
    }
    if found.context.is_empty() {
        return;
    }
    let context = if event.event().context.is_empty() {
        found.context
    } else {
        let mut members = event.context().as_object().cloned().unwrap_or_default();
        members.extend(found.context);
        members
    };
    event.set_context(JsonObject::from_value(&Value::Object(context)));
}

/// What is known, and where nothing is, what was known before.
pub(super) fn join_device(before: Device, found: Device) -> Device {
    let text = |found: Option<Arc<str>>, before| found.or(before);
    Device {
        browser: text(found.browser, before.browser),
        browser_version: text(found.browser_version, before.browser_version),
        os: text(found.os, before.os),
        os_version: text(found.os_version, before.os_version),
        device_type: text(found.device_type, before.device_type),
        screen_width: found.screen_width.or(before.screen_width),
        screen_height: found.screen_height.or(before.screen_height),
        viewport_width: found.viewport_width.or(before.viewport_width),
        viewport_height: found.viewport_height.or(before.viewport_height),
    }
}

/// What is known, and where nothing is, what was known before.
pub(super) fn join_geo(before: Geo, found: Geo) -> Geo {
    Geo {
        ip: found.ip.or(before.ip),
        country: found.country.or(before.country),
        city: found.city.or(before.city),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(context: &Value) -> Result<(), String> {
        let context = context.as_object().cloned().unwrap();
        check(&Enrichment { context, ..Enrichment::default() }, &Room::default())
    }

    #[test]
    fn what_no_store_can_hold_is_refused() {
        let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        assert_eq!(says(&nested(MAX_DEPTH)), Ok(()));
        assert!(says(&nested(MAX_DEPTH + 1)).unwrap_err().contains("deeper"));
        assert!(says(&json!({"a": "\0"})).unwrap_err().contains("NUL"));
        assert!(says(&json!({"a\0": 1})).unwrap_err().contains("NUL"));
        assert!(says(&json!({"a": "x".repeat(MAX_EVENT_BYTES)})).unwrap_err().contains("bytes"));
        let long = Some("x".repeat(MAX_NAME_BYTES + 1).into());
        let found = Enrichment { device: Device { os: long, ..Device::default() }, ..Enrichment::default() };
        assert!(check(&found, &Room::default()).unwrap_err().contains("name"));
    }

    #[test]
    fn a_batch_does_not_grow_without_end() {
        let room = Room::default();
        let context = json!({"a": "x".repeat(200 << 10)}).as_object().cloned().unwrap();
        let found = Enrichment { context, ..Enrichment::default() };
        let taken = (0..1_000).take_while(|_| check(&found, &room).is_ok()).count();
        assert_eq!(taken, MAX_BATCH_BYTES / ((200 << 10) + 9));
    }
}
