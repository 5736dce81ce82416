use std::time::{Duration, Instant};

use anyhow::Context;
use gosight_domain::key::PresentedKey;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};

use super::recording::RecordedRequest;
use crate::cli::server::{KEY_HEADER, base_url, key_header};

/// Sends requests to one server.
pub(super) struct Client {
    http: reqwest::Client,
    server: String,
    key: Option<HeaderValue>,
}

/// What a server answered.
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
    /// Time of the attempt that was answered for good.
    pub latency: Duration,
    /// Attempts that were answered with "later".
    pub retries: u32,
}

const TIMEOUT: Duration = Duration::from_mins(1);
/// How often a request is sent again when the server asks to wait.
const MAX_RETRIES: u32 = 20;
/// How long to wait when the server does not say.
const DEFAULT_WAIT: Duration = Duration::from_millis(200);

impl Client {
    pub(super) fn new(server: &str, key: Option<&PresentedKey>) -> anyhow::Result<Self> {
        let server = base_url(server)?.to_owned();
        let http = reqwest::Client::builder().timeout(TIMEOUT).tcp_nodelay(true).build()?;
        let key = key_header(key)?;
        Ok(Self { http, server, key })
    }

    /// Sends a request, again and again while the server is overloaded.
    pub(super) async fn send(&self, request: &RecordedRequest) -> anyhow::Result<Answer> {
        let method: Method =
            request.method.parse().with_context(|| format!("method {:?}", request.method))?;
        let url = format!("{}{}", self.server, request.path);
        let headers = self.headers(request)?;
        let mut retries = 0;
        loop {
            let started = Instant::now();
            let sent = self
                .http
                .request(method.clone(), &url)
                .headers(headers.clone())
                .body(request.body.clone())
                .send()
                .await
                .with_context(|| format!("{url} does not answer"))?;
            let status = sent.status();
            let wait = retry_after(sent.headers());
            let body = sent.bytes().await.with_context(|| format!("{url} broke off its answer"))?.to_vec();
            let latency = started.elapsed();
            let asks_to_wait =
                [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
            if !asks_to_wait || retries == MAX_RETRIES {
                return Ok(Answer { status, body, latency, retries });
            }
            retries += 1;
            tokio::time::sleep(wait.unwrap_or(DEFAULT_WAIT)).await;
        }
    }

    fn headers(&self, request: &RecordedRequest) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &request.headers {
            let name: HeaderName = name.parse().with_context(|| format!("header {name:?}"))?;
            headers.insert(name, value.parse().with_context(|| format!("header value {value:?}"))?);
        }
        if let Some(key) = &self.key {
            headers.insert(KEY_HEADER, key.clone());
        }
        Ok(headers)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
