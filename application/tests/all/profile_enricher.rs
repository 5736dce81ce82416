//! The enricher of profiles: its contract, and what follows from profiles.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::enrichers::{ProfileCacheConfig, ProfileEnricher};
use gosight_application::ports::{EventEnricher as _, ProfileKind, ProfileStore, ProfileStoreError};
use gosight_conformance::event_enricher::EventEnricherFixture;
use gosight_conformance::factory::{event, object, project};
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::{Event, JsonObject, ProjectId, UserId};
use gosight_memory::MemoryProfiles;
use serde_json::{Value, json};

mod conformance {
    gosight_conformance::event_enricher_suite!(super::fixture);
}

/// Profiles that can become unavailable.
#[derive(Debug, Default)]
struct Profiles {
    known: MemoryProfiles,
    is_unavailable: AtomicBool,
}

#[async_trait]
impl ProfileStore for Profiles {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<std::collections::HashMap<String, JsonObject>, ProfileStoreError> {
        tokio::task::yield_now().await;
        if self.is_unavailable.load(Ordering::SeqCst) {
            return Err(ProfileStoreError::transient("profiles", "unavailable"));
        }
        self.known.get(project_id, kind, ids).await
    }

    async fn put(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, JsonObject)],
    ) -> Result<(), ProfileStoreError> {
        self.known.put(project_id, kind, profiles).await
    }

    async fn merge(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        patches: &[(String, JsonObject)],
    ) -> Result<Vec<usize>, ProfileStoreError> {
        self.known.merge(project_id, kind, patches).await
    }
}

async fn over(user: &str, item: &str) -> (ProfileEnricher, Arc<Profiles>) {
    let profiles = Arc::new(Profiles::default());
    for (kind, id, profile) in [
        (ProfileKind::User, "u-1", user),
        (ProfileKind::User, "u-2", r#"{"plan":"free"}"#),
        (ProfileKind::Item, "i-1", item),
    ] {
        profiles.put(&project("p"), kind, &[(id.to_owned(), object(profile))]).await.unwrap();
    }
    let config = ProfileCacheConfig::default();
    (ProfileEnricher::new(profiles.clone(), config, Telemetry::default()), profiles)
}

fn of_user(user: &str) -> Event {
    Event { user_id: Some(UserId::new(user).unwrap()), ..event(1, "attempt", 0) }
}

async fn fixture() -> EventEnricherFixture {
    let (enricher, profiles) = over(r#"{"plan":"gold"}"#, "{}").await;
    EventEnricherFixture {
        enricher: Arc::new(enricher),
        events: Some([of_user("u-1"), of_user("u-2"), of_user("nobody")]),
        outage: Some(Box::new(move || {
            profiles.is_unavailable.store(true, Ordering::SeqCst);
            of_user("another")
        })),
        keep: Box::new(()),
    }
}

async fn derived(user: &str, item: &str, payload: &Value) -> Value {
    let (enricher, _) = over(user, item).await;
    let event = Event { payload: object(&payload.to_string()), ..of_user("u-1") };
    let mut found = enricher.enrich(&[DecodedEvent::new(event).unwrap()]).await.unwrap();
    found.swap_remove(0).context.remove("derived").unwrap()
}

#[tokio::test]
async fn what_follows_from_a_user_and_an_item_is_derived() {
    let user = r#"{"utc_offset_hours": -7, "skill": 0.5}"#;
    let item = r#"{"difficulty": 0.8, "average_score": 10}"#;
    let payload = json!({"item_id": "i-1", "response_time_ms": 5000, "score": 8});
    assert_eq!(
        derived(user, item, &payload).await,
        json!({"time_of_day": "night", "response_time": "fast", "difficulty_match": "harder", "performance": "below"})
    );
    let payload = json!({"item_id": "i-1", "response_time_ms": 30001, "score": 11});
    let easy = r#"{"difficulty": 0.4, "average_score": 10}"#;
    assert_eq!(
        derived(r#"{"skill": 0.5}"#, easy, &payload).await,
        json!({"time_of_day": "afternoon", "response_time": "slow", "difficulty_match": "matched",
               "performance": "expected"})
    );
    assert_eq!(derived("{}", "{}", &json!({})).await, json!({"time_of_day": "afternoon"}));
}
