//! A sink of your own: here one that counts purchases, beside the event log.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;
use gosight::{Gosight, ReplaceParts as _};
use gosight_application::ingest::ClientFacts;
use gosight_application::ports::{Clock, EventSink, SinkError, SystemClock};
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{Event, EventId, ProjectId};

/// Counts purchases, each once: a client that got no answer sends its request again, and the sink sees the same events
/// once more. A real one would hand `event_id` on to where events are told apart by it, and answer `Transient` when
/// the other side is unavailable: then nothing is acknowledged, and the client sends it again.
#[derive(Debug, Default)]
struct Purchases(Mutex<HashSet<EventId>>);

impl Purchases {
    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[async_trait]
impl EventSink for Purchases {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let purchases = events.iter().filter(|event| event.event_type.as_str() == "purchase");
        let ids = purchases.map(|event| event.event_id);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let purchases = Arc::new(Purchases::default());
    let gosight = Gosight::builder()
        .data_dir(dir.path())
        .without_http()
        .also_send_to(purchases.clone())
        .start()
        .await?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let now = SystemClock.now().as_millis() as f64;
    let draft = |event_type: &'static str| {
        Ok(EventDraft {
            event_type: Some(Cow::Borrowed(event_type)),
            timestamp: Some(now),
            ..EventDraft::default()
        })
    };
    let project = Scoped::vouched(ProjectId::new("shop")?);
    let drafts = [draft("page_view"), draft("purchase"), draft("purchase")];
    let ingest = gosight.ingest().context("it takes events")?;
    // Sent twice, as after a timeout.
    for _ in 0..2 {
        ingest.events(&project, &ClientFacts::default(), &drafts).await?;
    }
    assert_eq!(purchases.count(), 2);
    println!("the sink has seen {} purchases", purchases.count());
    gosight.stop().await?;
    Ok(())
}
