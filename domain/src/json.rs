//! JSON objects that are kept as the sender wrote them.

mod checked;
mod text;
mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::violation::{Violation, ViolationCode};
use checked::Checked;
pub use text::Text;
use walk::Walk;

/// Nesting that a JSON object may have: 64 levels, itself included.
pub const MAX_DEPTH: usize = 64;

/// A JSON object as `T`. A derived `T` alone would also take an array of its fields, in which nobody else would find them.
#[derive(Debug, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A JSON object in the sender's own text, checked once: well-formed, all text Unicode and without NUL, nested no
/// deeper than allowed. The empty object takes no memory.
///
/// Keeping the text instead of a parsed tree saves an allocation per key and keeps numbers exactly as sent.
#[derive(Clone, Default)]
pub struct JsonObject(Option<Box<RawValue>>);

impl JsonObject {
    /// Checks `raw`. `null` counts as the empty object.
    ///
    /// # Errors
    /// [`Violation`] at `field` when `raw` is no object, nested deeper than `max_depth`, or has text that is not
    /// Unicode or has a NUL character.
    pub fn parse(field: &'static str, raw: &RawValue, max_depth: usize) -> Result<Self, Violation> {
        let text = raw.get();
        match text {
            "{}" | "null" => return Ok(Self(None)),
            _ if !text.starts_with('{') => {
                let found = json_type(text);
                return Err(Violation::new(
                    field,
                    ViolationCode::WrongType,
                    format!("is {found}, must be an object"),
                ));
            }
            _ => {}
        }
        check(field, text, max_depth)?;
        Ok(Self(Some(one_line(raw))))
    }

    /// What [`parse`](Self::parse) gives, and `T` from the same text, in one pass over it.
    ///
    /// `None` when `raw` is empty or no object, or when either cannot be had. That is quick to say; why it is so, the two
    /// say one after the other.
    pub(crate) fn parse_as<'a, T: Deserialize<'a>>(raw: &'a RawValue, max_depth: usize) -> Option<(Self, T)> {
        let text = raw.get();
        if text == "{}" || !text.starts_with('{') {
            return None;
        }
        #[cfg(test)]
        reads::note();
        let mut json = serde_json::Deserializer::from_str(text);
        let read = T::deserialize(Checked::new(&mut json, max_depth)).ok()?;
        json.end().ok()?;
        Some((Self(Some(one_line(raw))), read))
    }

    /// An object from a parsed tree; anything but an object counts as the empty one.
    pub fn from_value(value: &Value) -> Self {
        match value {
            Value::Object(map) if !map.is_empty() => Self(serde_json::value::to_raw_value(value).ok()),
            _ => Self(None),
        }
    }

    /// This object with the members of `patch` in place of its own of the same names; a `null` takes a member away. Values keep
    /// their text.
    ///
    /// ```
    /// use gosight_domain::JsonObject;
    ///
    /// let object = |text| serde_json::from_str::<JsonObject>(text).expect("an object");
    /// let known = object(r#"{"plan":"free","visits":1.50}"#);
    /// let patched = known.patched(&object(r#"{"plan":"pro","visits":null,"city":"Lund"}"#));
    /// assert_eq!(patched.as_str(), r#"{"city":"Lund","plan":"pro"}"#);
    /// ```
    #[must_use]
    pub fn patched(&self, patch: &Self) -> Self {
        let members = |object: &'_ Self| -> BTreeMap<String, Box<RawValue>> {
            serde_json::from_str(object.as_str()).unwrap_or_default()
        };
        let mut merged = members(self);
        for (name, value) in members(patch) {
            match value.get() {
                "null" => drop(merged.remove(&name)),
                _ => drop(merged.insert(name, value)),
            }
        }
        if merged.is_empty() { Self(None) } else { Self(serde_json::value::to_raw_value(&merged).ok()) }
    }

    /// The JSON text; `{}` when empty.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("{}", RawValue::get)
    }

    /// Whether the object has no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a member of this name may stand somewhere in the object, at any depth. Without parsing it: false is certain,
    /// true is not.
    pub fn may_name(&self, name: &str) -> bool {
        let text = self.as_str();
        // A name can be written with escapes, and some names only so.
        text.contains(name) || text.contains('\\')
    }

    /// The parsed tree. The text was checked when it came in, so this gives the empty object only for text that
    /// came around that check (a log written by other hands).
    pub fn to_value(&self) -> Value {
        #[cfg(test)]
        reads::note();
        self.0
            .as_deref()
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }
}

/// How often a payload was read on this thread, for tests that hold it to once.
#[cfg(test)]
pub(crate) mod reads {
    use std::cell::Cell;

    thread_local!(static READS: Cell<u32> = const { Cell::new(0) });

    pub(crate) fn note() {
        READS.set(READS.get() + 1);
    }

    /// Since it was asked last.
    pub(crate) fn take() -> u32 {
        READS.replace(0)
    }
}

/// Line breaks in JSON text can only stand between tokens, so replacing them leaves the value as it is; on one line
/// an object can be a line of NDJSON.
fn one_line(raw: &RawValue) -> Box<RawValue> {
    let bytes = raw.get().as_bytes();
    // One after the other, as a search for one byte takes many at a time.
    if !bytes.contains(&b'\n') && !bytes.contains(&b'\r') {
        return raw.to_owned();
    }
    let text = raw.get().replace(['\n', '\r'], " ");
    RawValue::from_string(text).unwrap_or_else(|_| raw.to_owned())
}

