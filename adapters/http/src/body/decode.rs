//! The one place where something from outside is decompressed, and the cap on what comes out.

use std::io::Read;

use bytes::Bytes;

use super::encoding::Encoding;
use crate::budget::{Overloaded, Reservation};

/// Why something could not be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It is damaged or cut off.
    Damaged(String),
    /// More comes out than allowed.
    TooLarge,
    /// There is no memory for what comes out.
    Overloaded,
    /// The thread that did it died.
    Failed(String),
}

impl From<Overloaded> for DecodeError {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

/// What comes out up to here is decompressed where the request is; for more there are threads that may take their time.
const IN_PLACE_BYTES: usize = 64 * 1024;
/// Most that is decompressed between two looks at the memory.
const MAX_STEP_BYTES: usize = 4 * 1024 * 1024;

/// Decompresses `data` to at most `limit` bytes. What comes out is added to `reservation`.
pub(crate) async fn decode(
    encoding: Encoding,
    data: Bytes,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, DecodeError> {
    if encoding == Encoding::Identity {
        return if data.len() > limit { Err(DecodeError::TooLarge) } else { Ok(data) };
    }
    let is_small = data.len() <= IN_PLACE_BYTES;
    let mut decoder = Decoder::open(encoding, data, limit)?;
    if is_small && decoder.step(IN_PLACE_BYTES)? {
        reservation.grow(decoder.out.len()).await?;
        return Ok(decoder.out.into());
    }
    let before = reservation.bytes();
    reservation.grow(decoder.out.len() + encoding.window_bytes()).await?;
    loop {
        let bytes = decoder.out.len().clamp(IN_PLACE_BYTES, MAX_STEP_BYTES);
        reservation.grow(bytes).await?;
        let step = tokio::task::spawn_blocking(move || decoder.step(bytes).map(|done| (decoder, done)));
        let (next, done) = step.await.map_err(|error| DecodeError::Failed(error.to_string()))??;
        if done {
            reservation.shrink_to(before + next.out.len());
            return Ok(next.out.into());
        }
        decoder = next;
    }
}

struct Decoder {
    reader: Box<dyn Read + Send>,
    out: Vec<u8>,
    limit: usize,
}

impl Decoder {
    fn open(encoding: Encoding, data: Bytes, limit: usize) -> Result<Self, DecodeError> {
        let reader = encoding.open(data).map_err(|error| damaged(&error))?;
        Ok(Self { reader, out: Vec::new(), limit })
    }

    /// Decompresses up to `bytes` more, and says whether that was all.
    fn step(&mut self, bytes: usize) -> Result<bool, DecodeError> {
        // One more than allowed shows whether there is more than allowed.
        let room = bytes.min(self.limit.saturating_add(1) - self.out.len());
        let mut reader = self.reader.by_ref().take(room as u64);
        let read = reader.read_to_end(&mut self.out).map_err(|error| damaged(&error))?;
        if self.out.len() > self.limit {
            return Err(DecodeError::TooLarge);
        }
        Ok(read < room)
    }
}

fn damaged(error: &std::io::Error) -> DecodeError {
    DecodeError::Damaged(error.to_string())
}
