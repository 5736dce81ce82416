//! The description of the API, made from the handlers.

use axum::Router;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::dialects;
use crate::handlers::{
    aggregation, health, ledger, metrics, processor, replay_archive, replay_events, replay_manifest, sessions,
};
use crate::state::HttpPorts;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "gosight",
        description = "An open event pipeline for product analytics and session replay.\n\nKeys are sent as \
            `X-Project-Key`, as `Authorization: Bearer`, or, to ingest, as `project_key` in the body. Every error has \
            the form `{\"error\": {\"code\", \"message\", \"details\"?}}`; codes are stable.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(health::health, health::ready, health::metrics),
    modifiers(&Keys),
)]
struct OperationApi;

#[derive(OpenApi)]
#[openapi(paths(
    metrics::count,
    sessions::list,
    sessions::list_idle,
    sessions::get,
    sessions::events,
    replay_manifest::describe,
    replay_events::stream,
    ledger::show,
    aggregation::windows,
))]
struct ReadApi;

#[derive(OpenApi)]
#[openapi(paths(processor::status, processor::enrichment, processor::filters, processor::metrics))]
struct ProcessorApi;

#[derive(OpenApi)]
#[openapi(paths(
    replay_archive::list,
    replay_archive::archive,
    replay_archive::verify,
    replay_archive::purge,
))]
struct ArchiveApi;

/// How keys are presented.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let header = ApiKey::Header(ApiKeyValue::new("X-Project-Key"));
        components.add_security_scheme("project_key", SecurityScheme::ApiKey(header));
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The `OpenAPI` document of every route, in JSON.
pub fn openapi() -> String {
    document([true; 4]).to_pretty_json().unwrap_or_default()
}

/// The part of the dialects that are built in.
fn ingest_api() -> Document {
    let mut parts = dialects::built_in().into_iter().map(|spoken| (spoken.document)());
    let first = parts.next().unwrap_or_default();
    parts.fold(first, Document::merge_from)
}

/// The document of what is served: ingest, read, archive and processor routes.
fn document(served: [bool; 4]) -> Document {
    let mut document = OperationApi::openapi();
    let parts = [ingest_api(), ReadApi::openapi(), ArchiveApi::openapi(), ProcessorApi::openapi()];
    for (is_served, part) in served.into_iter().zip(parts) {
        if is_served {
            document.merge(part);
        }
    }
    document
}

/// `/openapi.json` of the routes that are served, and `/swagger/`.
pub(crate) fn routes(ports: &HttpPorts) -> Router {
    let served =
        [ports.ingest.is_some(), ports.query.is_some(), ports.archiver.is_some(), ports.processor.is_some()];
    let document = document(served);
    SwaggerUi::new("/swagger").url("/openapi.json", document).into()
}
