//! A sink of your own: here one that counts purchases, beside the event log.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gosight::Gosight;
use gosight_application::ingest::ClientFacts;
use gosight_application::ports::{Clock, EventSink, SinkError, SystemClock};
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{Event, ProjectId};

/// Counts purchases. A real one would send them on, and answer `Transient` when the other side is away: then nothing
/// is acknowledged, and the client sends it again.
#[derive(Debug, Default)]
struct Purchases(AtomicU64);

#[async_trait]
impl EventSink for Purchases {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let purchases = events.iter().filter(|event| event.event_type.as_str() == "purchase").count();
        self.0.fetch_add(purchases as u64, Ordering::Relaxed);
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
    gosight.ingest().events(&project, &ClientFacts::default(), &drafts).await?;
    assert_eq!(purchases.0.load(Ordering::Relaxed), 2);
    gosight.stop().await?;
    Ok(())
}
