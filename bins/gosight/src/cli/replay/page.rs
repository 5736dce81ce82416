//! A page that plays a recording by itself.

mod escape;
mod parts;

use std::io::{self, Write};

use serde::Serialize;

use super::manifest::{Gap, Manifest};
use escape::escape_json;

/// What the page says about the recording.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    session: String,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    left_out: u64,
    gaps: Vec<Gap>,
}

impl Facts {
    /// The facts of a recording, `left_out` of whose events are not in the page.
    pub(super) fn of(manifest: &Manifest, left_out: u64) -> Self {
        Self {
            session: manifest.session_id.clone(),
            started_at: manifest.started_at,
            ended_at: manifest.ended_at,
            left_out,
            gaps: manifest.gaps(),
        }
    }
}

/// Bytes of events in one element. A browser has a longest string, and a recording may be longer.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Writes the page, event by event.
///
/// Recorded text comes only into elements that hold JSON, escaped so that it cannot end them; the page's own script
/// reads them. The policy in its head lets no other script run and nothing be fetched.
#[derive(Debug)]
pub(super) struct Page<W> {
    writer: W,
    written: u64,
    events: u64,
    /// Events of the element that is not written yet.
    block: String,
}

impl<W: Write> Page<W> {
    /// Starts a page.
    pub(super) fn start(writer: W) -> io::Result<Self> {
        let mut page = Self { writer, written: 0, events: 0, block: String::new() };
        page.write(&parts::head())?;
        Ok(page)
    }

    /// Adds an event, which must be JSON.
    pub(super) fn event(&mut self, event: &str) -> io::Result<()> {
        self.block.push_str(if self.block.is_empty() { "[" } else { ",\n" });
        escape_json(event, &mut self.block);
        self.events += 1;
        if self.block.len() < BLOCK_BYTES { Ok(()) } else { self.end_block() }
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Ends the page; gives its size in bytes.
    pub(super) fn finish(mut self, facts: &Facts) -> io::Result<u64> {
        self.end_block()?;
        let mut json = String::new();
        escape_json(&serde_json::to_string(facts)?, &mut json);
        self.write("<script type=\"application/json\" id=\"facts\">")?;
        self.write(&json)?;
        self.write("</script>\n")?;
        self.write(&parts::foot())?;
        self.writer.flush()?;
        Ok(self.written)
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.write("<script type=\"application/json\" class=\"events\">")?;
        self.write(&block)?;
        self.write("]</script>\n")
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.written += text.len() as u64;
        self.writer.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::manifest::tests::manifest;

    fn page(events: &[String], session: &str) -> String {
        let mut text = Vec::new();
        let mut page = Page::start(&mut text).unwrap();
        for event in events {
            page.event(event).unwrap();
        }
        let mut manifest = manifest(&[(0, true), (2, false)]);
        session.clone_into(&mut manifest.session_id);
        let bytes = page.finish(&Facts::of(&manifest, 0)).unwrap();
        assert_eq!(bytes, text.len() as u64);
        String::from_utf8(text).unwrap()
    }

    /// The texts of the elements that start with `start`.
    fn elements<'p>(page: &'p str, start: &str) -> Vec<&'p str> {
        page.split(start).skip(1).map(|rest| rest.split("</script>").next().unwrap()).collect()
    }

    fn events_of(page: &str) -> Vec<serde_json::Value> {
        let blocks = elements(page, "<script type=\"application/json\" class=\"events\">");
        blocks.iter().flat_map(|b| serde_json::from_str::<Vec<serde_json::Value>>(b).unwrap()).collect()
    }

    #[test]
    fn recorded_text_comes_out_as_it_was_and_ends_no_element() {
        let hostile =
            "</script><script>alert(1)</script><!--<script>\u{2028}\u{2029}&lt;]]>\\</SCRIPT \"'`${1}";
        let event = serde_json::json!({"type": 3, "data": {"text": hostile, hostile: 1}});
        let text = page(&[event.to_string()], hostile);
        let quiet = page(&[], "quiet");
        for mark in ["<script", "</script", "</SCRIPT", "<!--", "alert(1)<", "\u{2028}", "\u{2029}"] {
            let expected = quiet.matches(mark).count() + usize::from(mark.contains("script"));
            assert_eq!(text.matches(mark).count(), expected, "{mark}");
        }
        assert_eq!(events_of(&text), [event]);
        let facts: serde_json::Value = serde_json::from_str(elements(&text, "id=\"facts\">")[0]).unwrap();
        assert_eq!(facts["session"], hostile);
        assert_eq!(facts["gaps"][0]["first"], 1);
    }

    #[test]
    fn many_events_are_spread_over_elements() {
        let event = serde_json::json!({"type": 3, "data": "x".repeat(300_000)});
        let text = page(&vec![event.to_string(); 10], "long");
        assert_eq!(elements(&text, "class=\"events\">").len(), 3);
        assert_eq!(events_of(&text), vec![event; 10]);
    }
}
