//! `gosight replay export`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use super::client::{Lines, ServerArgs};
use super::manifest::{Gap, Manifest};
use super::page::{Facts, Page};
use super::playable::Playable;
use gosight_runtime::terminal as output;

/// Flags of `gosight replay export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The session whose recording it is.
    session: String,
    /// The HTML file that is written, or replaced when all went well. Only its owner may read it.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl ExportArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let manifest = client.manifest(&self.session).await?;
        if manifest.first_full_snapshot.is_none() {
            bail!(not_playable(&manifest));
        }
        let events = client.events(&self.session).await?;
        let mut file = beside(&self.output)?;
        let progress = progress_bar(manifest.raw_bytes);
        let written = write_page(file.as_file_mut(), &manifest, events, &progress).await;
        progress.finish_and_clear();
        let written = written.with_context(|| format!("the recording of {}", self.session))?;
        file.persist(&self.output).with_context(|| self.output.display().to_string())?;
        output::line(summary(&self.output, &manifest, &written))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What was written.
struct Written {
    events: u64,
    bytes: u64,
    left_out: u64,
}

async fn write_page(
    file: impl Write,
    manifest: &Manifest,
    mut events: Lines,
    progress: &ProgressBar,
) -> anyhow::Result<Written> {
    let mut page = Page::start(BufWriter::new(file))?;
    let mut playable = Playable::default();
    while let Some(event) = events.next().await? {
        for event in playable.pass(&event)? {
            page.event(&event)?;
        }
        progress.inc(event.len() as u64 + 1);
    }
    if !playable.has_started() {
        bail!(not_playable(manifest));
    }
    let left_out = playable.left_out();
    let events = page.events();
    let bytes = page.finish(&Facts::of(manifest, left_out))?;
    Ok(Written { events, bytes, left_out })
}

fn not_playable(manifest: &Manifest) -> String {
    format!(
        "cannot be played: there is no full snapshot in its {} events, so nothing says what the page looked like",
        manifest.event_count
    )
}

/// A file that takes the place of `output` once it is whole, and goes away otherwise.
fn beside(output: &Path) -> anyhow::Result<NamedTempFile> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).with_context(|| output.display().to_string())
}

fn summary(output: &Path, manifest: &Manifest, written: &Written) -> String {
    let Written { events, bytes, left_out } = written;
    let mut lines = vec![format!("{}: {events} events, {}", output.display(), ByteSize(*bytes))];
    if *left_out > 0 {
        lines.push(format!("{left_out} changes before the first full snapshot cannot be shown"));
    }
    let missing: Vec<String> = manifest.gaps().iter().map(Gap::indexes).collect();
    if !missing.is_empty() {
        lines.push(format!("missing: chunk {}; the page says when", missing.join(", ")));
    }
    lines.join("\n")
}

fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    let bar = ProgressBar::new(bytes);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
