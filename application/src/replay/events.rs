use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use gosight_domain::Timestamp;
use gosight_domain::replay::ContentHash;
use gosight_domain::time::epoch_millis;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::range::TimeRange;
use crate::ports::BoxError;

/// One rrweb event in its very text.
#[derive(Debug)]
pub struct ReplayEvent {
    pub(super) order: Order,
    text: Box<RawValue>,
}

/// Events are ordered by time, equal times by chunk and place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// Bits of a time that is never negative, which sort like the number.
    pub time_bits: u64,
    pub chunk_index: u16,
    pub place: u64,
}

impl ReplayEvent {
    /// The event as it was recorded.
    pub fn as_str(&self) -> &str {
        self.text.get()
    }

    /// An event of this chunk that stands at this place in it, or behind all others of it that come before.
    pub(super) fn new(text: Box<RawValue>, chunk_index: u16, place: u64) -> Result<Self, BoxError> {
        #[derive(Deserialize)]
        struct Head {
            timestamp: f64,
        }
        let head: Head = serde_json::from_str(text.get())?;
        let time_bits = epoch_millis(head.timestamp).max(0.0).to_bits();
        Ok(Self { order: Order { time_bits, chunk_index, place }, text })
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.get().len()
    }

    /// Its time, without fractions of a millisecond.
    pub(super) fn timestamp(&self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era fit; fractions go")]
        Timestamp::from_millis(f64::from_bits(self.order.time_bits) as i64)
    }

    pub(super) fn is_in(&self, range: TimeRange) -> bool {
        let at = f64::from_bits(self.order.time_bits);
        #[expect(
            clippy::cast_precision_loss,
            reason = "times of this era fit; the rest is before or after all"
        )]
        let (from, to) = (range.from.as_millis() as f64, range.to.as_millis() as f64);
        at >= from && at < to + 1.0
    }
}

impl PartialEq for ReplayEvent {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for ReplayEvent {}

impl PartialOrd for ReplayEvent {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReplayEvent {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// The first moment of `at`, as events are ordered.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit")]
pub(super) fn time_bits(at: Timestamp) -> u64 {
    (at.as_millis().max(0) as f64).to_bits()
}

/// The events of a chunk, decompressed up to the size that its header promises.
pub(super) fn of_chunk(
    chunk_index: u16,
    data: &[u8],
    expected_bytes: u64,
    content: ContentHash,
) -> Result<Vec<ReplayEvent>, BoxError> {
    let mut text = String::new();
    MultiGzDecoder::new(data).take(expected_bytes + 1).read_to_string(&mut text)?;
    if text.len() as u64 != expected_bytes {
        return Err(format!("has {} bytes instead of {expected_bytes}", text.len()).into());
    }
    content.check(text.as_bytes())?;
    let events: Vec<Box<RawValue>> = serde_json::from_str(&text)?;
    let events = (0..).zip(events);
    events.map(|(place, text)| ReplayEvent::new(text, chunk_index, place)).collect()
}
