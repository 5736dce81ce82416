//! The parts of a payload that have columns of their own.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use crate::json::{JsonObject, Object, Text};
use crate::text::check_nul;
use crate::violation::{Violation, ViolationCode};

/// What the payload of a known event type says, in the types of its columns. A payload of another type has none.
///
/// Numbers that do not fit are an error that names the field; they are never wrapped or cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details<'a> {
    /// `click`: horizontal place in the viewport, in CSS px.
    pub click_x: Option<i16>,
    /// `click`: vertical place in the viewport, in CSS px.
    pub click_y: Option<i16>,
    /// `click`: CSS selector of what was clicked.
    pub target_selector: Option<Cow<'a, str>>,
    /// `click`: tag name of what was clicked.
    pub target_tag: Option<Cow<'a, str>>,
    /// `click`: ARIA role of what was clicked.
    pub target_role: Option<Cow<'a, str>>,
    /// `click`: visible text of what was clicked.
    pub target_text: Option<Cow<'a, str>>,
    /// `scroll`: deepest point of the page so far, in percent.
    pub scroll_depth: Option<u8>,
    /// `js_error`: message.
    pub error_message: Option<Cow<'a, str>>,
    /// `js_error`: stack trace.
    pub error_stack: Option<Cow<'a, str>>,
    /// `js_error`: class of the error.
    pub error_type: Option<Cow<'a, str>>,
    /// `web_vitals`: largest contentful paint, in ms.
    pub lcp_ms: Option<u32>,
    /// `web_vitals`: first input delay, in ms.
    pub fid_ms: Option<u32>,
    /// `web_vitals`: interaction to next paint, in ms.
    pub inp_ms: Option<u32>,
    /// `web_vitals`: time to first byte, in ms.
    pub ttfb_ms: Option<u32>,
    /// `web_vitals`: cumulative layout shift.
    pub cls: Option<f32>,
    /// `mouse_move`: places of the pointer, oldest first.
    pub cursor: Vec<CursorPoint>,
}

/// Where the pointer was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CursorPoint {
    /// Horizontal place in the viewport, in CSS px.
    pub x: i16,
    /// Vertical place in the viewport, in CSS px.
    pub y: i16,
    /// Time against the event's timestamp, in ms; zero or negative as rrweb sends it.
    pub offset_ms: i32,
}

/// `$read` for the columns of `$event_type`; `$none` for a type that has none.
macro_rules! with_columns {
    ($event_type:expr, $read:ident($($argument:expr),+), $none:expr) => {
        match $event_type {
            "click" => $read::<Click<'_>>($($argument),+),
            "scroll" => $read::<Scroll>($($argument),+),
            "js_error" => $read::<JsError<'_>>($($argument),+),
            "web_vitals" => $read::<WebVitals>($($argument),+),
            "mouse_move" => $read::<MouseMove>($($argument),+),
            _ => $none,
        }
    };
}

impl<'a> Details<'a> {
    /// Reads the columns for `event_type` from the text of its payload object.
    ///
    /// # Errors
    /// [`Violation`] when a known field has the wrong type, does not fit its column, or has a NUL character.
    pub fn extract(event_type: &str, payload: &'a str) -> Result<Self, Violation> {
        if payload == "{}" {
            return Ok(Self::default());
        }
        with_columns!(event_type, read(payload), Ok(Self::default()))
    }

    /// The payload object in `raw`, when it is one that [`JsonObject::parse`] takes and that has columns which
    /// [`extract`](Self::extract) takes. In one pass over it, and without a word on what is wrong.
    pub(crate) fn check(event_type: &str, raw: &RawValue, max_depth: usize) -> Option<JsonObject> {
        with_columns!(event_type, read_unchecked(raw, max_depth), {
            JsonObject::parse_as::<IgnoredAny>(raw, max_depth).map(|(object, _)| object)
        })
    }

