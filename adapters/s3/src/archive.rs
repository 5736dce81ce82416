use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_application::ports::{
    Effect, Health, HealthCheck, ObjectEntry, ObjectStat, PortError, ReplayArchive, ReplayArchiveError,
};
use gosight_domain::replay::ContentHash;
use s3::BucketConfiguration;
use s3::command::Command;
use s3::region::Region;
use s3::serde_types::ListBucketResult;

use crate::client::{Answer, Client, content_type, put_headers};
use crate::error::Failure;
use crate::{ADAPTER, S3Config, path};

/// The archive in a bucket.
pub struct S3ReplayArchive {
    client: Client,
    endpoint: String,
    bucket: String,
    prefix: String,
}

/// What is listed at once; no store gives more.
const PAGE: usize = 1_000;
/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest position that every store understands.
const MAX_POSITION: u64 = i64::MAX.unsigned_abs();
/// The region whose buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

impl fmt::Debug for S3ReplayArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client has the keys.
        let Self { client: _, endpoint, bucket, prefix } = self;
        f.debug_struct("S3ReplayArchive")
            .field("endpoint", endpoint)
            .field("bucket", bucket)
            .field("prefix", prefix)
            .finish_non_exhaustive()
    }
}

impl S3ReplayArchive {
    /// Opens the archive, and makes its bucket if that is wanted.
    ///
    /// # Errors
    /// `Transient` when the store is away; `Fatal` for bad settings, keys that are not let in, and a bucket that is
    /// missing.
    pub async fn connect(config: &S3Config) -> Result<Self, PortError> {
        let archive = Self::open(config)?;
        match archive.page("", None, None, 1).await {
            Ok(_) => Ok(archive),
            Err(failure) if failure.is_no_bucket() && config.create_bucket => {
                archive.create_bucket(&config.region).await?;
                Ok(archive)
            }
            Err(failure) => Err(archive.failed("connect", "", failure, Effect::None)),
        }
    }

    /// Opens the archive without asking the store anything, so this works while it is away.
    ///
    /// # Errors
    /// `Fatal` for bad settings.
    pub fn open(config: &S3Config) -> Result<Self, PortError> {
        config.validate().map_err(|error| PortError::fatal(ADAPTER, error))?;
        Ok(Self {
            client: Client::new(config)?,
            endpoint: config.endpoint.clone(),
            bucket: config.bucket.clone(),
            prefix: config.prefix.clone(),
        })
    }

    async fn create_bucket(&self, region: &str) -> Result<(), PortError> {
        let mut bucket = BucketConfiguration::default();
        if region != FIRST_REGION {
            bucket.set_region(Region::Custom { region: region.to_owned(), endpoint: self.endpoint.clone() });
        }
        match self.client.send("", Command::CreateBucket { config: bucket }).await {
            Ok(_) => Ok(()),
            // Another process was faster, or an earlier attempt's answer was lost.
            Err(failure) if failure.is_own_bucket() => Ok(()),
            Err(failure) => Err(self.failed("create bucket", "", failure, Effect::Unknown)),
        }
    }

    /// The key of the object at `path`.
    fn key(&self, path: &str) -> Result<String, PortError> {
        let key = format!("{}{path}", self.prefix);
        if !path::is_path(path) || key.len() > path::MAX_KEY_BYTES {
            let limit = path::MAX_KEY_BYTES;
            let reason =
                format!("{path:?} cannot be the path of an object (at most {limit} bytes with the prefix)");
            return Err(PortError::fatal(ADAPTER, reason));
        }
        Ok(key)
    }

    fn failed(&self, verb: &str, path: &str, failure: Failure, effect: Effect) -> PortError {
        let what = format!("{verb} {path:?} in bucket {} at {}", self.bucket, self.endpoint);
        failure.at(&what, effect)
    }

