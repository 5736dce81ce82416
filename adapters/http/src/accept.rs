//! Which encodings of an answer a client takes.

use axum::http::{HeaderMap, header};

/// Whether a client takes gzip, and does not prefer what is not compressed (RFC 9110, 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().to_ascii_lowercase();
        let weight: f32 = weight.strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_wants_it() {
        for (accepted, is_accepted) in [
            ("gzip", true),
            ("br, x-GZIP;q=0.2", true),
            ("gzip, deflate, br, zstd", true),
            ("identity;q=0.5, gzip ; q=0.5", true),
            ("*", true),
            ("*;q=0.1, gzip;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("gzip;q=0", false),
            ("gzip;q=", false),
            ("gzip;level=3", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepted.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), is_accepted, "{accepted}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT_ENCODING, "br".parse().unwrap());
        headers.append(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        assert!(accepts_gzip(&headers), "several lines are one list");
    }
}
