//! The examples in `config` are valid and complete.

use gosight::Config;
use gosight_runtime::config::{Sources, load};

use crate::root;

#[test]
fn the_example_is_valid_and_says_the_defaults() {
    let sources = Sources { file: Some(root().join("config/gosight.yaml")), ..Sources::default() };
    let config = load(&Config::default(), &sources).unwrap().config;
    config.validate(false).unwrap();
    assert_eq!(config, Config::default(), "the example shows every default as it is");
}

#[test]
fn the_example_names_every_setting() {
    let example = std::fs::read_to_string(root().join("config/gosight.yaml")).unwrap();
    let all = gosight_runtime::config::to_yaml(&Config::default()).unwrap();
    // Those of servers are shown by the files of the binaries that use them.
    let is_server = |line: &str| ["kafka:", "clickhouse:", "redis:", "postgres:", "s3:"].contains(&line);
    let mut in_server = false;
    let of_directory = all.lines().filter(|line| {
        in_server = if line.starts_with(' ') { in_server } else { is_server(line) };
        !in_server
    });
    let names = of_directory.filter_map(|line| line.trim().trim_start_matches("- ").split_once(':'));
    for (name, _) in names {
        assert!(example.contains(&format!("{name}:")), "config/gosight.yaml does not show {name}");
    }
}
