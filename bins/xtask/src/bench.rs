//! The whole pipeline over HTTP: sender, server and storage on one machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use crate::load::LoadArgs;
use crate::tools::{cargo, root, say, step};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Events to send.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events in each request.
    #[arg(long, default_value_t = 100)]
    batch: u64,
    /// Requests at the same time.
    #[arg(long, default_value_t = 8)]
    concurrency: u64,
    /// Most requests per second; as fast as it goes when left out.
    #[arg(long)]
    rate: Option<f64>,
}

const INGEST_KEY: &str = "gs_test_bench_ingest_key";
const READ_KEY: &str = "gs_test_bench_read_key";

impl BenchArgs {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        step("build", &mut cargo(&["build", "--release", "--quiet", "--package", "gosight"]))?;
        let work = std::env::temp_dir().join(format!("gosight-bench-{}", std::process::id()));
        let result = self.measure(&work);
        std::fs::remove_dir_all(&work).ok();
        result
    }

    fn measure(&self, work: &Path) -> anyhow::Result<()> {
        let load = LoadArgs {
            events: self.events,
            batch: self.batch,
            files: self.concurrency,
            out: work.join("load"),
        };
        say("\n== write the load");
        let files = load.write()?;
        let mut server = Server::start(&work.join("data"))?;
        let idle_mib = server.resident_mib();
        say("\n== send");
        let started = Instant::now();
        let summary = self.send(&server, &files)?;
        let sent = started.elapsed();
        while server.total_count()? < self.events {
            std::thread::sleep(Duration::from_millis(20));
        }
        let queryable = started.elapsed();
        let loaded_mib = server.resident_mib();
        server.child.kill()?;
        server.child.wait()?;
        report(self.events, &summary, sent, queryable);
        let database = database_bytes(&work.join("data"))?;
        say(&format!(
            "memory        {idle_mib} MiB idle, {loaded_mib} MiB at the end\n\
             database      {} bytes per event",
            database / self.events
        ));
        Ok(())
    }

    fn send(&self, server: &Server, files: &[PathBuf]) -> anyhow::Result<Value> {
        let mut command = Command::new(binary());
        command.args(["send", "--json", "--server", &server.url, "--key", INGEST_KEY]).args(files);
        command.args(["--concurrency", &self.concurrency.to_string()]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("gosight send: {}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The size of the store's files below `data`, without those of the log.
fn database_bytes(data: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(data)? {
        let metadata = entry?.metadata()?;
        if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

fn report(events: u64, summary: &Value, sent: Duration, queryable: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    let per_second = |time: Duration| events as f64 / time.as_secs_f64();
    let latency = &summary["latency_ms"];
    say(&format!(
        "\nacknowledged  {:>8.0} events/s  p50 {} ms, p95 {} ms, p99 {} ms\n\
         queryable     {:>8.0} events/s  all of them {:.2} s after the last was acknowledged",
        per_second(sent),
        latency["p50"],
        latency["p95"],
        latency["p99"],
        per_second(queryable),
        queryable.saturating_sub(sent).as_secs_f64(),
    ));
}

fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("release/gosight")
}

/// A server that is being measured. Killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(binary())
            .args(["serve", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env("GOSIGHT_BOOTSTRAP_INGEST_KEY", INGEST_KEY)
            .env("GOSIGHT_BOOTSTRAP_READ_KEY", READ_KEY)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first)?;
        let url =
            first.trim().strip_prefix("gosight listens on ").context("gosight did not start")?.to_owned();
        Ok(Self { child, url })
    }

    fn total_count(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://"))?;
        write!(
            stream,
            "GET /api/v1/metrics HTTP/1.1\r\nHost: x\r\nX-Project-Key: {READ_KEY}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split("\r\n\r\n").nth(1).context("no body")?;
        let json = body
            .find('{')
            .and_then(|start| serde_json::Deserializer::from_str(&body[start..]).into_iter::<Value>().next());
        json.context("no JSON")??["total_count"].as_u64().context("no count")
    }

    fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
