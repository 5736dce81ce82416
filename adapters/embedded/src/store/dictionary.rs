//! Short numbers for names that stand in every row.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use gosight_domain::{ProjectId, Violation};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

/// The numbers of projects and logs that are committed. Shared with readers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    projects: RwLock<HashMap<ProjectId, i64>>,
    logs: RwLock<HashMap<Arc<str>, i64>>,
}

impl Numbers {
    /// Adds what the database has.
    pub async fn load(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        for row in sqlx::query("SELECT project_id, id FROM projects").fetch_all(&mut *connection).await? {
            let name: String = row.try_get(0)?;
            let name = ProjectId::new(name).map_err(|error: Violation| sqlx::Error::Decode(error.into()))?;
            keep(&self.projects, [(name, row.try_get(1)?)]);
        }
        for row in sqlx::query("SELECT name, id FROM logs").fetch_all(connection).await? {
            let name: String = row.try_get(0)?;
            keep(&self.logs, [(name.into(), row.try_get(1)?)]);
        }
        Ok(())
    }

    pub fn project(&self, project_id: &ProjectId) -> Option<i64> {
        find(&self.projects, project_id)
    }

    pub fn log(&self, name: &Arc<str>) -> Option<i64> {
        find(&self.logs, name)
    }

    /// The log with this number. There are few of them.
    pub fn log_name(&self, number: i64) -> Option<Arc<str>> {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        logs.iter().find(|(_, known)| **known == number).map(|(name, _)| name.clone())
    }
}

fn find<T: Hash + Eq>(numbers: &RwLock<HashMap<T, i64>>, name: &T) -> Option<i64> {
    numbers.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
}

fn keep<T: Hash + Eq>(numbers: &RwLock<HashMap<T, i64>>, new: impl IntoIterator<Item = (T, i64)>) {
    numbers.write().unwrap_or_else(PoisonError::into_inner).extend(new);
}

/// The numbers as one transaction sees them. What it adds is kept apart until it is committed.
#[derive(Debug)]
pub(super) struct Names {
    committed: Arc<Numbers>,
    projects: HashMap<ProjectId, i64>,
    logs: HashMap<Arc<str>, i64>,
}

impl Names {
    pub fn new(committed: Arc<Numbers>) -> Self {
        Self { committed, projects: HashMap::new(), logs: HashMap::new() }
    }

    /// The number of a project, given now if it has none.
    pub async fn project(
        &mut self,
        connection: &mut SqliteConnection,
        project_id: &ProjectId,
    ) -> sqlx::Result<i64> {
        let known = self.committed.project(project_id).or_else(|| self.projects.get(project_id).copied());
        if let Some(number) = known {
            return Ok(number);
        }
        sqlx::query("INSERT OR IGNORE INTO projects (project_id) VALUES (?)")
            .bind(project_id.as_str())
            .execute(&mut *connection)
            .await?;
        let row = sqlx::query("SELECT id FROM projects WHERE project_id = ?").bind(project_id.as_str());
        let number = row.fetch_one(connection).await?.try_get(0)?;
        self.projects.insert(project_id.clone(), number);
        Ok(number)
    }

    /// The number of a log, given now if it has none.
    pub async fn log(&mut self, connection: &mut SqliteConnection, name: &Arc<str>) -> sqlx::Result<i64> {
        let known = self.committed.log(name).or_else(|| self.logs.get(name).copied());
        if let Some(number) = known {
            return Ok(number);
        }
        sqlx::query("INSERT OR IGNORE INTO logs (name) VALUES (?)")
            .bind(&**name)
            .execute(&mut *connection)
            .await?;
        let row = sqlx::query("SELECT id FROM logs WHERE name = ?").bind(&**name);
        let number = row.fetch_one(connection).await?.try_get(0)?;
        self.logs.insert(name.clone(), number);
        Ok(number)
    }

    /// The transaction was committed: what it added stays.
    pub fn keep(&mut self) {
        keep(&self.committed.projects, self.projects.drain());
        keep(&self.committed.logs, self.logs.drain());
    }

    /// The transaction was rolled back: what it added is gone.
    pub fn forget(&mut self) {
        self.projects.clear();
        self.logs.clear();
    }
}
