use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Origin;

/// What a setting's default tells of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Other,
}

/// All settings with their values, and where those that were set come from.
#[derive(Debug)]
pub(super) struct Tree {
    values: Value,
    defaults: BTreeMap<String, Kind>,
    origins: BTreeMap<String, Origin>,
}

impl Tree {
    pub(super) fn of_defaults<T: Serialize>(defaults: &T) -> Self {
        let values = serde_json::to_value(defaults).unwrap_or_else(|_| Value::Object(Map::new()));
        let mut kinds = BTreeMap::new();
        collect_kinds(&values, String::new(), &mut kinds);
        Self { values, defaults: kinds, origins: BTreeMap::new() }
    }

    /// The paths of all settings.
    pub(super) fn settings(&self) -> impl Iterator<Item = &str> {
        self.defaults.keys().map(String::as_str)
    }

    /// What the setting at `key` takes; `None` when there is no such setting.
    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        self.defaults.get(key).copied()
    }

    /// Sets everything that `values` has. Mappings are joined, all else is replaced.
    pub(super) fn merge(&mut self, values: Value, origin: &Origin) {
        let mut set = Vec::new();
        collect_set(values, String::new(), &self.defaults, &mut set);
        for (key, value) in set {
            self.set(&key, value, origin.clone());
        }
    }

    pub(super) fn set(&mut self, key: &str, value: Value, origin: Origin) {
        let mut place = &mut self.values;
        for name in key.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(map) = place else { return };
            place = map.entry(name).or_insert(Value::Null);
        }
        *place = value;
        self.origins.insert(key.to_owned(), origin);
    }

    pub(super) fn into_parts(self) -> (Value, BTreeMap<String, Origin>) {
        (self.values, self.origins)
    }
}

pub(super) fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn collect_kinds(value: &Value, key: String, kinds: &mut BTreeMap<String, Kind>) {
    match value {
        // An empty mapping is one that its owner fills: a setting of its own.
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                collect_kinds(value, joined(&key, name), kinds);
            }
        }
        Value::String(_) => drop(kinds.insert(key, Kind::Text)),
        _ => drop(kinds.insert(key, Kind::Other)),
    }
}

/// The settings in `value`: down to what is a setting by its default, or is no mapping.
fn collect_set(value: Value, key: String, defaults: &BTreeMap<String, Kind>, set: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !defaults.contains_key(&key) => {
            for (name, value) in map {
                collect_set(value, joined(&key, &name), defaults, set);
            }
        }
        value => set.push((key, value)),
    }
}
