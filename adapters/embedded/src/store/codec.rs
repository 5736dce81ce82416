//! Values as they are stored.

use gosight_domain::rollup::Visitor;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// `MessagePack` with field names, so that fields can be added.
pub(super) fn pack<T: Serialize>(value: &T) -> sqlx::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> sqlx::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn to_json<T: Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// `SQLite` has signed integers only: the bits are what counts.
pub(super) fn visitor_bits(visitor: Visitor) -> i64 {
    visitor.0.cast_signed()
}

/// A count or offset for `SQLite`. None of ours gets near the largest signed one.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A count or offset from `SQLite`.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
