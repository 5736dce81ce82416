//! One request to the service.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{BoxError, EnricherError};
use gosight_domain::Event;
use http::header::CONTENT_TYPE;
use reqwest_of_s3::{Client, Response, redirect};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ADAPTER;
use crate::cache::Answer;
use crate::config::HttpEnricherConfig;

/// What is posted.
#[derive(Serialize)]
struct Question<'a> {
    events: &'a [&'a Event],
}

/// What comes back.
#[derive(Deserialize)]
struct Contexts {
    contexts: Vec<Option<Box<RawValue>>>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    url: String,
    max_bytes: usize,
}

/// How long a connection without requests is kept.
const IDLE: Duration = Duration::from_mins(1);

impl Service {
    pub fn new(config: &HttpEnricherConfig) -> Result<Self, BoxError> {
        let client = Client::builder()
            .default_headers(config.header_map()?)
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE)
            // Headers with secrets go to the address that was configured, and nowhere else.
            .redirect(redirect::Policy::none())
            .build()?;
        let max_bytes = usize::try_from(config.max_response.as_u64()).unwrap_or(usize::MAX);
        Ok(Self { client, url: config.url.clone(), max_bytes })
    }

    /// What the service knows of `events`, in their order. Asks no longer than its caller waits.
    pub async fn ask(&self, events: &[&Event]) -> Result<Vec<Answer>, EnricherError> {
        let body =
            serde_json::to_vec(&Question { events }).map_err(|error| EnricherError::fatal(ADAPTER, error))?;
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(body);
        // The address of the service is no secret, but errors repeat it at length.
        let response =
            request.send().await.map_err(|error| EnricherError::transient(ADAPTER, error.without_url()))?;
        let status = response.status();
        if status.is_redirection() {
            let said =
                format!("the service answered {status}, and redirects are not followed: correct its url");
            return Err(EnricherError::fatal(ADAPTER, said));
        }
        if !status.is_success() {
            return Err(EnricherError::transient(ADAPTER, format!("the service answered {status}")));
        }
        let text = self.read(response).await?;
        answers(&text, events.len()).map_err(|said| EnricherError::transient(ADAPTER, said))
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, EnricherError> {
        let mut text = Vec::new();
        let broken = |error: reqwest_of_s3::Error| EnricherError::transient(ADAPTER, error.without_url());
        while let Some(part) = response.chunk().await.map_err(broken)? {
            if text.len() + part.len() > self.max_bytes {
                let said = format!("the service's answer has more than {} bytes", self.max_bytes);
                return Err(EnricherError::transient(ADAPTER, said));
            }
            text.extend_from_slice(&part);
        }
        Ok(text)
    }
}

fn answers(text: &[u8], events: usize) -> Result<Vec<Answer>, String> {
    let Contexts { contexts } = serde_json::from_slice(text)
        .map_err(|error| format!("the service's answer is not {{\"contexts\": […]}}: {error}"))?;
    if contexts.len() != events {
        return Err(format!("the service gave {} contexts for {events} events", contexts.len()));
    }
    let answer = |context: Option<Box<RawValue>>| match context {
        None => Ok(None),
        Some(context) if context.get().starts_with('{') => Ok(Some(Arc::from(context.get()))),
        Some(_) => Err("the service gave a context that is neither an object nor null".to_owned()),
    };
    contexts.into_iter().map(answer).collect()
}
