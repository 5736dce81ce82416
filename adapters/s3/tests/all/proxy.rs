//! A way to the store that misbehaves as it is set to, connection by connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The request is read and answered with this status and code, by the proxy itself.
    Answer(u16, &'static str),
    /// So many bytes reach the store, then both sides are cut.
    CutRequest(usize),
    /// So many bytes reach the client, then both sides are cut.
    CutAnswer(usize),
    /// The byte at this place of the request is changed.
    Damage(usize),
    /// Everything is read, and nothing is ever answered.
    Silence,
    /// The connection is closed at once.
    Hangup,
    /// One request and its answer pass.
    Pass,
}

/// Passes connections on to the store, once it has done all it was set to.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    acts: Arc<Mutex<VecDeque<Act>>>,
}

impl Proxy {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acts: Arc<Mutex<VecDeque<Act>>> = Arc::default();
        let script = acts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let act = script.lock().unwrap().pop_front();
                tokio::spawn(async move {
                    // Cut connections are what this is for.
                    let _ = act_on(client, act).await;
                });
            }
        });
        Self { address, acts }
    }

    /// The next connections are treated so, one after the other.
    pub fn will(&self, acts: &[Act]) {
        self.acts.lock().unwrap().extend(acts);
    }

    /// What was not done yet.
    pub fn left(&self) -> usize {
        self.acts.lock().unwrap().len()
    }
}

async fn act_on(mut client: TcpStream, act: Option<Act>) -> std::io::Result<()> {
    match act {
        Some(Act::Hangup) => Ok(()),
        Some(Act::Silence) => read_all(&mut client).await,
        Some(Act::Answer(status, code)) => answer(&mut client, status, code).await,
        Some(Act::Pass) => pass_one(&mut client).await,
        other => pass(client, other).await,
    }
}

async fn read_all(client: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while client.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads one request or answer. Gives where its head ends; nothing if there is none.
async fn message(from: &mut TcpStream) -> std::io::Result<Option<(Vec<u8>, usize)>> {
    let mut message = Vec::new();
    let end_of_head = loop {
        if let Some(at) = message.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if from.read_buf(&mut message).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&message[..end_of_head]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    while message.len() < end_of_head + length.unwrap_or(0) {
        from.read_buf(&mut message).await?;
    }
    Ok(Some((message, end_of_head)))
}

/// Reads one request and answers it.
async fn answer(client: &mut TcpStream, status: u16, code: &str) -> std::io::Result<()> {
    if message(client).await?.is_none() {
        return Ok(());
    }
    let body = format!("<Error><Code>{code}</Code><Message>told so</Message></Error>");
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status} No\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    client.write_all(answer.as_bytes()).await
}

/// Passes one request and its answer, and closes the connection.
async fn pass_one(client: &mut TcpStream) -> std::io::Result<()> {
    let mut server = TcpStream::connect(gosight_services::Service::S3.address()).await?;
    let Some((request, _)) = message(client).await? else { return Ok(()) };
    server.write_all(&request).await?;
    let Some((answer, end_of_head)) = message(&mut server).await? else { return Ok(()) };
    client.write_all(&answer[..end_of_head - 2]).await?;
    client.write_all(b"connection: close\r\n\r\n").await?;
    client.write_all(&answer[end_of_head..]).await
}

/// Passes bytes both ways, up to where they are cut.
async fn pass(client: TcpStream, act: Option<Act>) -> std::io::Result<()> {
    let server = TcpStream::connect(gosight_services::Service::S3.address()).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut request_limit, mut answer_limit, mut damaged) = (usize::MAX, usize::MAX, None);
    match act {
        Some(Act::CutRequest(at)) => request_limit = at,
        Some(Act::CutAnswer(at)) => answer_limit = at,
        Some(Act::Damage(at)) => damaged = Some(at),
        _ => {}
    }
    let there = copy(&mut from_client, &mut to_server, request_limit, damaged);
    let back = copy(&mut from_server, &mut to_client, answer_limit, None);
    // Either way that ends takes the other with it.
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    limit: usize,
    damaged: Option<usize>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut passed = 0;
    while passed < limit {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        if let Some(byte) = damaged.and_then(|at| buffer[..read].get_mut(at.checked_sub(passed)?)) {
            *byte ^= 1;
        }
        let part = read.min(limit - passed);
        to.write_all(&buffer[..part]).await?;
        passed += part;
    }
    Ok(())
}
