//! Asks a server for recordings.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::BytesMut;
use clap::Args;
use gosight_domain::key::PresentedKey;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::manifest::Manifest;
use crate::cli::server::{KEY_HEADER, base_url, key_header};

/// Flags that say which server is asked.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "GOSIGHT_SERVER")]
    server: String,
    /// Key to ask with; it needs the scope `read`, or `admin` for what operators do.
    #[arg(long, value_name = "KEY", env = "GOSIGHT_KEY", hide_env_values = true)]
    key: Option<PresentedKey>,
}

/// Asks one server.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    sessions: Url,
}

/// How long a server may say nothing. An answer as a whole may take any time.
const SILENCE: Duration = Duration::from_mins(1);
/// The longest event that is taken: more than a server takes by default for a whole chunk.
const MAX_EVENT_BYTES: usize = 256 * 1024 * 1024;

/// An error in the server's words.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
    message: String,
}

/// `base/session/more…`. A URL drops line breaks and tabs wherever they stand, which would make it another session's.
fn url_below(base: &Url, session: &str, more: &[&str]) -> Url {
    let mut url = base.clone();
    let session = utf8_percent_encode(session, NON_ALPHANUMERIC);
    url.set_path(&format!("{}/{session}/{}", base.path(), more.join("/")));
    url
}

impl ServerArgs {
    /// A client of the server.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let base = base_url(&self.server)?;
        let sessions = Url::parse(&format!("{base}/api/v1/sessions"))
            .with_context(|| format!("--server {}", self.server))?;
        let key = key_header(self.key.as_ref())?;
        let headers: HeaderMap =
            key.into_iter().map(|key| (HeaderName::from_static(KEY_HEADER), key)).collect();
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .build()?;
        Ok(Client { http, sessions })
    }
}

impl Client {
    /// The manifest of a session's recording, as the server writes it.
    pub(super) async fn manifest_text(&self, session: &str) -> anyhow::Result<String> {
        let answer = self.get(self.url(session, &["replay"])?).await?;
        answer.text().await.context("the server broke off its answer")
    }

    /// The manifest of a session's recording.
    pub(super) async fn manifest(&self, session: &str) -> anyhow::Result<Manifest> {
        let text = self.manifest_text(session).await?;
        serde_json::from_str(&text).context("the server's manifest cannot be read")
    }

    /// The events of a session's recording, in order.
    pub(super) async fn events(&self, session: &str) -> anyhow::Result<Lines> {
        let mut url = self.url(session, &["replay", "events"])?;
        url.query_pairs_mut().append_pair("format", "ndjson");
        Ok(Lines { answer: self.get(url).await?, buffer: BytesMut::new(), searched: 0 })
    }

    fn url(&self, session: &str, more: &[&str]) -> anyhow::Result<Url> {
        if matches!(session, "." | "..") {
            bail!("{session}: no URL can name this session");
        }
        Ok(url_below(&self.sessions, session, more))
    }

    /// What is at `more` below a session's replay.
    pub(super) fn replay_url(
        &self,
        session: &str,
        more: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Url> {
        let mut url = self.url(session, &[&["replay"], more].concat())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// The list of sessions.
    pub(super) fn sessions_url(&self, query: &[(&str, &str)]) -> Url {
        let mut url = self.sessions.clone();
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    /// The list of archived replays.
    pub(super) fn replays_url(&self, query: &[(&str, &str)]) -> anyhow::Result<Url> {
        let mut url = self.sessions.join("replays")?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    pub(super) async fn get_json<T: DeserializeOwned>(&self, url: Url) -> anyhow::Result<T> {
        json(self.get(url).await?).await
    }

    pub(super) async fn post_json<T: DeserializeOwned>(&self, url: Url) -> anyhow::Result<T> {
        json(self.send(Method::POST, url).await?).await
    }

    pub(super) async fn delete_json<T: DeserializeOwned>(&self, url: Url) -> anyhow::Result<T> {
        json(self.send(Method::DELETE, url).await?).await
    }

    async fn get(&self, url: Url) -> anyhow::Result<Response> {
        self.send(Method::GET, url).await
    }

    async fn send(&self, method: Method, url: Url) -> anyhow::Result<Response> {
        let text = url.to_string();
        let request = self.http.request(method, url);
        let answer = request.send().await.with_context(|| format!("{text} does not answer"))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(Refusal { error: RefusalBody { code, message } }) => bail!("{text}: {message} ({code})"),
            Err(_) => bail!("{text}: {status}"),
        }
    }
}

async fn json<T: DeserializeOwned>(answer: Response) -> anyhow::Result<T> {
    let body = answer.bytes().await.context("the server broke off its answer")?;
    serde_json::from_slice(&body).context("the server's answer cannot be read")
}

/// Lines of an answer, as they come.
#[derive(Debug)]
pub(super) struct Lines {
    answer: Response,
    buffer: BytesMut,
    /// Bytes of the buffer without a line's end.
    searched: usize,
}

impl Lines {
    /// The next line without its end; `None` after the last.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<BytesMut>> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(self.searched + length + 1);
                line.truncate(self.searched + length);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_EVENT_BYTES {
                bail!("an event has more than {MAX_EVENT_BYTES} bytes");
            }
            match self.answer.chunk().await.context("the server broke off the recording")? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None if self.buffer.is_empty() => return Ok(None),
                None => bail!("the recording ends in the middle of an event"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_a_path_of_its_own() {
        let base = Url::parse("http://localhost/gosight/api/v1/sessions").unwrap();
        for (session, path) in [
            ("a-1", "a%2D1"),
            ("vic\ntim", "vic%0Atim"),
            ("vic\ttim", "vic%09tim"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("100%", "100%25"),
            ("ä", "%C3%A4"),
        ] {
            let url = url_below(&base, session, &["replay", "verify"]);
            assert_eq!(url.path(), format!("/gosight/api/v1/sessions/{path}/replay/verify"), "{session:?}");
        }
    }
}
