use gosight_runtime::config::{Sources, load, to_yaml};

use std::time::Duration;

use bytesize::ByteSize;

use super::*;

#[test]
fn the_defaults_are_valid_and_complete() {
    let config = Config::default();
    config.validate().unwrap();
    assert_eq!(config.process.filters.len(), 5);
    assert_eq!(config.process.aggregations.len(), 5);
}

#[test]
fn what_is_printed_can_be_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), to_yaml(&Config::default()).unwrap()).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    assert_eq!(load::<Config>(&sources).unwrap().config, Config::default());
}

#[test]
fn what_cannot_work_is_named() {
    let wrong = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.validate().unwrap_err().key
    };
    assert_eq!(wrong(|config| config.log.partitions = 0), "log.partitions");
    assert_eq!(wrong(|config| config.log.max_size = ByteSize::mib(1)), "log.max_size");
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
