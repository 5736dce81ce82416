//! Requests to the store, each tried as often as is allowed.
//!
//! The requests of `rust-s3` are used one by one: its own retries wait for whole seconds, are set for the whole process
//! and leave out what changes something.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gosight_application::backoff::Backoff;
use gosight_application::ports::{BoxError, PortError};
use gosight_domain::replay::ContentHash;
use http::{HeaderMap, HeaderValue};
use s3::command::Command;
use s3::creds::Credentials;
use s3::request::Request as _;
use s3::request::tokio_backend::ReqwestRequest;
use s3::{Bucket, Region};

use crate::error::Failure;
use crate::{ADAPTER, S3Config, S3RetryConfig};

/// Where the hash of an object is kept besides the store's own checksum, which not every store has.
pub(crate) const HASH_METADATA: &str = "x-amz-meta-sha256";
/// The store's own checksum, in Base64.
pub(crate) const CHECKSUM: &str = "x-amz-checksum-sha256";

/// What the store answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The hash that the object was put with.
    ///
    /// # Errors
    /// When what is kept with the object contradicts itself.
    pub(crate) fn content(&self) -> Result<Option<ContentHash>, Failure> {
        let kept = self.text(HASH_METADATA).and_then(hash_of_hex);
        let checksum = self.text(CHECKSUM).and_then(|text| STANDARD.decode(text).ok()?.try_into().ok());
        match (kept, checksum.map(ContentHash)) {
            (Some(kept), Some(checksum)) if kept != checksum => Err(Failure::Nonsense(format!(
                "the object was put with the hash {kept}, but the store says that it has {checksum}"
            ))),
            (kept, checksum) => Ok(kept.or(checksum)),
        }
    }

    pub(crate) fn text(&self, header: &str) -> Option<&str> {
        self.headers.get(header)?.to_str().ok()
    }
}

fn hash_of_hex(text: &str) -> Option<ContentHash> {
    ContentHash::try_from(std::borrow::Cow::Borrowed(text)).ok()
}

/// The headers that an object is put with.
pub(crate) fn put_headers(path: &str, content: &ContentHash) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::new();
    headers.insert(HASH_METADATA, HeaderValue::try_from(content.to_string())?);
    headers.insert(CHECKSUM, HeaderValue::try_from(STANDARD.encode(content.0))?);
    if extension(path) == "gz" {
        // Browsers and curl decompress what they get.
        headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// What an object is, once it is decompressed.
pub(crate) fn content_type(path: &str) -> &'static str {
    match extension(path) {
        "gz" | "json" => "application/json",
        _ => "application/octet-stream",
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// A bucket with its keys.
pub(crate) struct Client {
    bucket: Box<Bucket>,
    retry: S3RetryConfig,
}

impl Client {
    pub(crate) fn new(config: &S3Config) -> Result<Self, PortError> {
        let bucket = bucket(config).map_err(|error| PortError::fatal(ADAPTER, error))?;
        Ok(Self { bucket, retry: config.retry.clone() })
    }

    /// Sends a request until it is answered with success, cannot work, or was tried often enough.
    pub(crate) async fn send(&self, key: &str, command: Command<'_>) -> Result<Answer, Failure> {
        let mut backoff = Backoff::new(self.retry.policy());
        loop {
            let failure = match self.send_once(key, command.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.is_transient() || backoff.attempts() + 1 >= self.retry.attempts {
                return Err(failure);
            }
            let wait = backoff.next_wait(None);
            tracing::warn!(error = %failure, ?wait, "the object store failed, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt.
    pub(crate) async fn send_once(&self, key: &str, command: Command<'_>) -> Result<Answer, Failure> {
        let request = ReqwestRequest::new(&self.bucket, key, command).await?;
        let mut response = request.response().await?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let body = response.bytes().await.map_err(s3::error::S3Error::Reqwest)?;
        Ok(Answer { status, headers, body })
    }
}

fn bucket(config: &S3Config) -> Result<Box<Bucket>, BoxError> {
    let region = Region::Custom {
        region: config.region.clone(),
        endpoint: config.endpoint.trim_end_matches('/').to_owned(),
    };
    let keys = (Some(config.access_key.as_str()), Some(config.secret_key.reveal()));
    let credentials = Credentials::new(keys.0, keys.1, None, None, None)?;
    let mut bucket = Bucket::new(&config.bucket, region, credentials)?;
    if config.path_style {
        bucket.set_path_style();
    }
    bucket.set_request_timeout(Some(config.request_timeout));
    // Answers tell the store's own checksum.
    bucket.add_header("x-amz-checksum-mode", "ENABLED");
    Ok(bucket)
}
