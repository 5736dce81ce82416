use std::fs;

use gosight_distributed_tests::Set;
use gosight_e2e::Api;
use gosight_e2e::fixture::{path, read_gz};
use serde_json::Value;

/// Makes the tables and views, and puts all rows back.
pub(super) async fn restore(set: &Set) {
    let server = Api::new(set.setting("CLICKHOUSE_URL"), None);
    let database = set.database();
    ask(&server, "", format!("CREATE DATABASE {database}")).await;
    let (views, tables): (Vec<String>, Vec<String>) = names().into_iter().partition(|name| is_view(name));
    let in_database = format!("database={database}");
    for name in tables.iter().chain(&views) {
        ask(&server, &in_database, statement(name)).await;
    }
    for name in tables {
        restore_rows(&server, database, &name).await;
    }
}

/// The columns of events that were stored before there were any say what the payload says.
pub(super) async fn check_columns(set: &Set) {
    let server = Api::new(set.setting("CLICKHOUSE_URL"), None);
    let question = format!(
        "SELECT event_type, payload, click_x, target_selector, scroll_depth, lcp FROM {}.events FORMAT JSONEachRow",
        set.database()
    );
    let answer = server.post("/?", question).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    let rows: Vec<Value> = answer.text.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    for (event_type, column, path) in [
        ("click", "click_x", "/x"),
        ("click", "target_selector", "/target/selector"),
        ("scroll", "scroll_depth", "/depth_percent"),
        ("web_vitals", "lcp", "/lcp"),
    ] {
        let mut values = 0;
        for row in &rows {
            let payload: Value = serde_json::from_str(row["payload"].as_str().unwrap()).unwrap();
            let is_one = row["event_type"] == event_type;
            let expected = payload.pointer(path).filter(|_| is_one);
            let rounded = expected.and_then(Value::as_f64).map(f64::round);
            assert_eq!(row[column].as_f64(), rounded, "{column}: {row}");
            assert_eq!(row[column].as_str(), expected.and_then(Value::as_str), "{column}: {row}");
            values += usize::from(expected.is_some());
        }
        assert!(values > 0, "{column} has no value");
    }
}

/// All rows, also those that a merge takes for one.
async fn restore_rows(server: &Api, database: &str, name: &str) {
    let rows = read_gz(&format!("clickhouse/{name}.native.gz"));
    ask(server, "", format!("SYSTEM STOP MERGES {database}.{name}")).await;
    if !rows.is_empty() {
        let insert = format!("INSERT%20INTO%20{database}.{name}%20FORMAT%20Native");
        ask(server, &format!("optimize_on_insert=0&query={insert}"), rows).await;
    }
    ask(server, "", format!("SYSTEM START MERGES {database}.{name}")).await;
}

async fn ask(server: &Api, parameters: &str, body: impl Into<reqwest::Body>) {
    let answer = server.post(&format!("/?wait_end_of_query=1&{parameters}"), body).await;
    assert!(answer.status.is_success(), "{parameters}: {}", answer.text);
}

/// Names of all tables and views.
fn names() -> Vec<String> {
    let files = fs::read_dir(path("clickhouse")).unwrap().map(|file| file.unwrap().file_name());
    let files = files.map(|name| name.into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|name| Some(name.strip_suffix(".sql")?.to_owned())).collect();
    names.sort();
    names
}

fn statement(name: &str) -> String {
    fs::read_to_string(path(&format!("clickhouse/{name}.sql"))).unwrap()
}

fn is_view(name: &str) -> bool {
    statement(name).starts_with("CREATE VIEW")
}
