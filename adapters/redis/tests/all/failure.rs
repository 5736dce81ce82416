//! Servers that are unavailable, hang, forget or refuse.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{
    Claim, ClaimVerdict, Deduplicator, Effect, Health, HealthCheck, LogPosition, PortError, RateDecision,
    RateLimiter, RateLimits, SessionCache,
};
use gosight_conformance::factory::{LOG, NOON, event, event_id, fold, project, session_id, shared};
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, Session};
use gosight_redis::{Redis, RedisConfig, RedisDeduplicator, RedisRateLimiter, RedisSessionCache};

use crate::harness::{Server, StoredFake, passing, soon, span, until};

/// All that a processor and the ingest API use, on one server.
struct All {
    redis: Redis,
    sessions: RedisSessionCache,
    deduplicator: RedisDeduplicator,
    limiter: RedisRateLimiter,
}

impl All {
    fn on(config: &RedisConfig) -> Self {
        let redis = Redis::new(config).unwrap();
        let limits = RateLimits { events_per_second: NonZeroU32::MAX, burst: NonZeroU32::MAX };
        Self {
            sessions: RedisSessionCache::new(redis.clone()),
            deduplicator: RedisDeduplicator::new(redis.clone(), Arc::new(StoredFake::default())),
            limiter: RedisRateLimiter::new(redis.clone(), limits),
            redis,
        }
    }

    async fn save(&self) -> Result<(), PortError> {
        soon(self.sessions.save(&span(0, 10), &[&fold(&[event(1, "click", 0)])])).await
    }

    async fn load(&self) -> Result<bool, PortError> {
        let at = LogPosition { log: shared(LOG), partition: 0, offset: 10 };
        let loaded = soon(
            self.sessions.load(&at, &[SessionKey { project_id: project("p"), session_id: session_id("s") }]),
        )
        .await?;
        Ok(loaded[0].is_some())
    }

    async fn claim(&self) -> Result<usize, PortError> {
        Ok(soon(self.deduplicator.claim(&[claim(1)])).await?.len())
    }

    async fn take(&self) -> Result<RateDecision, PortError> {
        soon(self.limiter.take(&project("p"), 1)).await
    }

    /// Every call fails, and may be tried again.
    async fn all_pass(&self) -> Vec<Effect> {
        vec![
            passing(self.save().await),
            passing(self.load().await),
            passing(self.claim().await),
            passing(self.take().await),
        ]
    }

    async fn recovers(&self) {
        until("sessions are saved", async || self.save().await.is_ok()).await;
        until("events are claimed", async || self.claim().await.is_ok()).await;
        until("tokens are taken", async || self.take().await.is_ok()).await;
        until("sessions are loaded", async || self.load().await.is_ok_and(|known| known)).await;
        until("all is well", async || self.redis.check().await == Health::Up).await;
    }
}

fn claim(n: u64) -> Claim {
    Claim {
        project_id: project("p"),
        event_id: event_id(n.into()),
        session_id: None,
        timestamp: NOON,
        position: LogPosition { log: shared(LOG), partition: 0, offset: n },
    }
}

