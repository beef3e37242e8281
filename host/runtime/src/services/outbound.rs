//! Requests and WebSockets of bots, each a task known by its call and its id. It ends with its last outcome, when it is cancelled, or
//! with the call.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use call::CallId;
use outside::websocket::Sender;
use plugin::{HostError, Request, WebSocketRequest};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{Reach, http, websocket};
use crate::bots::{Caller, Services};

/// There are no more of them than the call's operations: each has its place there before it comes here.
pub struct Outbound {
    reach: Reach,
    runtime: Handle,
    running: Arc<Running>,
}

type Running = Mutex<HashMap<CallId, HashMap<u64, Operation>>>;

/// One that has not come to its end. Dropped, it is given up.
struct Operation {
    task: AbortHandle,
    /// Of a WebSocket: the way in for what the bot sends.
    sender: Option<Sender>,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outbound {
    pub fn new(reach: Reach, runtime: Handle) -> Self {
        Self { reach, runtime, running: Arc::default() }
    }

    fn start(&self, caller: &Caller, id: u64, sender: Option<Sender>, work: impl Future<Output = ()> + Send + 'static) {
        let (running, call) = (Arc::clone(&self.running), caller.call());
        // Held while it is started: it cannot end before it is known.
        let mut known = lock(&self.running);
        let task = self.runtime.spawn(async move {
            work.await;
            let over = lock(&running).get_mut(&call).and_then(|operations| operations.remove(&id));
            drop(over);
        });
        known.entry(call).or_default().insert(id, Operation { task: task.abort_handle(), sender });
    }

    fn sender(&self, caller: &Caller, id: u64) -> Option<Sender> {
        lock(&self.running).get(&caller.call())?.get(&id)?.sender.clone()
    }

    /// Under way, of all calls.
    #[cfg(test)]
    pub fn running(&self) -> usize {
        lock(&self.running).values().map(HashMap::len).sum()
    }
}

/// What runs under the lock leaves the table whole at every moment.
fn lock(running: &Running) -> MutexGuard<'_, HashMap<CallId, HashMap<u64, Operation>>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for Outbound {
    fn begin(&self, caller: &Caller, id: u64, request: Request) {
        let answers = caller.answers().clone();
        match request {
            Request::Http(request) => {
                let response = self.reach.tenant(caller.tenant()).http(http::request(request));
                self.start(caller, id, None, http::tell(response, answers, id));
            }
            Request::WebSocket(WebSocketRequest::Open { url, headers, subprotocols }) => {
                let open = websocket::open(url, headers, subprotocols);
                let (sender, socket) = self.reach.tenant(caller.tenant()).websocket(open);
                self.start(caller, id, Some(sender), websocket::tell(socket, answers, id));
            }
            Request::WebSocket(request) => {
                let Some(sender) = self.sender(caller, id) else { return };
                if !websocket::pass_on(&sender, request, &answers, id) {
                    self.cancel(caller, id);
                }
            }
            _ => {}
        }
    }

    fn cancel(&self, caller: &Caller, id: u64) {
        let cancelled = lock(&self.running).get_mut(&caller.call()).and_then(|operations| operations.remove(&id));
        drop(cancelled);
    }

    fn ended(&self, caller: &Caller) {
        let ended = lock(&self.running).remove(&caller.call());
        drop(ended);
    }
}

pub(super) fn header_in(header: plugin::Header) -> (String, String) {
    (header.name, header.value)
}

/// What the bot is told of a failure.
pub(super) fn failed(error: outside::Error) -> HostError {
    HostError { code: error.code.as_str(), message: error.message }
}
