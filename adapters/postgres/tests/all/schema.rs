//! Migrations.

use gosight_application::ports::{KeyAdmin, KeyLookup};
use gosight_conformance::factory::NOON;
use gosight_conformance::key_store::{add_project, key, presented};
use gosight_domain::Timestamp;
use gosight_domain::key::ApiKey;
use gosight_postgres::{PostgresAccounts, PostgresConfig, migrate};

use crate::database::Database;
use crate::{fatal_text, in_time};

#[tokio::test(flavor = "multi_thread")]
async fn running_again_keeps_what_is_there() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    add_project(&accounts, "p").await;
    migrate(&database.config()).await.unwrap();
    assert_eq!(database.accounts().await.list_projects().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_may_start_at_once() {
    let database = Database::create().await;
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let config = database.config();
            tokio::spawn(async move { PostgresAccounts::connect(&config).await })
        })
        .collect();
    for start in starts {
        let accounts = in_time(start).await.unwrap().expect("migrated");
        assert_eq!(accounts.list_projects().await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_later_version_is_refused() {
    let database = Database::create().await;
    migrate(&database.config()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', true, '', 0)",
    )
    .execute(&mut database.connection().await)
    .await
    .unwrap();
    let text = fatal_text(migrate(&database.config()).await);
    assert!(text.contains("9999"), "{text}");
    // And a second try does not wait for the first one's lock.
    in_time(migrate(&database.config())).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_not_migrated_is_a_fatal_error() {
    let database = Database::create().await;
    let accounts = PostgresAccounts::open(&database.config()).unwrap();
    let text = fatal_text(accounts.find_key(&presented(1).hash()).await);
    assert!(text.contains("api_keys"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_come_before_its_project() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    assert!(accounts.create_key(&key(1)).await.unwrap());
    assert_eq!(accounts.list_projects().await.unwrap(), []);
    assert_eq!(accounts.find_key(&key(1).hash).await.unwrap(), Some(key(1)));
    assert!(add_project(&accounts, "p").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_time_that_there_is_can_be_kept() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    let extreme = ApiKey {
        created_at: Timestamp::from_millis(i64::MIN),
        expires_at: Some(NOON.plus_millis(i64::MAX)),
        ..key(1)
    };
    accounts.create_key(&extreme).await.unwrap();
    assert_eq!(accounts.find_key(&extreme.hash).await.unwrap(), Some(extreme));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_setting_is_fatal_before_anything_is_tried() {
    let config = PostgresConfig { max_connections: 0, ..PostgresConfig::default() };
    assert!(fatal_text(migrate(&config).await).contains("max_connections"));
    assert!(fatal_text(PostgresAccounts::open(&config)).contains("max_connections"));
}
