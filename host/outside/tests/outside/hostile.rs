//! Servers that are slow, endless, rubbish or gone.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outside::http::{Event, Pieces, Request};
use outside::{Code, Limits, Refusal};
use tokio::io::AsyncWriteExt;

use crate::server::{Server, Step, answer};
use crate::world::{WITHIN, World, all, certified, code, get, until, whole};

const SOON: Duration = Duration::from_millis(200);

/// The last event of a request to a server that answers so.
async fn end(limits: Limits, pieces: Pieces, script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Event {
    let world = World::new();
    let server = Server::start(None, script).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), limits);
    let last = all(tenant.http(Request { pieces, ..get(&format!("http://{at}/")) })).await.pop();
    until("the connection is closed", || server.seen.closed.load(Ordering::SeqCst) == server.seen.connections()).await;
    assert_eq!(tenant.usage().requests_open, 0);
    last.expect("an end")
}

async fn fails(limits: Limits, pieces: Pieces, steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Code {
    match end(limits, pieces, move |_| steps()).await {
        Event::Failed(error) => error.code,
        other => panic!("{other:?}"),
    }
}

fn send(text: impl Into<Vec<u8>>) -> Step {
    Step::Send(text.into())
}

#[tokio::test]
async fn a_response_without_end_is_cut() {
    let limits = Limits { whole_bytes: 10_000, response_bytes: 100_000, ..Limits::default() };
    let chunked = || send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let stream = || send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
    for pieces in [Pieces::Whole, Pieces::Chunks, Pieces::Events] {
        let steps = move || vec![chunked(), Step::SendForEver(b"5\r\nhello\r\n".to_vec())];
        assert_eq!(fails(limits, pieces, steps).await, Code::TooLong, "{pieces:?}");
    }
    let steps = move || vec![stream(), Step::SendForEver(b"data: hello\n\n".to_vec())];
    assert_eq!(fails(limits, Pieces::Events, steps).await, Code::TooLong);
    let steps = move || vec![stream(), Step::SendForEver(b"data: hello".to_vec())];
    let roomy = Limits { response_bytes: u64::MAX, ..limits };
    assert_eq!(fails(roomy, Pieces::Events, steps).await, Code::TooLong, "an event without end");
    let said = || vec![send("HTTP/1.1 200 OK\r\ncontent-length: 2147483648\r\n\r\n"), Step::WaitForClose];
    assert_eq!(fails(limits, Pieces::Whole, said).await, Code::TooLong, "2 GiB, before the first of them");
}

#[tokio::test]
async fn a_head_without_end_is_cut() {
    let begins = || send("HTTP/1.1 200 OK\r\n");
    let steps = move || vec![begins(), Step::SendForEver(b"x-a: bcdefghijklmnopqrstuvwxyz\r\n".to_vec())];
    assert_eq!(fails(Limits::default(), Pieces::Whole, steps).await, Code::TooLong);
    let steps = move || vec![begins(), send("x-a: "), Step::SendForEver(vec![b'b'; 1000])];
    assert_eq!(fails(Limits::default(), Pieces::Whole, steps).await, Code::TooLong);
    let steps = move || vec![begins(), send("x-a: b\r\n".repeat(101)), send("\r\n"), Step::WaitForClose];
    assert_eq!(fails(Limits::default(), Pieces::Whole, steps).await, Code::TooLong);
}

#[tokio::test]
async fn what_is_slow_is_timed_out() {
    let short = Limits { exchange: SOON, ..Limits::default() };
    let begins = || send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\na");
    assert_eq!(fails(short, Pieces::Whole, || vec![Step::WaitForClose]).await, Code::TimedOut, "no head");
    let trickle = || {
        let bytes = "HTTP/1.1 200 OK\r\nx-a: ".bytes().chain(std::iter::repeat_n(b'b', 2000));
        bytes.flat_map(|byte| [send([byte]), Step::Wait(Duration::from_millis(20))]).collect()
    };
    assert_eq!(fails(short, Pieces::Whole, trickle).await, Code::TimedOut, "a head that trickles");
    assert_eq!(
        fails(short, Pieces::Chunks, move || vec![begins(), Step::WaitForClose]).await,
        Code::TimedOut,
        "half a body"
    );
    let impatient = Limits { idle: SOON, ..Limits::default() };
    assert_eq!(
        fails(impatient, Pieces::Chunks, move || vec![begins(), Step::WaitForClose]).await,
        Code::TimedOut,
        "a pause"
    );
    // What a request asks for is below the limit.
    let world = World::new();
    let server = Server::start(None, |_| vec![Step::WaitForClose]).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), Limits::default());
    assert_eq!(
        code(tenant.http(Request { timeout: Some(SOON), ..get(&format!("http://{at}/")) })).await,
        Code::TimedOut
    );
}

