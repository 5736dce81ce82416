//! Paths of objects.

/// The longest key that S3 takes, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Whether `path` is one of an object, as the port says: segments of plain characters, none of them `.` or `..`, which
/// HTTP clients and servers take for directories.
pub(crate) fn is_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b);
    path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_others() {
        for path in ["a", "p/2026/11/s.gz", "%2e%2e/...", "-_.~%/azAZ09", ".hidden/.a."] {
            assert!(is_path(path), "{path}");
        }
        for path in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a b", "a\\b", "a?b", "ä", "a\n"]
        {
            assert!(!is_path(path), "{path:?}");
        }
    }
}
