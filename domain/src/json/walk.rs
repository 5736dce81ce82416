//! A look at every part of a JSON value.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::violation::ViolationCode;

/// Walks a JSON value without keeping any of it.
pub(super) struct Walk<'a> {
    /// Levels that it may be nested.
    pub(super) depth_left: usize,
    /// Where to say what is wrong with it.
    pub(super) found: &'a mut Option<ViolationCode>,
}

impl Walk<'_> {
    fn fail<E: de::Error>(self, code: ViolationCode) -> E {
        *self.found = Some(code);
        E::custom(code)
    }
}

/// Text that had escapes, which is the only way for JSON to have a NUL character in it.
pub(super) fn has_nul(unescaped: &str) -> bool {
    unescaped.as_bytes().contains(&0)
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    /// Text without escapes.
    fn visit_borrowed_str<E>(self, _: &'de str) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if has_nul(text) { Err(self.fail(ViolationCode::NulCharacter)) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return Err(self.fail(ViolationCode::TooDeep));
        };
        while seq.next_element_seed(Walk { depth_left, found: self.found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return Err(self.fail(ViolationCode::TooDeep));
        };
        while map.next_key_seed(Walk { depth_left, found: self.found })?.is_some() {
            map.next_value_seed(Walk { depth_left, found: self.found })?;
        }
        Ok(())
    }
}
