//! An enricher of your own: here one that puts customers into segments by what they have spent.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use gosight::{Gosight, ReplaceParts as _};
use gosight_application::enrich::EnricherLimits;
use gosight_application::ingest::ClientFacts;
use gosight_application::ports::{Clock, EnricherError, Enrichment, EventEnricher, SystemClock};
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{ProjectId, SessionId, UserId};
use serde_json::{Map, json};

/// Knows what customers have spent. A real one would ask a database, and give an error when it cannot.
#[derive(Debug)]
struct Segments {
    spent: HashMap<&'static str, u32>,
}

impl Segments {
    fn of(&self, user: &UserId) -> Option<Enrichment> {
        let segment = if *self.spent.get(user.as_str())? >= 1_000 { "gold" } else { "silver" };
        let context = Map::from_iter([("segment".to_owned(), json!(segment))]);
        Some(Enrichment { context, ..Enrichment::default() })
    }
}

#[async_trait]
impl EventEnricher for Segments {
    fn name(&self) -> &'static str {
        "segments"
    }

    /// It does not even wait.
    fn may_block(&self) -> bool {
        false
    }

    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        let enrichment = |event: &DecodedEvent| self.of(event.event().user_id.as_ref()?);
        Ok(events.iter().map(|event| enrichment(event).unwrap_or_default()).collect())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let segments = Segments { spent: HashMap::from([("ada", 2_500), ("bob", 12)]) };
    let limits = EnricherLimits { timeout: Duration::from_millis(200), ..EnricherLimits::default() };
    let gosight = Gosight::builder()
        .data_dir(dir.path())
        .without_http()
        .with_enricher(Arc::new(segments), limits)
        .start()
        .await?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let now = SystemClock.now().as_millis() as f64;
    let draft = |user: &'static str| {
        Ok(EventDraft {
            event_type: Some(Cow::Borrowed("page_view")),
            timestamp: Some(now),
            session_id: Some(Cow::Borrowed("visit-1")),
            user_id: Some(Cow::Borrowed(user)),
            ..EventDraft::default()
        })
    };
    let project = ProjectId::new("shop")?;
    let ingest = gosight.ingest().context("it takes events")?;
    let drafts = [draft("ada"), draft("bob"), draft("eve")];
    ingest.events(&Scoped::vouched(project.clone()), &ClientFacts::default(), &drafts).await?;

    gosight.pipeline().drained().await;
    let query = gosight.query().context("it answers questions")?;
    let session = SessionId::new("visit-1")?;
    let events = query.session_events(&Scoped::vouched(project), &session, None, 10).await?;
    let segments: Vec<_> = events.iter().map(|event| event.context.to_value()["segment"].clone()).collect();
    assert_eq!(segments, [json!("gold"), json!("silver"), json!(null)]);
    println!("the customers are {}, {} and {}", segments[0], segments[1], segments[2]);
    gosight.stop().await?;
    Ok(())
}
