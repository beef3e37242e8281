//! The services as a bot meets them, over a bot plane that the test plays. What they keep to is tested beside `outside` and `store`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::store::{By, Quotas, Settings, SqliteStore, Store};
use outside::TenantRules;
use plugin::{
    Event, HttpEvent, HttpRequest, Outcome, Pair, Pieces, SpeechRequest, StoreEvent, StoreRequest, WebSocketRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::bots::TestCall;
use crate::config::{Config, Egress, PrivateRange};
use crate::observe::Metrics;

/// Only a hang takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    services: Table,
    outbound: Arc<Outbound>,
    reach: Reach,
    store: Arc<SqliteStore>,
    folder: PathBuf,
}

impl World {
    /// The tenant acme, which may connect to this address without TLS.
    fn new(open: SocketAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("patchbay-services-{}-{next}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let store = Arc::new(SqliteStore::open(&folder, Settings::default()).unwrap());
        let by = By { who: "test".into(), at_ms: 1 };
        store.create_tenant(&by, &"acme".parse().unwrap(), Quotas::default()).unwrap();
        let host = format!("127.0.0.1:{}", open.port());
        store.set_egress(&by, "acme", std::slice::from_ref(&host)).unwrap();
        let range = PrivateRange {
            name: "local".into(),
            hosts: vec![host.parse().unwrap()],
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            plain: true,
        };
        let config = Config { egress: Egress { private: vec![range], ..Egress::default() }, ..Config::default() };
        let reach = Reach::new(&config, Handle::current(), &Metrics::default()).unwrap();
        reach.set("acme", rules_in(&*store, "acme").unwrap());
        let outbound = Arc::new(Outbound::new(reach.clone(), Handle::current()));
        let keeper = Keeper::new(Some(Arc::clone(&store) as Arc<dyn Pairs>), reach.clone(), Handle::current());
        let services = Table(vec![
            (&[Pair::Http, Pair::WebSocket], Arc::clone(&outbound) as Arc<dyn Services>),
            (&[Pair::Store], Arc::new(keeper)),
        ]);
        Self { services, outbound, reach, store, folder }
    }

    /// What /metrics would say.
    fn page(&self) -> String {
        let metrics = self.reach.metrics();
        self.reach.count(metrics);
        metrics.render()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn get(url: String) -> Request {
    Request::Http(HttpRequest {
        method: "GET".into(),
        url,
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 0,
        pieces: Pieces::Whole,
    })
}

async fn next(call: &mut TestCall) -> (u64, Outcome) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call.next_event() {
            Some(Event::Outcome { id, outcome }) => return (id, *outcome),
            Some(other) => panic!("{other:?}"),
            None => assert!(Instant::now() < deadline, "nothing came"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_request_is_answered_where_it_may_go_and_refused_elsewhere_by_the_name_of_the_list() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
    });
    let world = World::new(address);
    let mut call = TestCall::new("acme", "{}");
    let id = call.begin(&world.services, get(format!("http://{address}/"))).unwrap();
    let (first, head) = next(&mut call).await;
    assert!(matches!(head, Outcome::Http(HttpEvent::Head { status: 200, .. })), "{head:?}");
    assert_eq!(first, id);
    assert_eq!(next(&mut call).await.1, Outcome::Http(HttpEvent::Body(b"hi".to_vec())));
    assert_eq!(next(&mut call).await.1, Outcome::Http(HttpEvent::Done));
    until("the operation is over", || world.outbound.running() == 0).await;

    let refused = async |call: &mut TestCall, url: &str| {
        call.begin(&world.services, get(url.into())).unwrap();
        match next(call).await.1 {
            Outcome::Http(HttpEvent::Failed(error)) => (error.code, error.message),
            other => panic!("{other:?}"),
        }
    };
    let (code, message) = refused(&mut call, "https://example.com/").await;
    assert_eq!(code, "egress-denied");
    assert!(message.contains("the tenant's egress list"), "{message}");
    // Another tenant has lists of its own.
    let mut stranger = TestCall::new("stranger", "{}");
    assert_eq!(refused(&mut stranger, &format!("http://{address}/")).await.0, "egress-denied");
    // What the tenant asks for is not enough.
    let rules = TenantRules { egress: vec!["example.com:443".parse().unwrap()], ..TenantRules::default() };
    world.reach.set("acme", rules);
    let (_, message) = refused(&mut call, "https://example.com/").await;
    assert!(message.contains("the operator's egress list"), "{message}");

    let page = world.page();
    for line in [
        "patchbay_outside_requests_total{tenant=\"acme\"} 3",
        "patchbay_outside_failures_total{tenant=\"acme\",code=\"egress-denied\"} 2",
        "patchbay_outside_failures_total{tenant=\"stranger\",code=\"egress-denied\"} 1",
        "patchbay_outside_refused_total{tenant=\"acme\",by=\"tenants-list\"} 1",
        "patchbay_outside_refused_total{tenant=\"acme\",by=\"operators-list\"} 1",
        "patchbay_outside_refused_total{tenant=\"stranger\",by=\"tenants-list\"} 1",
        "patchbay_outside_connections_total{tenant=\"acme\"} 1",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn what_is_cancelled_or_whose_call_has_ended_is_given_up() {
    let (listener, address) = listener().await;
    let world = World::new(address);
    let accepted = async || tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap().0;
    let closed = async |mut stream: tokio::net::TcpStream| {
        let mut rest = Vec::new();
        // However it is closed, it is.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection is closed");
    };
    let mut call = TestCall::new("acme", "{}");
    let id = call.begin(&world.services, get(format!("http://{address}/"))).unwrap();
    let stream = accepted().await;
    assert!(call.cancel(&world.services, Pair::Http, id));
    closed(stream).await;
    assert_eq!(world.outbound.running(), 0);

    let open =
        WebSocketRequest::Open { url: format!("ws://{address}/"), headers: Vec::new(), subprotocols: Vec::new() };
    let socket = call.begin(&world.services, Request::WebSocket(open)).unwrap();
    // As much as may wait, and no more: nothing has left.
    call.proceed(&world.services, socket, WebSocketRequest::Binary(vec![0; 1 << 20])).unwrap();
    assert!(call.proceed(&world.services, socket, WebSocketRequest::Text("x".into())).is_err());
    call.begin(&world.services, get(format!("http://{address}/"))).unwrap();
    let (one, other) = (accepted().await, accepted().await);
    for (what, open) in [("connections", 2), ("requests", 1), ("websockets", 1)] {
        let line = format!("patchbay_outside_{what}_open{{tenant=\"acme\"}} {open}\n");
        until(&line, || world.page().contains(&line)).await;
    }
    call.close(&world.services);
    closed(one).await;
    closed(other).await;
    assert_eq!(world.outbound.running(), 0);
    assert!(call.next_event().is_none());
}

#[tokio::test]
async fn what_a_bot_keeps_is_there_for_its_tenants_next_call_in_the_order_in_which_it_asked() {
    let world = World::new("127.0.0.1:9".parse().unwrap());
    let mut call = TestCall::new("acme", "{}");
    let put = |value: &str| Request::Store(StoreRequest::Put { key: "k".into(), value: value.into(), expires_ms: 0 });
    let gets = || Request::Store(StoreRequest::Get { key: "k".into() });
    for n in 0..8 {
        call.begin(&world.services, put(&n.to_string())).unwrap();
    }
    let swap = StoreRequest::Swap { key: "k".into(), expected: Some(b"7".to_vec()), value: b"8".to_vec() };
    let swap = call.begin(&world.services, Request::Store(swap)).unwrap();
    let mut outcomes = HashMap::new();
    while outcomes.len() < 9 {
        let (id, outcome) = next(&mut call).await;
        outcomes.insert(id, outcome);
    }
    assert_eq!(outcomes[&swap], Outcome::Store(StoreEvent::Swapped(true)));
    // A call's last words are written though it has ended.
    call.begin(&world.services, put("last")).unwrap();
    call.close(&world.services);
    let mut call = TestCall::new("acme", "{}");
    call.begin(&world.services, gets()).unwrap();
    assert_eq!(next(&mut call).await.1, Outcome::Store(StoreEvent::Value(Some(b"last".to_vec()))));
    let list = StoreRequest::List { prefix: String::new(), after: String::new() };
    call.begin(&world.services, Request::Store(list)).unwrap();
    assert_eq!(next(&mut call).await.1, Outcome::Store(StoreEvent::Keys(vec!["k".into()])));
    // One byte of key, four of its value, 64 for the pair.
    for line in ["patchbay_store_keys{tenant=\"acme\"} 1", "patchbay_store_bytes{tenant=\"acme\"} 69"] {
        assert!(world.page().contains(line), "{line}\n{}", world.page());
    }
    call.begin(&world.services, Request::Store(StoreRequest::Delete { key: "k".into() })).unwrap();
    assert_eq!(next(&mut call).await.1, Outcome::Store(StoreEvent::Stored));
    assert_eq!(world.store.value("acme", "k", 1).unwrap(), None);
    assert!(world.page().contains("patchbay_store_keys{tenant=\"acme\"} 0"), "{}", world.page());
}

#[tokio::test]
async fn the_storage_quota_is_told_and_so_is_a_tenant_that_is_not_kept() {
    let world = World::new("127.0.0.1:9".parse().unwrap());
    let by = By { who: "test".into(), at_ms: 1 };
    world.store.set_quotas(&by, "acme", Quotas { storage_bytes: 100, ..Quotas::default() }).unwrap();
    for (tenant, expected) in [("acme", "quota"), ("nobody", "unavailable")] {
        let mut call = TestCall::new(tenant, "{}");
        let put = StoreRequest::Put { key: "k".into(), value: vec![0; 100], expires_ms: 0 };
        call.begin(&world.services, Request::Store(put)).unwrap();
        match next(&mut call).await.1 {
            Outcome::Store(StoreEvent::Failed(error)) => assert_eq!(error.code, expected, "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
    let page = world.page();
    for line in [
        "patchbay_store_requests_total{tenant=\"acme\"} 1",
        "patchbay_store_failures_total{tenant=\"acme\",code=\"quota\"} 1",
        "patchbay_store_failures_total{tenant=\"nobody\",code=\"unavailable\"} 1",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn what_this_host_does_not_offer_is_refused_at_once() {
    let reach = Reach::new(&Config::default(), Handle::current(), &Metrics::default()).unwrap();
    let services = host_services(&reach, None, &Handle::current());
    let call = TestCall::new("acme", "{}");
    let get = Request::Store(StoreRequest::Get { key: "k".into() });
    assert_eq!(call.begin(&services, get).unwrap_err().code, "unavailable");
    let say = Request::Speech(SpeechRequest::Say { text: "hi".into(), voice: String::new(), language: String::new() });
    assert_eq!(call.begin(&services, say).unwrap_err().code, "no-engine");
}
