//! A network that fails on command.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::cache::Cache;
use crate::ports::Port;

/// Longest wait for a connection on loopback, and for the listener to open or close.
const PATIENCE: Duration = Duration::from_secs(10);

/// A TCP proxy before a server. Everything passes until it is set otherwise; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _port: Option<Port>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    refuse: bool,
    cut_answers: bool,
    pause: bool,
    ended: bool,
    listens: bool,
    latency: Duration,
    answers_cut: u64,
    next: u64,
    /// The client's and the server's end of each open connection.
    open: HashMap<u64, [TcpStream; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

impl Proxy {
    /// A proxy before this address, on a free port.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn to(target: SocketAddr) -> Self {
        match Cache::open().and_then(|cache| Port::take(&cache)) {
            Ok(port) => Self::listen(port.number(), Some(port), target),
            Err(error) => panic!("no port for a proxy: {error:#}"),
        }
    }

    /// A proxy on a port that somebody else keeps for it.
    pub(crate) fn on(port: u16, target: SocketAddr) -> Self {
        Self::listen(port, None, target)
    }

    fn listen(number: u16, port: Option<Port>, target: SocketAddr) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], number));
        let shared = Arc::new(Shared { target, state: Mutex::default(), changed: Condvar::new() });
        let proxy = Self { address, shared: Arc::clone(&shared), _port: port };
        thread::spawn(move || shared.accept(address));
        assert!(proxy.shared.wait_for(|state| state.listens), "a proxy cannot listen on {address}");
        proxy
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections that are open now.
    pub fn cut(&self) {
        self.shared.change(|state| state.open.drain().for_each(|(_, ends)| close(&ends)));
    }

    /// From now on connections are refused, as by a server that is not there; or accepted again. Those that are open
    /// stay open.
    ///
    /// # Panics
    /// When the port cannot be opened or closed.
    pub fn refuse(&self, refuse: bool) {
        self.shared.change(|state| state.refuse = refuse);
        if refuse {
            self.wake();
        }
        assert!(self.shared.wait_for(|state| state.listens != refuse), "{}: still as before", self.address);
    }

    /// From now on requests reach the server, but in place of the first byte of an answer the connection is closed: the
    /// server has done it, and the client cannot know; or answers pass again.
    pub fn cut_answers(&self, cut: bool) {
        self.shared.change(|state| state.cut_answers = cut);
    }

    /// From now on connections are accepted, but nothing passes in either direction; or what has been held passes on.
    pub fn pause(&self, pause: bool) {
        self.shared.change(|state| state.pause = pause);
    }

    /// Holds everything that passes from now on for this long, in each direction.
    pub fn latency(&self, latency: Duration) {
        self.shared.change(|state| state.latency = latency);
    }

    /// How many answers have been cut: whether the server has done what it was asked.
    pub fn answers_cut(&self) -> u64 {
        self.shared.state().answers_cut
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.state().open.len()
    }

    /// Lets the listener look at what has changed.
    fn wake(&self) {
        // When nobody listens, nobody sleeps.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        self.cut();
        self.wake();
        self.shared.wait_for(|state| !state.listens);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until it is so, and says whether it is.
    fn wait_for(&self, holds: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), PATIENCE, |state| !holds(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits without end until it is so.
    fn wait_long(&self, holds: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.state(), |state| !holds(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens whenever connections are not refused, until the end.
    fn accept(self: Arc<Self>, address: SocketAddr) {
        while !self.wait_long(|state| !state.refuse || state.ended).ended {
            let Ok(listener) = TcpListener::bind(address) else { return };
            self.change(|state| state.listens = true);
            for client in listener.incoming() {
                let state = self.state();
                if state.refuse || state.ended {
                    break;
                }
                drop(state);
                if let Ok(client) = client {
                    let shared = Arc::clone(&self);
                    thread::spawn(move || shared.serve(&client));
                }
            }
            drop(listener);
            self.change(|state| state.listens = false);
        }
    }

    fn serve(&self, client: &TcpStream) {
        // A client whose server cannot be reached is dropped.
        let Ok(server) = TcpStream::connect_timeout(&self.target, PATIENCE) else { return };
        let ends = [client, &server];
        let [Ok(client_end), Ok(server_end)] =
            ends.map(|end| end.set_nodelay(true).and_then(|()| end.try_clone()))
        else {
            return;
        };
        let mut state = self.state();
        // It came just before.
        if state.ended || state.refuse {
            return;
        }
        let connection = state.next;
        state.next += 1;
        state.open.insert(connection, [client_end, server_end]);
        drop(state);
        thread::scope(|scope| {
            scope.spawn(|| self.forward(connection, Direction::Request, client, &server));
            self.forward(connection, Direction::Answer, &server, client);
        });
        self.close(connection);
    }

    /// Passes on what comes until one end closes or the connection is cut.
    fn forward(&self, connection: u64, direction: Direction, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 {
                // One that has said everything may still listen.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            if !self.may_pass(connection, direction) || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        self.close(connection);
    }

    /// Holds it as long as it must be held. Says whether it may pass.
    fn may_pass(&self, connection: u64, direction: Direction) -> bool {
        let is_open = |state: &State| state.open.contains_key(&connection);
        let state = self.wait_long(|state| !state.pause || !is_open(state));
        let latency = state.latency;
        drop(state);
        thread::sleep(latency);
        let mut state = self.state();
        let cut = state.cut_answers && direction == Direction::Answer && is_open(&state);
        state.answers_cut += u64::from(cut);
        is_open(&state) && !cut
    }

    fn close(&self, connection: u64) {
        self.change(|state| {
            if let Some(ends) = state.open.remove(&connection) {
                close(&ends);
            }
        });
    }
}

fn close(ends: &[TcpStream; 2]) {
    for end in ends {
        // It may be closed already.
        let _ = end.shutdown(Shutdown::Both);
    }
}
