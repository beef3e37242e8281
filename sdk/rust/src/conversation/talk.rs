//! Enters the async function at every event: the whole of the executor. There is one task, so nothing needs to be woken.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Call;
use super::inbox::Inbox;
use crate::{Accept, Bot, Digit, Event, Happened, HungUp, Outcome, Refusal, Start, StartReason};

/// What a function of a conversation may return.
pub trait Ended {
    fn into_result(self) -> Result<(), Refusal>;
}

impl Ended for () {
    fn into_result(self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Ended for Result<(), Refusal> {
    fn into_result(self) -> Result<(), Refusal> {
        self
    }
}

type Task = Pin<Box<dyn Future<Output = Result<(), Refusal>>>>;

/// The bot that an async function is: [`converse!`](crate::converse) makes it.
pub struct Talk {
    run: Option<Box<dyn FnOnce(Call) -> Task>>,
    /// None once it has returned.
    task: Option<Task>,
    inbox: Rc<Inbox>,
}

impl Talk {
    pub fn new<R, T>(run: R) -> Talk
    where
        R: FnOnce(Call) -> T + 'static,
        T: Future<Output: Ended> + 'static,
    {
        let run = |call| -> Task {
            let task = run(call);
            Box::pin(async { task.await.into_result() })
        };
        Talk { run: Some(Box::new(run)), task: None, inbox: Rc::default() }
    }

    fn happened(&mut self, call: &crate::Call, happened: Happened) {
        self.inbox.take_in(call.now_ms(), happened);
        match self.go_on() {
            Some(_) if self.inbox.has_hung_up() => call.done(),
            Some(ended) => {
                if let Err(Refusal { status, reason }) = ended {
                    crate::warn!("too late to refuse the call with {status}: {reason}");
                }
                call.hangup_after_playout();
            }
            None => {}
        }
    }

    /// What it returned, once.
    fn go_on(&mut self) -> Option<Result<(), Refusal>> {
        match self.task.as_mut()?.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => None,
            Poll::Ready(ended) => {
                self.task = None;
                Some(ended)
            }
        }
    }
}

impl Bot for Talk {
    fn start(&mut self, call: &crate::Call, start: Start) -> Result<Accept, Refusal> {
        let Some(run) = self.run.take().filter(|_| start.reason == StartReason::Fresh) else {
            return Err(Refusal::new(480, "a conversation cannot go on in another instance"));
        };
        let configuration = start.config.into();
        self.task = Some(run(Call { call: call.clone(), inbox: self.inbox.clone(), configuration }));
        match self.go_on() {
            Some(Err(refusal)) => return Err(refusal),
            Some(Ok(())) => call.hangup_after_playout(),
            None => {}
        }
        let accept = Accept::events_only();
        Ok(if self.inbox.rings() { accept.ringing() } else { accept })
    }

    fn on_digit(&mut self, call: &crate::Call, key: char) {
        self.happened(call, Event::Digit(Digit { key, tick: 0 }).into());
    }

    fn on_event(&mut self, call: &crate::Call, event: Event) {
        self.happened(call, event.into());
    }

    fn on_outcome(&mut self, call: &crate::Call, outcome: Outcome) {
        self.happened(call, outcome.into());
    }

    fn on_hangup(&mut self, call: &crate::Call, hung_up: HungUp) {
        if !self.inbox.outlives_hangup() {
            self.task = None;
        }
        if self.task.is_none() {
            return call.done();
        }
        self.happened(call, Event::Hangup(hung_up).into());
    }
}
