use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{delete, get, post};
use gosight_application::surface::Dialect;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::HttpConfig;
use crate::dialects;
use crate::handlers::{
    aggregation, fallback, health, ingest, ledger, metrics, processor, replay_archive, replay_events,
    replay_manifest, sessions,
};
use crate::key::PROJECT_KEY;
use crate::observe::observe;
use crate::openapi;
use crate::state::{App, ArchiveState, HttpPorts, IngestState, ProcessorState, ReadState};

/// How long a browser may remember that it is allowed to call.
const CORS_MAX_AGE: std::time::Duration = std::time::Duration::from_hours(24);

/// All routes that `ports` have a use case for, to be served by a server of the embedder's own.
///
/// The addresses of clients are known only if that server gives them as
/// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo). Of `config` the limits on bodies, the proxies and the
/// origins count; connections are the server's business. Check it with [`HttpConfig::validate`] before.
pub fn router(config: HttpConfig, ports: HttpPorts) -> Router {
    let app = App::new(config, &ports);
    routes(&app, ports)
}

/// All routes over `app`.
pub(crate) fn routes(app: &Arc<App>, ports: HttpPorts) -> Router {
    let mut read = operation_routes(app).merge(health::metrics_route(ports.render_metrics.clone()));
    if let Some(query) = ports.query.clone() {
        let processor = ports.processor.clone();
        read = read.merge(read_routes(ReadState { app: app.clone(), query, processor }));
    }
    if let Some(archiver) = ports.archiver.clone() {
        read = read.merge(archive_routes(ArchiveState { app: app.clone(), archiver }));
    }
    if let Some(processor) = ports.processor.clone() {
        read = read.merge(processor_routes(ProcessorState { app: app.clone(), processor }));
    }
    let mut all = read.layer(CompressionLayer::new());
    if app.config.swagger {
        all = all.merge(openapi::routes(&ports));
        all = all.route("/", get(|| async { Redirect::temporary("/swagger/") }));
    }
    if let Some(ingest) = ports.ingest {
        let state = IngestState::new(app.clone(), ingest);
        all = all.merge(ingest_routes(&state, ports.dialects));
    }
    all.fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(CatchPanicLayer::custom(fallback::panicked))
        .layer(cors(&app.config))
        .layer(from_fn_with_state(app.telemetry.clone(), observe))
}

fn operation_routes(app: &Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .with_state(app.clone())
}

/// One route for each path of each dialect; of two dialects with one path the later has it.
fn ingest_routes(state: &IngestState, more: Vec<Arc<dyn Dialect>>) -> Router {
    let built_in = dialects::built_in().into_iter().map(|spoken| spoken.dialect);
    let by_path: BTreeMap<&'static str, Arc<dyn Dialect>> = built_in
        .chain(more)
        .flat_map(|dialect| dialect.paths().iter().map(move |path| (*path, dialect.clone())))
        .collect();
    by_path.into_iter().fold(Router::new(), |router, (path, dialect)| {
        let state = state.clone();
        let send = move |request: Request| ingest::send(state.clone(), dialect.clone(), request);
        router.route(path, post(send))
    })
}

fn read_routes(state: ReadState) -> Router {
    Router::new()
        .route("/api/v1/metrics", get(metrics::count))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/idle-sessions", get(sessions::list_idle))
        .route("/api/v1/sessions/{session_id}", get(sessions::get))
        .route("/api/v1/sessions/{session_id}/events", get(sessions::events))
        .route("/api/v1/sessions/{session_id}/replay", get(replay_manifest::describe))
        .route("/api/v1/sessions/{session_id}/replay/events", get(replay_events::stream))
        .route("/api/v1/ledger", get(ledger::show))
        .route("/processor/aggregation", get(aggregation::windows))
        .with_state(state)
}

fn archive_routes(state: ArchiveState) -> Router {
    Router::new()
        .route("/api/v1/replays", get(replay_archive::list))
        .route("/api/v1/sessions/{session_id}/replay", delete(replay_archive::purge))
        .route("/api/v1/sessions/{session_id}/replay/archive", post(replay_archive::archive))
        .route("/api/v1/sessions/{session_id}/replay/verify", get(replay_archive::verify))
        .with_state(state)
}

fn processor_routes(state: ProcessorState) -> Router {
    Router::new()
        .route("/processor/status", get(processor::status))
        .route("/processor/enrichment", get(processor::enrichment))
        .route("/processor/filters", get(processor::filters))
        .route("/metrics/processor", get(processor::metrics))
        .with_state(state)
}

fn cors(config: &HttpConfig) -> CorsLayer {
    let is_any = config.cors_origins.iter().any(|origin| origin == "*");
    let origins = config.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(if is_any { AllowOrigin::any() } else { AllowOrigin::list(origins) })
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([header::CONTENT_TYPE, header::CONTENT_ENCODING, header::AUTHORIZATION, PROJECT_KEY])
        .expose_headers([header::RETRY_AFTER])
        .max_age(CORS_MAX_AGE)
}
