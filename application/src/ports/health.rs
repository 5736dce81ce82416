use std::fmt;

use async_trait::async_trait;

/// How a part is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it should.
    Up,
    /// It works without something; nothing is lost.
    Degraded(String),
    /// It does not work, and what needs it fails.
    Down(String),
}

/// A part that can say how it is doing, for readiness.
#[async_trait]
pub trait HealthCheck: fmt::Debug + Send + Sync {
    /// Name of the part.
    fn name(&self) -> &'static str;

    /// How it is doing right now. Answers within a second or so.
    async fn check(&self) -> Health;
}
