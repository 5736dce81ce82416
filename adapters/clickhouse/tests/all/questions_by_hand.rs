//! The examples of `docs/clickhouse.md`, run as a person runs them.

use gosight_conformance::factory::{batch, event, object, project, session_id};
use gosight_domain::time::DAY_MS;
use gosight_domain::{Event, Page};

use crate::database::Database;

const DOCUMENT: &str = include_str!("../../../../docs/clickhouse.md");

/// The statements of the chapter, in order.
fn examples() -> Vec<&'static str> {
    let chapter = DOCUMENT.split_once("## Questions by hand").unwrap().1;
    let chapter = chapter.split_once("\n### ").unwrap().0;
    chapter.split("```sql\n").skip(1).map(|rest| rest.split_once("```").unwrap().0.trim()).collect()
}

/// An event of `session`, with a page and a payload.
fn on(session: &str, n: u128, path: &str, event_type: &str, payload: &str) -> Event {
    Event {
        project_id: project("shop"),
        session_id: Some(session_id(session)),
        page: Page { path: path.to_owned(), ..Page::default() },
        payload: object(payload),
        ..event(n, event_type, i64::try_from(n).unwrap() * 1_000)
    }
}

fn events() -> Vec<Event> {
    let buy = r##"{"x":1,"y":2,"target":{"selector":"#buy","tag":"button"}}"##;
    let late = |event: Event| Event { timestamp: event.timestamp.plus_millis(DAY_MS), ..event };
    vec![
        on("a", 1, "/", "page_view", "{}"),
        on("a", 2, "/", "click", buy),
        on("a", 3, "/", "click", r##"{"target":{"selector":"#other"}}"##),
        on("a", 4, "/", "scroll", r#"{"depth_percent":80}"#),
        on("a", 5, "/cart", "page_view", "{}"),
        on("a", 6, "/cart", "web_vitals", r#"{"lcp":1200.4,"ttfb":90}"#),
        on("b", 7, "/cart", "page_view", "{}"),
        on("b", 8, "/cart", "web_vitals", r#"{"lcp":400}"#),
        on("b", 9, "/cart", "web_vitals", r#"{"cls":0.1}"#),
        on("b", 10, "/cart", "js_error", r#"{"message":"x is not defined","errorType":"ReferenceError"}"#),
        on("b", 11, "/cart", "js_error", r#"{"message":"x is not defined","error_type":"ReferenceError"}"#),
        on("c", 12, "/", "page_view", "{}"),
        on("c", 13, "/", "web_vitals", r#"{"lcp":300}"#),
        late(on("c", 14, "/", "click", buy)),
        Event { project_id: project("other"), ..on("d", 15, "/", "click", buy) },
    ]
}

async fn ask(database: &Database, sql: &str) -> Vec<String> {
    let mut lines = database.client().query_raw(sql).fetch_bytes("TSV").unwrap();
    let text = lines.collect().await.unwrap();
    String::from_utf8(text.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_document_answer() {
    let database = Database::shared();
    database.writer().await.commit(&batch(0, &events())).await.unwrap();
    let expected: [&[&str]; 5] = [
        &["2026-11-20\t1\t1", "2026-11-21\t1\t1"],
        &["/cart\t1200\t2", "/\t300\t1"],
        &["ReferenceError\tx is not defined\t2\t1"],
        &["/cart\t2\t40", "/\t1\t0"],
        &["/cart\t2", "/\t1"],
    ];
    let examples = examples();
    assert_eq!(examples.len(), expected.len());
    for (sql, expected) in examples.iter().zip(expected) {
        let sql = sql.strip_suffix(';').unwrap();
        assert_eq!(ask(&database, sql).await, expected, "{sql}");
    }
}
