//! A server that is stopped, killed and started again.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::keys::StoredKeys;
use gosight_application::ports::{
    Effect, Health, HealthCheck, KeyAdmin, KeyValidator, PortError, ProfileKind, ProfileStore,
};
use gosight_conformance::factory::{object, project};
use gosight_conformance::key_store::{key, presented};
use gosight_postgres::{PostgresAccounts, PostgresConfig};
use gosight_services::{Instance, Service};
use sqlx::{Connection, PgConnection};

use crate::{in_time, transient_effect, until_up};
use gosight_conformance::processed::AtNoon;

fn config(instance: &Instance) -> PostgresConfig {
    PostgresConfig {
        url: instance.url().into(),
        acquire_timeout: Duration::from_secs(2),
        ..PostgresConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_is_transient_and_all_goes_on_when_it_is_back() {
    let instance = Instance::start(Service::Postgres);
    let accounts = Arc::new(PostgresAccounts::connect(&config(&instance)).await.unwrap());
    accounts.create_key(&key(1)).await.unwrap();
    let validator = StoredKeys::new(accounts.clone(), Arc::new(AtNoon));
    validator.validate(&presented(1)).await.unwrap();

    for how in ["stopped", "killed"] {
        if how == "stopped" {
            instance.stop();
        } else {
            instance.kill();
        }
        for n in [1, 2] {
            let refused = in_time(validator.validate(&presented(n))).await.unwrap_err();
            assert!(matches!(refused, PortError::Transient { .. }), "{how}: {refused}");
        }
        assert_eq!(transient_effect(in_time(accounts.create_key(&key(3))).await), Effect::None, "{how}");
        let profiles = [("u".to_owned(), object("{}"))];
        let put = in_time(accounts.put(&project("p"), ProfileKind::User, &profiles)).await;
        assert_eq!(transient_effect(put), Effect::None, "{how}");
        assert!(matches!(in_time(accounts.check()).await, Health::Down(_)), "{how}");

        instance.start_again();
        in_time(validator.validate(&presented(1))).await.expect("as before");
        let unknown = in_time(validator.validate(&presented(2))).await.unwrap_err();
        assert!(matches!(unknown, PortError::Rejected { .. }), "{how}: {unknown}");
        until_up(&*accounts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_can_be_opened_while_the_server_is_away() {
    let instance = Instance::start(Service::Postgres);
    gosight_postgres::migrate(&config(&instance)).await.unwrap();
    instance.stop();
    let accounts = PostgresAccounts::open(&config(&instance)).unwrap();
    assert_eq!(transient_effect(in_time(accounts.list_projects()).await), Effect::None);
    transient_effect(in_time(PostgresAccounts::connect(&config(&instance))).await);
    instance.start_again();
    assert_eq!(in_time(accounts.list_projects()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_connection_to_spare_is_transient() {
    let instance = Instance::start(Service::Postgres);
    let mut admin = PgConnection::connect(&instance.url()).await.unwrap();
    sqlx::query("CREATE ROLE many LOGIN PASSWORD 'many' CONNECTION LIMIT 0")
        .execute(&mut admin)
        .await
        .unwrap();
    let url = instance.url().replace("gosight:gosight@", "many:many@");
    let config = PostgresConfig { url: url.into(), ..config(&instance) };
    let accounts = PostgresAccounts::open(&config).unwrap();
    assert_eq!(transient_effect(in_time(accounts.list_projects()).await), Effect::None);
    admin.close().await.unwrap();
}
