//! The conformance suite, each case in a place of its own.

use std::sync::Arc;

use gosight_conformance::replay_archive::ReplayArchiveFixture;

use crate::place::Place;

mod replay_archive {
    gosight_conformance::replay_archive_suite!(super::archive);
}

async fn archive() -> ReplayArchiveFixture {
    let place = Place::new();
    let archive = Arc::new(place.archive().await);
    ReplayArchiveFixture { archive, keep: Box::new(place) }
}
