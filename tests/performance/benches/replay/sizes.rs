//! What a minute of a session takes.

use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use crate::archive::{is_manifest, objects};
use crate::chunks::{Chunk, raw_bytes, recorded};
use crate::path::stored;

pub(crate) fn measure() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let recorded = recorded();
    let chunks = stored(&runtime, dir.path(), &recorded);
    let objects = runtime.block_on(objects(&chunks));
    let (manifests, objects): (Vec<_>, Vec<_>) = objects.into_iter().partition(|(path, _)| is_manifest(path));
    let bytes =
        |stored: &[(String, bytes::Bytes)]| stored.iter().map(|(_, object)| object.len()).sum::<usize>();
    let minutes = minutes(&recorded);
    println!("{} sessions of {minutes:.1} minutes together, in {} chunks", objects.len(), recorded.len());
    let raw = raw_bytes(&recorded) as f64;
    let sent = recorded.iter().map(|chunk| chunk.sent_bytes).sum::<usize>();
    println!("{:<42} {:>10} {:>12} {:>14}", "", "a minute", "of raw JSON", "of what came");
    for (name, bytes) in [
        ("sent by the browser", sent),
        ("raw JSON of the events", raw_bytes(&recorded)),
        ("the same as compressed requests", recorded.iter().map(|chunk| chunk.request().len()).sum()),
        ("hot: chunks", chunks.iter().map(|chunk| chunk.data.len()).sum()),
        ("archived: objects", bytes(&objects)),
        ("archived: manifests", bytes(&manifests)),
    ] {
        let bytes = bytes as f64;
        let (a_minute, of_raw, of_sent) = (bytes / minutes / 1024.0, bytes / raw, bytes / sent as f64);
        println!("{name:<42} {a_minute:>6.1} KiB {of_raw:>12.3} {of_sent:>14.3}");
    }
}

/// Time from the first to the last event of each session, added up.
fn minutes(chunks: &[Chunk]) -> f64 {
    let mut sessions: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for chunk in chunks {
        let (start, end) = sessions.entry(&chunk.session_id).or_insert((chunk.start, chunk.end));
        *start = chunk.start.min(*start);
        *end = chunk.end.max(*end);
    }
    sessions.values().map(|(start, end)| (end - start) as f64 / 60_000.0).sum()
}
