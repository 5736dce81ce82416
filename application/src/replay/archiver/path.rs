//! Paths of objects: `project/2026/11/session.gz`.

use std::fmt::Write as _;

use gosight_domain::replay::ContentHash;
use time::OffsetDateTime;

use crate::replay::manifest::ReplayManifest;

/// Longest name that is written out. With its ending it fits into the names of all file systems.
const LONGEST_NAME: usize = 180;

/// Where the object of this version goes. Each version has a path of its own: what the catalogue points to is never
/// written again.
pub(super) fn of(manifest: &ReplayManifest, version: u64) -> String {
    let (year, month) = month(manifest);
    let project = segment(manifest.session.project_id.as_str());
    let session = segment(manifest.session.session_id.as_str());
    let version = if version == 1 { String::new() } else { format!("~{version}") };
    format!("{project}/{year:04}/{month:02}/{session}{version}.gz")
}

/// Where the manifest of an object is.
pub(super) fn manifest(object: &str) -> String {
    format!("{}.manifest.json", object.trim_end_matches(".gz"))
}

/// Year and month in which the recording starts, in UTC.
fn month(manifest: &ReplayManifest) -> (i32, u8) {
    let start = manifest.time_range().map_or(0, |(start, _)| start.as_millis());
    let start = OffsetDateTime::from_unix_timestamp(start.div_euclid(1_000));
    let start = start.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (start.year(), start.month().into())
}

/// `text` as a part of a path: what a path cannot have becomes `%` and two digits, and what is too long is cut and told
/// apart by a hash. `~` is kept for versions.
fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => segment.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(segment, "%{byte:02X}")),
        }
    }
    if segment.len() > LONGEST_NAME {
        segment.truncate(LONGEST_NAME - 70);
        segment.push('.');
        segment.push_str(&ContentHash::of(text.as_bytes()).to_string());
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_short_and_distinct() {
        assert_eq!(segment("s-1_A"), "s-1_A");
        assert_eq!(segment("../x y~"), "%2E%2E%2Fx%20y%7E");
        let long = segment(&"é".repeat(500));
        assert!(long.len() <= LONGEST_NAME, "{long}");
        assert_ne!(long, segment(&"é".repeat(501)));
        assert_eq!(manifest("p/2026/11/s.gz"), "p/2026/11/s.manifest.json");
    }
}
