use std::time::Duration;

use bytesize::ByteSize;

use super::*;
#[cfg(feature = "distributed")]
use crate::config::load_valid;
use crate::config::{Sources, load, to_yaml};

#[test]
fn the_defaults_are_valid_and_complete() {
    let config = Config::default();
    config.validate(false).unwrap();
    assert_eq!(config.process.filters.len(), 5);
    assert_eq!(config.process.aggregations.len(), 5);
}

#[test]
fn what_is_printed_can_be_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), to_yaml(&Config::default()).unwrap()).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    assert_eq!(load(&Config::default(), &sources).unwrap().config, Config::default());
}

#[test]
fn what_cannot_work_is_named() {
    let wrong = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.validate(false).unwrap_err().key
    };
    #[cfg(feature = "embedded")]
    {
        assert_eq!(wrong(|config| config.log.partitions = 0), "log.partitions");
        assert_eq!(wrong(|config| config.log.max_size = ByteSize::mib(1)), "log.max_size");
    }
    assert_eq!(wrong(|config| config.rate_limit.burst = 0), "rate_limit.burst");
    assert_eq!(wrong(|config| config.events.max_depth = 1_000), "events.max_depth");
    assert_eq!(wrong(|config| config.replay.gzip_level = 10), "replay.gzip_level");
    assert_eq!(wrong(|config| config.replay.keep_gzip_ratio = 0), "replay.keep_gzip_ratio");
    assert_eq!(wrong(|config| config.logs.filter = "a=b=c".to_owned()), "logs.filter");
    assert_eq!(wrong(|config| config.data_dir = "".into()), "data_dir");
    assert_eq!(
        wrong(|config| config.keys.cache_life = Duration::from_hours(2_000 * 366 * 24)),
        "keys.cache_life"
    );
    assert_eq!(wrong(|config| config.process.events.linger = Duration::MAX), "process.events.linger");
    assert_eq!(wrong(|config| config.http.header_timeout = Duration::MAX), "http.header_timeout");
    assert_eq!(wrong(|config| config.http.max_connections = 0), "http.max_connections");
    assert_eq!(wrong(|config| config.process.replay.batch_records = 0), "process.replay.batch_records");
    assert_eq!(wrong(|config| config.process.filters[1].name = "bot".into()), "process.filters[1].name");
    assert_eq!(
        wrong(|config| config.process.aggregations[0].key = "user:{nobody}".into()),
        "process.aggregations[0].field"
    );
    assert_eq!(
        wrong(|config| config.process.aggregations[2].window = Duration::ZERO),
        "process.aggregations[2].window"
    );
}

#[cfg(feature = "distributed")]
#[test]
fn what_cannot_work_on_servers_is_named_too() {
    let wrong = |change: fn(&mut Config)| {
        let mut config = Config::on_servers();
        change(&mut config);
        config.validate(true).unwrap_err().key
    };
    assert_eq!(wrong(|config| config.logs.filter = "a=b=c".to_owned()), "logs.filter");
    let long = |config: &mut Config| config.keys.cache_life = Duration::from_hours(2_000 * 366 * 24);
    assert_eq!(wrong(long), "keys.cache_life");
    assert_eq!(wrong(|config| config.process.replay.linger = Duration::MAX), "process.replay.linger");
}

#[cfg(feature = "distributed")]
#[test]
fn the_examples_are_valid_and_say_the_defaults() {
    for name in ["ingestor", "event-processor", "replay-processor", "api"] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../config/{name}.yaml"));
        let sources = Sources { file: Some(file), ..Sources::default() };
        let config =
            load(&Config::on_servers(), &sources).unwrap_or_else(|error| panic!("{name}: {error}")).config;
        config.validate(true).unwrap();
        assert_eq!(config, Config::on_servers(), "{name} shows the defaults as they are");
    }
}

