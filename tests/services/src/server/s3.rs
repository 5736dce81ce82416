//! `MinIO`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Server, create_dir};
use crate::ask::ask;
use crate::cache::Cache;
use crate::process::run_long;
use crate::{S3_ACCESS_KEY, S3_SECRET_KEY};

#[derive(Debug)]
pub(crate) struct S3;

/// A commit: go takes none of the tags of its releases for a version.
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";

impl Server for S3 {
    fn install(&self, cache: &Cache) -> anyhow::Result<()> {
        cache.install(&tool(), |dir| {
            let mut go = Command::new("go");
            go.arg("install").arg(format!("github.com/minio/minio@{VERSION}")).env("GOBIN", dir);
            run_long("s3: building MinIO with go, once, some minutes", &mut go, &cache.tool("minio.log"))
        })
    }

    fn prepare(&self, _: &Cache, place: &Place) -> anyhow::Result<()> {
        create_dir(&place.data())
    }

    fn command(&self, cache: &Cache, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(program(cache));
        command.env("MINIO_ROOT_USER", S3_ACCESS_KEY).env("MINIO_ROOT_PASSWORD", S3_SECRET_KEY);
        // It holds requests until all is there, of buckets too.
        command.env("MINIO_SYNC_BOOT", "on").env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
        command.envs(place.settings.iter().map(|(key, value)| (key, value)));
        command.args(["server", "--address", &place.address().to_string()]).arg(place.data());
        Ok(command)
    }

    fn answers(&self, address: SocketAddr) -> bool {
        // Its health checks answer before its objects and users are there. Only then it can say that it knows no nobody.
        let nobody = "AWSAccessKeyId=nobody&Signature=x&Expires=9999999999";
        let request = format!("GET /?{nobody} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = ask(address, request.as_bytes(), 4096).unwrap_or_default();
        String::from_utf8_lossy(&answer).contains("InvalidAccessKeyId")
    }

    fn version(&self, cache: &Cache) -> anyhow::Result<String> {
        anyhow::ensure!(program(cache).exists(), "not installed");
        Ok(VERSION.to_owned())
    }
}

fn tool() -> String {
    format!("minio-{VERSION}")
}

fn program(cache: &Cache) -> PathBuf {
    cache.tool(&tool()).join("minio")
}