    /// The same, without the payload that they were read from.
    pub fn into_owned(self) -> Details<'static> {
        let own = |text: Option<Cow<'a, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Details {
            target_selector: own(self.target_selector),
            target_tag: own(self.target_tag),
            target_role: own(self.target_role),
            target_text: own(self.target_text),
            error_message: own(self.error_message),
            error_stack: own(self.error_stack),
            error_type: own(self.error_type),
            ..self
        }
    }
}

/// The columns of one event type, as they stand in its payload.
trait Columns<'a>: Deserialize<'a> {
    /// Checks that each fits.
    fn into_details(self) -> Result<Details<'a>, Violation>;
}

fn read<'a, C: Columns<'a>>(payload: &'a str) -> Result<Details<'a>, Violation> {
    #[cfg(test)]
    crate::json::reads::note();
    serde_json::from_str::<C>(payload).map_err(|_| explain::<C>(payload))?.into_details()
}

fn read_unchecked<'a, C: Columns<'a>>(raw: &'a RawValue, max_depth: usize) -> Option<JsonObject> {
    let (object, columns) = JsonObject::parse_as::<C>(raw, max_depth)?;
    columns.into_details().is_ok().then_some(object)
}

/// Reads once more, slower, to learn which field it was.
#[cold]
fn explain<'a, T: Deserialize<'a>>(payload: &'a str) -> Violation {
    let mut json = serde_json::Deserializer::from_str(payload);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Ok(_) => Violation::new("payload", ViolationCode::InvalidJson, "is not valid JSON"),
        Err(error) => {
            let path = error.path().to_string();
            // A field that stands there twice is found around it, not in it.
            let field = if path == "." { "payload".to_owned() } else { format!("payload.{path}") };
            let reason = plain(error.inner());
            let code = if reason.starts_with("duplicate field") {
                ViolationCode::Inconsistent
            } else {
                ViolationCode::WrongType
            };
            Violation::new(field, code, reason)
        }
    }
}

/// The message of a JSON error without its place, which means little inside an event.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// A JSON number that is kept as sent until its column is known.
#[derive(Debug, Clone, Copy, Default)]
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<f64>::deserialize(deserializer).map(Self)
    }
}

macro_rules! fit {
    ($number:expr, $type:ty, $field:literal) => {
        fit!($number, $type, $field, <$type>::MIN, <$type>::MAX)
    };
    ($number:expr, $type:ty, $field:literal, $min:expr, $max:expr) => {
        match $number.0.map(f64::round) {
            None => None,
            Some(n) if n >= f64::from($min) && n <= f64::from($max) =>
            {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "rounded, and inside the column's range; which lint applies depends on the type"
                )]
                Some(n as $type)
            }
            Some(n) => {
                return Err(Violation::new(
                    $field,
                    ViolationCode::OutOfRange,
                    format!("{n} is outside of {} to {}", $min, $max),
                ));
            }
        }
    };
}

/// Text without NUL.
fn checked<'a>(Text(text): Text<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Violation> {
    if let Some(text) = &text {
        check_nul(field, text)?;
    }
    Ok(text)
}

#[derive(Deserialize)]
struct Click<'a> {
    #[serde(default)]
    x: Number,
    #[serde(default)]
    y: Number,
    #[serde(default, borrow)]
    target: Option<Object<Target<'a>>>,
}

#[derive(Default, Deserialize)]
struct Target<'a> {
    #[serde(default, borrow)]
    selector: Text<'a>,
    #[serde(default, borrow)]
    tag: Text<'a>,
    #[serde(default, borrow)]
    role: Text<'a>,
    #[serde(default, borrow)]
    text: Text<'a>,
}

impl<'a> Columns<'a> for Click<'a> {
    fn into_details(self) -> Result<Details<'a>, Violation> {
        let Object(target) = self.target.unwrap_or_default();
        Ok(Details {
            click_x: fit!(self.x, i16, "payload.x"),
            click_y: fit!(self.y, i16, "payload.y"),
            target_selector: checked(target.selector, "payload.target.selector")?,
            target_tag: checked(target.tag, "payload.target.tag")?,
            target_role: checked(target.role, "payload.target.role")?,
            target_text: checked(target.text, "payload.target.text")?,
            ..Details::default()
        })
    }
}

