//! Short numbers for names that stand in every row.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use gosight_domain::ProjectId;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

/// The numbers of projects and logs. What a transaction adds is kept apart until it is committed.
#[derive(Debug, Default)]
pub(super) struct Names {
    projects: Numbers<ProjectId>,
    logs: Numbers<Arc<str>>,
}

#[derive(Debug)]
struct Numbers<T> {
    known: HashMap<T, i64>,
    fresh: HashMap<T, i64>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), fresh: HashMap::new() }
    }
}

impl<T: Hash + Eq + Clone> Numbers<T> {
    fn get(&self, name: &T) -> Option<i64> {
        self.known.get(name).or_else(|| self.fresh.get(name)).copied()
    }
}

impl Names {
    /// The number of a project, given now if it has none.
    pub async fn project(
        &mut self,
        connection: &mut SqliteConnection,
        project_id: &ProjectId,
    ) -> sqlx::Result<i64> {
        if let Some(number) = self.projects.get(project_id) {
            return Ok(number);
        }
        let number = project_number(connection, project_id).await?;
        self.projects.fresh.insert(project_id.clone(), number);
        Ok(number)
    }

    /// The number of a log, given now if it has none.
    pub async fn log(&mut self, connection: &mut SqliteConnection, name: &Arc<str>) -> sqlx::Result<i64> {
        if let Some(number) = self.logs.get(name) {
            return Ok(number);
        }
        sqlx::query("INSERT OR IGNORE INTO logs (name) VALUES (?)")
            .bind(&**name)
            .execute(&mut *connection)
            .await?;
        let row =
            sqlx::query("SELECT id FROM logs WHERE name = ?").bind(&**name).fetch_one(connection).await?;
        let number = row.try_get(0)?;
        self.logs.fresh.insert(name.clone(), number);
        Ok(number)
    }

    /// The transaction was committed: what it added stays.
    pub fn keep(&mut self) {
        self.projects.known.extend(self.projects.fresh.drain());
        self.logs.known.extend(self.logs.fresh.drain());
    }

    /// The transaction was rolled back: what it added is gone.
    pub fn forget(&mut self) {
        self.projects.fresh.clear();
        self.logs.fresh.clear();
    }
}

async fn project_number(connection: &mut SqliteConnection, project_id: &ProjectId) -> sqlx::Result<i64> {
    sqlx::query("INSERT OR IGNORE INTO projects (project_id) VALUES (?)")
        .bind(project_id.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT id FROM projects WHERE project_id = ?")
        .bind(project_id.as_str())
        .fetch_one(connection)
        .await?
        .try_get(0)
}