    /// One page of a listing.
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<String>,
        limit: usize,
    ) -> Result<ListBucketResult, Failure> {
        let start_after = after.filter(|_| token.is_none()).map(|after| format!("{}{after}", self.prefix));
        let command = Command::ListObjectsV2 {
            prefix: format!("{}{prefix}", self.prefix),
            delimiter: None,
            continuation_token: token,
            start_after,
            max_keys: Some(limit.min(PAGE)),
        };
        parse_page(&self.client.send("", command).await?)
    }

    /// Whether there is an object, for an answer without one to mean that.
    async fn head(&self, key: &str) -> Result<Option<Answer>, Failure> {
        match self.client.send(key, Command::HeadObject).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_nothing_there() => self.page("", None, None, 1).await.map(|_| None),
            Err(failure) => Err(failure),
        }
    }

    async fn get_whole(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        let answer = match self.client.send(key, Command::GetObject).await {
            Ok(answer) => answer,
            Err(failure) if failure.is_no_object() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let found = ContentHash::of(&answer.body);
        match answer.content()? {
            Some(content) if content != found => Err(Failure::Nonsense(format!(
                "the object was put with the hash {content}, but has {found}: it is damaged, or was changed on its way"
            ))),
            _ => Ok(Some(answer.body)),
        }
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, Failure> {
        if range.is_empty() || range.start >= MAX_POSITION {
            return Ok(self.head(key).await?.map(|_| Bytes::new()));
        }
        let end = Some((range.end - 1).min(MAX_POSITION));
        match self.client.send(key, Command::GetObjectRange { start: range.start, end }).await {
            Ok(answer) if answer.status == 206 => Ok(Some(answer.body)),
            // The whole object, as from a cache that knows no ranges.
            Ok(answer) => Ok(Some(part(&answer.body, &range))),
            Err(failure) if failure.is_after_the_end() => Ok(Some(Bytes::new())),
            Err(failure) if failure.is_no_object() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn stat_of(&self, key: &str) -> Result<Option<ObjectStat>, Failure> {
        let Some(answer) = self.head(key).await? else { return Ok(None) };
        let nonsense = |what: &str| Failure::Nonsense(format!("the store does not say {what} of the object"));
        let length = answer.text("content-length").and_then(|length| length.parse().ok());
        let bytes = length.ok_or_else(|| nonsense("the length"))?;
        let content = answer.content()?.ok_or_else(|| nonsense("the SHA-256"))?;
        Ok(Some(ObjectStat { bytes, content }))
    }

    async fn list_all(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, Failure> {
        let mut entries = Vec::new();
        let mut token = None;
        while entries.len() < limit {
            let page = self.page(prefix, after, token, limit - entries.len()).await?;
            let entry = |object: s3::serde_types::Object| ObjectEntry {
                path: object.key.strip_prefix(&self.prefix).unwrap_or(&object.key).to_owned(),
                bytes: object.size,
            };
            entries.extend(page.contents.into_iter().map(entry));
            token = page.next_continuation_token.filter(|_| page.is_truncated);
            if token.is_none() {
                break;
            }
        }
        Ok(entries)
    }
}

fn parse_page(answer: &Answer) -> Result<ListBucketResult, Failure> {
    let text = std::str::from_utf8(&answer.body).map_err(|error| Failure::Nonsense(error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| Failure::Nonsense(format!("not a listing: {error}")))
}

/// The part of `object` that `range` covers.
fn part(object: &Bytes, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at).map_or(object.len(), |at| at.min(object.len()));
    let start = within(range.start);
    object.slice(start..within(range.end).max(start))
}

#[async_trait]
impl ReplayArchive for S3ReplayArchive {
    async fn put(&self, path: &str, object: Bytes, content: &ContentHash) -> Result<(), ReplayArchiveError> {
        let key = self.key(path)?;
        content.check(&object).map_err(|error| PortError::fatal(ADAPTER, format!("{path}: {error}")))?;
        let headers = put_headers(path, content).map_err(|error| PortError::fatal(ADAPTER, error))?;
        let command = Command::PutObject {
            content: &object,
            content_type: content_type(path),
            custom_headers: Some(headers),
            multipart: None,
        };
        let put = self.client.send(&key, command).await;
        put.map(drop).map_err(|failure| self.failed("put", path, failure, Effect::Unknown))
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, ReplayArchiveError> {
        let key = self.key(path)?;
        let got = match range {
            None => self.get_whole(&key).await,
            Some(range) => self.get_range(&key, range).await,
        };
        got.map_err(|failure| self.failed("get", path, failure, Effect::None))
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, ReplayArchiveError> {
        let key = self.key(path)?;
        let stat = self.stat_of(&key).await;
        stat.map_err(|failure| self.failed("stat", path, failure, Effect::None))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, ReplayArchiveError> {
        let listed = self.list_all(prefix, after, limit).await;
        listed.map_err(|failure| self.failed("list", prefix, failure, Effect::None))
    }

    async fn delete(&self, path: &str) -> Result<(), ReplayArchiveError> {
        let key = self.key(path)?;
        match self.client.send(&key, Command::DeleteObject).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_no_object() => Ok(()),
            Err(failure) => Err(self.failed("delete", path, failure, Effect::Unknown)),
        }
    }
}

#[async_trait]
impl HealthCheck for S3ReplayArchive {
    fn name(&self) -> &'static str {
        ADAPTER
    }

    async fn check(&self) -> Health {
        let command = Command::ListObjectsV2 {
            prefix: self.prefix.clone(),
            delimiter: None,
            continuation_token: None,
            start_after: None,
            max_keys: Some(1),
        };
        let reason = match tokio::time::timeout(HEALTH_TIMEOUT, self.client.send_once("", command)).await {
            Ok(Ok(_)) => return Health::Up,
            Ok(Err(failure)) => self.failed("list", "", failure, Effect::None).to_string(),
            Err(_) => format!("no answer within {HEALTH_TIMEOUT:?}"),
        };
        // Everything else goes on, and what is to be archived waits in the hot store.
        Health::Degraded(format!("archived replays cannot be read, and none are archived: {reason}"))
    }
}
