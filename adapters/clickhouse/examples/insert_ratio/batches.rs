//! Batches as the event-processor makes them of its log.

use std::collections::BTreeMap;
use std::sync::Arc;

use gosight_application::codec::encode_event;
use gosight_application::ports::{BoxError, PolledBatch, PolledRecord, ProcessedBatch, SystemClock};
use gosight_application::process::{BatchHandler, EventHandler, EventHandlerPorts};
use gosight_conformance::factory::{LOG, event, object, session_id};
use gosight_domain::ledger::{BatchSpan, LedgerRow};
use gosight_domain::{Event, Page, UserId};
use gosight_memory::MemoryStore;

/// Visitors who are there at the same time, in one partition of the log.
const VISITORS: u64 = 400;
/// Events of one session.
const SESSION_EVENTS: u64 = 20;

/// For each partition, its batches of `records` events.
pub async fn of_partitions(
    partitions: u32,
    batches: u64,
    records: u64,
) -> Result<Vec<Arc<Vec<ProcessedBatch>>>, BoxError> {
    let ports = EventHandlerPorts {
        deduplicator: Arc::new(MemoryStore::default()).deduplicator(),
        enrichers: Arc::default(),
        clock: Arc::new(SystemClock),
    };
    let handler = EventHandler::new(ports, Arc::default(), Arc::default());
    let mut all = Vec::new();
    for partition in 0..partitions {
        let mut of_partition = Vec::new();
        for batch in 0..batches {
            // The first record of each partition is one of which nothing is stored.
            let first = 1 + batch * records;
            let polled = polled(partition, first, records)?;
            of_partition.push(handler.handle(&polled, &BTreeMap::new()).await?);
        }
        all.push(Arc::new(of_partition));
    }
    Ok(all)
}

/// What comes before `first`: a record that became nothing.
pub fn nothing(first: &ProcessedBatch) -> ProcessedBatch {
    let span = &first.ledger.span;
    ProcessedBatch::empty(LedgerRow::new(BatchSpan { first: 0, last: span.first - 1, ..span.clone() }))
}

fn polled(partition: u32, first: u64, records: u64) -> Result<PolledBatch, BoxError> {
    let last = first + records - 1;
    let record = |offset| -> Result<PolledRecord, BoxError> {
        Ok(PolledRecord { offset, value: encode_event(&made_up(partition, offset)?)?.value })
    };
    Ok(PolledBatch {
        span: BatchSpan { log: LOG.into(), partition, first, last },
        records: (first..=last).map(record).collect::<Result<_, _>>()?,
    })
}

fn made_up(partition: u32, n: u64) -> Result<Event, BoxError> {
    let session = n / (VISITORS * SESSION_EVENTS) * VISITORS + n % VISITORS;
    let (event_type, payload) = match n % 5 {
        0 => ("page_view", "{}"),
        1 => (
            "click",
            r##"{"x":312,"y":80,"target":{"selector":"#app > div.grid > article.card:nth-of-type(4) > a","tag":"a","text":"Drip scale"}}"##,
        ),
        2 => ("scroll", r#"{"depth_percent":40}"#),
        3 => ("web_vitals", r#"{"ttfb":7,"lcp":164,"cls":0}"#),
        _ => (
            "product_view",
            r#"{"product_id":"p-17","name":"Drip scale","category":"tools","price":12.5,"currency":"EUR"}"#,
        ),
    };
    let path = format!("/shop/product/p-{}", n % 53);
    let id = u128::from(partition) << 64 | u128::from(n);
    Ok(Event {
        session_id: Some(session_id(&format!("session-{partition}-{session:08}"))),
        user_id: Some(UserId::new(format!("user-{}", session % 20_000))?),
        page: Page {
            url: format!("https://shop.example{path}"),
            path,
            title: "Drip scale – Kettle & Cup".into(),
            referrer: "https://shop.example/shop/list".into(),
        },
        payload: object(payload),
        ..event(scrambled(id), event_type, i64::try_from(n)?)
    })
}

/// Ids are random in real life, which is how much they can be compressed.
fn scrambled(n: u128) -> u128 {
    n.wrapping_mul(0x2d35_8dcc_aa6c_78a5_0a9d_4c36_b1f4_8f2b).rotate_left(61)
}
