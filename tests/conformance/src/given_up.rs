//! Calls that are given up in the middle.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// More than a call waits for anything.
pub(crate) const STEPS: usize = 10_000;

/// Makes a call, and gives up when it has waited for something `steps` times.
pub(crate) async fn in_part<F: Future>(call: F, steps: usize) -> Option<F::Output> {
    let (mut call, mut left) = (pin!(call), steps);
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