fn impatient(config: RedisConfig) -> RedisConfig {
    RedisConfig {
        connect_timeout: Duration::from_millis(200),
        command_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_millis(100),
        ..config
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_comes_back_empty() {
    let server = Server::forgetful();
    let all = All::on(&server.config());
    all.recovers().await;
    server.kill();
    all.all_pass().await;
    // The connections of the pool are known to be dead by now.
    assert_eq!(all.all_pass().await, [Effect::None; 4]);
    assert!(matches!(all.redis.check().await, Health::Down(_)));
    server.start_again();
    until("the server is asked", async || all.load().await.is_ok()).await;
    assert!(!all.load().await.unwrap(), "it forgot everything");
    all.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_waited_for() {
    let server = Server::forgetful();
    let all = All::on(&impatient(server.config()));
    all.recovers().await;
    server.pause();
    all.all_pass().await;
    assert!(matches!(soon(all.redis.check()).await, Health::Down(_)));
    server.resume();
    all.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_connections_all_get_an_answer_from_a_server_that_hangs() {
    let server = Server::forgetful();
    let all = Arc::new(All::on(&RedisConfig { pool_size: 2, ..impatient(server.config()) }));
    all.recovers().await;
    server.pause();
    let callers = (0..40).map(|_| {
        let all = all.clone();
        tokio::spawn(async move { passing(all.load().await) })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    server.resume();
    all.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_is_replaced() {
    let server = Server::forgetful();
    let proxy = server.instance().proxy();
    let url = format!("redis://{}", proxy.address());
    let all = All::on(&RedisConfig { url: url.as_str().into(), ..impatient(server.config()) });
    all.recovers().await;
    for _ in 0..3 {
        proxy.cut();
        all.recovers().await;
    }
    proxy.refuse(true);
    proxy.cut();
    all.all_pass().await;
    assert_eq!(all.all_pass().await, [Effect::None; 4]);
    proxy.refuse(false);
    all.recovers().await;
    proxy.pause(true);
    all.all_pass().await;
    proxy.pause(false);
    all.recovers().await;
}

#[tokio::test]
async fn a_flush_of_data_and_scripts_goes_unnoticed() {
    let server = Server::forgetful();
    let all = All::on(&server.config());
    for _ in 0..3 {
        all.save().await.unwrap();
        assert!(all.load().await.unwrap());
        all.claim().await.unwrap();
        assert_eq!(all.take().await.unwrap(), RateDecision::Allowed);
        server.command("FLUSHALL").await;
        server.command("SCRIPT FLUSH").await;
        assert!(!all.load().await.unwrap());
    }
}

#[tokio::test]
async fn a_wrong_password_needs_a_person_and_is_not_shown() {
    let server = Server::forgetful();
    let url =
        |password: &str| server.config().url.reveal().replace("redis://", &format!("redis://{password}"));
    let all = |password: &str| All::on(&RedisConfig { url: url(password).into(), ..server.config() });
    server.command("CONFIG SET requirepass right").await;
    all(":right@").recovers().await;
    for password in ["", ":wr0ng@"] {
        let error = all(password).load().await.unwrap_err();
        assert!(matches!(error, PortError::Fatal { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");
    }
    assert!(!format!("{:?}", all(":right@").redis).contains("right"));
}

#[tokio::test]
async fn a_server_without_memory_refuses_for_a_while() {
    let server = Server::with(&[("appendonly", "no"), ("maxmemory-policy", "noeviction")]);
    let all = All::on(&server.config());
    all.recovers().await;
    server.command("CONFIG SET maxmemory 1").await;
    passing(all.save().await);
    passing(all.claim().await);
    server.command("CONFIG SET maxmemory 0").await;
    all.recovers().await;
}

/// A node of a cluster refuses calls whose keys are in more than one slot.
#[tokio::test]
async fn every_call_stays_in_one_slot_of_a_cluster() {
    let server = Server::with(&[("appendonly", "no"), ("cluster-enabled", "yes")]);
    server.command("CLUSTER ADDSLOTSRANGE 0 16383").await;
    let all = All::on(&server.config());
    all.recovers().await;
    let folds: Vec<Session> = (0..2_500)
        .map(|n| fold(&[Event { session_id: Some(session_id(&format!("s{n}"))), ..event(1, "click", 0) }]))
        .collect();
    let folds: Vec<&Session> = folds.iter().collect();
    all.sessions.save(&span(10, 20), &folds).await.unwrap();
    let claims: Vec<Claim> = (0..2_500).map(claim).collect();
    assert_eq!(all.deduplicator.claim(&claims).await.unwrap(), vec![ClaimVerdict::Granted; 2_500]);
}

#[tokio::test]
async fn health_tells_of_a_replica() {
    let server = Server::forgetful();
    server.command("REPLICAOF 127.0.0.1 1").await;
    let all = All::on(&server.config());
    until(
        "health tells",
        async || matches!(all.redis.check().await, Health::Down(why) if why.contains("replica")),
    )
    .await;
    passing(all.save().await);
    server.command("REPLICAOF NO ONE").await;
    all.recovers().await;
}

#[tokio::test]
async fn health_tells_of_eviction() {
    let server = Server::with(&[("maxmemory", "100mb"), ("maxmemory-policy", "volatile-lru")]);
    let redis = server.redis();
    until(
        "health tells",
        async || matches!(redis.check().await, Health::Degraded(why) if why.contains("volatile-lru")),
    )
    .await;
}
