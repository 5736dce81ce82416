//! The server that commands talk to over HTTP.

use anyhow::{Context, bail};
use gosight_domain::key::PresentedKey;
use reqwest::header::HeaderValue;

/// Header that a key is presented in.
pub(super) const KEY_HEADER: &str = "x-project-key";

/// The value of `--server` without a slash at its end.
pub(super) fn base_url(server: &str) -> anyhow::Result<&str> {
    if !server.starts_with("http://") {
        bail!("--server {server}: must start with http:// (there is no TLS here; use a proxy)");
    }
    Ok(server.trim_end_matches('/'))
}

/// The value of [`KEY_HEADER`].
pub(super) fn key_header(key: Option<&PresentedKey>) -> anyhow::Result<Option<HeaderValue>> {
    let value = |key: &PresentedKey| {
        let mut value = HeaderValue::from_str(key.reveal())?;
        value.set_sensitive(true);
        Ok::<_, reqwest::header::InvalidHeaderValue>(value)
    };
    key.map(value).transpose().context("--key")
}
