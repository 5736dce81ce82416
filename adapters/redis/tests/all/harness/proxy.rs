use std::net::SocketAddr;
use std::sync::Arc;

use gosight_redis::RedisUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A network in front of a server, which breaks or holds connections after a number of bytes.
pub struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct State {
    /// Bytes that still go to the server.
    left: usize,
    then: Then,
    is_holding: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Break,
    Hold,
}

const OPEN: State = State { left: usize::MAX, then: Then::Break, is_holding: false };

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(watch::Sender::new(OPEN));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server, shared.clone()));
            }
        });
        Self { port, state, accepting }
    }

    pub fn url(&self) -> RedisUrl {
        format!("redis://127.0.0.1:{}", self.port).into()
    }

    /// Breaks connections once this many more bytes have gone to the server.
    pub fn break_after(&self, bytes: usize) {
        self.state.send_replace(State { left: bytes, ..OPEN });
    }

    /// Holds what follows once this many more bytes have gone to the server.
    pub fn hold_after(&self, bytes: usize) {
        self.state.send_replace(State { left: bytes, then: Then::Hold, ..OPEN });
    }

    pub async fn holds(&self) {
        self.state.subscribe().wait_for(|state| state.is_holding).await.unwrap();
    }

    /// Lets everything through, what was held first.
    pub fn mend(&self) {
        self.state.send_replace(OPEN);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(client: TcpStream, server: SocketAddr, state: Arc<watch::Sender<State>>) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                let may = may_pass(&state, rest.len()).await;
                if may == 0 || to_server.write_all(&rest[..may]).await.is_err() {
                    return;
                }
                rest = &rest[may..];
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// How many of these bytes may go to the server now, once any may; 0 for a connection that breaks.
async fn may_pass(state: &watch::Sender<State>, size: usize) -> usize {
    loop {
        let mut may = 0;
        state.send_modify(|state| {
            may = size.min(state.left);
            state.left -= may;
            state.is_holding = may == 0;
        });
        if may > 0 || state.borrow().then == Then::Break {
            return may;
        }
        let opens = |state: &State| state.left > 0 || state.then == Then::Break;
        if state.subscribe().wait_for(opens).await.is_err() {
            return 0;
        }
    }
}
