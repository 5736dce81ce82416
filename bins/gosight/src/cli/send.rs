//! `gosight send`: posts recorded requests to a server, as a trial or as load.

mod client;
mod recording;
mod shift;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use gosight_application::ports::{Clock, SystemClock};
use gosight_domain::key::PresentedKey;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use client::Client;
use gosight_runtime::terminal as output;
use recording::{RecordedRequest, read_recording};
use summary::Summary;

/// Flags of `gosight send`.
///
/// A file is NDJSON, plain or gzip: one request per line, `{"method", "path", "headers", "body"}`. The requests of one
/// file are sent one after the other, files at the same time.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Files with recorded requests, plain or gzip: one JSON object per line, such as
    /// `{"method": "POST", "path": "/v1/events", "body": {"events": […]}}`, with `headers` and `sent_at_ms` if need be.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to send them.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "GOSIGHT_SERVER")]
    server: String,
    /// Key to send with; without, the `project_key` inside the recorded bodies counts.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_KEY", hide_env_values = true)]
    key: Option<PresentedKey>,
    /// Most requests per second, of all files together.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Most requests at a time; files beyond wait for their turn.
    #[arg(long, value_name = "N", default_value_t = 16)]
    concurrency: usize,
    /// Move all times so that the last request was recorded just now. Times within a recording stay apart as they are.
    #[arg(long)]
    shift_to_now: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// A token for each request that may go out.
type Turns = Option<Arc<tokio::sync::Mutex<mpsc::Receiver<()>>>>;

impl SendArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut recordings = Vec::with_capacity(self.files.len());
        for path in &self.files {
            recordings.push(read_recording(path).with_context(|| path.display().to_string())?);
        }
        if self.shift_to_now {
            shift_to_now(&mut recordings)?;
        }
        let client = Arc::new(Client::new(&self.server, self.key.as_ref())?);
        let progress = progress_bar(recordings.iter().map(Vec::len).sum());
        let turns = self.turns()?;
        let started = Instant::now();
        let mut summary = Summary::new()?;
        let mut senders = JoinSet::new();
        for recording in recordings {
            if senders.len() >= self.concurrency.max(1)
                && let Some(sent) = senders.join_next().await
            {
                summary.merge(sent??)?;
            }
            senders.spawn(send_all(client.clone(), recording, progress.clone(), turns.clone()));
        }
        while let Some(sent) = senders.join_next().await {
            summary.merge(sent??)?;
        }
        progress.finish_and_clear();
        summary.took = started.elapsed();
        output::line(if self.json { summary.to_json()? } else { summary.to_text() })?;
        if self.shift_to_now && summary.has_conflicting_chunks() {
            output::note(
                "These recordings were sent before with other times, so their chunks are others. To send them once more, \
                 start with an empty data directory, or leave --shift-to-now away.",
            )?;
        }
        Ok(if summary.failed_requests() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Deals out turns at the asked rate.
    fn turns(&self) -> anyhow::Result<Turns> {
        let Some(rate) = self.rate else { return Ok(None) };
        let pause = Duration::try_from_secs_f64(1.0 / rate)
            .map_err(|_| anyhow!("--rate must be more than 0, not {rate}"))?;
        let (give, take) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(pause.max(Duration::from_micros(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                ticks.tick().await;
                if give.send(()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Some(Arc::new(tokio::sync::Mutex::new(take))))
    }
}

async fn send_all(
    client: Arc<Client>,
    recording: Vec<RecordedRequest>,
    progress: ProgressBar,
    turns: Turns,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::new()?;
    let total = recording.len();
    for (sent, request) in (1..).zip(recording) {
        if let Some(turns) = &turns {
            turns.lock().await.recv().await;
        }
        match client.send(&request).await {
            Ok(answer) => summary.add(&request, &answer),
            Err(error) => {
                // The rest of the file builds on this one; other files do not.
                progress.suspend(|| output::failure(error.as_ref()));
                summary.add_unanswered(total - sent);
                break;
            }
        }
        progress.inc(1);
    }
    Ok(summary)
}

/// Moves every recording by the same time, so that sessions keep their places to each other.
fn shift_to_now(recordings: &mut [Vec<RecordedRequest>]) -> anyhow::Result<()> {
    let latest = recordings.iter().flatten().filter_map(|request| request.sent_at_ms).max();
    let latest =
        latest.ok_or_else(|| anyhow!("--shift-to-now needs `sent_at_ms` in the recorded requests"))?;
    let shift_ms = SystemClock.now().as_millis() - latest;
    for request in recordings.iter_mut().flatten() {
        request.body = shift::shift_times(&request.body, shift_ms)?;
    }
    Ok(())
}

fn progress_bar(requests: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} requests  {per_sec}  {eta} left");
    let bar = ProgressBar::new(requests as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
