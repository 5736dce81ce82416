//! Private servers are started, killed, and started again with their data.

use std::net::TcpStream;

use gosight_services::{Instance, Service};

use crate::stored::{check, http, redis, write};

async fn survives_kill_and_stop(service: Service) {
    let instance = Instance::start(service);
    let first = instance.process_id().unwrap();
    write(service, instance.address()).await;

    instance.kill();
    assert_eq!(instance.process_id(), None);
    assert!(TcpStream::connect(instance.address()).is_err(), "somebody answers for a server that was killed");
    instance.start_again();
    assert_ne!(instance.process_id().unwrap(), first);
    check(service, instance.address()).await;

    instance.stop();
    assert!(
        TcpStream::connect(instance.address()).is_err(),
        "somebody answers for a server that was stopped"
    );
    instance.start_again();
    check(service, instance.address()).await;
    check(service, instance.proxy().address()).await;
}

#[tokio::test]
async fn kafka() {
    survives_kill_and_stop(Service::Kafka).await;
}

#[tokio::test]
async fn clickhouse() {
    survives_kill_and_stop(Service::ClickHouse).await;
}

#[tokio::test]
async fn redis_with_its_file() {
    survives_kill_and_stop(Service::Redis).await;
}

#[tokio::test]
async fn postgres() {
    survives_kill_and_stop(Service::Postgres).await;
}

#[tokio::test]
async fn s3() {
    survives_kill_and_stop(Service::S3).await;
}

#[test]
fn a_setting_replaces_the_usual_one() {
    let instance = Instance::start_with(Service::Redis, &[("appendonly", "no")]);
    redis(instance.address(), "SET key kept");
    instance.start_again();
    assert_eq!(redis(instance.address(), "GET key"), "$-1\r\n", "it should have forgotten");
}

#[test]
fn a_setting_of_clickhouse_is_a_path() {
    let instance = Instance::start_with(Service::ClickHouse, &[("merge_tree.old_parts_lifetime", "7")]);
    let query = "SELECT value FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime'";
    assert_eq!(http(instance.address(), query), "7\n");
}

#[test]
fn two_of_a_kind_know_nothing_of_each_other() {
    let (one, other) = (Instance::start(Service::Redis), Instance::start(Service::Redis));
    assert_ne!(one.address(), other.address());
    redis(one.address(), "SET key kept");
    assert_eq!(redis(other.address(), "GET key"), "$-1\r\n");
}

#[test]
fn a_dropped_one_leaves_nothing() {
    let instance = Instance::start(Service::Redis);
    let (address, log) = (instance.address(), instance.log());
    assert!(log.exists());
    drop(instance);
    assert!(TcpStream::connect(address).is_err());
    assert!(!log.parent().unwrap().exists());
}

#[test]
#[should_panic(expected = "no-such-setting")]
fn one_that_does_not_start_says_what_its_log_says() {
    Instance::start_with(Service::Redis, &[("no-such-setting", "1")]);
}
