//! The proxy fails in the ways that it says.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use gosight_services::Proxy;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers each line with that line, and what it has been sent.
fn echo() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, send) = (stream.unwrap(), send.clone());
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    // Neither the test nor its client may be there any more.
                    let _ = send.send(text);
                    let _ = stream.write_all(&buffer[..length]);
                }
            });
        }
    });
    (address, received)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a word and gives the answer: nothing when the connection is closed.
fn exchange(stream: &mut TcpStream, word: &str) -> String {
    stream.write_all(word.as_bytes()).unwrap();
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer) {
        Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn everything_passes() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let (mut one, mut other) = (connect(&proxy), connect(&proxy));
    assert_eq!(exchange(&mut one, "a"), "a");
    assert_eq!(exchange(&mut other, "b"), "b");
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn the_end_of_a_request_passes_and_the_answer_comes_back() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let mut stream = connect(&proxy);
    stream.write_all(b"a").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "a");
}

#[test]
fn cut_closes_what_is_open_and_nothing_else() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let mut stream = connect(&proxy);
    assert_eq!(exchange(&mut stream, "a"), "a");
    proxy.cut();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
    assert_eq!(proxy.connections(), 0);
    assert_eq!(exchange(&mut connect(&proxy), "b"), "b");
}

#[test]
fn refused_connections_are_refused_and_open_ones_stay() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let mut open = connect(&proxy);
    assert_eq!(exchange(&mut open, "a"), "a");
    for _ in 0..3 {
        proxy.refuse(true);
        let error = TcpStream::connect(proxy.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(exchange(&mut open, "b"), "b");
        proxy.refuse(false);
        assert_eq!(exchange(&mut connect(&proxy), "c"), "c");
    }
}

#[test]
fn a_cut_answer_was_a_request_that_was_served() {
    let (server, received) = echo();
    let proxy = Proxy::to(server);
    let mut stream = connect(&proxy);
    assert_eq!(exchange(&mut stream, "a"), "a");
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), "a");

    proxy.cut_answers(true);
    assert_eq!(exchange(&mut stream, "b"), "");
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), "b");
    assert_eq!(proxy.answers_cut(), 1);

    proxy.cut_answers(false);
    assert_eq!(exchange(&mut connect(&proxy), "c"), "c");
    assert_eq!(proxy.answers_cut(), 1);
}

#[test]
fn a_pause_holds_and_loses_nothing() {
    let (server, received) = echo();
    let proxy = Proxy::to(server);
    let mut stream = connect(&proxy);
    assert_eq!(exchange(&mut stream, "a"), "a");
    received.recv_timeout(PATIENCE).unwrap();

    proxy.pause(true);
    stream.write_all(b"b").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert!(received.try_recv().is_err(), "the request has passed");

    proxy.pause(false);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"b");
}

#[test]
fn a_paused_connection_can_be_cut() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let mut stream = connect(&proxy);
    assert_eq!(exchange(&mut stream, "a"), "a");
    proxy.pause(true);
    stream.write_all(b"b").unwrap();
    proxy.cut();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
}

#[test]
fn latency_holds_the_request_and_the_answer() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let mut stream = connect(&proxy);
    let latency = Duration::from_millis(50);
    proxy.latency(latency);
    let started = Instant::now();
    assert_eq!(exchange(&mut stream, "a"), "a");
    // It is a lower bound, so that a slow machine does not matter.
    assert!(started.elapsed() >= 2 * latency);
}

#[test]
fn a_server_that_is_away_closes_the_connection() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::to(address);
    assert_eq!(connect(&proxy).read(&mut [0; 8]).unwrap_or(0), 0);
}

#[test]
fn a_dropped_proxy_is_gone() {
    let (server, _received) = echo();
    let proxy = Proxy::to(server);
    let address = proxy.address();
    let mut stream = connect(&proxy);
    assert_eq!(exchange(&mut stream, "a"), "a");
    drop(proxy);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
