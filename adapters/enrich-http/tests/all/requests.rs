//! What the service is sent, and what is remembered of its answers.

use bytesize::ByteSize;
use gosight_application::ports::EventEnricher as _;
use gosight_conformance::factory::project;
use gosight_domain::Event;
use gosight_domain::field::FieldPath;
use gosight_enrich_http::{HttpCacheConfig, HttpEnricher, HttpEnricherConfig};
use serde_json::{Value, json};

use crate::service::{Mood, Service, decoded, of_user};

async fn contexts(enricher: &HttpEnricher, events: &[Event]) -> Vec<Value> {
    let found = enricher.enrich(&decoded(events)).await.unwrap();
    found.into_iter().map(|found| Value::Object(found.context)).collect()
}

fn by_user(service: &Service) -> HttpEnricherConfig {
    let cache =
        HttpCacheConfig { key: vec![FieldPath::parse("user_id").unwrap()], ..HttpCacheConfig::default() };
    HttpEnricherConfig { cache, max_batch: 2, ..service.config() }
}

#[tokio::test]
async fn events_are_posted_in_batches_with_the_headers_and_what_comes_back_stands_under_the_name() {
    let service = Service::start(Mood::Well).await;
    let headers = [("authorization".to_owned(), "Bearer s3cret".into())].into();
    let config = HttpEnricherConfig { headers, max_batch: 2, ..service.config() };
    let enricher = HttpEnricher::new("crm", &config).unwrap();
    let found = contexts(&enricher, &[of_user(1, "u-1"), of_user(2, "nobody"), of_user(3, "u-3")]).await;
    assert_eq!(found, [json!({"crm": {"user": "u-1"}}), json!({}), json!({"crm": {"user": "u-3"}})]);
    assert_eq!(service.users(), [vec!["u-1", "nobody"], vec!["u-3"]]);
    let headers = service.requests.headers.lock().unwrap();
    assert_eq!(headers[0]["authorization"], "Bearer s3cret");
    assert_eq!(headers[0]["content-type"], "application/json");
    let bodies = service.requests.bodies.lock().unwrap();
    assert_eq!(bodies[0]["events"][0], serde_json::to_value(of_user(1, "u-1")).unwrap());
    assert!(!format!("{enricher:?}").contains("s3cret"), "{enricher:?}");
}

#[tokio::test]
async fn answers_are_remembered_by_the_key_and_for_the_project() {
    let service = Service::start(Mood::Well).await;
    let enricher = HttpEnricher::new("crm", &by_user(&service)).unwrap();
    let (ada, bob, nobody) = (of_user(1, "u-a"), of_user(2, "u-b"), of_user(3, "nobody"));
    let without = Event { user_id: None, ..of_user(4, "-") };
    let of_ada = json!({"crm": {"user": "u-a"}});
    let found = contexts(&enricher, &[ada.clone(), without, ada.clone(), bob, nobody.clone()]).await;
    assert_eq!(
        found,
        [of_ada.clone(), json!({}), of_ada.clone(), json!({"crm": {"user": "u-b"}}), json!({})]
    );
    assert_eq!(service.users(), [vec!["u-a", "u-b"], vec!["nobody"]]);
    // Also that nothing is known; and although the service is unavailable.
    service.set(Mood::ServerError);
    assert_eq!(contexts(&enricher, &[nobody, ada.clone()]).await, [json!({}), of_ada]);
    assert_eq!(service.users().len(), 2);
    let of_other = Event { project_id: project("q"), ..ada };
    assert!(enricher.enrich(&decoded(&[of_other])).await.is_err(), "another project's user is another user");
}

#[tokio::test]
async fn memory_for_answers_is_bounded() {
    let service = Service::start(Mood::Well).await;
    let mut config = by_user(&service);
    (config.cache.max_size, config.max_batch) = (ByteSize::kib(10), 1_000);
    let enricher = HttpEnricher::new("crm", &config).unwrap();
    let users: Vec<Event> = (0..1_000).map(|n| of_user(n, &format!("u-{n}"))).collect();
    contexts(&enricher, &users).await;
    contexts(&enricher, &users).await;
    let asked: usize = service.users().iter().map(Vec::len).sum();
    assert!(asked > 1_300, "10 KiB hold some 60 answers, and what is still to be thrown out: {asked}");
}
