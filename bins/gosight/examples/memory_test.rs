//! A test of code that sends events, over the whole pipeline in memory: no disk, no server, and a clock that the test
//! sets.

use anyhow::Context as _;
use gosight_application::ingest::{ClientFacts, Ingest};
use gosight_application::pipeline::ReplaceParts as _;
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{ProjectId, SessionId, Timestamp};

/// Your code: says that a trial ended.
async fn trial_ended(ingest: &Ingest, project: &ProjectId, user: &str, at_ms: f64) -> anyhow::Result<()> {
    let event = EventDraft {
        // The same trial gives the same id, so saying it twice counts once.
        event_id: Some(format!("trial-ended-{user}").into()),
        event_type: Some("trial_ended".into()),
        user_id: Some(user.into()),
        session_id: Some(format!("billing-{user}").into()),
        timestamp: Some(at_ms),
        ..EventDraft::default()
    };
    ingest.events(&Scoped::vouched(project.clone()), &ClientFacts::default(), &[Ok(event)]).await?;
    Ok(())
}

/// Your test of it: `#[tokio::test]`.
async fn a_trial_that_is_said_to_end_twice_ends_once() -> anyhow::Result<()> {
    let noon_ms = 1_795_204_259_500;
    let clock = std::sync::Arc::new(gosight_memory::ManualClock::new(Timestamp::from_millis(noon_ms)));
    let pipeline = gosight_memory::pipeline().with_clock(clock.clone()).build()?;
    let running = pipeline.start();
    let ingest = pipeline.ingest.as_ref().context("memory takes events")?;
    let project = ProjectId::new("billing")?;

    trial_ended(ingest, &project, "u-1", 1_795_204_259_500.0).await?;
    clock.advance(60_000);
    trial_ended(ingest, &project, "u-1", 1_795_204_319_500.0).await?;

    // From here on it is processed: what was sent before can be asked for.
    pipeline.drained().await;
    let query = pipeline.query.as_ref().context("memory answers questions")?;
    let session = query.session(&Scoped::vouched(project), &SessionId::new("billing-u-1")?).await?;
    assert_eq!(session.context("a session")?.summary.event_count, 1);
    running.stop().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    a_trial_that_is_said_to_end_twice_ends_once().await
}
