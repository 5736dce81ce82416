//! Pieces of JSON that borrow from the body where they can, and say what is wrong where they cannot be read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use gosight_application::surface::{Failure, FailureCode};
use gosight_domain::json::MAX_DEPTH;
pub(crate) use gosight_domain::json::{Object, Text};
use gosight_domain::{Timestamp, Violation, ViolationCode};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::times;

/// A number or null.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Number(pub Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor).map(Self)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "what needs more digits fits no column anyway")]
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what needs more digits fits no column anyway")]
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A time as number or RFC 3339, or null.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SentAt(pub Option<Timestamp>);

impl<'de> Deserialize<'de> for SentAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SentAtVisitor).map(Self)
    }
}

struct SentAtVisitor;

impl Visitor<'_> for SentAtVisitor {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(times::ALLOWED)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Timestamp::from_epoch(number).map(Some).map_err(|violation| E::custom(violation.reason))
    }

    #[expect(clippy::cast_precision_loss, reason = "times of this era fit; the rest is refused")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "times of this era fit; the rest is refused")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let at = times::parse_rfc3339(text);
        at.map(Some).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A list of text or null. Longer ones than any rule allows are refused before they take memory.
#[derive(Debug, Default)]
pub(crate) struct Texts<'a>(pub Vec<Cow<'a, str>>);

const MAX_TEXTS: usize = 1_000;

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor).map(Self)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_TEXTS} texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(Text(text)) = seq.next_element()? {
            let text = text.ok_or_else(|| de::Error::invalid_type(de::Unexpected::Unit, &"text"))?;
            if texts.len() == MAX_TEXTS {
                return Err(de::Error::invalid_length(MAX_TEXTS + 1, &self));
            }
            texts.push(text);
        }
        Ok(texts)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// The entries of a list that are kept, and how many there are.
#[derive(Debug)]
pub(crate) struct Capped<T> {
    /// The first ones, up to the cap.
    pub kept: Vec<T>,
    /// All of them.
    pub found: usize,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), found: 0 }
    }
}

/// Reads a list of which `max` entries are kept: `[{},{},…]` is short and would become large.
pub(crate) struct CappedSeed<T> {
    max: usize,
    entry: PhantomData<T>,
}

impl<T> CappedSeed<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, entry: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for CappedSeed<T> {
    type Value = Capped<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for CappedSeed<T> {
    type Value = Capped<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Capped::default();
        while list.kept.len() < self.max {
            match seq.next_element()? {
                Some(entry) => list.kept.push(entry),
                None => break,
            }
        }
        list.found = list.kept.len();
        if list.found == self.max {
            while seq.next_element::<IgnoredAny>()?.is_some() {
                list.found += 1;
            }
        }
        Ok(list)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Capped::default())
    }
}

/// Reads the whole of `text` by `seed`; an error comes with the path of the field it is about.
pub(crate) fn read_with_path<'de, S: DeserializeSeed<'de>>(
    text: &'de str,
    seed: S,
) -> Result<S::Value, (String, serde_json::Error)> {
    let mut track = serde_path_to_error::Track::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let result = seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let path = || track.path().to_string();
    let value = result.map_err(|error| (path(), error))?;
    json.end().map_err(|error| (String::new(), error))?;
    Ok(value)
}

/// Reads the whole of `text` by `seed`.
pub(crate) fn read<'de, S: DeserializeSeed<'de>>(
    text: &'de str,
    seed: S,
) -> Result<S::Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// The answer to a body of which the frame, not one event, cannot be read.
pub(crate) fn unreadable(text: &str, path: &str, error: &serde_json::Error) -> Failure {
    if let Err(too_deep) = check_depth(text) {
        return too_deep;
    }
    if error.classify() != Category::Data {
        return Failure::new(FailureCode::InvalidJson, format!("the body is not JSON: {error}"));
    }
    let violation = violation(path, "body", error);
    Failure::invalid(FailureCode::InvalidRequest, &violation)
}

/// The violation of an item of which the field at `path` cannot be read. `whole` is what the item itself is called.
pub(crate) fn violation(path: &str, whole: &'static str, error: &serde_json::Error) -> Violation {
    let code = match error.classify() {
        _ if is_too_deep(error) => ViolationCode::TooDeep,
        _ if error.to_string().starts_with("number out of range") => ViolationCode::OutOfRange,
        Category::Data if error.to_string().starts_with("duplicate field") => ViolationCode::Inconsistent,
        Category::Data => ViolationCode::WrongType,
        _ => ViolationCode::InvalidJson,
    };
    Violation::new(named(path, whole), code, reason(error))
}

fn named(path: &str, whole: &'static str) -> Cow<'static, str> {
    if path.is_empty() || path == "." { Cow::Borrowed(whole) } else { Cow::Owned(path.to_owned()) }
}

/// What serde says, without the place: that is one inside a part of the body, where it misleads.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Refuses a body that is nested deeper than any event may be. Nothing here reads recursively, so this is only for the
/// answer to say what is wrong: it is asked once nothing useful was found in the body.
pub(crate) fn check_depth(text: &str) -> Result<(), Failure> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let message = format!("the body is nested deeper than {MAX_DEPTH} levels");
            return Err(Failure::new(FailureCode::TooDeep, message));
        }
    }
    Ok(())
}

fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}