#[derive(Deserialize)]
struct Scroll {
    #[serde(default)]
    depth_percent: Number,
}

impl<'a> Columns<'a> for Scroll {
    fn into_details(self) -> Result<Details<'a>, Violation> {
        let scroll_depth = fit!(self.depth_percent, u8, "payload.depth_percent", 0, 100);
        Ok(Details { scroll_depth, ..Details::default() })
    }
}

#[derive(Deserialize)]
struct JsError<'a> {
    #[serde(default, borrow)]
    message: Text<'a>,
    #[serde(default, borrow)]
    stack: Text<'a>,
    #[serde(default, borrow, rename = "errorType", alias = "error_type")]
    error_type: Text<'a>,
}

impl<'a> Columns<'a> for JsError<'a> {
    fn into_details(self) -> Result<Details<'a>, Violation> {
        Ok(Details {
            error_message: checked(self.message, "payload.message")?,
            error_stack: checked(self.stack, "payload.stack")?,
            error_type: checked(self.error_type, "payload.errorType")?,
            ..Details::default()
        })
    }
}

#[derive(Deserialize)]
struct WebVitals {
    #[serde(default)]
    lcp: Number,
    #[serde(default)]
    fid: Number,
    #[serde(default)]
    inp: Number,
    #[serde(default)]
    ttfb: Number,
    #[serde(default)]
    cls: Number,
}

impl<'a> Columns<'a> for WebVitals {
    fn into_details(self) -> Result<Details<'a>, Violation> {
        Ok(Details {
            lcp_ms: fit!(self.lcp, u32, "payload.lcp"),
            fid_ms: fit!(self.fid, u32, "payload.fid"),
            inp_ms: fit!(self.inp, u32, "payload.inp"),
            ttfb_ms: fit!(self.ttfb, u32, "payload.ttfb"),
            cls: shift(self.cls)?,
            ..Details::default()
        })
    }
}

fn shift(cls: Number) -> Result<Option<f32>, Violation> {
    match cls.0 {
        Some(n) if !(0.0..=f64::from(f32::MAX)).contains(&n) => Err(Violation::new(
            "payload.cls",
            ViolationCode::OutOfRange,
            format!("{n} is outside of 0 to {}", f32::MAX),
        )),
        #[expect(clippy::cast_possible_truncation, reason = "a layout shift needs no more digits")]
        other => Ok(other.map(|n| n as f32)),
    }
}

#[derive(Deserialize)]
struct MouseMove {
    #[serde(default)]
    x: Number,
    #[serde(default)]
    y: Number,
    #[serde(default)]
    positions: Vec<Object<Position>>,
}

#[derive(Deserialize)]
struct Position {
    #[serde(default)]
    x: Number,
    #[serde(default)]
    y: Number,
    #[serde(default, rename = "timeOffset", alias = "offset_ms")]
    offset_ms: Number,
}

impl<'a> Columns<'a> for MouseMove {
    fn into_details(self) -> Result<Details<'a>, Violation> {
        let alone = Position { x: self.x, y: self.y, offset_ms: Number(None) };
        let mut cursor = Vec::with_capacity(self.positions.len() + 1);
        for Object(position) in self.positions.into_iter().chain([Object(alone)]) {
            let x = fit!(position.x, i16, "payload.x");
            let y = fit!(position.y, i16, "payload.y");
            let offset_ms = fit!(position.offset_ms, i32, "payload.positions.timeOffset").unwrap_or(0);
            if let (Some(x), Some(y)) = (x, y) {
                cursor.push(CursorPoint { x, y, offset_ms });
            }
        }
        Ok(Details { cursor, ..Details::default() })
    }
}

#[cfg(test)]
mod tests;
