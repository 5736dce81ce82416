//! The wire formats that are spoken. A new one is a file or folder here, and a line in [`built_in`].

mod batch;
mod business;
mod event;
pub(crate) mod json;
mod ndjson;
mod sdk;
#[cfg(test)]
mod tests;
mod verdicts;

use std::sync::Arc;

use gosight_application::surface::Dialect;
use utoipa::openapi::OpenApi;

/// A dialect with its description.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// The dialect.
    pub dialect: Arc<dyn Dialect>,
    /// Its part of the `OpenAPI` document.
    pub document: fn() -> OpenApi,
}

fn spoken<Document: utoipa::OpenApi>(dialect: impl Dialect + 'static) -> Spoken {
    Spoken { dialect: Arc::new(dialect), document: Document::openapi }
}

/// All of them.
pub(crate) fn built_in() -> [Spoken; 5] {
    [
        spoken::<sdk::EventsDocument>(sdk::SdkEvents),
        spoken::<sdk::ReplayDocument>(sdk::SdkReplay),
        spoken::<business::EventDocument>(business::BusinessEvent),
        spoken::<business::BulkDocument>(business::BusinessBulk),
        spoken::<ndjson::Document>(ndjson::Ndjson),
    ]
}
