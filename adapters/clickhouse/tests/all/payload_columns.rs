//! The columns of payloads say what `Details` says, whoever wrote the row.

mod cases;

use std::borrow::Cow;

use clickhouse::Row;
use gosight_conformance::factory::{event, object};
use gosight_domain::Event;
use gosight_domain::details::Details;
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::old_database::new_batch;
use cases::Case;

/// A row as a release before these columns inserts it, with no more than what a test needs.
#[derive(Row, Serialize)]
struct OldRow<'a> {
    project_id: &'a str,
    event_type: &'a str,
    payload: &'a str,
}

#[derive(Debug, Row, Deserialize)]
struct Stored {
    project_id: String,
    event_type: String,
    payload: String,
    click_x: Option<i16>,
    click_y: Option<i16>,
    target_selector: Option<String>,
    target_tag: Option<String>,
    target_role: Option<String>,
    target_text: Option<String>,
    scroll_depth: Option<u8>,
    error_message: Option<String>,
    error_stack: Option<String>,
    error_type: Option<String>,
    lcp: Option<u32>,
    fid: Option<u32>,
    inp: Option<u32>,
    cls: Option<f32>,
    ttfb: Option<u32>,
}

impl Stored {
    fn details(&self) -> Details<'_> {
        let text = |text: &'_ Option<String>| text.clone().map(Cow::Owned);
        Details {
            click_x: self.click_x,
            click_y: self.click_y,
            target_selector: text(&self.target_selector),
            target_tag: text(&self.target_tag),
            target_role: text(&self.target_role),
            target_text: text(&self.target_text),
            scroll_depth: self.scroll_depth,
            error_message: text(&self.error_message),
            error_stack: text(&self.error_stack),
            error_type: text(&self.error_type),
            lcp_ms: self.lcp,
            fid_ms: self.fid,
            inp_ms: self.inp,
            ttfb_ms: self.ttfb,
            cls: self.cls,
            cursor: Vec::new(),
        }
    }
}

impl Database {
    async fn insert_as_before(&self, project_id: &str, cases: &[Case]) {
        let client = self.client().with_validation(false);
        let mut insert = client.insert::<OldRow<'_>>("events").await.unwrap();
        for (event_type, payload) in cases {
            insert.write(&OldRow { project_id, event_type, payload }).await.unwrap();
        }
        insert.end().await.unwrap();
    }

    /// Compares each row with what the domain reads from its payload. Gives the number of rows of each project.
    async fn assert_columns(&self) -> Vec<(String, usize)> {
        let sql = format!("SELECT {} FROM events ORDER BY project_id", Stored::COLUMN_NAMES.join(", "));
        let rows = self.client().query_raw(&sql).fetch_all::<Stored>().await.unwrap();
        let mut counts: Vec<(String, usize)> = Vec::new();
        for row in &rows {
            let expected = Details::extract(&row.event_type, &row.payload).unwrap();
            let expected = Details { cursor: Vec::new(), ..expected };
            assert_eq!(row.details(), expected, "{}: {} {}", row.project_id, row.event_type, row.payload);
            match counts.last_mut() {
                Some((project, count)) if *project == row.project_id => *count += 1,
                _ => counts.push((row.project_id.clone(), 1)),
            }
        }
        counts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_say_what_the_domain_reads_from_the_payload() {
    let cases = [cases::written(), cases::recorded()].concat();
    let database = Database::of_version_09ea4e6().await;
    database.insert_as_before("before", &cases).await;
    let fixture = database.number("SELECT count() FROM events WHERE project_id IN ('default', 'shop')").await;
    assert!(fixture > 0);

    let writer = database.writer().await;
    database.insert_as_before("older", &cases).await;
    let events: Vec<Event> = (1..)
        .zip(&cases)
        .map(|(n, (event_type, payload))| Event { payload: object(payload), ..event(n, event_type, 0) })
        .collect();
    writer.commit(&new_batch(0, &events)).await.unwrap();

    let counts = database.assert_columns().await;
    let of = |project: &str| counts.iter().find(|(name, _)| name == project).map_or(0, |(_, count)| *count);
    assert_eq!([of("before"), of("older"), of("p")], [cases.len(); 3]);
    assert_eq!((of("default") + of("shop")) as u64, fixture);

    // No part has been rewritten. Once one is, its columns are still the same.
    let rewritten = "SELECT count() FROM system.mutations WHERE database = currentDatabase()";
    assert_eq!(database.number(rewritten).await, 0);
    database.run("OPTIMIZE TABLE events FINAL").await;
    assert_eq!(database.assert_columns().await, counts);
}
