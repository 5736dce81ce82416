//! A look at everything that is old.

use futures::StreamExt as _;
use gosight_domain::replay::ReplaySession;
use tokio_util::sync::CancellationToken;

use super::clean::{Held, Step};
use super::{ArchiveError, Archived, Archiver, millis};
use crate::ports::{CatalogueQuery, PortError};
use crate::telemetry::Metric;

/// What a pass over all old sessions did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassReport {
    /// Sessions that were archived.
    pub archived: u64,
    /// Sessions whose archived chunks were deleted in the hot store.
    pub cleaned: u64,
    /// Sessions that were put into quarantine.
    pub quarantined: u64,
    /// Sessions that failed, and are tried again in the next pass.
    pub failed: u64,
    /// Archived replays that were deleted because of their age.
    pub expired: u64,
}

/// Chunks that are named in memory before they are deleted. One session may have more.
const DELETED_AT_ONCE: usize = 10_000;

impl Archiver {
    /// Looks at all sessions that are old, and at all objects that are too old. A session that fails does not stop the
    /// others.
    ///
    /// # Errors
    /// When the sessions cannot be listed.
    pub async fn pass(&self, stop: &CancellationToken) -> Result<PassReport, PortError> {
        let mut report = PassReport::default();
        let before = self.clock.now().plus_millis(-millis(self.policy.hot_retention));
        let mut after = None;
        while !stop.is_cancelled() {
            let sessions = self.replays.hot.idle(before, after, self.policy.batch).await?;
            let Some(last) = sessions.last().cloned() else { break };
            let mut steps = futures::stream::iter(sessions)
                .map(|session| async move {
                    let is_stopped = stop.is_cancelled();
                    let step = if is_stopped {
                        Ok(Step::Done(Archived::Nothing))
                    } else {
                        self.step(&session, false).await
                    };
                    (step, session)
                })
                .buffer_unordered(self.policy.parallel);
            let mut held = Vec::new();
            while let Some((step, session)) = steps.next().await {
                match step {
                    Ok(Step::Clean(session)) => held.push(*session),
                    Ok(Step::Done(archived)) => self.note(&mut report, &session, Ok(archived)),
                    Err(error) => self.note(&mut report, &session, Err(error)),
                }
                if held.iter().map(Held::chunks).sum::<usize>() >= DELETED_AT_ONCE {
                    self.clean_and_note(std::mem::take(&mut held), &mut report).await;
                }
            }
            self.clean_and_note(held, &mut report).await;
            tracing::info!(?report, "archiving");
            after = Some(last);
        }
        self.expire(stop, &mut report).await?;
        Ok(report)
    }

    async fn clean_and_note(&self, held: Vec<Held>, report: &mut PassReport) {
        let sessions = held.len() as u64;
        if sessions == 0 {
            return;
        }
        match self.clean(held).await {
            Ok(cleaned) => {
                for (session, result) in cleaned {
                    self.note(report, &session, result);
                }
            }
            Err(error) => {
                tracing::warn!(sessions, %error, "archived, but not deleted in the hot store");
                report.failed += sessions;
                self.telemetry.count(Metric::ReplaysArchived, &[("outcome", "failed")], sessions);
            }
        }
    }

    fn note(&self, report: &mut PassReport, session: &ReplaySession, result: Result<Archived, ArchiveError>) {
        let outcome = match result {
            Ok(Archived::Nothing | Archived::Busy) => return,
            Ok(Archived::Stored) => (&mut report.archived, "archived"),
            Ok(Archived::Cleaned) => (&mut report.cleaned, "cleaned"),
            Ok(Archived::Quarantined) => (&mut report.quarantined, "quarantined"),
            Err(error) => {
                tracing::warn!(session = %session.session_id, project = %session.project_id, %error, "not archived");
                (&mut report.failed, "failed")
            }
        };
        *outcome.0 += 1;
        self.telemetry.count(Metric::ReplaysArchived, &[("outcome", outcome.1)], 1);
    }

    /// Deletes archived replays that are too old. One that cannot be deleted does not keep the others.
    async fn expire(&self, stop: &CancellationToken, report: &mut PassReport) -> Result<(), PortError> {
        let before = self.clock.now().plus_millis(-millis(self.policy.cold_retention));
        let mut after = None;
        while !stop.is_cancelled() {
            let query = CatalogueQuery {
                project_id: None,
                archived_before: Some(before),
                after,
                limit: self.policy.batch,
            };
            let entries = self.cold.catalogue.list(&query).await?;
            let Some(last) = entries.last().map(|entry| entry.session.clone()) else { break };
            for entry in entries.into_iter().take_while(|_| !stop.is_cancelled()) {
                let session = &entry.session;
                let forget = async || {
                    let current = self.entry(session).await?.archived;
                    let is_old = current.is_some_and(|archived| archived.archived_at < before);
                    Ok::<_, PortError>(is_old && self.forget(session).await?)
                };
                match self.alone(session, forget).await {
                    Ok(Some(true)) => {
                        report.expired += 1;
                        self.telemetry.count(Metric::ReplaysArchived, &[("outcome", "expired")], 1);
                    }
                    Ok(_) => {}
                    Err(error) => self.note(report, session, Err(error.into())),
                }
            }
            after = Some(last);
        }
        Ok(())
    }
}
