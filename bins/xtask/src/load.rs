//! Made-up requests for `gosight send`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

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
    json!({
        "method": "POST",
        "path": "/v1/events",
        "headers": {"User-Agent": USER_AGENT},
        "body": gosight_load::body(first, count),
    })
}
