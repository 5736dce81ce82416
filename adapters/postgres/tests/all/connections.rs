//! Connections that break, and statements that do not end.

use std::time::Duration;

use gosight_application::ports::{
    Effect, Health, HealthCheck, KeyAdmin, KeyLookup, KeyUsage, KeyUsageStore, PortError,
};
use gosight_conformance::factory::NOON;
use gosight_conformance::key_store::{key, presented};
use gosight_postgres::{PostgresAccounts, PostgresConfig};
use gosight_services::{Proxy, Service};
use sqlx::{Connection, PgConnection};

use crate::database::Database;
use crate::{fatal_text, in_time, transient_effect, until_up};

fn usage() -> KeyUsage {
    KeyUsage { key_id: key(1).key_id, requests: 1, last_used_at: NOON }
}

async fn request_count(accounts: &PostgresAccounts) -> u64 {
    accounts.find_key(&key(1).hash).await.unwrap().unwrap().request_count
}

/// Waits until a statement of the accounts waits for a lock, and gives the process that runs it.
async fn blocked_process(connection: &mut PgConnection) -> i32 {
    in_time(async {
        loop {
            // A transaction sees the same activity every time, unless it asks for a fresh look.
            sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *connection).await.unwrap();
            let found: Option<i32> = sqlx::query_scalar(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' LIMIT 1",
            )
            .fetch_optional(&mut *connection)
            .await
            .unwrap();
            if let Some(pid) = found {
                return pid;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Accounts with one key, whose row is locked by the connection until its transaction ends.
async fn with_locked_key(database: &Database, config: &PostgresConfig) -> (PostgresAccounts, PgConnection) {
    database.accounts().await.create_key(&key(1)).await.unwrap();
    let mut holder = database.connection().await;
    sqlx::query("BEGIN").execute(&mut holder).await.unwrap();
    sqlx::query("SELECT 1 FROM api_keys FOR UPDATE").execute(&mut holder).await.unwrap();
    (PostgresAccounts::open(config).unwrap(), holder)
}

/// A proxy before the shared server, and the URL of the database through it.
fn behind_proxy(database: &Database) -> (Proxy, String) {
    let server = Service::Postgres.address();
    let proxy = Proxy::to(server);
    let url = database.url().replace(&server.to_string(), &proxy.address().to_string());
    (proxy, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_runs_too_long_is_ended_and_did_nothing() {
    let database = Database::create().await;
    let config = PostgresConfig { statement_timeout: Duration::from_millis(500), ..database.config() };
    let (accounts, holder) = with_locked_key(&database, &config).await;
    let effect = transient_effect(in_time(accounts.record_usage(&[usage()])).await);
    assert_eq!(effect, Effect::None);
    holder.close().await.unwrap();
    assert_eq!(request_count(&accounts).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_backend_is_ended_may_have_done_its_work() {
    let database = Database::create().await;
    let config = PostgresConfig { statement_timeout: Duration::from_mins(10), ..database.config() };
    let (accounts, mut holder) = with_locked_key(&database, &config).await;
    let other = accounts.clone();
    let recording = tokio::spawn(async move { other.record_usage(&[usage()]).await });
    let pid = blocked_process(&mut holder).await;
    let ended: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1)").bind(pid).fetch_one(&mut holder).await.unwrap();
    assert!(ended);
    assert_eq!(transient_effect(in_time(recording).await.unwrap()), Effect::Unknown);
    holder.close().await.unwrap();
    // The next statement has a connection that works.
    accounts.record_usage(&[usage()]).await.unwrap();
    assert_eq!(request_count(&accounts).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_connection_that_others_use_is_transient() {
    let database = Database::create().await;
    let config = PostgresConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_mins(10),
        ..database.config()
    };
    let (accounts, mut holder) = with_locked_key(&database, &config).await;
    let other = accounts.clone();
    let recording = tokio::spawn(async move { other.record_usage(&[usage()]).await });
    blocked_process(&mut holder).await;
    assert_eq!(transient_effect(in_time(accounts.revoke_key(key(1).key_id)).await), Effect::None);
    holder.close().await.unwrap();
    in_time(recording).await.unwrap().expect("recorded once the lock was gone");
    assert_eq!(request_count(&accounts).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_given_up_leave_working_connections_behind() {
    let database = Database::create().await;
    let config = PostgresConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_mins(10),
        ..database.config()
    };
    let (accounts, mut holder) = with_locked_key(&database, &config).await;
    let other = accounts.clone();
    let recording = tokio::spawn(async move { other.record_usage(&[usage()]).await });
    blocked_process(&mut holder).await;
    recording.abort();
    assert!(recording.await.unwrap_err().is_cancelled());
    // The only connection is stuck in the statement. It is replaced, without anyone ending the statement.
    assert_eq!(in_time(request_count(&accounts)).await, 0);
    holder.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_transient_and_others_take_its_connections_place() {
    let database = Database::create().await;
    database.accounts().await.create_key(&key(1)).await.unwrap();
    let (proxy, url) = behind_proxy(&database);
    let config = PostgresConfig {
        url: url.into(),
        max_connections: 2,
        acquire_timeout: Duration::from_secs(3),
        statement_timeout: Duration::from_secs(1),
    };
    let accounts = PostgresAccounts::open(&config).unwrap();
    assert_eq!(request_count(&accounts).await, 0);
    until_up(&accounts).await;

    proxy.pause(true);
    assert_eq!(transient_effect(in_time(accounts.find_key(&key(1).hash)).await), Effect::None);
    assert_eq!(transient_effect(in_time(accounts.record_usage(&[usage()])).await), Effect::None);
    assert!(matches!(in_time(accounts.check()).await, Health::Down(_)));

    proxy.pause(false);
    assert_eq!(in_time(request_count(&accounts)).await, 0);
    until_up(&accounts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_cut_are_replaced_without_anyone_noticing() {
    let database = Database::create().await;
    database.accounts().await.create_key(&key(1)).await.unwrap();
    let (proxy, url) = behind_proxy(&database);
    let config = PostgresConfig { url: url.into(), ..database.config() };
    let accounts = PostgresAccounts::open(&config).unwrap();
    for _ in 0..5 {
        accounts.record_usage(&[usage()]).await.unwrap();
        proxy.cut();
    }
    assert_eq!(request_count(&accounts).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_leaves_the_outcome_unknown() {
    let database = Database::create().await;
    let (proxy, url) = behind_proxy(&database);
    let config = PostgresConfig { statement_timeout: Duration::from_secs(5), ..database.config() };
    let (_, mut holder) = with_locked_key(&database, &config).await;
    let accounts = PostgresAccounts::open(&PostgresConfig { url: url.into(), ..config }).unwrap();
    let other = accounts.clone();
    let recording = tokio::spawn(async move { other.record_usage(&[usage()]).await });
    // The server has the statement; its answer is lost on the way.
    blocked_process(&mut holder).await;
    proxy.pause(true);
    holder.close().await.unwrap();
    assert_eq!(transient_effect(in_time(recording).await.unwrap()), Effect::Unknown);
    proxy.pause(false);
    // It was done all the same.
    assert_eq!(in_time(request_count(&accounts)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_waited_for() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", database.url());
    let read_only = PostgresConfig { url: url.into(), ..database.config() };
    let read_only = PostgresAccounts::open(&read_only).unwrap();
    assert_eq!(transient_effect(read_only.create_key(&key(1)).await), Effect::None);
    assert_eq!(read_only.find_key(&presented(1).hash()).await.unwrap(), None);
    assert!(accounts.create_key(&key(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_login_or_database_needs_a_person_and_no_password_is_told() {
    let database = Database::create().await;
    for (from, to) in [("gosight:gosight@", "gosight:s3cret-guess@"), ("gosight_test_", "no_such_")] {
        let config = PostgresConfig { url: database.url().replace(from, to).into(), ..database.config() };
        let accounts = PostgresAccounts::open(&config).unwrap();
        let error = accounts.find_key(&presented(1).hash()).await.unwrap_err();
        assert!(matches!(error, PortError::Fatal { .. }), "{error}");
        let shown = format!("{error} {error:?} {accounts:?} {config:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(matches!(accounts.check().await, Health::Down(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_accounts_are_not_waited_for() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    accounts.close().await;
    fatal_text(accounts.list_projects().await);
}
