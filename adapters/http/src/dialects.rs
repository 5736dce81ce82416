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

/// A dialect that is described in the `OpenAPI` document.
trait Documented: Dialect {
    /// Its part of the document.
    fn document() -> OpenApi;
}

/// A dialect with its description.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// The dialect.
    pub dialect: Arc<dyn Dialect>,
    /// Its part of the `OpenAPI` document.
    pub document: fn() -> OpenApi,
}

fn spoken<D: Documented + 'static>(dialect: D) -> Spoken {
    Spoken { dialect: Arc::new(dialect), document: D::document }
}

/// All of them.
pub(crate) fn built_in() -> Vec<Spoken> {
    vec![
        spoken(sdk::SdkEvents),
        spoken(sdk::SdkReplay),
        spoken(business::BusinessEvent),
        spoken(business::BusinessBulk),
        spoken(ndjson::Ndjson),
    ]
}
