//! `store`: keys and values of the tenants. A tenant's are read and written in the order in which its bots asked, and what was asked for
//! is done though the call has ended since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::store::{Error, Kept, Pairs};
use plugin::{HostError, Outcome, Request, StoreEvent, StoreRequest};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::Reach;
use crate::bots::{Answers, Caller, Services};
use crate::observe::Counter;

/// Of one tenant.
const WAITING_MAX: usize = 1_024;
/// Done one after the other on one thread, before other tenants have their turn.
const AT_ONCE: usize = 16;
/// Threads that wait for the disk.
const THREADS_MAX: usize = 4;

pub struct Keeper {
    store: Option<Arc<dyn Pairs>>,
    /// Which is told what its tenants keep.
    reach: Reach,
    /// By tenant; one that has asked once keeps its queue.
    queues: Mutex<HashMap<String, Queue>>,
    threads: Arc<Semaphore>,
    runtime: Handle,
}

struct Queue {
    jobs: mpsc::Sender<Job>,
    requests: Counter,
}

struct Job {
    request: StoreRequest,
    answers: Answers,
    id: u64,
}

impl Keeper {
    pub fn new(store: Option<Arc<dyn Pairs>>, reach: Reach, runtime: Handle) -> Self {
        Self { store, reach, queues: Mutex::default(), threads: Arc::new(Semaphore::new(THREADS_MAX)), runtime }
    }

    fn queue(&self, store: &Arc<dyn Pairs>, tenant: &str) -> Queue {
        let (jobs, asked) = mpsc::channel(WAITING_MAX);
        let (store, threads, reach) = (Arc::clone(store), Arc::clone(&self.threads), self.reach.clone());
        self.runtime.spawn(work(store, threads, reach, tenant.to_owned(), asked));
        let help = "Reads and writes of a tenant's bots in its store.";
        Queue {
            jobs,
            requests: self.reach.metrics().counter("patchbay_store_requests_total", help, &[("tenant", tenant)]),
        }
    }
}

fn count_failure(reach: &Reach, tenant: &str, error: &HostError) {
    let help = "Reads and writes of bots that failed, by the code that the bot was told.";
    let labels = [("tenant", tenant), ("code", error.code)];
    reach.metrics().counter("patchbay_store_failures_total", help, &labels).add(1);
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
        let queue = queues.entry(tenant.to_owned()).or_insert_with(|| self.queue(store, tenant));
        queue.requests.add(1);
        if let Err(refused) = queue.jobs.try_send(Job { request, answers, id }) {
            let Job { answers, id, .. } = refused.into_inner();
            let message = format!("{WAITING_MAX} reads and writes of the tenant wait already");
            let error = HostError { code: "unavailable", message };
            count_failure(&self.reach, tenant, &error);
            self.runtime.spawn(give(answers, id, StoreEvent::Failed(error)));
        }
    }

    /// Nothing of it can be cancelled: what was asked for is done.
    fn cancel(&self, _caller: &Caller, _id: u64) {}

    fn ended(&self, _caller: &Caller) {}
}

