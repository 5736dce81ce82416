use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One recorded request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedRequest {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// When it went out, in epoch ms.
    #[serde(default)]
    pub sent_at_ms: Option<i64>,
    #[serde(deserialize_with = "text_of")]
    pub body: String,
}

/// The body as it was written: JSON as it stands in the line, or the content of a text.
fn text_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    if raw.get().starts_with('"') {
        return serde_json::from_str(raw.get()).map_err(serde::de::Error::custom);
    }
    Ok(Box::<str>::from(raw).into())
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a file of recorded requests, plain or gzip.
pub(super) fn read_recording(path: &Path) -> anyhow::Result<Vec<RecordedRequest>> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let input: Box<dyn Read> = if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut requests = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(input).lines()) {
        let line = line.with_context(|| format!("line {number}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let request: RecordedRequest =
            serde_json::from_str(&line).with_context(|| format!("line {number} is no recorded request"))?;
        requests.push(request);
    }
    if requests.is_empty() {
        bail!("has no requests");
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const LINES: &str = "{\"method\":\"POST\",\"path\":\"/v1/events\",\"body\":{\"n\":1.50,  \"a\":[]}}\n\n\
        {\"method\":\"POST\",\"path\":\"/x\",\"headers\":{\"A\":\"b\"},\"sent_at_ms\":7,\"body\":\"not \\\"json\\\"\"}\n";

    #[test]
    fn plain_and_gzip_read_the_same_and_bodies_keep_their_bytes() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(LINES.as_bytes()).unwrap();
        for content in [LINES.as_bytes().to_vec(), gzip.finish().unwrap()] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), content).unwrap();
            let requests = read_recording(file.path()).unwrap();
            assert_eq!(requests.len(), 2);
            assert_eq!(requests[0].body, "{\"n\":1.50,  \"a\":[]}");
            assert_eq!(requests[1].body, "not \"json\"");
            assert_eq!((requests[1].sent_at_ms, requests[1].headers["A"].as_str()), (Some(7), "b"));
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{LINES}nonsense\n")).unwrap();
        assert!(read_recording(file.path()).unwrap_err().to_string().contains("line 4"));
    }
}
