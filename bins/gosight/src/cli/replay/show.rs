//! `gosight replay show`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use bytesize::ByteSize;
use clap::Args;

use super::client::ServerArgs;
use super::manifest::{Chunk, Gap, Manifest};
use gosight_runtime::terminal as output;

/// Flags of `gosight replay show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The session whose recording it is.
    session: String,
    /// Print what the server says as JSON.
    #[arg(long)]
    json: bool,
}

impl ShowArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        if self.json {
            output::line(client.manifest_text(&self.session).await?)?;
        } else {
            output::line(to_text(&client.manifest(&self.session).await?))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn to_text(manifest: &Manifest) -> String {
    let gaps = manifest.gaps();
    let mut text = format!(
        "session        {}\n\
         recorded       {}\n\
         events         {} in {} chunks\n\
         size           {}\n\
         playable       {}\n\
         missing        {}\n",
        manifest.session_id,
        recorded(manifest),
        manifest.event_count,
        manifest.chunks.len(),
        size(manifest),
        playable(manifest),
        missing(&gaps),
    );
    let start = manifest.started_at.unwrap_or_default();
    let _ = write!(text, "\n{:>8}  {:>10}  {:>10}  {:>7}  {:>10}", "chunk", "from", "to", "events", "size");
    let mut gaps = gaps.iter().peekable();
    for chunk in &manifest.chunks {
        if let Some(gap) = gaps.next_if(|gap| gap.last < chunk.index) {
            let _ = write!(text, "\n{:>8}  missing", gap.indexes());
        }
        text.push_str(&row(chunk, start));
    }
    text
}

fn row(chunk: &Chunk, start: i64) -> String {
    let since = |time: i64| seconds(time.saturating_sub(start));
    format!(
        "\n{:>8}  {:>10}  {:>10}  {:>7}  {:>10}{}",
        chunk.index,
        since(chunk.timestamp_start),
        since(chunk.timestamp_end),
        chunk.event_count,
        ByteSize(chunk.raw_bytes).to_string(),
        if chunk.has_full_snapshot { "  full snapshot" } else { "" },
    )
}

fn recorded(manifest: &Manifest) -> String {
    match (manifest.started_at, manifest.ended_at, manifest.duration_ms()) {
        (Some(start), Some(end), Some(duration)) => {
            format!("{} to {}, {}", date(start), date(end), seconds(duration))
        }
        _ => "nothing".to_owned(),
    }
}

fn size(manifest: &Manifest) -> String {
    let raw = ByteSize(manifest.raw_bytes);
    match manifest.stored_bytes {
        Some(stored) => format!("{raw}, {} stored ({})", ByteSize(stored), manifest.storage),
        None => format!("{raw} ({})", manifest.storage),
    }
}

fn playable(manifest: &Manifest) -> String {
    match manifest.first_full_snapshot {
        Some(index) => format!("from chunk {index} on, the first with a full snapshot"),
        None => "no: there is no full snapshot".to_owned(),
    }
}

fn missing(gaps: &[Gap]) -> String {
    let indexes: Vec<String> = gaps.iter().map(Gap::indexes).collect();
    if indexes.is_empty() { "nothing".to_owned() } else { format!("chunk {}", indexes.join(", ")) }
}

fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03} s", ms / 1_000, ms % 1_000)
}

/// The time in UTC; the number itself when it is before 1970 or after 9999.
fn date(ms: i64) -> String {
    const AFTER_9999: u64 = 253_402_300_800_000;
    match u64::try_from(ms) {
        Ok(ms) if ms < AFTER_9999 => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
        }
        _ => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::manifest::tests::manifest;

    #[test]
    fn the_text_names_each_chunk_and_each_gap() {
        let text = to_text(&manifest(&[(1, false), (2, true), (5, false)]));
        let expected = "\
session        visit-1
recorded       1970-01-01T00:00:01.000Z to 1970-01-01T00:00:05.900Z, 4.900 s
events         3 in 3 chunks
size           300 B (hot)
playable       from chunk 2 on, the first with a full snapshot
missing        chunk 0, 3 to 4

   chunk        from          to   events        size
       0  missing
       1     0.000 s     0.900 s        1       100 B
       2     1.000 s     1.900 s        1       100 B  full snapshot
  3 to 4  missing
       5     4.000 s     4.900 s        1       100 B";
        assert_eq!(text, expected);
    }

    #[test]
    fn times_beyond_the_calendar_stay_numbers() {
        assert_eq!(date(i64::MAX), format!("{} ms", i64::MAX));
        assert_eq!(date(-5), "-5 ms");
        assert_eq!(seconds(-1_500), "-1.500 s");
    }
}
