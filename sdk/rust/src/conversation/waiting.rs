//! Time, and the first of two.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::Call;
use super::operation::Operation;
use crate::imports;

/// Which of two came first, and what it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    First(A),
    Second(B),
}

/// Waits for both, and drops the one that comes second; if both have come, it is the first one.
pub async fn select<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

/// Is over after its time. See [`Call::sleep`].
#[must_use = "a sleep that is dropped has no effect"]
pub struct Sleep(Option<Operation>);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.get_mut().0 else { return Poll::Ready(()) };
        if !timer.is_over() {
            if timer.take().is_none() {
                return Poll::Pending;
            }
            timer.finish();
        }
        Poll::Ready(())
    }
}

impl Call {
    /// So many ms, from now on, 24 h at most. A timer that the host refuses is over at once and an error in the log: better too soon
    /// than never.
    pub fn sleep(&self, ms: u64) -> Sleep {
        match imports::timer_set(ms) {
            Ok(id) => Sleep(Some(Operation::new(self, id, imports::timer_cancel))),
            Err(error) => {
                crate::error!("a wait of {ms} ms was refused: {}", error.message);
                Sleep(None)
            }
        }
    }

    /// What comes of it, if it comes in time; else it is dropped.
    pub async fn within<F: Future>(&self, ms: u64, future: F) -> Option<F::Output> {
        match select(future, self.sleep(ms)).await {
            Either::First(output) => Some(output),
            Either::Second(()) => None,
        }
    }

    /// Until the call is up.
    pub async fn answered(&self) {
        poll_fn(|_| if self.inbox.is_answered() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// What comes of it, unless the caller hangs up before: then it is dropped, and the function goes on, with 10 s for what it has to finish.
    pub async fn until_hangup<F: Future>(&self, future: F) -> Option<F::Output> {
        self.inbox.outlive_hangup();
        let hangup = poll_fn(|_| if self.inbox.has_hung_up() { Poll::Ready(()) } else { Poll::Pending });
        match select(hangup, future).await {
            Either::First(()) => None,
            Either::Second(output) => Some(output),
        }
    }
}