/// Goes on as long as the host.
async fn work(
    store: Arc<dyn Pairs>,
    threads: Arc<Semaphore>,
    reach: Reach,
    tenant: String,
    mut jobs: mpsc::Receiver<Job>,
) {
    let mut next = Vec::with_capacity(AT_ONCE);
    while jobs.recv_many(&mut next, AT_ONCE).await > 0 {
        let batch = std::mem::take(&mut next);
        let Ok(place) = Arc::clone(&threads).acquire_owned().await else { return };
        let (store, reach, tenant) = (Arc::clone(&store), reach.clone(), tenant.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            let now_ms = crate::core::wall_clock().unix_ms;
            let done = batch.into_iter().map(|Job { request, answers, id }| {
                let event = carry_out(&*store, &tenant, request, now_ms).unwrap_or_else(|error| {
                    let error = refused(&tenant, &error);
                    count_failure(&reach, &tenant, &error);
                    StoreEvent::Failed(error)
                });
                (answers, id, event)
            });
            let done = done.collect::<Vec<_>>();
            match store.kept(&tenant) {
                Ok(kept) => reach.keeps(&tenant, kept),
                Err(Error::NotFound { .. }) => reach.keeps(&tenant, Kept::default()),
                // The bots are told of it.
                Err(_) => {}
            }
            done
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

fn carry_out(store: &dyn Pairs, tenant: &str, request: StoreRequest, now_ms: u64) -> ::store::Result<StoreEvent> {
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

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::time::Duration;

    use ::store::Result;

    use super::*;
    use crate::bots::TestCall;
    use crate::config::Config;
    use crate::observe::Metrics;
    use crate::services::scripted::{GENEROUS, outcome};

    /// A disk on which everybody waits until it is let go, and which knows how many do at a time.
    #[derive(Default)]
    struct Disk {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct State {
        is_let_go: bool,
        waiting: usize,
        most: usize,
    }

    impl Disk {
        fn wait(&self) {
            let mut state = self.state.lock().unwrap();
            state.waiting += 1;
            state.most = state.most.max(state.waiting);
            let (mut state, _) = self.changed.wait_timeout_while(state, GENEROUS, |state| !state.is_let_go).unwrap();
            state.waiting -= 1;
        }

        fn let_go(&self) {
            self.state.lock().unwrap().is_let_go = true;
            self.changed.notify_all();
        }
    }

    impl Pairs for Disk {
        fn value(&self, _tenant: &str, _key: &str, _now_ms: u64) -> Result<Option<Vec<u8>>> {
            self.wait();
            Ok(None)
        }

        fn put_value(&self, _: &str, _: &str, _: &[u8], _: Option<u64>, _: u64) -> Result<()> {
            self.wait();
            Ok(())
        }

        fn swap_value(&self, _: &str, _: &str, _: Option<&[u8]>, _: &[u8], _: u64) -> Result<bool> {
            self.wait();
            Ok(false)
        }

        fn delete_value(&self, _tenant: &str, _key: &str) -> Result<()> {
            self.wait();
            Ok(())
        }

        fn keys(&self, _: &str, _: &str, _: &str, _: u64) -> Result<Vec<String>> {
            self.wait();
            Ok(Vec::new())
        }

        fn kept(&self, _tenant: &str) -> Result<Kept> {
            Ok(Kept::default())
        }
    }

    fn keeper() -> (Arc<Disk>, Keeper) {
        let disk = Arc::<Disk>::default();
        let reach = Reach::new(&Config::default(), Handle::current(), &Metrics::default()).unwrap();
        (Arc::clone(&disk), Keeper::new(Some(disk), reach, Handle::current()))
    }

    fn ask(call: &TestCall, keeper: &Keeper) {
        call.begin(keeper, Request::Store(StoreRequest::Get { key: "k".into() })).unwrap();
    }

    #[tokio::test]
    async fn of_a_tenant_1024_reads_and_writes_wait_and_one_more_is_refused() {
        let (disk, keeper) = keeper();
        // Each call may have 16 under way. None is taken up while this thread does not wait.
        let mut calls: Vec<TestCall> = (0..64).map(|_| TestCall::new("acme", "{}")).collect();
        for call in &calls {
            (0..16).for_each(|_| ask(call, &keeper));
        }
        let (mut late, mut other) = (TestCall::new("acme", "{}"), TestCall::new("other", "{}"));
        ask(&late, &keeper);
        ask(&other, &keeper);
        disk.let_go();
        match outcome(&mut late).await.1 {
            Outcome::Store(StoreEvent::Failed(error)) => {
                assert!(error.code == "unavailable" && error.message.contains("1024"), "{error:?}");
            }
            answer => panic!("{answer:?}"),
        }
        for call in &mut calls {
            for _ in 0..16 {
                assert_eq!(outcome(call).await.1, Outcome::Store(StoreEvent::Value(None)));
            }
        }
        assert_eq!(outcome(&mut other).await.1, Outcome::Store(StoreEvent::Value(None)));
    }

    #[tokio::test]
    async fn four_threads_wait_for_the_disk_and_no_more() {
        let (disk, keeper) = keeper();
        let mut calls: Vec<TestCall> = (0..8).map(|number| TestCall::new(&format!("t{number}"), "{}")).collect();
        calls.iter().for_each(|call| ask(call, &keeper));
        let waiting = || disk.state.lock().unwrap().waiting;
        let four = async {
            while waiting() < 4 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(GENEROUS, four).await.expect("four at a time");
        // So that a fifth has time to show itself.
        tokio::time::sleep(Duration::from_millis(50)).await;
        disk.let_go();
        for call in &mut calls {
            assert_eq!(outcome(call).await.1, Outcome::Store(StoreEvent::Value(None)));
        }
        assert_eq!(disk.state.lock().unwrap().most, 4);
    }
}
