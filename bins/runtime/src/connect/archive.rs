//! Objects of archived replays.

use std::sync::Arc;

use gosight_application::ports::{HealthCheck, ReplayArchive};
#[cfg(feature = "embedded")]
use gosight_embedded::DirectoryArchive;
#[cfg(feature = "s3")]
use gosight_s3::S3ReplayArchive;

use super::{ConnectError, Connecting, Parts};
use crate::settings::ArchiveBackend;

/// The archive, by its backend, if there is one.
pub(super) async fn archive(
    connecting: &Connecting<'_>,
    parts: &mut Parts<'_>,
    health: &mut Vec<Arc<dyn HealthCheck>>,
) -> Result<Option<Arc<dyn ReplayArchive>>, ConnectError> {
    let config = connecting.config;
    match (config.backends().archive, parts) {
        (None, _) => Ok(None),
        #[cfg(feature = "embedded")]
        (Some(ArchiveBackend::Directory), Some(parts)) => {
            Ok(Some(Arc::new(DirectoryArchive::open(&parts.archive_path())?)))
        }
        #[cfg(feature = "s3")]
        (Some(ArchiveBackend::S3), _) => {
            // Events and new replays do not wait for the archive, unless its bucket has to be made first.
            let objects = if config.s3.create_bucket {
                let connect = async || S3ReplayArchive::connect(&config.s3).await;
                super::retry::connect_with_retry(connecting, "S3", connect).await?
            } else {
                S3ReplayArchive::open(&config.s3)?
            };
            let objects = Arc::new(objects.with_telemetry(connecting.telemetry.clone()));
            health.push(objects.clone());
            Ok(Some(objects))
        }
        _ => Err(super::not_built("archive.backend")),
    }
}
