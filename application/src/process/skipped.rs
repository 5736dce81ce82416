//! Which measures were skipped.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gosight_domain::{ProjectId, Timestamp};

use crate::ports::{SkippedMeasure, SkippedMeasures, Skips};
use crate::telemetry::{Metric, Telemetry};

/// Most projects that are remembered: the one that was not heard of for longest makes room.
const MAX_PROJECTS: usize = 1_000;

/// The measures that were skipped since the start, by project. Nobody but the project is to read what a measure says of
/// its events.
#[derive(Debug, Default)]
pub struct SkippedMeasureStats {
    telemetry: Telemetry,
    projects: Mutex<HashMap<ProjectId, Project>>,
}

#[derive(Debug)]
struct Project {
    last_at: Timestamp,
    skipped: BTreeMap<SkippedMeasure, SkippedSince>,
}

/// How often a measure was skipped for one reason since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedSince {
    /// For how many events.
    pub events: u64,
    /// What was said last.
    pub last_error: Arc<str>,
    /// When it was said.
    pub last_at: Timestamp,
}

impl SkippedMeasureStats {
    pub(super) fn new(telemetry: Telemetry) -> Self {
        Self { telemetry, projects: Mutex::default() }
    }

    /// The measures of an aggregation that were skipped for events of a project, each with the reason and how often.
    pub fn of(&self, project_id: &ProjectId, aggregation: &str) -> Vec<(SkippedMeasure, SkippedSince)> {
        let projects = self.lock();
        let of_project = projects.get(project_id).into_iter().flat_map(|project| &project.skipped);
        let found = of_project.filter(|(skipped, _)| *skipped.aggregation == *aggregation);
        found.map(|(skipped, since)| (skipped.clone(), since.clone())).collect()
    }

    /// Counts what was skipped in a batch that is stored now.
    pub(super) fn record(&self, batch: &SkippedMeasures, now: Timestamp) {
        if let Some((SkippedMeasure { aggregation, measure, reason, .. }, skips)) = batch.iter().next() {
            let error = &skips.last_error;
            tracing::warn!(%aggregation, %measure, reason, error, "measures were skipped, here is one of them");
        }
        for (skipped, skips) in batch.iter() {
            let SkippedMeasure { aggregation, measure, reason, .. } = skipped;
            let labels = [("aggregation", &**aggregation), ("measure", &**measure), ("reason", *reason)];
            self.telemetry.count(Metric::MeasuresSkipped, &labels, skips.events);
            self.add(skipped, skips, now);
        }
    }

    fn add(&self, skipped: &SkippedMeasure, skips: &Skips, now: Timestamp) {
        let mut projects = self.lock();
        if !projects.contains_key(&skipped.project_id) && projects.len() >= MAX_PROJECTS {
            let oldest = projects.iter().min_by_key(|(_, project)| project.last_at);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                projects.remove(&oldest);
            }
        }
        let fresh = || Project { last_at: now, skipped: BTreeMap::new() };
        let project = projects.entry(skipped.project_id.clone()).or_insert_with(fresh);
        project.last_at = now;
        let events = project.skipped.get(skipped).map_or(0, |since| since.events) + skips.events;
        let since = SkippedSince { events, last_error: skips.last_error.as_str().into(), last_at: now };
        project.skipped.insert(skipped.clone(), since);
    }

    /// Every value behind it is whole after each statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<ProjectId, Project>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::MeasureFault;

    #[test]
    fn only_so_many_projects_are_remembered() {
        let stats = SkippedMeasureStats::default();
        let project = |n: usize| ProjectId::new(format!("p-{n}")).unwrap();
        for n in 0..=MAX_PROJECTS {
            let mut batch = SkippedMeasures::default();
            batch.add(&project(n), &"a".into(), &"m".into(), &MeasureFault::TooMany);
            stats.record(&batch, Timestamp::from_millis(i64::try_from(n).unwrap()));
        }
        assert_eq!(stats.lock().len(), MAX_PROJECTS);
        assert!(stats.of(&project(0), "a").is_empty(), "the oldest makes room");
        assert_eq!(stats.of(&project(MAX_PROJECTS), "a").len(), 1);
        assert!(stats.of(&project(MAX_PROJECTS), "b").is_empty());
    }
}
