//! The archive on a real server.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod archiving;
mod bucket;
mod conformance;
mod faults;
mod objects;
mod place;
mod proxy;
mod recordings;

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use gosight_application::ports::{Effect, Health, HealthCheck, PortError, ReplayArchive, read_object};

/// An object, read to its end.
async fn read(
    archive: &dyn ReplayArchive,
    path: &str,
    range: Option<Range<u64>>,
) -> Result<Option<Bytes>, PortError> {
    match archive.get(path, range).await? {
        Some(object) => read_object(object).await.map(Some),
        None => Ok(None),
    }
}

/// Waits for something that has to happen sooner or later.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("in time")
}

/// Waits until a part says that it is up. On a busy machine one look may come too late.
async fn until_up(part: &dyn HealthCheck) {
    in_time(async {
        while part.check().await != Health::Up {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What a transient failure may have done.
fn transient_effect<T: std::fmt::Debug>(result: Result<T, PortError>) -> Effect {
    match result {
        Err(PortError::Transient { effect, .. }) => effect,
        other => panic!("transient was expected, not {other:?}"),
    }
}

/// What a fatal failure says.
fn fatal_text<T: std::fmt::Debug>(result: Result<T, PortError>) -> String {
    match result {
        Err(error @ PortError::Fatal { .. }) => error.to_string(),
        other => panic!("fatal was expected, not {other:?}"),
    }
}
