//! Asking a server whether it is ready, in the simplest words of its protocol.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a connection and for an answer on loopback.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends a request and gives the first `up_to` bytes of the answer, or fewer when it ends before.
pub(crate) fn ask(address: SocketAddr, request: &[u8], up_to: u64) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    match stream.take(up_to).read_to_end(&mut answer) {
        // What has come is what is looked at.
        Ok(_) | Err(_) if !answer.is_empty() => Ok(answer),
        Ok(_) => Ok(answer),
        Err(error) => Err(error),
    }
}

/// The body of what an HTTP server answers with status 200.
pub(crate) fn http(address: SocketAddr, request_line: &str, body: &str) -> Option<String> {
    let request = format!(
        "{request_line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(address, request.as_bytes(), 64 * 1024).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).is_some_and(|status| status == "200").then(|| body.to_owned())
}
