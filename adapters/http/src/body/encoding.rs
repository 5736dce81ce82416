use std::io::{self, Cursor, Read};

use axum::http::{HeaderMap, header};
use brotli_decompressor::{BrotliDecoderParameter, Decompressor as BrotliDecoder};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use gosight_application::surface::FailureCode;

use crate::error::ApiError;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// One gzip member or several.
    Gzip,
    /// Deflate, in zlib's wrapping (as RFC 9110 has it) or raw (as some clients have it).
    Deflate,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Largest window that a zstd frame may ask for, as a power of two: what RFC 9659 allows for `Content-Encoding`.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

impl Encoding {
    /// What the head of a request says.
    pub(crate) fn declared(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, more) = (values.next(), values.next().is_some());
        let name = first.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
        let encoding = match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        };
        encoding.filter(|_| !more).ok_or_else(|| {
            let message = "the content encoding must be one of gzip, deflate, br, zstd and identity";
            ApiError::new(FailureCode::UnsupportedEncoding, message)
        })
    }

    /// This encoding; gzip if none is declared and `body` starts like gzip, which JSON never does.
    pub(crate) fn or_magic(self, body: &[u8]) -> Self {
        if self == Self::Identity && body.starts_with(&GZIP_MAGIC) { Self::Gzip } else { self }
    }

    /// Memory that a decoder keeps besides its output, at most.
    pub(crate) fn window_bytes(self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip | Self::Deflate => 64 * 1024,
            Self::Brotli => 17 * 1024 * 1024,
            Self::Zstd => (1 << ZSTD_WINDOW_LOG_MAX) + 1024 * 1024,
        }
    }

    /// Opens a decoder. Private to the body's modules: only the capped loop of [`decompress`](gosight_application::surface::decompress) reads from it.
    pub(super) fn open(self, data: Bytes) -> io::Result<Box<dyn Read + Send>> {
        let is_zlib = matches!(*data, [a, b, ..] if a & 0x0f == 8 && u16::from_be_bytes([a, b]) % 31 == 0);
        let data = Cursor::new(data);
        Ok(match self {
            Self::Identity => Box::new(data),
            Self::Gzip => Box::new(MultiGzDecoder::new(data)),
            Self::Deflate if is_zlib => Box::new(ZlibDecoder::new(data)),
            Self::Deflate => Box::new(DeflateDecoder::new(data)),
            Self::Brotli => {
                let mut decoder = BrotliDecoder::new(data, 16 * 1024);
                // A window of up to 1 GiB is no part of the `br` encoding (RFC 7932).
                decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
                Box::new(decoder)
            }
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(data)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}
