//! What everybody in here changes: the picture, the registry, and through them the core.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use call::Routing;
use plugin::Registry;
use tokio::sync::mpsc;

use super::{Builds, LogTails, Outcome, Picture, RouteTest};
use crate::core::{NewQuotas, Request};
use crate::services::Reach;

pub struct Shared {
    pub builds: Builds,
    pub registry: Arc<Registry>,
    pub tails: LogTails,
    pub reach: Reach,
    pub component_bytes_max: usize,
    pub prompts: Vec<String>,
    picture: Mutex<Picture>,
    /// What the core routes by.
    routing: RwLock<Arc<Routing>>,
    /// Empty until the core runs: until then it takes the picture as it starts.
    requests: OnceLock<mpsc::Sender<Request>>,
}

impl Shared {
    pub fn new(
        builds: Builds,
        reach: Reach,
        picture: Picture,
        component_bytes_max: usize,
        prompts: Vec<String>,
    ) -> Self {
        Self {
            builds,
            reach,
            registry: Arc::default(),
            tails: LogTails::default(),
            component_bytes_max,
            prompts,
            picture: Mutex::new(picture),
            routing: RwLock::default(),
            requests: OnceLock::new(),
        }
    }

    /// From now on changes reach the core.
    pub fn connect(&self, requests: mpsc::Sender<Request>) {
        let _ = self.requests.set(requests);
    }

    pub fn requests(&self) -> Option<&mpsc::Sender<Request>> {
        self.requests.get()
    }

    /// For threads of this module: waits where the core has much to do. An error means that the host ends.
    pub fn tell(&self, request: Request) {
        if let Some(requests) = self.requests.get() {
            let _ = requests.blocking_send(request);
        }
    }

    pub fn picture(&self) -> MutexGuard<'_, Picture> {
        // What runs under the lock leaves the picture whole at every moment.
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the picture and hands the outcome on, in the order of the changes. Errors are told: the old routes stay.
    pub fn repaint<T>(&self, change: impl FnOnce(&mut Picture) -> T) -> T {
        let mut picture = self.picture();
        let changed = change(&mut picture);
        match picture.routing() {
            Ok(routing) => {
                let routing = Arc::new(routing);
                *self.routing.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&routing);
                self.tell(Request::Routing(routing));
            }
            Err(error) => tracing::error!("routes: {error:#}; the old ones stay"),
        }
        self.tell(Request::Quotas(NewQuotas { tenants: picture.quotas(), allowances: picture.allowances() }));
        changed
    }

    pub fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.routing.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn route_test(&self, trunk: String, called: String) -> RouteTest {
        let (number, uri) = match called.split_once(':') {
            Some(("sip" | "sips" | "tel", rest)) => (rest.split('@').next().unwrap_or_default(), called.clone()),
            _ => (called.as_str(), format!("sip:{called}")),
        };
        let routing = self.routing();
        let found = routing.find(&trunk, &call::called_number(number), &uri);
        let mut test = RouteTest {
            outcome: Outcome::NoRoute,
            tenant: None,
            route: None,
            plugin: None,
            generation: None,
            why: "no route takes this number on this trunk: calls get 404".to_owned(),
            trunk,
            called,
        };
        let Some(route) = found else { return test };
        test.tenant = Some(route.tenant.clone());
        test.route = Some(route.name.clone());
        test.plugin = Some(route.plugin.clone());
        test.generation = self.registry.current(&route.bot).map(|generation| generation.number);
        (test.outcome, test.why) = match test.generation {
            Some(_) => (Outcome::Answered, format!("route `{}` of tenant `{}`", route.name, route.tenant)),
            None => {
                let why =
                    format!("no version of `{}` is active that can run: calls get 480 (activate one)", route.plugin);
                (Outcome::NotLoadable, why)
            }
        };
        test
    }
}
