//! A service that does not answer as it should is an error, and none that hurts.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::circuit_breaker::CircuitBreakerConfig;
use gosight_application::enrich::{ChosenEnricher, EnricherLimits, EventEnrichers};
use gosight_application::ports::{Clock, EventEnricher as _, SystemClock};

use crate::service::{Mood, Service, decoded, of_user};

#[tokio::test]
async fn what_is_not_an_answer_is_an_error_that_says_so() {
    let service = Service::start(Mood::Well).await;
    let enricher = service.enricher();
    let events = decoded(&[of_user(1, "u-1"), of_user(2, "u-2")]);
    for (mood, said) in [
        (Mood::ServerError, "500"),
        (Mood::NoJson, "contexts"),
        (Mood::TooFew, "1 contexts for 2 events"),
        (Mood::NoObject, "neither an object nor null"),
        (Mood::TooMuch, "more than 4194304 bytes"),
        (Mood::Redirect, "redirects are not followed"),
    ] {
        service.set(mood);
        let error = enricher.enrich(&events).await.unwrap_err().to_string();
        assert!(error.contains(said), "{mood:?}: {error}");
    }
    service.set(Mood::Well);
    assert_eq!(enricher.enrich(&events).await.unwrap().len(), 2);
    let requests = service.users().len();
    drop(service);
    assert_eq!(requests, 7, "nothing was sent elsewhere, and nothing twice");
    assert!(enricher.enrich(&events).await.is_err());
}

#[tokio::test]
async fn a_service_that_never_answers_is_left_alone() {
    let service = Service::start(Mood::Never).await;
    let breaker = CircuitBreakerConfig { failures: 2, ..CircuitBreakerConfig::default() };
    let limits = EnricherLimits { timeout: Duration::from_millis(200), breaker };
    let chosen = ChosenEnricher { enricher: Arc::new(service.enricher()), limits };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let enrichers = EventEnrichers::new(vec![chosen], &clock, &Telemetry::default());
    for _ in 0..4 {
        let events = enrichers.enrich(decoded(&[of_user(1, "u-1")])).await;
        assert!(events[0].event().context.is_empty());
    }
    let status = enrichers.status().swap_remove(0);
    assert_eq!((status.failures["timeout"], status.failures["open"], status.overdue_calls), (2, 2, 0));
    // A busy machine may need all of the time to connect.
    assert!(service.users().len() <= 2, "{:?}", service.users());
}
