//! Requests to the store, each tried as often as is allowed.
//!
//! The requests of `rust-s3` are used one by one: its own retries wait for whole seconds, are set for the whole process
//! and leave out what changes something.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gosight_application::Telemetry;
use gosight_application::backoff::Backoff;
use gosight_application::ports::{BoxError, Effect, PortError};
use gosight_domain::replay::ContentHash;
use http::{HeaderMap, HeaderValue};
use s3::command::Command;
use s3::creds::Credentials;
use s3::request::Request as _;
use s3::request::tokio_backend::ReqwestRequest;
use s3::serde_types::ListBucketResult;
use s3::{Bucket, Region};
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::{ADAPTER, S3Config, S3RetryConfig};

/// Where the hash of an object is kept besides the store's own checksum, which not every store has.
pub(crate) const HASH_METADATA: &str = "x-amz-meta-sha256";
/// The store's own checksum, in Base64.
pub(crate) const CHECKSUM: &str = "x-amz-checksum-sha256";

/// What is listed at once; no store gives more.
const PAGE: usize = 1_000;

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
    if let Some(encoding) = content_encoding(path) {
        headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Ok(headers)
}

/// How an object is compressed: browsers and curl decompress what they get.
pub(crate) fn content_encoding(path: &str) -> Option<&'static str> {
    (extension(path) == "gz").then_some("gzip")
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
#[derive(Clone)]
pub(crate) struct Client {
    bucket: Box<Bucket>,
    retry: S3RetryConfig,
    telemetry: Telemetry,
    /// What errors call the bucket.
    place: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bucket has the keys.
        f.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(config: &S3Config) -> Result<Self, PortError> {
        let bucket = bucket(config).map_err(|error| PortError::fatal(ADAPTER, error))?;
        let place = format!("bucket {} at {}", config.bucket, config.endpoint);
        Ok(Self { bucket, retry: config.retry.clone(), telemetry: Telemetry::default(), place })
    }

    pub(crate) fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// What `failure` means for the port. `effect` is what the request does when it is done.
    pub(crate) fn failed(&self, verb: &str, path: &str, failure: Failure, effect: Effect) -> PortError {
        failure.at(&format!("{verb} {path:?} in {}", self.place), effect)
    }

    /// Sends a request until it is answered with success, cannot work, or was tried often enough.
    pub(crate) async fn send(&self, key: &str, command: Command<'_>) -> Result<Answer, Failure> {
        self.send_with(&self.bucket, key, command).await
    }

    /// The same with a header that `rust-s3` has no place for in the request.
    pub(crate) async fn send_with_header(
        &self,
        key: &str,
        command: Command<'_>,
        header: (&str, &str),
    ) -> Result<Answer, Failure> {
        let mut bucket = self.bucket.clone();
        bucket.add_header(header.0, header.1);
        self.send_with(&bucket, key, command).await
    }

    /// One page of a listing of the keys that start with `prefix`.
    pub(crate) async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<String>,
        limit: usize,
    ) -> Result<ListBucketResult, Failure> {
        let command = Command::ListObjectsV2 {
            prefix: prefix.to_owned(),
            delimiter: None,
            start_after: after.filter(|_| token.is_none()).map(str::to_owned),
            continuation_token: token,
            max_keys: Some(limit.min(PAGE)),
        };
        parse(&self.send("", command).await?)
    }

    async fn send_with(&self, bucket: &Bucket, key: &str, command: Command<'_>) -> Result<Answer, Failure> {
        let mut backoff = Backoff::new(self.retry.policy());
        loop {
            let failure = match send_once(bucket, key, command.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.is_transient() || backoff.attempts() + 1 >= self.retry.attempts {
                return Err(failure);
            }
            let wait = backoff.next_wait(None);
            tracing::warn!(error = %failure, ?wait, "object store unavailable, retrying");
            let waiting = self.telemetry.backing_off("object_store");
            tokio::time::sleep(wait).await;
            waiting.retry();
        }
    }

    /// One attempt.
    pub(crate) async fn send_once(&self, key: &str, command: Command<'_>) -> Result<Answer, Failure> {
        send_once(&self.bucket, key, command).await
    }
}

async fn send_once(bucket: &Bucket, key: &str, command: Command<'_>) -> Result<Answer, Failure> {
    let request = ReqwestRequest::new(bucket, key, command).await?;
    let mut response = request.response().await?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let body = response.bytes().await.map_err(s3::error::S3Error::Reqwest)?;
    Ok(Answer { status, headers, body })
}

/// What the XML of an answer says.
pub(crate) fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    let text = std::str::from_utf8(&answer.body).map_err(|error| Failure::Nonsense(error.to_string()))?;
    quick_xml::de::from_str(text)
        .map_err(|error| Failure::Nonsense(format!("not the answer to this: {error}")))
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
