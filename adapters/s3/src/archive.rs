use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::ports::{
    Effect, Health, HealthCheck, ObjectEntry, ObjectStat, ObjectStream, PortError, ReplayArchive,
    ReplayArchiveError,
};
use s3::BucketConfiguration;
use s3::command::Command;
use s3::region::Region;

use crate::client::Client;
use crate::download::Download;
use crate::error::Failure;
use crate::upload::Upload;
use crate::{ADAPTER, S3Config, path};

/// The archive in a bucket.
#[derive(Debug)]
pub struct S3ReplayArchive {
    client: Arc<Client>,
    endpoint: String,
    prefix: String,
}

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
/// The region whose buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

impl S3ReplayArchive {
    /// Opens the archive, and makes its bucket if that is wanted.
    ///
    /// # Errors
    /// `Transient` while the store is unavailable; `Fatal` for bad settings, keys that are not let in, and a bucket that is
    /// missing.
    pub async fn connect(config: &S3Config) -> Result<Self, PortError> {
        let archive = Self::open(config)?;
        match archive.client.page(&archive.prefix, None, None, 1).await {
            Ok(_) => Ok(archive),
            Err(failure) if failure.is_no_bucket() && config.create_bucket => {
                archive.create_bucket(&config.region).await?;
                Ok(archive)
            }
            Err(failure) => Err(archive.client.failed("connect", "", failure, Effect::None)),
        }
    }

    /// Opens the archive without asking the store anything, so this works while it is unavailable.
    ///
    /// # Errors
    /// `Fatal` for bad settings.
    pub fn open(config: &S3Config) -> Result<Self, PortError> {
        config.validate().map_err(|error| PortError::fatal(ADAPTER, error))?;
        Ok(Self {
            client: Arc::new(Client::new(config)?),
            endpoint: config.endpoint.clone(),
            prefix: config.prefix.clone(),
        })
    }

    /// Tells `telemetry` of waits before requests are made again.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { client: Arc::new(Client::clone(&self.client).with_telemetry(telemetry)), ..self }
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
            Err(failure) => Err(self.client.failed("create bucket", "", failure, Effect::Unknown)),
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

    async fn list_all(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, Failure> {
        let mut entries = Vec::new();
        let mut token = None;
        let prefix = format!("{}{prefix}", self.prefix);
        let after = after.map(|after| format!("{}{after}", self.prefix));
        while entries.len() < limit {
            let page = self.client.page(&prefix, after.as_deref(), token, limit - entries.len()).await?;
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

#[async_trait]
impl ReplayArchive for S3ReplayArchive {
    async fn put(&self, path: &str, object: ObjectStream) -> Result<(), ReplayArchiveError> {
        Upload::new(&self.client, path, &self.key(path)?).put(object).await
    }

    async fn get(
        &self,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<ObjectStream>, ReplayArchiveError> {
        Download::new(self.client.clone(), path, self.key(path)?).open(range).await
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, ReplayArchiveError> {
        Download::new(self.client.clone(), path, self.key(path)?).stat().await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, ReplayArchiveError> {
        let listed = self.list_all(prefix, after, limit).await;
        listed.map_err(|failure| self.client.failed("list", prefix, failure, Effect::None))
    }

    async fn delete(&self, path: &str) -> Result<(), ReplayArchiveError> {
        let key = self.key(path)?;
        let deleted = match self.client.send(&key, Command::DeleteObject).await {
            Err(failure) if !failure.is_no_object() => Err(failure),
            _ => Upload::new(&self.client, path, &key).abort_all().await,
        };
        deleted.map_err(|failure| self.client.failed("delete", path, failure, Effect::Unknown))
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
            Ok(Err(failure)) => self.client.failed("list", "", failure, Effect::None).to_string(),
            Err(_) => format!("no answer within {HEALTH_TIMEOUT:?}"),
        };
        // Everything else goes on, and what is to be archived waits in the hot store.
        Health::Degraded(format!("archived replays cannot be read, and none are archived: {reason}"))
    }
}
