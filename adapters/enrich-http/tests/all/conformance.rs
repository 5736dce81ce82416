use std::sync::Arc;

use gosight_conformance::event_enricher::EventEnricherFixture;
use gosight_domain::field::FieldPath;
use gosight_enrich_http::{HttpCacheConfig, HttpEnricher, HttpEnricherConfig};

use crate::service::{Mood, Service, of_user};

mod plain {
    gosight_conformance::event_enricher_suite!(super::plain);
}
mod cached {
    gosight_conformance::event_enricher_suite!(super::cached);
}

async fn plain() -> EventEnricherFixture {
    fixture(Vec::new()).await
}

async fn cached() -> EventEnricherFixture {
    fixture(vec![FieldPath::parse("user_id").unwrap()]).await
}

async fn fixture(key: Vec<FieldPath>) -> EventEnricherFixture {
    let service = Arc::new(Service::start(Mood::Well).await);
    let cache = HttpCacheConfig { key, ..HttpCacheConfig::default() };
    let config = HttpEnricherConfig { cache, ..service.config() };
    let broken = service.clone();
    EventEnricherFixture {
        enricher: Arc::new(HttpEnricher::new("crm", &config).unwrap()),
        events: Some([of_user(1, "u-1"), of_user(2, "u-2"), of_user(3, "nobody")]),
        outage: Some(Box::new(move || {
            broken.set(Mood::ServerError);
            of_user(4, "u-4")
        })),
        keep: Box::new(service),
    }
}
