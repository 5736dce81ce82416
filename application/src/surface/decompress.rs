//! The one place where something from outside is decompressed, and the cap on what comes out.

use std::fmt;
use std::io::Read;

use super::in_flight::{Overloaded, Permit};

/// Why something could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It is damaged or cut off.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// More comes out than allowed.
    #[error("is too large once decompressed")]
    TooLarge,
    /// There is no memory for what comes out.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The thread that did it died.
    #[error("could not be decompressed: {0}")]
    Failed(String),
}

/// What comes out up to here is decompressed where the request is; for more there are threads that may take their time.
const IN_PLACE_BYTES: usize = 64 * 1024;
/// Most that is decompressed between two looks at the memory.
const MAX_STEP_BYTES: usize = 4 * 1024 * 1024;

/// A decoder of one compressed text.
pub struct Decompressor {
    reader: Box<dyn Read + Send>,
    window_bytes: usize,
    out: Vec<u8>,
    limit: usize,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Decompressor {
    /// Gives what `reader` decodes, up to `limit` bytes. The decoder itself holds up to `window_bytes`.
    pub fn new(reader: Box<dyn Read + Send>, window_bytes: usize, limit: usize) -> Self {
        Self { reader, window_bytes, out: Vec::new(), limit }
    }

    /// Decompresses up to `bytes` more, and says whether that was all.
    fn step(&mut self, bytes: usize) -> Result<bool, DecompressError> {
        // One more than allowed shows whether there is more than allowed.
        let room = bytes.min(self.limit.saturating_add(1) - self.out.len());
        let mut reader = self.reader.by_ref().take(room as u64);
        let read =
            reader.read_to_end(&mut self.out).map_err(|error| DecompressError::Damaged(error.to_string()))?;
        if self.out.len() > self.limit {
            return Err(DecompressError::TooLarge);
        }
        Ok(read < room)
    }
}

/// Decompresses all of `compressed_bytes` bytes. What comes out is added to `permit`.
///
/// # Errors
/// [`DecompressError`].
pub async fn decompress(
    mut decoder: Decompressor,
    compressed_bytes: usize,
    permit: &mut Permit,
) -> Result<Vec<u8>, DecompressError> {
    if compressed_bytes <= IN_PLACE_BYTES && decoder.step(IN_PLACE_BYTES)? {
        permit.grow(decoder.out.len()).await?;
        return Ok(decoder.out);
    }
    let before = permit.bytes();
    permit.grow(decoder.out.len() + decoder.window_bytes).await?;
    loop {
        let bytes = decoder.out.len().clamp(IN_PLACE_BYTES, MAX_STEP_BYTES);
        permit.grow(bytes).await?;
        let step = tokio::task::spawn_blocking(move || decoder.step(bytes).map(|done| (decoder, done)));
        let (next, done) = step.await.map_err(|error| DecompressError::Failed(error.to_string()))??;
        if done {
            permit.shrink_to(before + next.out.len());
            return Ok(next.out);
        }
        decoder = next;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};
    use std::time::Duration;

    use flate2::Compression;
    use flate2::read::GzDecoder;
    use flate2::write::GzEncoder;

    use super::super::in_flight::InFlightBudget;
    use super::*;

    fn budget(bytes: usize) -> InFlightBudget {
        InFlightBudget::new(bytes, Duration::from_millis(10))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn gunzip(data: Vec<u8>, limit: usize, permit: &mut Permit) -> Result<Vec<u8>, DecompressError> {
        let compressed = data.len();
        let reader = Box::new(GzDecoder::new(Cursor::new(data)));
        decompress(Decompressor::new(reader, 64 * 1024, limit), compressed, permit).await
    }

    #[tokio::test]
    async fn what_comes_out_is_counted_and_no_more() {
        let budget = budget(256 << 20);
        for bytes in [0, 10, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 30 << 20] {
            let mut permit = budget.permit();
            permit.grow(7).await.unwrap();
            let whole = vec![b'x'; bytes];
            let out = gunzip(gzip(&whole), bytes, &mut permit).await.unwrap();
            assert_eq!((out.len(), permit.bytes()), (bytes, bytes + 7));
            if bytes > 0 {
                let result = gunzip(gzip(&whole), bytes - 1, &mut permit).await;
                assert_eq!(result, Err(DecompressError::TooLarge), "{bytes}");
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_stops_where_the_memory_ends() {
        let mut permit = budget(1 << 20).permit();
        let bomb = gzip(&vec![0; 50 << 20]);
        let result = gunzip(bomb, 100 << 20, &mut permit).await;
        assert_eq!(result, Err(DecompressError::Overloaded(Overloaded)));
    }
}
