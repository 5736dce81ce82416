//! What is counted and said of every request: its route, its status and its time; never its key, query or body.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use gosight_application::Telemetry;
use gosight_application::surface::FailureCode;
use gosight_application::telemetry::Metric;

/// The route of requests that no route was found for: their paths are as many as clients like.
const NO_ROUTE: &str = "none";

/// Counts a request and says that it was there.
pub(crate) async fn observe(State(telemetry): State<Telemetry>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let start = Instant::now();
    let response = next.run(request).await;
    let elapsed = start.elapsed();
    let route = matched.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let status = response.status();
    telemetry.count(Metric::HttpRequests, &[("route", route), ("status", status.as_str())], 1);
    telemetry.observe_time(Metric::HttpSeconds, &[("route", route)], elapsed);
    if let Some(code) = response.extensions().get::<FailureCode>() {
        telemetry.count(Metric::RequestsRefused, &[("reason", code.as_str())], 1);
    }
    tracing::debug!(%method, route, status = status.as_u16(), ?elapsed, "request");
    response
}
