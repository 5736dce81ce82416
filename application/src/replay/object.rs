//! The archived object: gzip (RFC 1952) of one JSON array, whose compression starts anew at every segment.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use gosight_domain::replay::{ContentHash, ContentHasher, Run, Segment};
use serde_json::value::RawValue;

use super::error::DamagedObject;
use super::events::ReplayEvent;
use crate::ports::BoxError;

/// Bytes of a segment before compression: small enough to start reading in the middle, large enough to compress well.
const SEGMENT_BYTES: usize = 512 * 1024;

/// No name, no time, no flags; an unknown system (RFC 1952, 2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// What is known of an object once all of it is written.
pub(super) struct WrittenObject {
    pub bytes: u64,
    pub sha256: ContentHash,
    pub raw_bytes: u64,
    pub segments: Vec<Segment>,
}

/// Writes events, which come in order. What is compressed is taken out part by part.
pub(super) struct ObjectWriter {
    compress: Compress,
    crc: Crc,
    hasher: ContentHasher,
    /// Compressed, and not taken yet.
    data: Vec<u8>,
    /// Bytes that were taken.
    taken: u64,
    /// Text of the segment that is being filled.
    text: Vec<u8>,
    open: Option<Segment>,
    segments: Vec<Segment>,
    raw_bytes: u64,
    runs: usize,
}

impl ObjectWriter {
    /// Compresses with a level from 1, fast, to 9, small.
    pub fn new(level: u32) -> Self {
        Self {
            compress: Compress::new(Compression::new(level), false),
            crc: Crc::new(),
            hasher: ContentHasher::default(),
            data: GZIP_HEADER.to_vec(),
            taken: 0,
            text: Vec::new(),
            open: None,
            segments: Vec::new(),
            raw_bytes: 0,
            runs: 0,
        }
    }

    /// How often the events went over to another chunk, or another segment.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Whether it is time for [`flushed`](Self::flushed).
    pub fn is_full(&self) -> bool {
        self.text.len() >= SEGMENT_BYTES
    }

    /// Itself with the open segment compressed. Takes the processor for a while.
    pub fn flushed(mut self) -> Result<Self, BoxError> {
        self.close_segment(FlushCompress::Full)?;
        Ok(self)
    }

    /// What was compressed since the last time.
    pub fn take_part(&mut self) -> Bytes {
        let part = std::mem::take(&mut self.data);
        self.taken += part.len() as u64;
        self.hasher.update(&part);
        part.into()
    }

    pub fn push(&mut self, event: &ReplayEvent) {
        let is_first = self.open.is_none() && self.segments.is_empty();
        self.text.push(if is_first { b'[' } else { b',' });
        self.text.extend_from_slice(event.as_str().as_bytes());
        let at = event.timestamp();
        let segment = self.open.get_or_insert_with(|| Segment {
            offset: self.taken + self.data.len() as u64,
            bytes: 0,
            raw_bytes: 0,
            crc32: 0,
            from: at,
            to: at,
            runs: Vec::new(),
        });
        segment.from = at.min(segment.from);
        segment.to = at.max(segment.to);
        match segment.runs.last_mut() {
            Some(run) if run.chunk_index == event.order.chunk_index => run.events += 1,
            _ => {
                segment.runs.push(Run { chunk_index: event.order.chunk_index, events: 1 });
                self.runs += 1;
            }
        }
    }

