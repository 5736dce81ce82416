//! A way to the server that can be blocked: bytes stop, and nobody is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    blocked: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on a free port for `server`.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (blocked, watched) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let ((client_reads, client_writes), (server_reads, server_writes)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(pass(client_reads, server_writes, watched.clone()));
                tokio::spawn(pass(server_reads, client_writes, watched.clone()));
            }
        });
        Self { address, blocked }
    }

    /// Bytes of the connections that there are go nowhere from now on, and neither do those of new ones.
    pub fn block(&self) {
        self.blocked.send_replace(true);
    }

    /// New connections work again. Bytes that were lost stay lost.
    pub fn unblock(&self) {
        self.blocked.send_replace(false);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut blocked: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut lost = false;
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(n) if n > 0 => {
                    lost |= *blocked.borrow();
                    // A stream with a hole would be worse than a silent one.
                    if !lost && to.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            changed = blocked.changed() => {
                if changed.is_err() {
                    return;
                }
                lost |= *blocked.borrow();
            }
        }
    }
}
