//! Places from a file that may be replaced at any time.

mod database;
mod stamp;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use gosight_application::ports::Health;

use self::database::{Database, DatabaseError, Place};
use self::stamp::Stamp;
use crate::config::GeoIpConfig;

/// What a look at the database file gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// No database is configured.
    NotConfigured,
    /// It is the file that is in use.
    Unchanged,
    /// It was read, and is in use from now on.
    Loaded,
    /// It is no good; what was in use stays in use. Readiness has the reason.
    Failed,
}

/// The database in use, and how to come by a newer one.
#[derive(Debug)]
pub(crate) struct GeoIp {
    path: Option<PathBuf>,
    interval: Duration,
    /// Held for an instant only: to take the database for a lookup, or to put another in its place.
    current: RwLock<Current>,
    /// The file in use; none when the last look failed. Held while a file is read, so that only one is read at a time.
    stamp: Mutex<Option<Stamp>>,
}

#[derive(Debug, Clone, Default)]
struct Current {
    database: Option<Arc<Database>>,
    problem: Option<Arc<str>>,
}

impl GeoIp {
    /// Reads the file for the first time.
    pub(crate) fn open(config: &GeoIpConfig) -> Self {
        let geoip = Self {
            path: config.database_path.clone(),
            interval: config.reload_interval.max(GeoIpConfig::SHORTEST_INTERVAL),
            current: RwLock::default(),
            stamp: Mutex::default(),
        };
        geoip.refresh();
        geoip
    }

    /// Time between two looks at the file.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// The place of `ip`, empty when it is not known.
    pub(crate) fn find(&self, ip: IpAddr) -> Place {
        self.current().database.map(|database| database.find(ip)).unwrap_or_default()
    }

    /// Reads the file if it is not the one in use.
    pub(crate) fn refresh(&self) -> Refresh {
        let Some(path) = &self.path else { return Refresh::NotConfigured };
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        match load_changed(path, stamp.as_ref()) {
            Ok(None) => Refresh::Unchanged,
            Ok(Some((new_stamp, database))) => {
                *stamp = Some(new_stamp);
                self.accept(path, database);
                Refresh::Loaded
            }
            Err(error) => {
                *stamp = None;
                self.complain(path, &error);
                Refresh::Failed
            }
        }
    }

    /// How it is doing, for readiness.
    pub(crate) fn health(&self) -> Health {
        let Some(path) = &self.path else {
            return Health::Degraded(
                "no database configured; events carry no country and no city".to_owned(),
            );
        };
        let path = path.display();
        let Current { database, problem } = self.current();
        let Some(database) = database else {
            let problem = problem.as_deref().unwrap_or("not read yet");
            return Health::Degraded(format!("{path}: {problem}; events carry no country and no city"));
        };
        if let Some(problem) = problem {
            return Health::Degraded(format!("{path}: {problem}; {database} stays in use"));
        }
        match database.failed_lookups() {
            0 => Health::Up,
            failed => Health::Degraded(format!("{path}: failed lookups: {failed}; the file may be damaged")),
        }
    }

    fn accept(&self, path: &Path, database: Database) {
        tracing::info!(path = %path.display(), %database, "geoip database loaded");
        let new = Current { database: Some(Arc::new(database)), problem: None };
        let old = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, new)
        };
        // Freed after the lock: tens of MB take their time.
        drop(old);
    }

    fn complain(&self, path: &Path, error: &DatabaseError) {
        let problem = error.to_string();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.problem.as_deref() != Some(&problem) {
            tracing::warn!(path = %path.display(), %error, "geoip database unusable");
            current.problem = Some(problem.into());
        }
    }

    fn current(&self) -> Current {
        // What is inside is replaced as a whole, so a panic elsewhere does not spoil it.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The database at `path`, unless it is the file of `known`.
fn load_changed(path: &Path, known: Option<&Stamp>) -> Result<Option<(Stamp, Database)>, DatabaseError> {
    let (stamp, file) = Stamp::open(path)?;
    if known.is_some_and(|known| known.is_still(&stamp)) {
        return Ok(None);
    }
    Ok(Some((stamp, Database::read(file)?)))
}

#[cfg(test)]
mod tests;
