//! Makes a server for tests of the `ClickHouse` library: `gosight-clickhouse-server LIBRARY PORT DATA CONFIG`.
//!
//! The library runs one query, which opens the HTTP interface and then never ends. SIGTERM, SIGINT and SIGHUP kill that
//! query, upon which the library ends in good order: inserts that have begun are finished.

use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use libloading::{Library, Symbol};

/// Opens the interface and stays. An endless table that is read one row a second keeps memory flat.
const QUERY: &str = "SYSTEM START LISTEN HTTP; \
     SELECT sleepEachRow(1) FROM system.numbers FORMAT Null \
     SETTINGS function_sleep_max_microseconds_per_block = 1000000000000, max_block_size = 1, \
     max_execution_time = 0, max_rows_to_read = 0, log_queries = 0";
const QUERY_ID: &str = "keepalive";
/// Longest time to end in good order.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// `chdb_query_cmdline(argc, argv)` gives a result.
type Run = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
/// `chdb_result_error(result)` gives its error, or null.
type ErrorOf = unsafe extern "C" fn(*mut c_void) -> *const c_char;

fn main() -> ExitCode {
    let Some((library, port, arguments)) = arguments() else {
        say("usage: gosight-clickhouse-server LIBRARY PORT DATA CONFIG");
        return ExitCode::FAILURE;
    };
    let signals = own_signals();
    let (send, events) = channel();
    let ended = send.clone();
    // Nobody listens any more once the main thread has left.
    std::thread::spawn(move || ended.send(Event::Ended(serve(&library, &arguments))));
    std::thread::spawn(move || {
        wait_for(&signals);
        send.send(Event::Signal)
    });
    match events.recv() {
        Ok(Event::Signal) => leave(c_int::from(!end(port, &events))),
        Ok(Event::Ended(Err(error))) => say(&error),
        // The library has said why.
        Ok(Event::Ended(Ok(()))) | Err(_) => {}
    }
    leave(1)
}

enum Event {
    /// The library has returned.
    Ended(Result<(), String>),
    /// Somebody wants the server to end.
    Signal,
}

/// Path of the library, port, and the arguments for the library.
fn arguments() -> Option<(OsString, u16, Vec<CString>)> {
    let mut given = std::env::args_os().skip(1);
    let (library, port, data, config) = (given.next()?, given.next()?, given.next()?, given.next()?);
    let port = port.to_str()?.parse().ok()?;
    let with_path = |name: &str, path: OsString| [name.as_bytes(), path.as_bytes()].concat();
    let arguments = [
        b"clickhouse".to_vec(),
        with_path("--path=", data),
        with_path("--config-file=", config),
        format!("--http_port={port}").into_bytes(),
        b"--listen_host=127.0.0.1".to_vec(),
        b"--log-level=error".to_vec(),
        format!("--query_id={QUERY_ID}").into_bytes(),
        format!("--query={QUERY}").into_bytes(),
    ];
    let arguments: Result<Vec<CString>, _> = arguments.into_iter().map(CString::new).collect();
    Some((library, port, arguments.ok()?))
}

/// Goes into a process group of its own, because SYSTEM SHUTDOWN signals the whole group, and blocks the signals that
/// are waited for. Before any thread is started: threads inherit what is blocked.
fn own_signals() -> libc::sigset_t {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: each call gets a pointer to memory of the right type that lives; `sigemptyset` fills it.
    unsafe {
        libc::setpgid(0, 0);
        libc::sigemptyset(signals.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(signals.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, signals.as_ptr(), std::ptr::null_mut());
        signals.assume_init()
    }
}

fn wait_for(signals: &libc::sigset_t) {
    let mut signal = 0;
    // SAFETY: both point to memory of the right type that lives.
    unsafe { libc::sigwait(signals, &raw mut signal) };
}

/// Runs the library until its query ends, which is when it is killed or when the server cannot be started.
fn serve(library: &OsString, arguments: &[CString]) -> Result<(), String> {
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
    let count = c_int::try_from(pointers.len()).map_err(|error| error.to_string())?;
    pointers.push(std::ptr::null_mut());
    // SAFETY: the library's initialisers expect nothing of us; the two functions have the types that its header says.
    // It never writes to the arguments, which live until it returns. The result is not freed: the process ends.
    unsafe {
        let library = Library::new(library).map_err(|error| error.to_string())?;
        let run: Symbol<Run> = library.get(c"chdb_query_cmdline").map_err(|error| error.to_string())?;
        let error_of: Symbol<ErrorOf> =
            library.get(c"chdb_result_error").map_err(|error| error.to_string())?;
        let result = run(count, pointers.as_mut_ptr());
        let error = if result.is_null() { std::ptr::null() } else { error_of(result) };
        let said = (!error.is_null()).then(|| std::ffi::CStr::from_ptr(error).to_string_lossy().into_owned());
        // Its threads still run: it must stay where it is.
        std::mem::forget(library);
        said.map_or(Ok(()), Err)
    }
}

/// Kills the query until the library has returned, and says whether it has.
fn end(port: u16, events: &Receiver<Event>) -> bool {
    let deadline = Instant::now() + STOP_DEADLINE;
    while Instant::now() < deadline {
        if let Err(error) = kill_query(port) {
            say(&format!("cannot ask the server to end: {error}"));
        }
        if let Ok(Event::Ended(_)) = events.recv_timeout(Duration::from_secs(1)) {
            return true;
        }
    }
    false
}

fn kill_query(port: u16) -> std::io::Result<()> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), patience)?;
    stream.set_read_timeout(Some(patience))?;
    let body = format!("KILL QUERY WHERE query_id = '{QUERY_ID}' ASYNC");
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    // What it answers does not matter: the query ends or it does not.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map(|_| ())
}

fn say(text: &str) {
    // Nobody listens if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Ends at once. The library's own clean-up at exit would wait for its threads.
fn leave(status: c_int) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status) }
}
