//! Calls that trunks make for us: a tenant asks for one, the trunk's API is told, and what becomes of it is kept for whoever asks.
//!
//!     POST /v1/calls -> Desk -> the trunk's API          the core matches the INVITE that follows (`call::Dial`)
//!     status callbacks -> Desk <- core
//!
//! `book` holds the state of each request and `throttle` how many a trunk is asked for, both without a clock; `api` speaks to the trunk;
//! `form` reads what the trunk posts. Secrets and URLs
//! are the operator's: no tenant's egress rules go for them.

mod api;
mod book;
mod form;
mod throttle;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use call::{Context, Dial, OutboundEvent, OutboundInput};
use rand::TryRngCore;
use tokio::sync::{Semaphore, mpsc};

use crate::config::{Config, Trunk};
use crate::core::Request;
use api::{ApiAnswer, TrunkApi};
use book::{Book, Change};
pub use book::{State, View};
pub use form::BODY_BYTES_MAX;
use throttle::Throttle;

/// Requests to trunks' APIs at a time; more wait. Each holds a thread as long as the API takes.
const ASKED_AT_A_TIME: usize = 64;

/// Who asks whom to be called, and what the bot is to know of it.
pub struct Order {
    pub tenant: String,
    pub trunk: String,
    /// The customer.
    pub to: String,
    /// Our number.
    pub from: String,
    pub context: Context,
}

/// Why there is no call, or why it is not known whether there is one.
#[derive(Debug)]
pub enum DialError {
    /// The trunk has no API, or the tenant may not use it.
    NoTrunk(String),
    /// As many requests as there may be, of the tenant or of all.
    Crowded,
    /// The trunk is asked for no more calls in this minute.
    OverRate {
        why: String,
        wait: Duration,
    },
    /// The trunk takes no more calls for the moment.
    Throttled(Duration),
    Refused(String),
    /// The API was not reached: no call is made.
    Unreached(String),
    /// It gave no answer that can be read: the call may be made all the same, and then finds its context.
    Unclear {
        id: String,
        why: String,
    },
    /// The host itself cannot.
    Host(String),
}

/// A trunk that makes calls.
struct Maker {
    api: TrunkApi,
    throttle: Mutex<Throttle>,
}

pub struct Desk {
    trunks: HashMap<String, Arc<Maker>>,
    /// Before the token of each request.
    callback_url: Mutex<Option<String>>,
    book: Mutex<Book>,
    core: mpsc::Sender<Request>,
    places: Arc<Semaphore>,
}

impl Desk {
    /// Errors: a secret or a file that the configuration names cannot be read.
    pub fn new(config: &Config, core: mpsc::Sender<Request>) -> Result<Arc<Self>, String> {
        let maker = |trunk: &Trunk| {
            let outbound = trunk.outbound.as_ref()?;
            let throttle = Mutex::new(Throttle::new(outbound.calls_per_minute));
            Some(TrunkApi::new(outbound).map(|api| (trunk.name.clone(), Arc::new(Maker { api, throttle }))))
        };
        Ok(Arc::new(Self {
            trunks: config.trunks.iter().filter_map(maker).collect::<Result<_, _>>()?,
            callback_url: Mutex::default(),
            book: Mutex::default(),
            core,
            places: Arc::new(Semaphore::new(ASKED_AT_A_TIME)),
        }))
    }

    /// From now on trunks are told to say under this URL what became of their calls.
    pub fn call_back_at(&self, url: String) {
        *self.callback_url.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
    }

    /// Asks the trunk for a call, once `written` has put down that it will. Goes on to its end, whether or not somebody waits for it.
    pub async fn dial<W>(
        self: &Arc<Self>,
        order: Order,
        written: impl FnOnce(View) -> W + Send + 'static,
    ) -> Result<View, DialError>
    where
        W: Future<Output = Result<(), String>> + Send,
    {
        let desk = Arc::clone(self);
        let made = tokio::spawn(async move {
            let maker = desk.maker(&order.trunk, &order.tenant)?;
            let (view, token) = desk.open(&order, &maker)?;
            if let Err(why) = written(view.clone()).await {
                desk.book().change(&view.id, Change::Refused("it could not be put down".into()), Instant::now());
                return Err(DialError::Host(why));
            }
            desk.ask(order, view.id, token, maker).await
        });
        made.await.unwrap_or_else(|error| Err(DialError::Host(error.to_string())))
    }

    /// Into the book, if there is room for it, and with the token of its callbacks.
    fn open(&self, order: &Order, maker: &Maker) -> Result<(View, String), DialError> {
        let Order { tenant, trunk, to, from, .. } = order;
        let token = token().map_err(DialError::Host)?;
        let view = View::new(tenant, trunk, to, from, crate::core::wall_clock().unix_ms);
        let now = Instant::now();
        let mut throttle = maker.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.look(now).map_err(|wait| {
            let most = throttle.calls_per_minute();
            DialError::OverRate { why: format!("trunk `{trunk}` is asked for {most} calls a minute at most"), wait }
        })?;
        if !self.book().open(view.clone(), token.clone(), now) {
            return Err(DialError::Crowded);
        }
        throttle.count(now);
        Ok((view, token))
    }

