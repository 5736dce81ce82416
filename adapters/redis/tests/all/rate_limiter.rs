//! What is special to buckets on Redis.

use std::num::NonZeroU32;

use deadpool_redis::redis::cmd;
use gosight_application::ports::{RateDecision, RateLimiter, RateLimits};
use gosight_conformance::factory::project;
use gosight_redis::{Redis, RedisConfig, RedisRateLimiter};

use crate::harness::{raw, shared_config};

fn limiter(config: &RedisConfig, events_per_second: u32, burst: u32) -> RedisRateLimiter {
    let limit = |n| NonZeroU32::new(n).unwrap();
    let limits = RateLimits { events_per_second: limit(events_per_second), burst: limit(burst) };
    RedisRateLimiter::new(Redis::new(config).unwrap(), limits)
}

async fn allowed(limiter: &RedisRateLimiter, events: u32) -> bool {
    limiter.take(&project("p"), events).await.unwrap() == RateDecision::Allowed
}

#[tokio::test]
async fn processes_share_a_bucket() {
    let config = shared_config();
    let (one, two) = (limiter(&config, 1, 1_000), limiter(&config, 1, 1_000));
    assert!(allowed(&one, 600).await);
    assert!(!allowed(&two, 500).await);
    assert!(allowed(&two, 400).await);
    assert!(!allowed(&one, 200).await);
}

#[tokio::test]
async fn many_callers_get_the_burst_and_no_more() {
    let limiter = limiter(&shared_config(), 1, 100_000);
    let callers = (0..50).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move { u32::from(allowed(&limiter, 5_000).await) })
    });
    let mut granted = 0;
    for caller in callers.collect::<Vec<_>>() {
        granted += caller.await.unwrap();
    }
    assert_eq!(granted, 20);
}

#[tokio::test]
async fn a_bucket_is_kept_until_it_is_full_again() {
    let config = shared_config();
    assert!(allowed(&limiter(&config, 10, 1_000), 500).await);
    let key = format!("{}rate:p", config.prefix);
    let life: u64 = cmd("PTTL").arg(key).query_async(&mut raw(&config).await).await.unwrap();
    assert!(life > 0 && life <= 50_002, "{life}");
}

#[tokio::test]
async fn extreme_rates_are_exact() {
    let config = shared_config();
    let slow = limiter(&config, 1, u32::MAX);
    assert!(allowed(&slow, u32::MAX).await);
    let RateDecision::Limited { retry_after } = slow.take(&project("p"), 3_600).await.unwrap() else {
        panic!("the bucket was empty");
    };
    assert!(retry_after.as_secs() <= 3_600, "{retry_after:?}");
    let fast = limiter(&shared_config(), u32::MAX, u32::MAX);
    assert!(allowed(&fast, u32::MAX).await);
}
