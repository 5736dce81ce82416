//! What the metrics of a process say of a server that it does not reach.

use std::collections::BTreeMap;

use gosight_distributed_tests::{Binary, Process, Servers, Set, one_at_a_time};
use gosight_e2e::load::batch;
use gosight_e2e::{Api, INGEST_KEY, wait_for};
use gosight_services::{Proxy, Service};

/// The circuit breakers of a process, each with whether it is open, by what Redis is asked for.
async fn breakers(process: &Process) -> BTreeMap<String, f64> {
    let text = Api::new(process.url(), None).get("/metrics").await.text;
    let of_redis = |line: &str| {
        let (labels, value) = line.strip_prefix("circuit_breakers_open{")?.rsplit_once("} ")?;
        let call = labels.split(',').find_map(|label| label.strip_prefix("call=\""))?.strip_suffix('"')?;
        let is_redis = labels.contains("dependency=\"redis\"");
        is_redis.then(|| Some((call.to_owned(), value.parse().ok()?)))?
    };
    text.lines().filter_map(of_redis).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_while_redis_is_cut_off_and_closes_when_it_is_back() {
    let _turn = one_at_a_time().await;
    let proxy = Proxy::to(Service::Redis.address());
    let servers = Servers { redis: Service::Redis.url(proxy.address()), ..Servers::shared() };
    let set = Set::new(&servers);
    let ingestor = set.start(Binary::Ingestor);
    let known = Api::new(ingestor.url(), Some(INGEST_KEY));
    let send = async || known.post("/v1/events", batch("s", 1).1.to_string()).await.status.as_u16();
    assert_eq!(send().await, 200);
    let closed = breakers(&ingestor).await;
    for call in ["chunks", "keys", "rate_limits"] {
        assert!(closed[call].abs() < 0.1, "{closed:?}");
    }

    proxy.refuse(true);
    proxy.cut();
    // Events are taken all the same.
    assert_eq!(send().await, 200);
    let opened = breakers(&ingestor).await;
    assert_eq!((opened["rate_limits"], opened["chunks"]), (1.0, 0.0), "only what was asked for");

    proxy.refuse(false);
    wait_for("the breaker closes", async || {
        assert_eq!(send().await, 200);
        (breakers(&ingestor).await["rate_limits"] == 0.0).then_some(())
    })
    .await;
}