    /// Compresses what the open segment has, so that the next one depends on nothing before it.
    fn close_segment(&mut self, flush: FlushCompress) -> Result<(), BoxError> {
        let text = std::mem::take(&mut self.text);
        self.crc.update(&text);
        let start = self.compress.total_in();
        loop {
            self.data.reserve(64 * 1024);
            let done = usize::try_from(self.compress.total_in() - start)?;
            let status = self.compress.compress_vec(&text[done..], &mut self.data, flush)?;
            let is_written = self.compress.total_in() - start == text.len() as u64;
            // Room that is left says that nothing is held back any more.
            let is_flushed = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => self.data.len() < self.data.capacity(),
            };
            if is_written && is_flushed {
                break;
            }
        }
        self.raw_bytes += text.len() as u64;
        if let Some(mut segment) = self.open.take() {
            segment.bytes = self.taken + self.data.len() as u64 - segment.offset;
            segment.raw_bytes = text.len() as u64;
            segment.crc32 = crc32(&text);
            self.segments.push(segment);
        }
        Ok(())
    }

    /// The last part, and what is known of the whole. Takes the processor for a while.
    pub fn finish(mut self) -> Result<(Bytes, WrittenObject), BoxError> {
        self.text.extend_from_slice(if self.open.is_none() && self.segments.is_empty() {
            b"[]"
        } else {
            b"]"
        });
        self.close_segment(FlushCompress::Finish)?;
        self.data.extend_from_slice(&self.crc.sum().to_le_bytes());
        // The size modulo 2^32 (RFC 1952, 2.3.1).
        self.data.extend_from_slice(&self.crc.amount().to_le_bytes());
        let part = self.take_part();
        let Self { hasher, taken, raw_bytes, segments, .. } = self;
        Ok((part, WrittenObject { bytes: taken, sha256: hasher.finish(), raw_bytes, segments }))
    }
}

/// The events of the segment at `index`, whose bytes of the object are `data`.
pub(super) fn of_segment(
    index: usize,
    segment: &Segment,
    data: &[u8],
) -> Result<Vec<ReplayEvent>, DamagedObject> {
    read_segment(index, segment, data).map_err(DamagedObject)
}

fn read_segment(index: usize, segment: &Segment, data: &[u8]) -> Result<Vec<ReplayEvent>, BoxError> {
    let mut text = inflate(data, segment.raw_bytes)?;
    let found = crc32(&text);
    if found != segment.crc32 {
        return Err(format!("a segment has the CRC-32 {found:08x} instead of {:08x}", segment.crc32).into());
    }
    // The segments of an array, each made an array of its own.
    match text.first_mut() {
        Some(first) if matches!(first, b'[' | b',') => *first = b'[',
        _ => return Err("a segment starts with neither [ nor ,".into()),
    }
    // An event is an object: only the last segment ends like this.
    if text.last() != Some(&b']') {
        text.push(b']');
    }
    let events: Vec<Box<RawValue>> = serde_json::from_slice(&text)?;
    let runs = segment.runs.iter().flat_map(|run| (0..run.events).map(|_| run.chunk_index));
    let expected: u64 = segment.runs.iter().map(|run| u64::from(run.events)).sum();
    if events.len() as u64 != expected {
        return Err(format!("a segment has {} events instead of {expected}", events.len()).into());
    }
    // Events of a chunk are in order over all segments.
    let places = (index as u64) << 32..;
    events
        .into_iter()
        .zip(runs)
        .zip(places)
        .map(|((text, chunk), place)| ReplayEvent::new(text, chunk, place))
        .collect()
}

/// The checksum of gzip (RFC 1952, 8).
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Decompresses `data`, which must give `expected_bytes`.
fn inflate(data: &[u8], expected_bytes: u64) -> Result<Vec<u8>, BoxError> {
    let expected = usize::try_from(expected_bytes)?;
    let mut inflater = Decompress::new(false);
    // One more, to notice what is too long.
    let mut text = Vec::with_capacity(expected + 1);
    loop {
        let before = (inflater.total_in(), inflater.total_out());
        let read = usize::try_from(before.0)?;
        let status = inflater.decompress_vec(&data[read..], &mut text, FlushDecompress::Sync)?;
        let stands = before == (inflater.total_in(), inflater.total_out());
        if status == Status::StreamEnd || stands || text.len() > expected {
            break;
        }
    }
    if text.len() != expected {
        return Err(format!("a segment has {} bytes instead of {expected}", text.len()).into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
