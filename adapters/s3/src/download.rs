//! Reading an object part by part.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use gosight_application::ports::{Effect, ObjectStat, ObjectStream, PortError};
use gosight_domain::replay::{ContentHash, ContentHasher};
use s3::command::Command;

use crate::client::{Answer, Client};
use crate::error::Failure;

/// What is asked for at once, in bytes, and so held for each reader. Most objects come with one request.
const PART_BYTES: u64 = 1024 * 1024;
/// The largest position that every store understands.
const MAX_POSITION: u64 = i64::MAX.unsigned_abs();

/// An object that is read.
pub(crate) struct Download {
    client: Arc<Client>,
    /// Its path, as errors say it.
    path: String,
    key: String,
}

/// How far an object is read.
struct Progress {
    /// What is still to be asked for.
    rest: Range<u64>,
    /// Which version of the object is read: parts of two would make neither.
    version: Option<String>,
    /// The hash of what came, and the one that the object was put with. Only for an object that is read whole.
    check: Option<(ContentHasher, ContentHash)>,
}

impl Download {
    pub(crate) fn new(client: Arc<Client>, path: &str, key: String) -> Self {
        Self { client, path: path.to_owned(), key }
    }

    /// The bytes of the object, or a range of them; `None` when there is none.
    pub(crate) async fn open(self, range: Option<Range<u64>>) -> Result<Option<ObjectStream>, PortError> {
        let opened = match range {
            Some(range) if range.is_empty() || range.start >= MAX_POSITION => {
                self.head().await.map(|head| head.map(|_| (Bytes::new(), Progress::done())))
            }
            range => self.first(range).await,
        };
        let Some((first, progress)) = opened.map_err(|failure| self.failed("get", failure))? else {
            return Ok(None);
        };
        let rest = stream::try_unfold((self, progress), async |(download, mut progress)| {
            let part =
                download.next(&mut progress).await.map_err(|failure| download.failed("get", failure))?;
            Ok(part.map(|part| (part, (download, progress))))
        });
        let first = (!first.is_empty()).then_some(Ok(first));
        Ok(Some(stream::iter(first).chain(rest).boxed()))
    }

    /// What is known of the object; `None` when there is none.
    pub(crate) async fn stat(self) -> Result<Option<ObjectStat>, PortError> {
        let stat = async {
            let Some(head) = self.head().await? else { return Ok(None) };
            let length = head.text("content-length").and_then(|length| length.parse().ok());
            let bytes = length
                .ok_or_else(|| Failure::Nonsense("the store does not say how long it is".to_owned()))?;
            Ok(Some(ObjectStat { bytes, content: head.content()? }))
        };
        stat.await.map_err(|failure| self.failed("stat", failure))
    }

    fn failed(&self, verb: &str, failure: Failure) -> PortError {
        self.client.failed(verb, &self.path, failure, Effect::None)
    }

    /// Whether there is an object, for an answer without one to mean that.
    async fn head(&self) -> Result<Option<Answer>, Failure> {
        match self.client.send(&self.key, Command::HeadObject).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_nothing_there() => {
                self.client.page("", None, None, 1).await.map(|_| None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn ask(&self, range: &Range<u64>) -> Result<Answer, Failure> {
        let end = range.end.min(range.start.saturating_add(PART_BYTES)).min(MAX_POSITION);
        self.client.send(&self.key, Command::GetObjectRange { start: range.start, end: Some(end - 1) }).await
    }

    /// The first part; `None` when there is no object.
    async fn first(&self, range: Option<Range<u64>>) -> Result<Option<(Bytes, Progress)>, Failure> {
        let is_whole = range.is_none();
        let range = range.unwrap_or(0..MAX_POSITION);
        let answer = match self.ask(&range).await {
            Ok(answer) => answer,
            Err(failure) if failure.is_after_the_end() => return Ok(Some((Bytes::new(), Progress::done()))),
            Err(failure) if failure.is_no_object() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let check = if is_whole {
            answer.content()?.map(|content| (ContentHasher::default(), content))
        } else {
            None
        };
        let version = answer.text("etag").map(str::to_owned);
        let mut progress = Progress { rest: range, version, check };
        let part = if answer.status == 206 {
            progress.rest.end = progress.rest.end.min(length(&answer)?);
            answer.body
        } else {
            // The whole object, as from a cache that knows no ranges.
            let part = part(&answer.body, &progress.rest);
            progress.rest.end = progress.rest.start + part.len() as u64;
            part
        };
        progress.took(&part)?;
        Ok(Some((part, progress)))
    }

    /// The next part; `None` after the last, unless all of them together are not what was put.
    async fn next(&self, progress: &mut Progress) -> Result<Option<Bytes>, Failure> {
        if progress.rest.is_empty() {
            return progress.check().map(|()| None);
        }
        let answer = self.ask(&progress.rest).await?;
        if answer.status != 206 || answer.text("etag") != progress.version.as_deref() {
            return Err(Failure::Unanswered("the object was replaced while it was read".to_owned()));
        }
        progress.took(&answer.body)?;
        Ok(Some(answer.body))
    }
}

impl Progress {
    /// Nothing is left to be read.
    const fn done() -> Self {
        Self { rest: 0..0, version: None, check: None }
    }

    /// Goes on behind `part`.
    fn took(&mut self, part: &Bytes) -> Result<(), Failure> {
        if part.is_empty() && !self.rest.is_empty() {
            return Err(Failure::Nonsense(
                "the store gave nothing of a range that the object has".to_owned(),
            ));
        }
        self.rest.start += part.len() as u64;
        if let Some((hasher, _)) = &mut self.check {
            hasher.update(part);
        }
        Ok(())
    }

    /// Checks that what came is what was put.
    fn check(&mut self) -> Result<(), Failure> {
        let Some((hasher, content)) = self.check.take() else { return Ok(()) };
        let found = hasher.finish();
        if content == found {
            return Ok(());
        }
        Err(Failure::Nonsense(format!(
            "the object was put with the hash {content}, but has {found}: it is damaged, or was changed on its way"
        )))
    }
}

/// How long the object is that a part was asked of: `bytes 0-9/100`.
fn length(answer: &Answer) -> Result<u64, Failure> {
    let length = answer.text("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    length.ok_or_else(|| Failure::Nonsense("the store does not say how long the object is".to_owned()))
}

/// The part of `object` that `range` covers.
fn part(object: &Bytes, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at).map_or(object.len(), |at| at.min(object.len()));
    let start = within(range.start);
    object.slice(start..within(range.end).max(start))
}
