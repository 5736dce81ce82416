//! Where a client presents its key.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use gosight_domain::key::PresentedKey;

/// The header made for the key.
pub(crate) const PROJECT_KEY: HeaderName = HeaderName::from_static("x-project-key");

/// The key in the head of a request: `X-Project-Key`, else `Authorization: Bearer`. Empty text is no key.
pub(crate) fn in_head(headers: &HeaderMap) -> Option<PresentedKey> {
    let own = headers.get(PROJECT_KEY).map(text);
    let own = own.filter(|key| !key.is_empty());
    own.or_else(|| headers.get(header::AUTHORIZATION).and_then(bearer)).map(PresentedKey::new)
}

/// The key in a body. Empty text is no key.
pub(crate) fn in_body(text: Option<&str>) -> Option<PresentedKey> {
    text.map(str::trim).filter(|key| !key.is_empty()).map(PresentedKey::new)
}

fn bearer(value: &HeaderValue) -> Option<String> {
    let value = text(value);
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then(|| key.to_owned())
}

/// A key that is not text is still a key, and one that nobody has.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(headers: &[(HeaderName, &str)]) -> Option<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect();
        in_head(&headers).map(|key| key.reveal().to_owned())
    }

    #[test]
    fn its_own_header_comes_first() {
        let bearer = || (header::AUTHORIZATION, "Bearer b");
        assert_eq!(key(&[(PROJECT_KEY, "a"), bearer()]).as_deref(), Some("a"));
        assert_eq!(key(&[bearer()]).as_deref(), Some("b"));
        assert_eq!(key(&[(PROJECT_KEY, ""), bearer()]).as_deref(), Some("b"));
        assert_eq!(key(&[(header::AUTHORIZATION, "bEARER   b ")]).as_deref(), Some("b"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for value in ["Basic dXNlcg==", "Bearer", "Bearer ", ""] {
            assert_eq!(key(&[(header::AUTHORIZATION, value)]), None, "{value}");
        }
        assert_eq!(key(&[]), None);
        assert!(in_body(Some(" ")).is_none());
    }

    #[test]
    fn text_that_is_not_ascii_is_a_key_that_nobody_has() {
        assert!(key(&[(PROJECT_KEY, "schlüssel")]).is_some());
    }
}
