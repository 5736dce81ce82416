//! A session store of your own, beside the embedded log and the store of events.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

mod store;

use std::sync::Arc;

use anyhow::Context as _;
use gosight::{Gosight, ReplaceParts as _};
use gosight_application::ingest::ClientFacts;
use gosight_application::ports::{Clock, SystemClock};
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{ProjectId, SessionId};

use store::OwnSessions;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let sessions = Arc::new(OwnSessions::default());
    let gosight = Gosight::builder()
        .data_dir(dir.path())
        .without_http()
        .with_sessions(sessions.clone())
        .start()
        .await?;

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let now = SystemClock.now().as_millis() as f64;
    let draft = |session: &'static str| EventDraft {
        event_type: Some("page_view".into()),
        timestamp: Some(now),
        session_id: Some(session.into()),
        ..EventDraft::default()
    };
    let project = ProjectId::new("shop")?;
    let drafts = ["visit-1", "visit-1", "visit-2"].map(|session| Ok(draft(session)));
    let ingest = gosight.ingest().context("it takes events")?;
    ingest.events(&Scoped::vouched(project.clone()), &ClientFacts::default(), &drafts).await?;
    gosight.pipeline().drained().await;
    assert_eq!(sessions.count(), 2);

    // Whoever asks is answered from there.
    let query = gosight.query().context("it answers questions")?;
    let session =
        query.session(&Scoped::vouched(project), &SessionId::new("visit-1")?).await?.context("a session")?;
    assert_eq!(session.summary.page_count, 2);
    println!(
        "the store has {} sessions; the first saw {} pages",
        sessions.count(),
        session.summary.page_count
    );
    gosight.stop().await?;
    Ok(())
}