fn json_type(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'[') => "an array",
        Some(b'"') => "text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn check(field: &'static str, text: &str, max_depth: usize) -> Result<(), Violation> {
    #[cfg(test)]
    reads::note();
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let walk = Walk { depth_left: max_depth, found: &mut found };
    let result = walk.deserialize(&mut json);
    if let Some(code) = found {
        let reason = match code {
            ViolationCode::TooDeep => format!("is nested deeper than {max_depth} levels"),
            _ => "has text with a NUL character, which is not allowed".to_owned(),
        };
        return Err(Violation::new(field, code, reason));
    }
    result.map_err(
        |error| if is_out_of_range(&error) { out_of_range(field, text) } else { not_json(field, &error) },
    )
}

fn not_json(field: &'static str, error: &serde_json::Error) -> Violation {
    Violation::new(field, ViolationCode::InvalidJson, format!("is not valid JSON: {error}"))
}

/// A number that no column and no float holds, such as `1e400`. The grammar allows it.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("number out of range")
}

/// Reads `text` once more, slower, to learn which number it was.
#[cold]
fn out_of_range(field: &'static str, text: &str) -> Violation {
    let mut json = serde_json::Deserializer::from_str(text);
    let found: Result<Value, _> = serde_path_to_error::deserialize(&mut json);
    let path = found.err().map(|error| error.path().to_string()).filter(|path| path != ".");
    let field = path.map_or_else(|| field.to_owned(), |path| format!("{field}.{path}"));
    Violation::new(field, ViolationCode::OutOfRange, "is a number that is too large to be kept")
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Two objects are equal when their texts are.
impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for JsonObject {}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(raw) => raw.serialize(serializer),
            None => serializer.serialize_newtype_struct("", &serde_json::Map::new()),
        }
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match raw.get() {
            "{}" | "null" => Ok(Self(None)),
            text if text.starts_with('{') => Ok(Self(Some(one_line(raw)))),
            text => Err(de::Error::custom(format!("expected an object, found {}", json_type(text)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JsonObject, Violation> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        JsonObject::parse("payload", &raw, MAX_DEPTH)
    }

    #[test]
    fn the_text_is_kept_as_sent() {
        let text = r#"{"price": 129.90, "n": 12345678901234567890, "e": 1E2}"#;
        assert_eq!(parse(text).unwrap().as_str(), text);
        assert_eq!(serde_json::to_string(&parse(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        assert_eq!(parse("{\"a\":\r\n1}").unwrap().as_str(), "{\"a\":  1}");
        assert_eq!(parse(r#"{"a":"x\ny"}"#).unwrap().as_str(), r#"{"a":"x\ny"}"#);
    }

    #[test]
    fn only_objects_pass() {
        for (text, found) in [("[]", "array"), ("\"x\"", "text"), ("1", "number"), ("true", "boolean")] {
            let violation = parse(text).unwrap_err();
            assert_eq!(violation.code, ViolationCode::WrongType);
            assert!(violation.reason.contains(found), "{violation}");
        }
        assert!(parse("null").unwrap().is_empty());
        assert!(parse("{}").unwrap().is_empty());
    }

    #[test]
    fn depth_is_counted_from_the_object_itself() {
        let nested =
            |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse(&nested(64)).is_ok());
        assert_eq!(parse(&nested(65)).unwrap_err().code, ViolationCode::TooDeep);
        assert_eq!(parse(&nested(10_000)).unwrap_err().code, ViolationCode::TooDeep);
    }

    #[test]
    fn text_that_no_store_can_hold_is_refused() {
        assert_eq!(parse(r#"{"a":"\u0000"}"#).unwrap_err().code, ViolationCode::NulCharacter);
        assert_eq!(parse(r#"{"a\u0000":1}"#).unwrap_err().code, ViolationCode::NulCharacter);
        assert_eq!(parse(r#"{"a":"\ud800"}"#).unwrap_err().code, ViolationCode::InvalidJson);
        let large = parse(r#"{"a":[1,{"b":1e999}]}"#).unwrap_err();
        assert_eq!((large.code, &*large.field), (ViolationCode::OutOfRange, "payload.a[1].b"));
        assert!(parse(r#"{"a":"\ud83d\ude00"}"#).is_ok());
    }

    #[test]
    fn a_name_that_is_there_is_never_missed() {
        let object = parse(r#"{"a":{"item_id":1}}"#).unwrap();
        assert!(object.may_name("item_id") && !object.may_name("product_id"));
        assert!(parse(r#"{"item\u005fid":1}"#).unwrap().may_name("item_id"));
        assert!(parse(r#"{"\"":1}"#).unwrap().may_name("\""));
        assert!(!parse("{}").unwrap().may_name("a"));
    }

    #[test]
    fn empty_objects_survive_a_round_trip() {
        assert_eq!(serde_json::to_string(&JsonObject::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<JsonObject>("{}").unwrap().is_empty());
        assert!(serde_json::from_str::<JsonObject>("[]").is_err());
    }
}
