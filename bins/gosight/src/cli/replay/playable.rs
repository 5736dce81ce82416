//! Which events of a recording a player can start with.

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Lets events through from the first full snapshot on: before it nothing says what the page looked like. The last
/// "meta" event before it goes first, because it says how large the page is.
#[derive(Debug, Default)]
pub(super) struct Playable {
    started: bool,
    /// The last meta event before the start.
    meta: Option<String>,
    /// Changes before the start.
    left_out: u64,
}

/// An event as far as this goes. Reading it checks that all of it is JSON.
#[derive(Deserialize)]
struct Head<'e> {
    #[serde(borrow, rename = "type")]
    kind: &'e RawValue,
}

/// rrweb's `EventType.FullSnapshot`.
const FULL_SNAPSHOT: &str = "2";
/// rrweb's `EventType.IncrementalSnapshot`.
const INCREMENTAL: &str = "3";
/// rrweb's `EventType.Meta`.
const META: &str = "4";

impl Playable {
    /// Takes the next event, and gives what can be played now: nothing, the event, or the meta event and the first
    /// full snapshot.
    pub(super) fn pass<'e>(
        &mut self,
        event: &'e [u8],
    ) -> anyhow::Result<impl Iterator<Item = std::borrow::Cow<'e, str>>> {
        let event = std::str::from_utf8(event).context("an event is not UTF-8")?;
        let Head { kind } = serde_json::from_str(event).context("an event cannot be read")?;
        let kind = kind.get();
        let starts = !self.started && kind == FULL_SNAPSHOT;
        self.started |= starts;
        if !self.started {
            self.left_out += u64::from(kind == INCREMENTAL);
            if kind == META {
                self.meta = Some(event.to_owned());
            }
        }
        let meta = if starts { self.meta.take() } else { None };
        Ok(meta.map(Into::into).into_iter().chain(self.started.then_some(event.into())))
    }

    /// Whether there was a full snapshot.
    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    /// Changes of the page that cannot be shown. (Marks such as that it was loaded show nothing anyway.)
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out for each event, and how many are left out.
    fn passed(events: &[&str]) -> (Vec<String>, u64) {
        let mut playable = Playable::default();
        let mut out = Vec::new();
        for event in events {
            out.extend(playable.pass(event.as_bytes()).unwrap().map(std::borrow::Cow::into_owned));
        }
        (out, playable.left_out())
    }

    const META_1: &str = r#"{"type":4,"timestamp":1,"data":{"width":1}}"#;
    const META_2: &str = r#"{"type":4,"timestamp":3,"data":{"width":2}}"#;
    const FULL: &str = r#"{"type":2,"timestamp":4,"data":{}}"#;
    const LOADED: &str = r#"{"type":0,"timestamp":2,"data":{}}"#;
    const CHANGE: &str = r#"{"type":3,"timestamp":2,"data":{}}"#;

    #[test]
    fn playing_starts_with_the_meta_event_of_the_first_full_snapshot() {
        let (out, left_out) = passed(&[META_1, CHANGE, LOADED, META_2, CHANGE, FULL, CHANGE, META_1, FULL]);
        assert_eq!(out, [META_2, FULL, CHANGE, META_1, FULL]);
        assert_eq!(left_out, 2);
    }

    #[test]
    fn a_full_snapshot_without_a_meta_event_starts_too() {
        assert_eq!(passed(&[CHANGE, FULL, META_1]), (vec![FULL.to_owned(), META_1.to_owned()], 1));
    }

    #[test]
    fn without_a_full_snapshot_nothing_comes_out() {
        assert_eq!(passed(&[META_1, CHANGE, META_2]), (vec![], 1));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in [&b"\xff"[..], b"", b"[]", b"{}", br#"{"type":2}</script>"#, br#"{"type":3,"a":"\<"}"#] {
            assert!(Playable::default().pass(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
