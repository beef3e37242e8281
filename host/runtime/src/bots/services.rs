//! What a bot asks of others than its call: HTTP, WebSockets, the store, speech, a model. Who carries it out is not known here.

use std::sync::Arc;

use call::CallId;
use plugin::{HostError, Request};

use super::Answers;

/// Whoever carries it out. Each method is called on a thread that others wait for, and returns at once.
///
/// Of one call `begin` and `cancel` come in the order in which the bot asked, and nothing comes after `ended`.
pub trait Services: Send + Sync {
    /// Before the bot is given an id, while its guest runs: what can be said without asking anyone. Errors: `no-engine`,
    /// `bad-request`; the bot is told at once. A move that fails is asked about and yet never begun.
    fn check(&self, _caller: &Caller, _request: &Request) -> Result<(), HostError> {
        Ok(())
    }

    /// What comes of it goes to `caller.answers()` under this id; the last outcome ends it. What follows the opening of a WebSocket
    /// comes under the id of the opening. Control requests never come here.
    fn begin(&self, caller: &Caller, id: u64, request: Request);

    /// Nothing more of it is heard. May come for one that has just answered for the last time.
    fn cancel(&self, caller: &Caller, id: u64);

    /// The call is closed, and so is everything of it. Not called for calls that never asked.
    fn ended(&self, caller: &Caller);
}

/// On whose behalf something is carried out. A clone is the same call.
#[derive(Clone)]
pub struct Caller {
    inner: Arc<Inner>,
}

struct Inner {
    call: CallId,
    tenant: String,
    answers: Answers,
}

impl Caller {
    pub(super) fn new(call: CallId, tenant: &str, answers: Answers) -> Self {
        Self { inner: Arc::new(Inner { call, tenant: tenant.to_owned(), answers }) }
    }

    pub fn call(&self) -> CallId {
        self.inner.call
    }

    pub fn tenant(&self) -> &str {
        &self.inner.tenant
    }

    pub fn answers(&self) -> &Answers {
        &self.inner.answers
    }
}

/// A host that offers none: whatever is asked for is `unavailable`.
#[cfg(test)]
pub struct NoServices;

#[cfg(test)]
impl Services for NoServices {
    fn check(&self, _caller: &Caller, request: &Request) -> Result<(), HostError> {
        match request {
            Request::Control(_) => Ok(()),
            other => Err(HostError {
                code: "unavailable",
                message: format!("this host offers no {} to bots", other.pair().name()),
            }),
        }
    }

    fn begin(&self, _caller: &Caller, _id: u64, _request: Request) {}

    fn cancel(&self, _caller: &Caller, _id: u64) {}

    fn ended(&self, _caller: &Caller) {}
}

/// A call without a bot plane, for tests of services: they play the bot.
#[cfg(test)]
pub struct TestCall {
    pub caller: Caller,
    operations: Arc<super::operations::Affairs>,
    /// The media thread's end of the playout queue.
    pub playout: media::PlayoutReader,
    ear: super::ear::Ear,
    tick: u64,
    now: std::time::Instant,
}

#[cfg(test)]
impl TestCall {
    /// Of this tenant, on a route with this configuration (JSON).
    pub fn new(tenant: &str, config: &str) -> Self {
        use super::operations::{Affairs, CallFacts, Operations};
        let now = std::time::Instant::now();
        let (writer, playout) = media::playout(10_000);
        let config = serde_json::from_str(config).expect("an object");
        let facts = Arc::new(CallFacts { config, ..CallFacts::default() });
        let log = super::BotLog::new(super::Voice::none(), 1, now);
        let clock = call::WallClock { at: now, unix_ms: 0 };
        let operations = Operations::new(Arc::clone(&facts), (writer, 10_000), log, [7; 32], clock);
        let operations = Arc::new(Affairs::new(operations));
        let call = sip::DialogId(1);
        let caller = Caller::new(call, tenant, Answers::new(&operations, std::sync::Weak::new()));
        Self { caller, operations, playout, ear: super::ear::Ear::default(), tick: 0, now }
    }

    /// 8 kHz mono, in whole frames; whoever listens hears it.
    pub fn caller_says(&mut self, samples: &[i16]) {
        for frame in samples.as_chunks::<160>().0 {
            let change = self.operations.look().take_change();
            change.into_iter().for_each(|change| self.ear.attend(change, &self.operations));
            let (kind, due) = (plugin::FrameKind::Audio, self.now);
            let frame = super::FromCaller { tick: self.tick, due, kind, budget_ms: 10, delay_ms: 0, samples: *frame };
            self.ear.hear(&frame, self.now, &self.operations);
            self.tick += 1;
        }
    }

    /// As the bot asks for it, and the bot's turn ends: what is to be carried out reaches the services.
    pub fn begin(&self, services: &dyn Services, request: Request) -> Result<u64, HostError> {
        services.check(&self.caller, &request)?;
        let id = self.operations.lock().begin(request)?;
        self.end_turn(services);
        Ok(id)
    }

    pub fn proceed(
        &self,
        services: &dyn Services,
        id: u64,
        request: plugin::WebSocketRequest,
    ) -> Result<(), HostError> {
        self.operations.lock().proceed(id, request)?;
        self.end_turn(services);
        Ok(())
    }

    pub fn cancel(&self, services: &dyn Services, pair: plugin::Pair, id: u64) -> bool {
        let cancelled = self.operations.lock().cancel(pair, id);
        self.end_turn(services);
        cancelled
    }

    pub fn clear_playout(&self, services: &dyn Services) {
        self.operations.lock().playout_clear();
        self.end_turn(services);
    }

    pub fn close(&self, services: &dyn Services) {
        self.operations.lock().close();
        services.ended(&self.caller);
    }

    fn end_turn(&self, services: &dyn Services) {
        use super::operations::Task;
        loop {
            let next = self.operations.lock().next_task();
            match next {
                Some(Task::Begin { id, request }) => services.begin(&self.caller, id, request),
                Some(Task::Cancel { id }) => services.cancel(&self.caller, id),
                None => return,
            }
        }
    }

    /// The next event for the bot, if one waits.
    pub fn next_event(&mut self) -> Option<plugin::Event> {
        self.operations.advance(self.now).next_event()
    }
}
