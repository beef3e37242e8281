//! `store`: keys and values of the tenants. A tenant's are read and written in the order in which its bots asked, and what was asked for
//! is done though the call has ended since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::store::{Error, Store};
use plugin::{HostError, Outcome, Request, StoreEvent, StoreRequest};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::bots::{Answers, Caller, Services};

/// Of one tenant.
const WAITING_MAX: usize = 1_024;
/// Done one after the other on one thread, before other tenants have their turn.
const AT_ONCE: usize = 16;
/// Threads that wait for the disk.
const THREADS_MAX: usize = 4;

pub struct Keeper {
    store: Option<Arc<dyn Store>>,
    /// By tenant; one that has asked once keeps its queue.
    queues: Mutex<HashMap<String, mpsc::Sender<Job>>>,
    threads: Arc<Semaphore>,
    runtime: Handle,
}

struct Job {
    request: StoreRequest,
    answers: Answers,
    id: u64,
}

impl Keeper {
    pub fn new(store: Option<Arc<dyn Store>>, runtime: Handle) -> Self {
        Self { store, queues: Mutex::default(), threads: Arc::new(Semaphore::new(THREADS_MAX)), runtime }
    }
}

impl Services for Keeper {
    fn check(&self, _caller: &Caller, _request: &Request) -> Result<(), HostError> {
        let none =
            || HostError { code: "unavailable", message: "this host keeps nothing: it has no data folder".into() };
        self.store.is_some().then_some(()).ok_or_else(none)
    }

    fn begin(&self, caller: &Caller, id: u64, request: Request) {
        let (Some(store), Request::Store(request)) = (&self.store, request) else { return };
        let (tenant, answers) = (caller.tenant(), caller.answers().clone());
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(tenant.to_owned()).or_insert_with(|| {
            let (queue, jobs) = mpsc::channel(WAITING_MAX);
            let (store, threads) = (Arc::clone(store), Arc::clone(&self.threads));
            self.runtime.spawn(work(store, threads, tenant.to_owned(), jobs));
            queue
        });
        if let Err(refused) = queue.try_send(Job { request, answers, id }) {
            let Job { answers, id, .. } = refused.into_inner();
            let message = format!("{WAITING_MAX} reads and writes of the tenant wait already");
            self.runtime.spawn(give(answers, id, StoreEvent::Failed(HostError { code: "unavailable", message })));
        }
    }

    /// Nothing of it can be cancelled: what was asked for is done.
    fn cancel(&self, _caller: &Caller, _id: u64) {}

    fn ended(&self, _caller: &Caller) {}
}

/// Goes on as long as the host.
async fn work(store: Arc<dyn Store>, threads: Arc<Semaphore>, tenant: String, mut jobs: mpsc::Receiver<Job>) {
    let mut next = Vec::with_capacity(AT_ONCE);
    while jobs.recv_many(&mut next, AT_ONCE).await > 0 {
        let batch = std::mem::take(&mut next);
        let Ok(place) = Arc::clone(&threads).acquire_owned().await else { return };
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            let now_ms = crate::core::wall_clock().unix_ms;
            let done = batch.into_iter().map(|Job { request, answers, id }| {
                let event = carry_out(&*store, &tenant, request, now_ms);
                (answers, id, event.unwrap_or_else(|error| StoreEvent::Failed(refused(&tenant, &error))))
            });
            done.collect::<Vec<_>>()
        });
        // One call whose bot takes nothing holds no other up.
        for (answers, id, event) in done.await.unwrap_or_default() {
            tokio::spawn(give(answers, id, event));
        }
    }
}

async fn give(answers: Answers, id: u64, event: StoreEvent) {
    answers.give(id, Outcome::Store(event)).await;
}

fn carry_out(store: &dyn Store, tenant: &str, request: StoreRequest, now_ms: u64) -> ::store::Result<StoreEvent> {
    Ok(match request {
        StoreRequest::Get { key } => StoreEvent::Value(store.value(tenant, &key, now_ms)?),
        StoreRequest::Put { key, value, expires_ms } => {
            let expires_at_ms = (expires_ms > 0).then(|| now_ms.saturating_add(expires_ms));
            store.put_value(tenant, &key, &value, expires_at_ms, now_ms)?;
            StoreEvent::Stored
        }
        StoreRequest::Swap { key, expected, value } => {
            StoreEvent::Swapped(store.swap_value(tenant, &key, expected.as_deref(), &value, now_ms)?)
        }
        StoreRequest::Delete { key } => {
            store.delete_value(tenant, &key)?;
            StoreEvent::Stored
        }
        StoreRequest::List { prefix, after } => StoreEvent::Keys(store.keys(tenant, &prefix, &after, now_ms)?),
    })
}

/// What a bot may know of it; the host's own trouble is for its log.
fn refused(tenant: &str, error: &Error) -> HostError {
    match error {
        Error::StorageQuota { .. } | Error::TooMany { .. } => HostError { code: "quota", message: error.to_string() },
        Error::NotFound { .. } => HostError { code: "unavailable", message: error.to_string() },
        other => {
            tracing::error!(tenant, error = %other, "what a bot keeps cannot be read or written");
            HostError { code: "unavailable", message: "the host cannot keep it at the moment".into() }
        }
    }
}
