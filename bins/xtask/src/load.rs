//! Made-up requests for `gosight send`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::tools::say;

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Events in all.
    #[arg(long, default_value_t = 400_000)]
    pub events: u64,
    /// Events in each request.
    #[arg(long, default_value_t = 100)]
    pub batch: u64,
    /// Files to spread the requests over.
    #[arg(long, default_value_t = 8)]
    pub files: u64,
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Events of one visit.
const EVENTS_OF_A_SESSION: u64 = 20;
const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/159.0.8154.6 Safari/537.36 Edg/159.0.8154.6";

impl LoadArgs {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let files = self.write()?;
        say(&format!("{} files in {}", files.len(), self.out.display()));
        Ok(())
    }

    /// Writes the files and gives their paths.
    pub(crate) fn write(&self) -> anyhow::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let requests_of_a_file = self.events.div_ceil(self.batch.max(1)).div_ceil(self.files.max(1));
        let mut event = 0;
        let mut paths = Vec::new();
        for file in 0..self.files {
            let path = self.out.join(format!("load-{file}.ndjson"));
            let mut out = BufWriter::new(File::create(&path)?);
            for _ in 0..requests_of_a_file {
                let events = self.batch.min(self.events.saturating_sub(event));
                if events > 0 {
                    writeln!(out, "{}", request(event, events))?;
                    event += events;
                }
            }
            out.flush()?;
            paths.push(path);
        }
        Ok(paths)
    }
}

fn request(first: u64, count: u64) -> Value {
    let session = first / EVENTS_OF_A_SESSION;
    let events: Vec<Value> = (first..first + count).map(event).collect();
    json!({
        "method": "POST",
        "path": "/v1/events",
        "headers": {"User-Agent": USER_AGENT},
        "body": {"user_id": format!("user-{}", session % 20_000), "events": events},
    })
}

fn event(n: u64) -> Value {
    let path = format!("/shop/product/p-{}", n % 53);
    let (event_type, payload) = match n % 6 {
        0 => ("page_view", json!({})),
        1 => (
            "click",
            json!({"x": n % 1280, "y": n % 720, "target": {
                "selector": "#app > div.grid > article.card:nth-of-type(4) > a.card-link",
                "tag": "a", "text": "Drip scale"}}),
        ),
        2 => ("scroll", json!({"depth_percent": n % 100})),
        3 => ("web_vitals", json!({"ttfb": 7, "lcp": 164, "cls": 0})),
        4 => (
            "product_view",
            json!({"product_id": format!("p-{}", n % 53), "name": "Drip scale", "category": "tools",
                "price": 12.5, "currency": "EUR"}),
        ),
        _ => ("search", json!({"query": "scale", "results": 12})),
    };
    json!({
        "event_id": Uuid::new_v4(),
        "session_id": format!("session-{:08}", n / EVENTS_OF_A_SESSION),
        "type": event_type,
        "timestamp": now_ms(),
        "url": format!("http://127.0.0.1:8173{path}"),
        "path": path,
        "title": "Drip scale – Kettle & Cup",
        "referrer": "http://127.0.0.1:8173/shop/list",
        "payload": payload,
        "device": {"screen_width": 1920, "screen_height": 1080, "viewport_width": 1280, "viewport_height": 720},
        "custom": {"variant": "B", "locale": "de-DE"},
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}
