//! How much is kept and looked at, and what the system's own names resolve to.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use outside::resolver::{ADDRESSES_MAX, Dns, Resolve};
use outside::{Code, Limits};

use crate::server::{Server, Step, answer};
use crate::world::{World, code, get, until, whole};

/// As `IDLE_MAX` says.
const IDLE_MAX: usize = 16;

#[tokio::test]
async fn a_tenant_keeps_16_idle_connections() {
    let world = World::new();
    // All are under way at once.
    let server = Server::start(None, |_| {
        let mut steps = vec![Step::Wait(Duration::from_secs(2))];
        steps.extend(answer("200 OK", "hi"));
        steps
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), Limits::default());
    let responses: Vec<_> = (0..IDLE_MAX + 2).map(|_| tenant.http(get(&format!("http://{at}/")))).collect();
    for response in responses {
        assert_eq!(whole(response).await.unwrap().0, 200);
    }
    assert_eq!(server.seen.connections(), IDLE_MAX + 2);
    until("two are closed", || server.seen.closed.load(Ordering::SeqCst) == 2).await;
    assert_eq!(whole(tenant.http(get(&format!("http://{at}/")))).await.unwrap().0, 200);
    assert_eq!((server.seen.connections(), server.seen.closed.load(Ordering::SeqCst)), (IDLE_MAX + 2, 2));
}

#[tokio::test]
async fn a_connection_is_kept_30_s_after_its_last_request() {
    assert_eq!(Limits::default().keep_alive, Duration::from_secs(30));
    let world = World::new();
    let server = Server::start(None, |_| answer("200 OK", "hi")).await;
    let at = format!("a.test.example:{}", server.port());
    let soon = Limits { keep_alive: Duration::from_millis(200), ..Limits::default() };
    let tenant = world.tenant(&[&at], Vec::new(), soon);
    for connections in 1..=2 {
        assert_eq!(whole(tenant.http(get(&format!("http://{at}/")))).await.unwrap().0, 200);
        assert_eq!(server.seen.connections(), connections, "it was made anew");
        until("it is closed", || server.seen.closed.load(Ordering::SeqCst) == connections).await;
        until("it is not counted", || tenant.usage().connections_open == 0).await;
    }
}

#[tokio::test]
async fn of_a_name_8_addresses_are_looked_at() {
    let world = World::new();
    let server = Server::start(None, |_| answer("200 OK", "hi")).await;
    let at = format!("many.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), Limits::default());
    let mut addresses = vec!["10.0.0.1"; ADDRESSES_MAX - 1];
    addresses.push("127.0.0.1");
    world.names.say("many.test.example", &[&addresses]);
    assert_eq!(whole(tenant.http(get(&format!("http://{at}/")))).await.unwrap().0, 200);
    addresses.insert(0, "10.0.0.2");
    world.names.say("many.test.example", &[&addresses]);
    assert_eq!(code(tenant.http(get(&format!("http://{at}/")))).await, Code::EgressDenied);
}

#[tokio::test]
async fn localhost_and_the_names_of_the_systems_hosts_file_resolve_without_a_name_server() {
    let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
    let built = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build();
    let dns = Dns(built.unwrap());
    let local = dns.resolve("localhost".into()).await.unwrap();
    assert!(local.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{local:?}");
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut checked = 0;
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words.filter(|name| name.is_ascii()).take(4) {
            let found = dns.resolve(name.to_owned()).await;
            assert!(found.as_ref().is_ok_and(|found| found.contains(&address)), "{name}: {found:?}, not {address}");
            checked += 1;
        }
    }
    println!("{checked} names of /etc/hosts");
    assert!(dns.resolve("nobody.test.example".into()).await.is_err());
}
