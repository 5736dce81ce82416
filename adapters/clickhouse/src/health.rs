use async_trait::async_trait;
use gosight_application::ports::{Health, HealthCheck};

use crate::ADAPTER;
use crate::store::ClickHouseStore;

#[async_trait]
impl HealthCheck for ClickHouseStore {
    fn name(&self) -> &'static str {
        ADAPTER
    }

    async fn check(&self) -> Health {
        let answer = self.connection.query("SELECT 1").execute();
        match tokio::time::timeout(std::time::Duration::from_secs(1), answer).await {
            Ok(Ok(())) => Health::Up,
            Ok(Err(error)) => {
                tracing::warn!(%error, "ClickHouse unavailable");
                Health::Down("does not answer".into())
            }
            Err(_) => Health::Down("does not answer within a second".into()),
        }
    }
}