#[tokio::test]
async fn rubbish_is_a_protocol_error() {
    let cases: &[&str] = &[
        "rubbish\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "",
    ];
    for case in cases {
        let steps = move || vec![send(*case), Step::Close];
        assert_eq!(fails(Limits::default(), Pieces::Whole, steps).await, Code::Protocol, "{case:?}");
    }
}

#[tokio::test]
async fn who_is_not_there_or_not_who_they_say_is_told_apart() {
    let world = World::new();
    let gone = {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let (stranger, _) = certified(&["a.test.example"]);
    let stranger = Server::start(Some(stranger), |_| answer("200 OK", "x")).await;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let plain = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let named = Server::start(Some(world.acceptor.clone()), |_| answer("200 OK", "x")).await;
    world.names.say("other.test.example", &[&["127.0.0.1"]]);
    world.names.say("empty.test.example", &[&[]]);
    let cases = [
        ("http", format!("a.test.example:{gone}"), Code::Unreachable),
        ("https", format!("a.test.example:{}", stranger.port()), Code::Tls),
        ("https", format!("a.test.example:{plain}"), Code::Tls),
        ("https", format!("other.test.example:{}", named.port()), Code::Tls),
        ("https", "unknown.test.example:443".to_owned(), Code::NotFound),
        ("https", "empty.test.example:443".to_owned(), Code::NotFound),
    ];
    let hosts: Vec<_> = cases.iter().map(|(_, host, _)| host.clone()).collect();
    let tenant = world.tenant(&hosts, Vec::new(), Limits { exchange: WITHIN, ..Limits::default() });
    for (scheme, host, expect) in cases {
        assert_eq!(code(tenant.http(get(&format!("{scheme}://{host}/")))).await, expect, "{host}");
    }
}

#[tokio::test]
async fn requests_beyond_the_tenants_number_and_bytes_are_refused() {
    let world = World::new();
    let server = Server::start(None, |request| match request.starts_with("GET /slow ") {
        true => vec![Step::WaitForClose],
        false => answer("200 OK", &"x".repeat(5000)),
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let limits = Limits { requests: 1, bytes_in_per_minute: 4000, ..Limits::default() };
    let tenant = world.tenant(&[&at], Vec::new(), limits);
    let slow = tenant.http(get(&format!("http://{at}/slow")));
    assert_eq!(code(tenant.http(get(&format!("http://{at}/")))).await, Code::Quota);
    drop(slow);
    until("the first is over", || tenant.usage().requests_open == 0).await;
    // More than is left comes once; then there is nothing for a while.
    let _ = whole(tenant.http(get(&format!("http://{at}/")))).await;
    assert_eq!(code(tenant.http(get(&format!("http://{at}/")))).await, Code::Quota);
    assert!(tenant.usage().refused.contains(&(Refusal::Requests, 1)), "{:?}", tenant.usage());
    let mute = Limits { bytes_out_per_minute: 10, ..Limits::default() };
    let tenant = world.tenant(&[&at], Vec::new(), mute);
    let _ = whole(tenant.http(get(&format!("http://{at}/")))).await;
    assert_eq!(code(tenant.http(get(&format!("http://{at}/")))).await, Code::Quota);
    let usage = tenant.usage();
    assert!(usage.bytes_out > 10, "{usage:?}");
    assert!(usage.refused.iter().any(|(refusal, n)| *refusal == Refusal::Bytes && *n > 0), "{usage:?}");
}

#[tokio::test]
async fn a_response_that_nobody_wants_any_more_gives_its_connection_up() {
    let world = World::new();
    let server =
        Server::start(None, |_| vec![send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\na"), Step::WaitForClose])
            .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), Limits::default());
    let mut response = tenant.http(Request { pieces: Pieces::Chunks, ..get(&format!("http://{at}/")) });
    assert!(matches!(response.next().await, Some(Event::Head(_))));
    drop(response);
    until("the connection is closed", || server.seen.closed.load(Ordering::SeqCst) == 1).await;
    until("the request is over", || tenant.usage().requests_open == 0).await;
}

#[tokio::test]
async fn who_does_not_take_a_response_holds_the_sender_up() {
    let world = World::new();
    let server =
        Server::start(None, |_| vec![send("HTTP/1.1 200 OK\r\n\r\n"), Step::SendForEver(vec![b'a'; 64 << 10])]).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), Limits { response_bytes: u64::MAX, ..Limits::default() });
    let mut response = tenant.http(Request { pieces: Pieces::Chunks, ..get(&format!("http://{at}/")) });
    assert!(matches!(response.next().await, Some(Event::Head(_))));
    // Reading stops once the queue is full, however much the server has to send.
    let mut before = 0;
    while tenant.usage().bytes_in != before {
        before = tenant.usage().bytes_in;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < 2 << 20, "{before}");
}
