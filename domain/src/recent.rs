//! Texts that come again and again: names of browsers, and the ids of a session whose events stand one after the other.

use std::cell::RefCell;
use std::sync::Arc;

use serde::de::{Deserializer, Error, Visitor as DeVisitor};

/// Places, of which each remembers the last text that fell on it.
const PLACES: usize = 512;
/// Longer texts are not remembered: they seldom come again.
const MAX_BYTES: usize = 64;

/// What was made of the last texts, a bounded number of them.
struct Recent<T>(Vec<Option<(Arc<str>, T)>>);

impl<T: Copy> Recent<T> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    /// What `make` makes of `text`, or has made of it before.
    fn get(&mut self, text: &str, make: impl FnOnce(&str) -> T) -> (Arc<str>, T) {
        if self.0.is_empty() {
            self.0.resize_with(PLACES, || None);
        }
        let place = &mut self.0[place(text)];
        if let Some((known, made)) = place
            && **known == *text
        {
            return (known.clone(), *made);
        }
        let new = (Arc::from(text), make(text));
        *place = Some(new.clone());
        new
    }
}

/// Where `text` is remembered, by a hash that costs less than what it saves.
fn place(text: &str) -> usize {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let hash = words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)));
    // The upper bits are the best mixed.
    (hash >> 32) as usize % PLACES
}

/// `text`, in memory that it shares with its last copy on this thread.
pub(crate) fn shared(text: &str) -> Arc<str> {
    thread_local!(static TEXTS: RefCell<Recent<()>> = const { RefCell::new(Recent::new()) });
    let known = TEXTS.try_with(|texts| remembered(texts, text, |_| ()));
    known.ok().flatten().map_or_else(|| text.into(), |(shared, ())| shared)
}

/// Hashes of the last texts of a thread, each made once. Whoever makes hashes has one of its own.
pub(crate) struct Hashes(RefCell<Recent<u64>>);

impl Hashes {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Recent::new()))
    }

    /// What `make` makes of `text`; it must always make the same.
    pub(crate) fn get(&self, text: &str, make: impl Fn(&str) -> u64) -> u64 {
        remembered(&self.0, text, &make).map_or_else(|| make(text), |(_, hash)| hash)
    }
}

/// `None` for a text that is not remembered.
fn remembered<T: Copy>(
    recent: &RefCell<Recent<T>>,
    text: &str,
    make: impl FnOnce(&str) -> T,
) -> Option<(Arc<str>, T)> {
    if text.len() > MAX_BYTES {
        return None;
    }
    recent.try_borrow_mut().ok().map(|mut recent| recent.get(text, make))
}

/// Reads a text that is [shared].
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    deserializer.deserialize_str(SharedVisitor)
}

/// The same for a text that may be absent.
pub(crate) fn deserialize_optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<str>>, D::Error> {
    deserializer.deserialize_option(OptionalVisitor)
}

struct SharedVisitor;

impl DeVisitor<'_> for SharedVisitor {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(shared(text))
    }
}

struct OptionalVisitor;

impl<'de> DeVisitor<'de> for OptionalVisitor {
    type Value = Option<Arc<str>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or nothing")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_memory_and_others_do_not() {
        let first = shared("Firefox");
        assert!(Arc::ptr_eq(&first, &shared("Firefox")));
        assert_eq!(&*shared("Chrome"), "Chrome");
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(&*shared(&long), long);
    }

    #[test]
    fn a_text_that_takes_the_place_of_another_gives_its_own_hash() {
        let (hashes, length) = (Hashes::new(), |text: &str| text.len() as u64);
        // More texts than places, each twice in a row and once more later.
        let texts: Vec<String> =
            (0..4 * PLACES).map(|n| "x".repeat(n % MAX_BYTES) + &n.to_string()).collect();
        for text in texts.iter().flat_map(|text| [text, text]).chain(&texts) {
            assert_eq!(hashes.get(text, length), text.len() as u64, "{text}");
        }
    }
}
