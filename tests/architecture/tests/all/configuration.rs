//! The examples in `config` are valid and complete.

use gosight::Config;
use gosight_runtime::config::{Sources, load};

use crate::root;

#[test]
fn the_example_is_valid_and_says_the_defaults() {
    let sources = Sources { file: Some(root().join("config/gosight.yaml")), ..Sources::default() };
    let config = load::<Config>(&sources).unwrap().config;
    config.validate().unwrap();
    assert_eq!(config, Config::default(), "the example shows every default as it is");
}

#[test]
fn the_example_names_every_setting() {
    let example = std::fs::read_to_string(root().join("config/gosight.yaml")).unwrap();
    let all = gosight_runtime::config::to_yaml(&Config::default()).unwrap();
    let names = all.lines().filter_map(|line| line.trim().trim_start_matches("- ").split_once(':'));
    for (name, _) in names {
        assert!(example.contains(&format!("{name}:")), "config/gosight.yaml does not show {name}");
    }
}
