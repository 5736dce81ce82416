//! A place of the test's own: a prefix in a bucket that all tests share.

use std::time::Duration;

use gosight_s3::{S3Config, S3ReplayArchive, S3RetryConfig};
use s3::creds::Credentials;
use s3::{Bucket, Region};

/// The bucket that all tests share.
const BUCKET: &str = "gosight-tests";

/// A prefix; what is under it is deleted with this.
#[derive(Debug)]
pub struct Place {
    prefix: String,
}

/// Settings for the shared server, with short waits.
pub fn server_config() -> S3Config {
    let access = gosight_services::s3_access();
    S3Config {
        endpoint: access.endpoint,
        region: access.region.to_owned(),
        access_key: access.access_key.to_owned(),
        secret_key: access.secret_key.into(),
        retry: S3RetryConfig {
            initial_wait: Duration::from_millis(5),
            max_wait: Duration::from_millis(20),
            ..S3RetryConfig::default()
        },
        ..S3Config::default()
    }
}

/// A name that no other test has.
pub fn unique(start: &str) -> String {
    format!("{start}-{:032x}", rand::random::<u128>())
}

/// The bucket of `config`, to look into it without the archive.
pub fn raw_bucket(config: &S3Config) -> Box<Bucket> {
    let region = Region::Custom { region: config.region.clone(), endpoint: config.endpoint.clone() };
    let keys = (Some(config.access_key.as_str()), Some(config.secret_key.reveal()));
    let credentials = Credentials::new(keys.0, keys.1, None, None, None).unwrap();
    Bucket::new(&config.bucket, region, credentials).unwrap().with_path_style()
}

impl Place {
    /// An empty place.
    pub fn new() -> Self {
        Self { prefix: format!("{}/", unique("test")) }
    }

    /// Settings for it.
    pub fn config(&self) -> S3Config {
        S3Config {
            bucket: BUCKET.to_owned(),
            create_bucket: true,
            prefix: self.prefix.clone(),
            ..server_config()
        }
    }

    /// The archive in it.
    pub async fn archive(&self) -> S3ReplayArchive {
        S3ReplayArchive::connect(&self.config()).await.expect("connected")
    }

    /// The key of the object at `path`.
    pub fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (config, prefix) = (self.config(), self.prefix.clone());
        // The test's own runtime may be ending.
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let delete = delete_all(&config, &prefix);
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), delete).await })
        });
        let result = deleted.join();
        if !std::thread::panicking() {
            result.unwrap().expect("deleted in time");
        }
    }
}

async fn delete_all(config: &S3Config, prefix: &str) {
    let bucket = raw_bucket(config);
    for page in bucket.list(prefix.to_owned(), None).await.expect("listed") {
        let objects: Vec<_> = page
            .contents
            .into_iter()
            .map(|object| s3::serde_types::ObjectIdentifier::new(object.key))
            .collect();
        if !objects.is_empty() {
            bucket.delete_objects(objects).await.expect("deleted");
        }
    }
}
