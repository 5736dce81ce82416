use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::wait_for;

/// A client of one server with one key.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The stable code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Api {
    /// A client of `url` that presents `key`, if any.
    pub fn new(url: &str, key: Option<&str>) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), key: key.map(str::to_owned) }
    }

    /// The same client with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// A request to `path` with the client's key.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.header("X-Project-Key", key),
            None => request,
        }
    }

    /// Asks; an error when the connection fails.
    ///
    /// # Errors
    /// The client's.
    pub async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status();
        Ok(Answer { status, text: response.text().await? })
    }

    /// Posts `body` as JSON.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST, path).header("Content-Type", "application/json").body(body);
        Self::try_send(request).await.expect("an answer")
    }

    /// Gets `path`.
    pub async fn get(&self, path: &str) -> Answer {
        Self::try_send(self.request(Method::GET, path)).await.expect("an answer")
    }

    /// Gets `path`, which must be a success, as JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
        answer.json()
    }

    /// The whole ledger; needs a key with scope `admin`.
    pub async fn ledger(&self) -> Value {
        self.get_json("/api/v1/ledger?from=0").await
    }

    /// Waits until everything that was logged is processed, and gives the ledger.
    pub async fn processed(&self) -> Value {
        wait_for("the processing of everything logged", async || {
            let ledger = self.ledger().await;
            let logs = ledger["logs"].as_array().expect("logs");
            logs.iter().all(|log| log["in_flight"] == 0).then_some(ledger)
        })
        .await
    }

    /// Events counted by the rollup, of all time.
    pub async fn total_count(&self) -> u64 {
        let metrics = self.get_json("/api/v1/metrics?from=0&to=4102444800").await;
        metrics["total_count"].as_u64().expect("a count")
    }

    /// All sessions of a project, page by page.
    pub async fn sessions(&self) -> Vec<Value> {
        self.pages("/api/v1/sessions?limit=500", "sessions").await
    }

    /// All events of a session, page by page.
    pub async fn session_events(&self, session_id: &str) -> Vec<Value> {
        self.pages(&format!("/api/v1/sessions/{session_id}/events?limit=1000"), "events").await
    }

    async fn pages(&self, path: &str, name: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get_json(&format!("{path}{cursor}")).await;
            found.extend(page[name].as_array().expect("a list").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

/// Sums up one field of the ledger's hours of one log.
pub fn ledger_sum(ledger: &Value, log: &str, field: &str) -> u64 {
    let hours = ledger["hours"].as_array().expect("hours");
    hours.iter().filter(|hour| hour["log"] == log).filter_map(|hour| hour[field].as_u64()).sum()
}
