//! A service on this machine.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gosight_conformance::factory::event;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::{Event, UserId};
use gosight_enrich_http::{HttpEnricher, HttpEnricherConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// With the user's name for those that begin with `u`.
    Well,
    Never,
    ServerError,
    NoJson,
    TooFew,
    NoObject,
    TooMuch,
    Redirect,
}

#[derive(Debug)]
pub struct Requests {
    mood: Mutex<Mood>,
    /// The ids of the users of each request.
    pub users: Mutex<Vec<Vec<String>>>,
    pub headers: Mutex<Vec<HeaderMap>>,
    pub bodies: Mutex<Vec<Value>>,
}

/// A service, which ends with this.
pub struct Service {
    pub url: String,
    pub requests: Arc<Requests>,
    task: JoinHandle<()>,
}

impl Service {
    pub async fn start(mood: Mood) -> Self {
        let requests = Arc::new(Requests {
            mood: Mutex::new(mood),
            users: Mutex::default(),
            headers: Mutex::default(),
            bodies: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/enrich", listener.local_addr().unwrap());
        let router = Router::new().route("/enrich", post(answer)).route("/elsewhere", post(answer));
        let router = router.with_state(requests.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests, task }
    }

    pub fn set(&self, mood: Mood) {
        *self.requests.mood.lock().unwrap() = mood;
    }

    pub fn config(&self) -> HttpEnricherConfig {
        HttpEnricherConfig { url: self.url.clone(), ..HttpEnricherConfig::default() }
    }

    pub fn enricher(&self) -> HttpEnricher {
        HttpEnricher::new("crm", &self.config()).unwrap()
    }

    pub fn users(&self) -> Vec<Vec<String>> {
        self.requests.users.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(requests): State<Arc<Requests>>, headers: HeaderMap, body: String) -> Response {
    let question: Value = serde_json::from_str(&body).unwrap();
    let events = question["events"].as_array().unwrap().clone();
    let users: Vec<String> =
        events.iter().map(|event| event["user_id"].as_str().unwrap_or_default().to_owned()).collect();
    requests.users.lock().unwrap().push(users.clone());
    requests.headers.lock().unwrap().push(headers);
    requests.bodies.lock().unwrap().push(question);
    let contexts =
        users.iter().map(|user| if user.starts_with('u') { json!({ "user": user }) } else { Value::Null });
    let mut contexts: Vec<Value> = contexts.collect();
    let mood = *requests.mood.lock().unwrap();
    match mood {
        Mood::Well => {}
        Mood::Never => std::future::pending().await,
        Mood::ServerError => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::NoJson => return "<html>".into_response(),
        Mood::TooFew => drop(contexts.pop()),
        Mood::NoObject => contexts.fill(json!("gold")),
        Mood::TooMuch => contexts.fill(json!({ "a": "x".repeat(5 << 20) })),
        Mood::Redirect => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response();
        }
    }
    json!({ "contexts": contexts }).to_string().into_response()
}

/// An event of this user.
pub fn of_user(n: u128, user: &str) -> Event {
    Event { user_id: Some(UserId::new(user).unwrap()), ..event(n, "click", 0) }
}

pub fn decoded(events: &[Event]) -> Vec<DecodedEvent> {
    events.iter().map(|event| DecodedEvent::new(event.clone()).unwrap()).collect()
}
