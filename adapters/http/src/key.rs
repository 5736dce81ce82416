//! Where a client that reads presents its key.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use gosight_application::surface::{Credential, Head};
use gosight_domain::key::PresentedKey;

/// The header made for the key.
pub(crate) const PROJECT_KEY: HeaderName = HeaderName::from_static("x-project-key");

/// The key in the head of a request: `X-Project-Key`, else `Authorization: Bearer`.
pub(crate) fn in_head(headers: &HeaderMap) -> Option<PresentedKey> {
    let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let head = Head { path: "", query: None, header: &header };
    [Credential::Header("x-project-key"), Credential::Bearer].iter().find_map(|place| place.find(&head))
}
