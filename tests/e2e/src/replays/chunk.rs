use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::load::now_ms;

/// The time that a chunk covers, in ms.
const CHUNK_MS: i64 = 1_000;
/// Type of rrweb's full snapshot.
const FULL_SNAPSHOT: u8 = 2;
/// Type of rrweb's changes.
const CHANGE: u8 = 3;

/// A chunk as it was sent.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Each in its very text.
    pub events: Vec<Box<RawValue>>,
    /// SHA-256 of the JSON array of its events.
    pub sha256: String,
    /// The body of its request.
    pub body: String,
    pub is_acknowledged: bool,
}

impl Chunk {
    /// A chunk of 1 to 12 events, some of them at the same moment.
    pub fn draw(rng: &mut StdRng, session: &str, index: u16) -> Self {
        // Sessions are of this hour, and their chunks in the order of their indexes.
        let start = now_ms() / 3_600_000 * 3_600_000 - 3_600_000 + i64::from(index) * CHUNK_MS;
        let mut offsets: Vec<i64> =
            (0..rng.random_range(1..=12)).map(|_| rng.random_range(0..CHUNK_MS) / 50 * 50).collect();
        offsets.sort_unstable();
        let event = |(place, offset): (usize, &i64)| {
            let is_snapshot = place == 0 && index.is_multiple_of(5);
            let text: String = (0..rng.random_range(0..200)).map(|_| rng.random_range('!'..'ÿ')).collect();
            json!({
                "type": if is_snapshot { FULL_SNAPSHOT } else { CHANGE },
                "timestamp": start + offset,
                "data": {"chunk": index, "place": place, "text": text, "x": rng.random::<f64>()},
            })
        };
        let events: Vec<Value> = offsets.iter().enumerate().map(event).collect();
        let array = Value::from(events.clone()).to_string();
        let sha256 =
            Sha256::digest(&array).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let body = json!({
            "session_id": session,
            "chunk_index": index,
            "timestamp_start": events[0]["timestamp"],
            "timestamp_end": events[events.len() - 1]["timestamp"],
            "events": events,
        });
        let events = serde_json::from_str(&array).expect("an array");
        Self { events, sha256, body: body.to_string(), is_acknowledged: false }
    }
}
