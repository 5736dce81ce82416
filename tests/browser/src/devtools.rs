//! The browser's `DevTools` protocol over pipes: JSON messages, each ended by a NUL byte.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::{Value, json};

use crate::PATIENCE;

/// A connection to a browser.
#[derive(Debug)]
pub(crate) struct DevTools {
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// Events that nobody has asked for yet.
    events: Vec<Value>,
    last_id: u64,
    /// Where the browser prints to.
    log: PathBuf,
}

impl DevTools {
    /// Talks to a browser that reads from `commands` and writes to `messages`.
    pub(crate) fn new(commands: ChildStdin, messages: ChildStdout, log: PathBuf) -> Self {
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(messages).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("the browser writes JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        Self { commands, messages: receive, events: Vec::new(), last_id: 0, log }
    }

    /// Sends a command, to one page when it has a session, and waits for the answer.
    pub(crate) fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        // One that does not listen does not answer either.
        let _ = write!(self.commands, "{command}\0");
        let mut answer = self.answer(method, id);
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }

    /// The events of a page so far, once.
    pub(crate) fn take_events(&mut self, session: &str) -> Vec<Value> {
        let (taken, kept) =
            std::mem::take(&mut self.events).into_iter().partition(|event| event["sessionId"] == session);
        self.events = kept;
        taken
    }

    fn answer(&mut self, method: &str, id: u64) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let message = message.unwrap_or_else(|error| {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("{method}: the browser is silent ({error}); it has printed:\n{log}")
            });
            if message["id"] == id {
                return message;
            }
            self.events.push(message);
        }
    }
}
