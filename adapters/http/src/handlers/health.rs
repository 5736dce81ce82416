//! `GET /health`, `/ready` and `/metrics`: for those who run the service. No key is asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::join_all;
use gosight_application::ports::{Health, HealthCheck};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::state::App;

/// Whether the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthAnswer {
    /// Always `ok`.
    #[schema(value_type = String)]
    status: &'static str,
}

/// Whether requests should be sent here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyAnswer {
    /// `ready`, `degraded` (something works without a part of it) or `not_ready`.
    #[schema(value_type = String)]
    status: &'static str,
    /// What it depends on.
    checks: Vec<CheckAnswer>,
}

/// How one part is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckAnswer {
    /// Name of the part.
    #[schema(value_type = String)]
    name: &'static str,
    /// `up`, `degraded` or `down`.
    #[schema(value_type = String)]
    status: &'static str,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What writes all numbers as text.
pub(crate) type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The routes of `/metrics`, for which there is no state but this.
pub(crate) fn metrics_route(render: RenderMetrics) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(render)
}

/// Liveness
///
/// Answers as long as the process does.
#[utoipa::path(
    get, path = "/health", tag = "operation",
    responses((status = 200, description = "The process lives", body = HealthAnswer)),
)]
pub(crate) async fn health() -> Response {
    answer::ok(&HealthAnswer { status: "ok" })
}

/// Readiness
///
/// Asks every part how it is doing. A part that does not answer in time counts as down.
#[utoipa::path(
    get, path = "/ready", tag = "operation",
    responses(
        (status = 200, description = "Ready, or degraded", body = ReadyAnswer),
        (status = 503, description = "Not ready, or shutting down", body = ReadyAnswer),
    ),
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let wait = app.config.readiness_timeout;
    let mut checks = join_all(app.health.iter().map(|check| run(&**check, wait))).await;
    if app.draining.is_cancelled() {
        checks.push(CheckAnswer::of("server", Health::Down("is shutting down".to_owned())));
    }
    let any = |status| checks.iter().any(|check| check.status == status);
    let (code, status) = match (any("down"), any("degraded")) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
        (false, true) => (StatusCode::OK, "degraded"),
        (false, false) => (StatusCode::OK, "ready"),
    };
    answer::json(code, &ReadyAnswer { status, checks })
}

async fn run(check: &dyn HealthCheck, wait: Duration) -> CheckAnswer {
    let health = tokio::time::timeout(wait, check.check()).await;
    let late = |_| Health::Down(format!("did not answer within {} seconds", wait.as_secs_f64()));
    CheckAnswer::of(check.name(), health.unwrap_or_else(late))
}

impl CheckAnswer {
    fn of(name: &'static str, health: Health) -> Self {
        let (status, detail) = match health {
            Health::Up => ("up", None),
            Health::Degraded(detail) => ("degraded", Some(detail)),
            Health::Down(detail) => ("down", Some(detail)),
        };
        Self { name, status, detail }
    }
}

/// Numbers for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Every metric in the text format", body = String)),
)]
pub(crate) async fn metrics(State(render): State<RenderMetrics>) -> Response {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], render()).into_response()
}
