//! Batches, order of locks, limits of values.

use std::sync::Arc;

use gosight_application::ports::{KeyAdmin, KeyLookup, KeyUsage, KeyUsageStore, ProfileKind, ProfileStore};
use gosight_conformance::factory::{NOON, object, project};
use gosight_conformance::key_store::key;
use gosight_domain::JsonObject;
use gosight_domain::key::ApiKey;
use gosight_postgres::PostgresAccounts;

use crate::database::Database;
use crate::{fatal_text, in_time};

const KEYS: u8 = 40;
const ROUNDS: u64 = 30;

fn usage(n: u8, requests: u64, at_ms: i64) -> KeyUsage {
    KeyUsage { key_id: key(n).key_id, requests, last_used_at: NOON.plus_millis(at_ms) }
}

async fn with_keys(database: &Database) -> Arc<PostgresAccounts> {
    let accounts = Arc::new(database.accounts().await);
    for n in 0..KEYS {
        accounts.create_key(&key(n)).await.unwrap();
    }
    accounts
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_in_opposite_orders_do_not_block_each_other_and_all_count() {
    let database = Database::create().await;
    let accounts = with_keys(&database).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let accounts = accounts.clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let mut reports: Vec<KeyUsage> = (0..KEYS).map(|n| usage(n, 1, i64::from(n))).collect();
                    if writer % 2 == 1 {
                        reports.reverse();
                    }
                    accounts.record_usage(&reports).await.expect("recorded");
                }
            })
        })
        .collect();
    for writer in writers {
        in_time(writer).await.unwrap();
    }
    for key in accounts.list_keys(None).await.unwrap() {
        assert_eq!(key.request_count, 4 * ROUNDS, "{}", key.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_written_in_opposite_orders_do_not_block_each_other() {
    let database = Database::create().await;
    let accounts = Arc::new(database.accounts().await);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let accounts = accounts.clone();
            tokio::spawn(async move {
                let mut profiles: Vec<(String, JsonObject)> =
                    (0..200).map(|n| (format!("u-{n}"), object(&format!(r#"{{"by":{writer}}}"#)))).collect();
                if writer % 2 == 1 {
                    profiles.reverse();
                }
                for _ in 0..ROUNDS {
                    accounts.put(&project("p"), ProfileKind::User, &profiles).await.expect("put");
                }
            })
        })
        .collect();
    for writer in writers {
        in_time(writer).await.unwrap();
    }
    let ids: Vec<String> = (0..200).map(|n| format!("u-{n}")).collect();
    let found = accounts.get(&project("p"), ProfileKind::User, &ids).await.unwrap();
    let first = &found["u-0"];
    assert!(found.len() == 200 && found.values().all(|profile| profile == first), "one writer's, whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_name_a_key_twice_or_one_that_is_not_there() {
    let database = Database::create().await;
    let accounts = with_keys(&database).await;
    accounts.record_usage(&[]).await.unwrap();
    accounts.record_usage(&[usage(1, 2, 50), usage(200, 9, 9), usage(1, 3, 40)]).await.unwrap();
    let found = accounts.find_key(&key(1).hash).await.unwrap().unwrap();
    assert_eq!((found.request_count, found.last_used_at), (5, Some(NOON.plus_millis(50))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_stays_at_the_largest_that_fits() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    accounts.create_key(&ApiKey { request_count: u64::MAX, ..key(1) }).await.unwrap();
    accounts.record_usage(&[usage(1, u64::MAX, 0), usage(1, 7, 0)]).await.unwrap();
    let found = accounts.find_key(&key(1).hash).await.unwrap().unwrap();
    assert_eq!(found.request_count, i64::MAX.unsigned_abs());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_values_and_never_statements() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    let nasty = r#"'; DROP TABLE api_keys; -- {"a,b"} \ ☕ NULL"#;
    accounts.create_key(&ApiKey { name: nasty.into(), ..key(1) }).await.unwrap();
    assert_eq!(accounts.find_key(&key(1).hash).await.unwrap().unwrap().name, nasty);

    let profile = object(&serde_json::json!({ nasty: [nasty, 1.0, null] }).to_string());
    let ids = [nasty.to_owned(), "NULL".to_owned(), String::new()];
    let profiles: Vec<_> = ids.iter().map(|id| (id.clone(), profile.clone())).collect();
    accounts.put(&project("p"), ProfileKind::Item, &profiles).await.unwrap();
    let found = accounts.get(&project("p"), ProfileKind::Item, &ids).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[nasty], profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_keeps_the_text_of_its_numbers_and_the_last_of_a_batch_counts() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    let exact = r#"{"b":1.50, "a":12345678901234567890123, "b":1e-300}"#;
    let profiles = [("u".to_owned(), object(r#"{"old":1}"#)), ("u".to_owned(), object(exact))];
    accounts.put(&project("p"), ProfileKind::User, &profiles).await.unwrap();
    let found = accounts.get(&project("p"), ProfileKind::User, &["u".to_owned()]).await.unwrap();
    assert_eq!(found["u"].as_str(), exact);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_batches_are_one_statement() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    // More than a statement could have parameters.
    let profiles: Vec<_> = (0..70_000).map(|n| (format!("i-{n}"), object(r#"{"a":1}"#))).collect();
    accounts.put(&project("p"), ProfileKind::Item, &profiles).await.unwrap();
    let ids: Vec<String> = profiles.into_iter().map(|(id, _)| id).chain(["i-x".to_owned()]).collect();
    let found = accounts.get(&project("p"), ProfileKind::Item, &ids).await.unwrap();
    assert_eq!(found.len(), 70_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_row_can_hold_is_not_found_and_not_stored() {
    let database = Database::create().await;
    let accounts = database.accounts().await;
    let ids = ["a\0b".to_owned(), "x".repeat(60_000)];
    assert!(accounts.get(&project("p"), ProfileKind::Item, &ids).await.unwrap().is_empty());
    let profiles = [("ok".to_owned(), object("{}")), (ids[0].clone(), object("{}"))];
    fatal_text(accounts.put(&project("p"), ProfileKind::Item, &profiles).await);
    assert!(accounts.get(&project("p"), ProfileKind::Item, &["ok".to_owned()]).await.unwrap().is_empty());
}