#[cfg(feature = "distributed")]
#[test]
fn the_containers_have_valid_settings_and_reach_their_servers() {
    let read = |name: &str| -> serde_json::Value {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
        serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    };
    let (ours, servers) = (read("deploy/compose.yaml"), read("compose.yaml"));
    for name in ["ingestor", "event-processor", "replay-processor", "api"] {
        let service = &ours["services"][name];
        assert_eq!(service["build"]["target"], name);
        let env = service["environment"].as_object().unwrap();
        let env = env.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let sources = Sources { env: env.collect(), ..Sources::default() };
        let config = load_valid(&Config::on_servers(), &sources, |config| config.validate(true)).unwrap();
        let postgres = config.postgres.url.to_string();
        let redis = config.redis.url.reveal();
        let addresses = [&config.kafka.brokers[0], &config.clickhouse.url, redis, &postgres];
        for (server, address) in ["kafka", "clickhouse", "redis", "postgres"].iter().zip(addresses) {
            assert!(servers["services"][server].is_object());
            assert!(address.contains(&format!("{server}:")), "{address}");
            assert_eq!(service["depends_on"][server]["condition"], "service_healthy");
        }
    }
}

#[cfg(feature = "distributed")]
#[test]
fn bad_settings_are_named_with_their_section() {
    let mut config = Config::on_servers();
    config.clickhouse.url = "nowhere".into();
    assert_eq!(config.validate(true).unwrap_err().key, "clickhouse.url");
    let config = Config {
        kafka: KafkaConfig { brokers: Vec::new(), ..KafkaConfig::default() },
        ..Config::on_servers()
    };
    assert_eq!(config.validate(true).unwrap_err().key, "kafka.brokers");
}

#[cfg(feature = "distributed")]
#[test]
fn replays_do_not_expire_before_they_are_archived() {
    let mut config = Config::on_servers();
    config.clickhouse.replay_retention_days = 30;
    assert_eq!(config.validate(true), Ok(()));
    config.s3.access_key = "key".into();
    config.s3.secret_key = "secret".into();
    assert_eq!(config.validate(true).unwrap_err().key, "clickhouse.replay_retention_days");
    config.archive.enabled = true;
    assert_eq!(config.validate(true).unwrap_err().key, "clickhouse.replay_retention_days");
}

#[cfg(feature = "distributed")]
#[test]
fn secrets_are_not_shown() {
    let mut config = Config::on_servers();
    config.clickhouse.password = "hush-1".into();
    config.redis.url = "redis://:hush-2@127.0.0.1:6379".into();
    config.postgres.url = "postgres://gosight:hush-3@localhost/gosight".into();
    let shown = format!("{config:?}\n{}", to_yaml(&config).unwrap());
    assert!(!shown.contains("hush"), "{shown}");
}

#[cfg(feature = "distributed")]
#[test]
fn each_backend_is_chosen_by_itself() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "store: {backend: clickhouse}\narchive: {backend: s3}\ns3: {access_key: a, secret_key: b}\n",
    )
    .unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    let config = load_valid(&Config::default(), &sources, |config| config.validate(false)).unwrap();
    let backends = config.backends();
    assert_eq!((backends.log, backends.store), (LogBackend::Embedded, StoreBackend::Clickhouse));
    assert_eq!((backends.archive, backends.state), (Some(ArchiveBackend::S3), StateBackend::Memory));
}

#[cfg(feature = "distributed")]
#[test]
fn backends_that_do_not_go_together_are_refused_with_the_reason() {
    let refused = |change: fn(&mut Config), is_shared: bool| {
        let mut config = Config::on_servers();
        change(&mut config);
        let error = config.validate(is_shared).unwrap_err();
        (error.key, error.reason)
    };
    let (key, reason) = refused(|config| config.state.backend = StateBackend::Memory, false);
    assert_eq!(key, "state.backend");
    assert!(reason.contains("marks"), "{reason}");
    let (key, reason) = refused(|config| config.accounts.backend = AccountsBackend::Embedded, true);
    assert_eq!(key, "accounts.backend");
    assert!(reason.contains("the other processes"), "{reason}");
    let (key, _) = refused(|config| config.store.backend = StoreBackend::Embedded, true);
    assert_eq!(key, "store.backend");
    let mut config = Config::on_servers();
    config.accounts.backend = AccountsBackend::Embedded;
    config.validate(false).unwrap();
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_backend_that_is_not_built_in_is_refused_with_its_feature() {
    let mut config = Config::default();
    config.log.backend = LogBackend::Kafka;
    let error = config.validate(false).unwrap_err();
    assert_eq!(error.key, "log.backend");
    assert!(error.reason.contains("feature \"kafka\""), "{}", error.reason);
}
