//! One request to the host, from its id to its last event. Dropped before that, it is cancelled.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::Call;
use super::inbox::{Came, Inbox};
use crate::{Error, Happened, Outcome};

pub(super) struct Operation {
    id: u64,
    inbox: Rc<Inbox>,
    cancel: fn(u64) -> bool,
    is_over: bool,
}

impl Operation {
    /// Of a request that the host has accepted under this id.
    pub fn new(call: &Call, id: u64, cancel: fn(u64) -> bool) -> Operation {
        call.inbox.begin(id);
        Operation { id, inbox: call.inbox.clone(), cancel, is_over: false }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Its next event, if that has come.
    pub fn take(&mut self) -> Option<Came> {
        self.inbox.next_of(self.id)
    }

    pub async fn next(&mut self) -> Came {
        poll_fn(|_| self.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    pub async fn next_outcome(&mut self) -> Outcome {
        loop {
            if let (_, Happened::Outcome(outcome)) = self.next().await {
                return outcome;
            }
        }
    }

    /// Nothing more comes of it: there is nothing to cancel.
    pub fn finish(&mut self) {
        self.is_over = true;
        self.inbox.end(self.id);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.is_over {
            self.finish();
            (self.cancel)(self.id);
        }
    }
}

/// For operations that the host carries out to their end in any case.
pub(super) fn not_cancelled(_id: u64) -> bool {
    false
}

/// An outcome of another pair than was asked: the host's word broken.
pub(super) fn unexpected() -> Error {
    Error { code: "protocol".to_owned(), message: "the host answered with an event of another kind".to_owned() }
}