    async fn ask(&self, order: Order, id: String, token: String, maker: Arc<Maker>) -> Result<View, DialError> {
        let Order { tenant, trunk, to, from, context } = order;
        // The core knows of it before the trunk does.
        let dial = Dial { id: id.clone(), tenant, trunk, to: to.clone(), from: from.clone(), context };
        self.tell(OutboundInput::Dialled(Box::new(dial))).await?;
        let callback = self.callback_url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let callback = callback.map(|url| format!("{url}/callbacks/{token}"));
        let place = Arc::clone(&self.places).acquire_owned().await;
        let name = id.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let answer = maker.api.ask(&to, &from, &name, callback.as_deref());
            drop(place);
            answer
        });
        let answer = asked.await.unwrap_or_else(|error| ApiAnswer::Unclear(error.to_string()));
        tracing::info!(request = id, answer = call::mask_numbers(&answer.to_string()), "outbound call asked for");
        self.answered(id, answer).await
    }

    fn maker(&self, trunk: &str, tenant: &str) -> Result<Arc<Maker>, DialError> {
        let Some(maker) = self.trunks.get(trunk) else {
            let why = format!("no trunk `{trunk}` makes calls: the operator sets [trunks.outbound]");
            return Err(DialError::NoTrunk(why));
        };
        if !maker.api.serves(tenant) {
            return Err(DialError::NoTrunk(format!("trunk `{trunk}` makes no calls for tenant `{tenant}`")));
        }
        Ok(Arc::clone(maker))
    }

    async fn answered(&self, id: String, answer: ApiAnswer) -> Result<View, DialError> {
        let input = match &answer {
            ApiAnswer::Accepted { call_sid } => {
                OutboundInput::Answered { id: id.clone(), call_sid: Some(call_sid.clone()) }
            }
            ApiAnswer::Unclear(_) => OutboundInput::Answered { id: id.clone(), call_sid: None },
            _ => OutboundInput::Over { id: id.clone() },
        };
        self.tell(input).await?;
        let now = Instant::now();
        let (change, error) = match answer {
            ApiAnswer::Accepted { call_sid } => (Change::Accepted { call_sid }, None),
            ApiAnswer::Unclear(why) => (Change::Unclear(why.clone()), Some(DialError::Unclear { id: id.clone(), why })),
            ApiAnswer::Refused(why) => (Change::Refused(why.clone()), Some(DialError::Refused(why))),
            ApiAnswer::Unreached(why) => (Change::Refused(why.clone()), Some(DialError::Unreached(why))),
            ApiAnswer::Throttled(wait) => (
                Change::Refused("the trunk takes no more calls for the moment".into()),
                Some(DialError::Throttled(wait)),
            ),
        };
        let mut book = self.book();
        book.change(&id, change, now);
        match (error, book.view(&id, now)) {
            (None, Some(view)) => Ok(view),
            (Some(error), _) => Err(error),
            (None, None) => Err(DialError::Host("the request was forgotten".into())),
        }
    }

    /// The state of a request; None: there is none, or it was forgotten.
    pub fn view(&self, id: &str) -> Option<View> {
        self.book().view(id, Instant::now())
    }

    /// What the core says of a request.
    pub fn report(&self, event: OutboundEvent) {
        let (id, change) = match event {
            OutboundEvent::Connected { id, call } => (id, Change::Connected { call }),
            OutboundEvent::Expired { id } => (id, Change::Expired),
        };
        self.book().change(&id, change, Instant::now());
    }

    /// Its second leg is over.
    pub fn call_ended(&self, id: &str, cause: &str) {
        self.book().change(id, Change::CallEnded(cause.to_owned()), Instant::now());
    }

    /// Whether a trunk may say something under this token.
    pub fn knows(&self, token: &str) -> bool {
        self.book().request_of(token, Instant::now()).is_some()
    }

    /// What a trunk says under a token. False: nobody has it.
    pub async fn call_back(&self, token: &str, content_type: &str, body: &[u8]) -> bool {
        let status = form::status(content_type, body);
        let now = Instant::now();
        let over = {
            let mut book = self.book();
            let Some(id) = book.request_of(token, now) else { return false };
            book.change(&id, Change::Told(status), now);
            book.view(&id, now).filter(|view| view.state == State::Ended && view.call.is_none()).map(|view| view.id)
        };
        if let Some(id) = over {
            // A host that ends needs it no more.
            let _ = self.tell(OutboundInput::Over { id }).await;
        }
        true
    }

    async fn tell(&self, input: OutboundInput) -> Result<(), DialError> {
        self.core.send(Request::Outbound(input)).await.map_err(|_| DialError::Host("the host ends".into()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change leaves the book whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Desk({} trunks)", self.trunks.len())
    }
}

/// 256 bits that nobody can guess, as 64 hexadecimal digits.
fn token() -> Result<String, String> {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| format!("the system's random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Looks at what `[trunks.outbound]` refers to. Errors: it cannot be read.
pub fn check(outbound: &crate::config::Outbound) -> Result<(), String> {
    TrunkApi::new(outbound).map(drop)
}
