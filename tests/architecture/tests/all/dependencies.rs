//! Arrows point inwards: bins -> adapters -> application -> domain.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::root;

/// What `domain` may name besides itself: formats, ids, hashes. Nothing that waits, reads or knows the time.
const DOMAIN: [&str; 6] = ["serde", "serde_json", "serde_path_to_error", "sha2", "thiserror", "uuid"];

/// What `application` may name besides that: asynchronous plumbing, and nothing of any technology.
const APPLICATION: [&str; 17] = [
    "async-trait",
    "base64",
    "bytes",
    "fail",
    "flate2",
    "form_urlencoded",
    "futures",
    "ipnet",
    "memchr",
    "metrics",
    "moka",
    "rand",
    "regex",
    "time",
    "tokio",
    "tokio-util",
    "tracing",
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

/// The folder of a package at the top of the project: `domain`, `application`, `adapters`, `bins` or `tests`.
fn ring(metadata: &Metadata, package: &Package) -> String {
    let path = package.manifest_path.strip_prefix(&metadata.workspace_root).unwrap();
    path.components().next().unwrap().as_str().to_owned()
}

/// Names of what a package depends on when it is used.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn arrows_point_inwards_only() {
    let metadata = metadata();
    let ring_of = |name: &str| {
        metadata.packages.iter().find(|package| package.name.as_str() == name).map(|p| ring(&metadata, p))
    };
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let from = ring(&metadata, package);
        let allowed: &[&str] = match from.as_str() {
            "domain" => &[],
            "application" => &["domain"],
            "adapters" => &["application", "domain"],
            // Tests of the binaries share how these are started and what is known of the recordings.
            "tests" => &["application", "domain", "tests"],
            // No part of the product: it starts the servers that tests need.
            "bins" if package.name.as_str() == "xtask" => &["tests"],
            "bins" => &["bins", "adapters", "application", "domain"],
            other => {
                panic!("{other} is no ring; packages stand in domain, application, adapters, bins or tests")
            }
        };
        for dependency in dependencies(package) {
            if let Some(to) = ring_of(&dependency)
                && !allowed.contains(&to.as_str())
            {
                wrong.push(format!("{} ({from}) -> {dependency} ({to})", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point outwards or sideways: {wrong:#?}");
}

fn assert_only(package: &str, allowed: &[&str]) {
    let metadata = metadata();
    let package = metadata.packages.iter().find(|found| found.name.as_str() == package).unwrap();
    let extra: Vec<String> =
        dependencies(package).into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    assert!(extra.is_empty(), "{} must not depend on {extra:?}; its list is in this test", package.name);
}

#[test]
fn the_domain_names_formats_only() {
    assert_only("gosight-domain", &DOMAIN);
}

#[test]
fn the_application_names_no_technology() {
    assert_only("gosight-application", &[&DOMAIN[..], &APPLICATION[..], &["gosight-domain"]].concat());
}

/// The one crate that may call C, for tests: it cannot take lints that forbid `unsafe`, and writes the others out.
const UNSAFE: &str = "gosight-clickhouse-server";

#[test]
fn every_crate_takes_the_lints_and_the_version_of_the_workspace() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, lints) = workspace.split_once("[workspace.lints.rust]\n").unwrap();
    let (lints, _) = lints.split_once("[profile").unwrap();
    let written_out =
        lints.lines().filter(|line| !line.starts_with('[') && *line != "unsafe_code = \"forbid\"");
    let written_out: Vec<&str> = written_out.collect();
    for package in &metadata().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let lints: &[&str] =
            if package.name.as_str() == UNSAFE { &written_out } else { &["[lints]\nworkspace = true"] };
        for line in [&["version.workspace = true", "license.workspace = true"], lints].concat() {
            assert!(manifest.contains(line), "{} lacks {line:?}", package.manifest_path);
        }
    }
}
