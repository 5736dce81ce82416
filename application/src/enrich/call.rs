//! One call of an enricher, which may hang, panic, or never give its thread back.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU8, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum CallFailure {
    /// It took too long.
    Timeout,
    /// It panicked.
    Panic,
    /// It could not be made.
    NoThread(std::io::Error),
}

/// Calls that were given up and are not over: each keeps its events in memory, and perhaps a thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Overdue(Arc<AtomicIsize>);

impl Overdue {
    pub fn count(&self) -> usize {
        usize::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0)
    }
}

/// Who makes the call, and where it is counted when it does not end.
pub(super) struct Caller<'a> {
    pub name: &'a str,
    pub may_block: bool,
    pub overdue: [Overdue; 2],
}

impl Caller<'_> {
    /// Makes a call, and waits for it until `deadline`. When nobody waits for it any more it is stopped where it waits itself.
    pub async fn call<T: Send + 'static>(
        self,
        deadline: Instant,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, CallFailure> {
        let (sender, mut answer) = oneshot::channel();
        let call = Arc::new(Call { state: AtomicU8::new(RUNNING), overdue: self.overdue });
        let waiting = Waiting { call: call.clone(), stop: CancellationToken::new() };
        let (stop, ends) = (waiting.stop.clone(), Ends(call));
        let task = async move {
            // Dropped before the sender, also by a panic: whoever hears from this call finds it over.
            let ends = ends;
            if let Some(answer) = stop.run_until_cancelled_owned(work).await {
                drop(ends);
                // Nobody may wait any more.
                drop(sender.send(answer));
            }
        };
        if self.may_block {
            let runtime = Handle::current();
            let thread = std::thread::Builder::new().name(format!("enrich-{}", self.name));
            thread.spawn(move || runtime.block_on(task)).map_err(CallFailure::NoThread)?;
        } else {
            tokio::spawn(task);
        }
        match tokio::time::timeout_at(deadline, &mut answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(CallFailure::Panic),
            Err(_) => {
                // What waits itself ends at once, and is not taken for a call that never comes back.
                waiting.stop.cancel();
                drop(tokio::time::timeout(TIME_TO_END, answer).await);
                Err(CallFailure::Timeout)
            }
        }
    }
}

/// How long a call that is given up is waited for before it counts as overdue.
const TIME_TO_END: Duration = Duration::from_millis(20);

const RUNNING: u8 = 0;
const GIVEN_UP: u8 = 1;
const ENDED: u8 = 2;

struct Call {
    state: AtomicU8,
    overdue: [Overdue; 2],
}

impl Call {
    fn count(&self, by: isize) {
        for overdue in &self.overdue {
            overdue.0.fetch_add(by, Ordering::SeqCst);
        }
    }
}

/// Whoever waits for a call. When it goes, the call is given up, unless it is over.
struct Waiting {
    call: Arc<Call>,
    stop: CancellationToken,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let given_up =
            self.call.state.compare_exchange(RUNNING, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst);
        if given_up.is_ok() {
            self.call.count(1);
        }
        self.stop.cancel();
    }
}

/// The end of a call, however it ends.
struct Ends(Arc<Call>);

impl Drop for Ends {
    fn drop(&mut self) {
        if self.0.state.swap(ENDED, Ordering::SeqCst) == GIVEN_UP {
            self.0.count(-1);
        }
    }
}
