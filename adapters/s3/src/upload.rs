//! Writing an object while its parts come.

use bytes::{Bytes, BytesMut};
use futures::stream::StreamExt as _;
use gosight_application::ports::{Effect, ObjectStream, PortError};
use gosight_domain::replay::ContentHash;
use s3::command::{Command, Multipart};
use s3::serde_types::{
    CompleteMultipartUploadData, InitiateMultipartUploadResponse, ListMultipartUploadsResult, Part,
};

use crate::ADAPTER;
use crate::client::{Client, content_encoding, content_type, parse, put_headers};
use crate::error::Failure;

/// What is sent at once, in bytes. S3 takes parts from 5 MiB, and 10,000 of them
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART_BYTES: usize = 8 * 1024 * 1024;

/// An object that is written. An object that fits into one part is put with one request and its SHA-256; a longer one
/// in parts, and its hash is not known when it is begun.
pub(crate) struct Upload<'a> {
    client: &'a Client,
    path: &'a str,
    key: &'a str,
}

impl<'a> Upload<'a> {
    pub(crate) const fn new(client: &'a Client, path: &'a str, key: &'a str) -> Self {
        Self { client, path, key }
    }

    /// Stores all of `object`.
    pub(crate) async fn put(&self, mut object: ObjectStream) -> Result<(), PortError> {
        let first = next_part(&mut object).await?;
        if first.len() < PART_BYTES {
            return self.put_at_once(&first).await;
        }
        let next = next_part(&mut object).await?;
        if next.is_empty() {
            return self.put_at_once(&first).await;
        }
        self.abort_all().await.map_err(|failure| self.failed(failure))?;
        let upload = self.begin().await.map_err(|failure| self.failed(failure))?;
        let put = self.put_parts(&upload, [first, next], object).await;
        if put.is_err() {
            self.abort(&upload).await;
        }
        put
    }

    /// Gives up all uploads of this object that were begun and neither completed nor given up: a process died, and the
    /// store keeps, and charges for, their parts.
    pub(crate) async fn abort_all(&self) -> Result<(), Failure> {
        let command = Command::ListMultipartUploads {
            prefix: Some(self.key),
            delimiter: None,
            key_marker: None,
            upload_id_marker: None,
            max_uploads: None,
        };
        let listed: ListMultipartUploadsResult = parse(&self.client.send("", command).await?)?;
        for upload in listed.uploads.into_iter().filter(|upload| upload.key == self.key) {
            self.abort(&upload.id).await;
        }
        Ok(())
    }

    fn failed(&self, failure: Failure) -> PortError {
        self.client.failed("put", self.path, failure, Effect::Unknown)
    }

    async fn put_at_once(&self, object: &[u8]) -> Result<(), PortError> {
        let headers = put_headers(self.path, &ContentHash::of(object));
        let command = Command::PutObject {
            content: object,
            content_type: content_type(self.path),
            custom_headers: Some(headers.map_err(|error| PortError::fatal(ADAPTER, error))?),
            multipart: None,
        };
        self.client.send(self.key, command).await.map(drop).map_err(|failure| self.failed(failure))
    }

    /// Begins an upload in parts, and gives its id.
    async fn begin(&self) -> Result<String, Failure> {
        let command = Command::InitiateMultipartUpload { content_type: content_type(self.path) };
        let answer = match content_encoding(self.path) {
            Some(encoding) => {
                self.client.send_with_header(self.key, command, ("content-encoding", encoding)).await?
            }
            None => self.client.send(self.key, command).await?,
        };
        parse(&answer).map(|begun: InitiateMultipartUploadResponse| begun.upload_id)
    }

    async fn put_parts(
        &self,
        upload: &str,
        first: [Bytes; 2],
        mut object: ObjectStream,
    ) -> Result<(), PortError> {
        let mut parts = Vec::new();
        for part in first {
            parts.push(self.put_part(upload, parts.len(), &part).await?);
        }
        loop {
            let part = next_part(&mut object).await?;
            if part.is_empty() {
                return self.complete(upload, parts).await.map_err(|failure| self.failed(failure));
            }
            parts.push(self.put_part(upload, parts.len(), &part).await?);
        }
    }

    async fn put_part(&self, upload: &str, before: usize, part: &[u8]) -> Result<Part, PortError> {
        let number = u32::try_from(before + 1).map_err(|error| PortError::fatal(ADAPTER, error))?;
        let command = Command::PutObject {
            content: part,
            content_type: content_type(self.path),
            custom_headers: None,
            multipart: Some(Multipart::new(number, upload)),
        };
        let answer = self.client.send(self.key, command).await.map_err(|failure| self.failed(failure))?;
        let nonsense = || Failure::Nonsense(format!("the store does not say the ETag of part {number}"));
        let etag = answer.text("etag").ok_or_else(|| self.failed(nonsense()))?;
        Ok(Part { part_number: number, etag: etag.to_owned() })
    }

    /// Makes the object of its parts.
    async fn complete(&self, upload: &str, parts: Vec<Part>) -> Result<(), Failure> {
        let data = CompleteMultipartUploadData { parts };
        let answer =
            self.client.send(self.key, Command::CompleteMultipartUpload { upload_id: upload, data }).await?;
        let body = String::from_utf8_lossy(&answer.body);
        // The status is sent before the work is done, so it tells nothing
        // (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>).
        if body.contains("<Error>") { Err(Failure::refused(500, &body)) } else { Ok(()) }
    }

    /// Gives up an upload. When that fails, the next upload or deletion of the object tries it again.
    async fn abort(&self, upload: &str) {
        match self.client.send(self.key, Command::AbortMultipartUpload { upload_id: upload }).await {
            Err(error) if !error.is_no_upload() => {
                tracing::warn!(key = self.key, %error, "parts of a failed upload left in the store");
            }
            _ => {}
        }
    }
}

/// What of `object` is sent at once; empty after its end.
async fn next_part(object: &mut ObjectStream) -> Result<Bytes, PortError> {
    let mut part = BytesMut::new();
    while part.len() < PART_BYTES {
        let Some(next) = object.next().await.transpose()? else { break };
        part.extend_from_slice(&next);
    }
    Ok(part.freeze())
}
