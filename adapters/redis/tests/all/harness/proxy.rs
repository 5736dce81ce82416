use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gosight_redis::RedisUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

/// A network in front of a server, which breaks connections after a number of bytes.
pub struct Proxy {
    port: u16,
    /// Bytes that still go to the server before every connection breaks.
    left: Arc<AtomicI64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(socket: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let budget = left.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, socket.clone(), budget.clone()));
            }
        });
        Self { port, left, accepting }
    }

    pub fn url(&self) -> RedisUrl {
        format!("redis://127.0.0.1:{}", self.port).into()
    }

    /// Breaks all connections once this many more bytes have gone to the server.
    pub fn break_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(client: TcpStream, socket: String, left: Arc<AtomicI64>) {
    let server = UnixStream::connect(socket).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let size = i64::try_from(read).unwrap();
            let may = left.fetch_sub(size, Ordering::SeqCst).clamp(0, size);
            let part = &buffer[..usize::try_from(may).unwrap()];
            if to_server.write_all(part).await.is_err() || may < size {
                break;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}
