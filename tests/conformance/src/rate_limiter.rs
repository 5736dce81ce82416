//! Suite of `RateLimiter`.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{RateDecision, RateLimiter};

use crate::{Keep, factory::project, suite};

suite! { $ rate_limiter_suite, rate_limiter(RateLimiterFixture):
    a_full_bucket_allows_the_burst_and_no_more
    a_limited_call_takes_nothing
    more_than_the_burst_never_fits
    projects_have_buckets_of_their_own
    the_bucket_fills_again
}

/// A rate limiter with a burst of 10 events and one event per second.
pub struct RateLimiterFixture {
    /// The port.
    pub limiter: Arc<dyn RateLimiter>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

async fn take(fixture: &RateLimiterFixture, name: &str, events: u32) -> RateDecision {
    fixture.limiter.take(&project(name), events).await.expect("a decision")
}

fn is_limited(decision: RateDecision) -> bool {
    matches!(decision, RateDecision::Limited { retry_after } if retry_after > Duration::ZERO)
}

pub async fn a_full_bucket_allows_the_burst_and_no_more(fixture: RateLimiterFixture) {
    assert_eq!(take(&fixture, "p", 4).await, RateDecision::Allowed);
    assert_eq!(take(&fixture, "p", 6).await, RateDecision::Allowed);
    assert!(is_limited(take(&fixture, "p", 5).await));
    assert_eq!(take(&fixture, "p", 0).await, RateDecision::Allowed);
}

pub async fn a_limited_call_takes_nothing(fixture: RateLimiterFixture) {
    assert_eq!(take(&fixture, "p", 6).await, RateDecision::Allowed);
    assert!(is_limited(take(&fixture, "p", 9).await));
    assert_eq!(take(&fixture, "p", 4).await, RateDecision::Allowed);
}

pub async fn more_than_the_burst_never_fits(fixture: RateLimiterFixture) {
    assert!(is_limited(take(&fixture, "p", 11).await));
    assert_eq!(take(&fixture, "p", 10).await, RateDecision::Allowed);
}

pub async fn projects_have_buckets_of_their_own(fixture: RateLimiterFixture) {
    assert_eq!(take(&fixture, "p", 10).await, RateDecision::Allowed);
    assert_eq!(take(&fixture, "q", 10).await, RateDecision::Allowed);
}

pub async fn the_bucket_fills_again(fixture: RateLimiterFixture) {
    assert_eq!(take(&fixture, "p", 10).await, RateDecision::Allowed);
    let mut waits = 0;
    while let RateDecision::Limited { retry_after } = take(&fixture, "p", 1).await {
        assert!(retry_after <= Duration::from_secs(2), "{retry_after:?}");
        tokio::time::sleep(retry_after).await;
        waits += 1;
        assert!(waits < 50, "the bucket does not fill");
    }
    assert!(waits > 0);
}
