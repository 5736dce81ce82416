//! `${VAR}` and `${VAR:-default}` in values of a file.

use serde_json::Value;

use super::env::Environment;
use super::parse_as;
use super::tree::{Kind, joined};

type Failure = (String, String);

/// Replaces references in all text of `value`. A value with references takes the type of its setting.
pub(super) fn expand(
    value: &mut Value,
    key: &str,
    kind: &dyn Fn(&str) -> Option<Kind>,
    environment: &Environment<'_>,
) -> Result<(), Failure> {
    match value {
        Value::String(text) if text.contains("${") => {
            let expanded = expand_text(text, environment).map_err(|reason| (key.to_owned(), reason))?;
            *value = parse_as(kind(key).unwrap_or(Kind::Text), &expanded);
        }
        Value::Object(map) => {
            for (name, value) in map {
                expand(value, &joined(key, name), kind, environment)?;
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                expand(value, &format!("{key}[{index}]"), kind, environment)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand_text(text: &str, environment: &Environment<'_>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (reference, after) =
            after.split_once('}').ok_or_else(|| format!("{text:?} has a ${{ without }}"))?;
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let found = environment.get(name).filter(|value| !value.is_empty() || default.is_none()).or(default);
        expanded.push_str(found.ok_or_else(|| {
            format!("the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        })?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
