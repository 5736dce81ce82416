use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Answer;
use super::recording::RecordedRequest;

/// What came of all requests.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    requests: u64,
    retries: u64,
    events_accepted: u64,
    chunks_accepted: u64,
    /// Items that were refused, by code.
    refused: BTreeMap<String, u64>,
    /// Requests that failed as a whole, by status and code.
    failed: BTreeMap<String, u64>,
    /// Times to an answer, in µs.
    latency_us: Histogram<u64>,
    pub took: Duration,
}

/// Longest time that is distinguished, in µs: ten minutes.
const MAX_LATENCY_US: u64 = 600_000_000;

/// An answer as far as counts go.
#[derive(Deserialize, Default)]
struct Counts {
    accepted_count: Option<u64>,
    #[serde(default)]
    errors: Vec<Refusal>,
    /// Of a bulk request: also of events that were accepted, which have no code.
    #[serde(default)]
    results: Vec<BulkResult>,
    event_id: Option<String>,
    chunk_index: Option<u64>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
}

#[derive(Deserialize)]
struct BulkResult {
    code: Option<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    #[serde(default)]
    details: Value,
}

impl Summary {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            requests: 0,
            retries: 0,
            events_accepted: 0,
            chunks_accepted: 0,
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            latency_us: Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)?,
            took: Duration::ZERO,
        })
    }

    pub(super) fn add(&mut self, request: &RecordedRequest, answer: &Answer) {
        self.requests += 1;
        self.retries += u64::from(answer.retries);
        let micros = u64::try_from(answer.latency.as_micros()).unwrap_or(MAX_LATENCY_US);
        self.latency_us.saturating_record(micros);
        let counts: Counts = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !answer.status.is_success() {
            let code = counts.error.as_ref().map_or("no code", |error| error.code.as_str());
            *self.failed.entry(format!("{} {code}", answer.status.as_u16())).or_default() += 1;
            for refusal in counts.error.iter().filter_map(|error| error.details.as_array()).flatten() {
                let code = refusal.get("code").and_then(Value::as_str).unwrap_or("unknown");
                *self.refused.entry(code.to_owned()).or_default() += 1;
            }
            return;
        }
        let of_bulk = counts.results.into_iter().filter_map(|result| result.code);
        for code in counts.errors.into_iter().map(|refusal| refusal.code).chain(of_bulk) {
            *self.refused.entry(code).or_default() += 1;
        }
        if counts.chunk_index.is_some() || request.path.ends_with("/replay") {
            self.chunks_accepted += 1;
        } else {
            self.events_accepted += counts.accepted_count.unwrap_or(u64::from(counts.event_id.is_some()));
        }
    }

    /// A request that got no answer, with those of its file that were not sent after it.
    pub(super) fn add_unanswered(&mut self, not_sent: usize) {
        self.requests += 1;
        *self.failed.entry("no answer".to_owned()).or_default() += 1;
        if not_sent > 0 {
            *self.failed.entry("not sent".to_owned()).or_default() += not_sent as u64;
        }
    }

    pub(super) fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        self.requests += other.requests;
        self.retries += other.retries;
        self.events_accepted += other.events_accepted;
        self.chunks_accepted += other.chunks_accepted;
        for (mine, theirs) in [(&mut self.refused, other.refused), (&mut self.failed, other.failed)] {
            for (code, count) in theirs {
                *mine.entry(code).or_default() += count;
            }
        }
        self.latency_us.add(other.latency_us)?;
        Ok(())
    }

    /// Requests that were refused as a whole, or not answered, or not sent.
    pub(super) fn failed_requests(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether other chunks were there with the same indexes.
    pub(super) fn has_conflicting_chunks(&self) -> bool {
        self.failed.contains_key("409 conflicting_chunk")
    }

    fn latency_ms(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a latency needs no more digits")]
        let micros = self.latency_us.value_at_quantile(quantile) as f64;
        micros / 1_000.0
    }

    fn per_second(&self, count: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
        let count = count as f64;
        count / self.took.as_secs_f64().max(1e-9)
    }

    pub(super) fn to_text(&self) -> String {
        let by_code = |counts: &BTreeMap<String, u64>| {
            let all: Vec<String> = counts.iter().map(|(code, count)| format!("{count} × {code}")).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        format!(
            "sent      {} requests in {:.2} s ({:.0}/s), {} sent again\n\
             accepted  {} events ({:.0}/s), {} replay chunks\n\
             refused   {}\n\
             failed    {}\n\
             latency   p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            self.requests,
            self.took.as_secs_f64(),
            self.per_second(self.requests),
            self.retries,
            self.events_accepted,
            self.per_second(self.events_accepted),
            self.chunks_accepted,
            by_code(&self.refused),
            by_code(&self.failed),
            self.latency_ms(0.5),
            self.latency_ms(0.95),
            self.latency_ms(0.99),
            self.latency_ms(1.0),
        )
    }

    pub(super) fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&json!({
            "requests": self.requests,
            "retries": self.retries,
            "events_accepted": self.events_accepted,
            "chunks_accepted": self.chunks_accepted,
            "refused": self.refused,
            "failed": self.failed,
            "seconds": self.took.as_secs_f64(),
            "events_per_second": self.per_second(self.events_accepted),
            "latency_ms": {
                "p50": self.latency_ms(0.5),
                "p95": self.latency_ms(0.95),
                "p99": self.latency_ms(0.99),
                "max": self.latency_ms(1.0),
            },
        }))?)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn refused_items_of_a_bulk_are_counted() {
        let body = br#"{"accepted_count":1,"rejected_count":1,"results":[{"status":"queued","index":0,"event_id":"x"},
            {"status":"rejected","index":1,"field":"user_id","code":"missing_field","message":"m"}]}"#;
        let answer =
            Answer { status: StatusCode::ACCEPTED, body: body.to_vec(), latency: Duration::ZERO, retries: 0 };
        let request =
            serde_json::from_str(r#"{"method":"POST","path":"/api/v1/events/bulk","body":{}}"#).unwrap();
        let mut summary = Summary::new().unwrap();
        summary.add(&request, &answer);
        assert_eq!((summary.events_accepted, summary.refused["missing_field"]), (1, 1));
    }
}
