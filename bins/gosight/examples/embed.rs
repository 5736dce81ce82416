//! The pipeline inside your own tokio program: no server, no port, one directory.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::borrow::Cow;

use anyhow::Context as _;
use gosight::Gosight;
use gosight_application::ingest::ClientFacts;
use gosight_application::ports::{Clock, SystemClock};
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{ProjectId, SessionId};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let gosight = Gosight::builder().data_dir(dir.path()).without_http().start().await?;

    let ingest = gosight.ingest().context("it takes events")?;
    let query = gosight.query().context("it answers questions")?;

    // Your service knows who is calling, so it vouches for the project instead of checking a key.
    let project = ProjectId::new("shop")?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let now = SystemClock.now().as_millis() as f64;
    let draft = EventDraft {
        event_type: Some(Cow::Borrowed("page_view")),
        timestamp: Some(now),
        session_id: Some(Cow::Borrowed("visit-1")),
        path: Some(Cow::Borrowed("/checkout")),
        ..EventDraft::default()
    };
    let client = ClientFacts {
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"),
        ..ClientFacts::default()
    };
    let receipt = ingest.events(&Scoped::vouched(project.clone()), &client, &[Ok(draft)]).await?;
    assert_eq!(receipt.accepted(), 1, "it is on the disk now");

    // It is processed within a moment.
    gosight.pipeline().drained().await;
    let session = SessionId::new("visit-1")?;
    let found = query.session(&Scoped::vouched(project), &session).await?.context("a session")?;
    assert_eq!(found.summary.entry_path, "/checkout");
    println!("a session began at {} and saw {} page", found.summary.entry_path, found.summary.page_count);
    gosight.stop().await?;
    Ok(())
}
