//! Requests that are allowed.

use std::time::Duration;

use outside::http::{Event, Message, PIECE_BYTES_MAX, Pieces, Request};
use outside::{Limits, Secret};

use crate::server::{Server, Step, answer};
use crate::world::{World, all, get, secret, until, whole, with_header};

fn no_secrets() -> Vec<Secret> {
    Vec::new()
}

#[tokio::test]
async fn a_request_arrives_as_it_was_written_with_the_hosts_own_headers() {
    let world = World::new();
    let server = Server::start(None, |_| answer("201 Created\r\nX-A: b", "thanks")).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], no_secrets(), Limits::default());
    let request =
        Request { method: "POST".into(), body: "hello".into(), ..get(&format!("http://{at}/v1/x?y=%20z#part")) };
    let events = all(tenant.http(with_header(request, "X-Tenant", "one"))).await;
    let [Event::Head(head), Event::Body(body), Event::Done] = &events[..] else { panic!("{events:?}") };
    assert_eq!((head.status, &body[..]), (201, b"thanks".as_slice()));
    assert!(head.headers.contains(&("x-a".into(), "b".into())), "{head:?}");
    let seen = server.seen.requests().remove(0);
    assert!(seen.starts_with("POST /v1/x?y=%20z HTTP/1.1\r\n") && seen.ends_with("\r\n\r\nhello"), "{seen}");
    for line in [&format!("host: {at}"), "x-tenant: one", "content-length: 5", "accept: */*", "user-agent: patchbay/"] {
        assert!(seen.contains(&format!("\r\n{line}")), "{line}: {seen}");
    }
}

#[tokio::test]
async fn a_body_comes_in_pieces_of_64_kib_at_most() {
    let world = World::new();
    let body = "0123456789".repeat(30_000);
    let sent = body.clone();
    let server = Server::start(None, move |_| answer("200 OK", &sent)).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], no_secrets(), Limits::default());
    let request = Request { pieces: Pieces::Chunks, ..get(&format!("http://{at}/")) };
    let mut received = Vec::new();
    for event in all(tenant.http(request)).await {
        if let Event::Body(piece) = event {
            assert!(piece.len() <= PIECE_BYTES_MAX);
            received.extend_from_slice(&piece);
        }
    }
    assert_eq!(received, body.as_bytes());
}

#[tokio::test]
async fn server_sent_events_come_as_they_are_sent_and_an_error_in_their_place_comes_whole() {
    let world = World::new();
    let server = Server::start(None, |request| {
        if !request.starts_with("GET /events ") {
            return answer("401 Unauthorized\r\ncontent-type: application/json", "{\"error\":1}");
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut steps = vec![Step::Send(head.into())];
        for byte in "id: 1\r\ndata: grün\r\n\r\nevent: end\ndata: [DONE]\n\n".bytes() {
            steps.push(Step::Send([b"1\r\n".as_slice(), &[byte], b"\r\n"].concat()));
            steps.push(Step::Wait(Duration::from_millis(1)));
        }
        steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
        steps
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], no_secrets(), Limits::default());
    let request = |path: &str| Request { pieces: Pieces::Events, ..get(&format!("http://{at}{path}")) };
    let message = |event: &str, data: &str, id: &str| {
        Event::Message(Message { event: event.into(), data: data.into(), id: id.into() })
    };
    let events = all(tenant.http(request("/events"))).await;
    assert_eq!(events[1..], [message("message", "grün", "1"), message("end", "[DONE]", ""), Event::Done]);
    assert_eq!(all(tenant.http(request("/error"))).await[1..], [Event::Body("{\"error\":1}".into()), Event::Done]);
}

#[tokio::test]
async fn a_connection_stays_warm_for_its_tenant_and_for_no_other() {
    let world = World::new();
    let server = Server::start(Some(world.acceptor.clone()), |_| answer("200 OK", "x")).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], no_secrets(), Limits::default());
    let url = format!("https://{at}/");
    for _ in 0..3 {
        whole(tenant.http(get(&url))).await.unwrap();
    }
    assert_eq!((server.seen.connections(), tenant.usage().connections_reused), (1, 2));
    let other = world.tenant(&[&at], no_secrets(), Limits::default());
    whole(other.http(get(&url))).await.unwrap();
    assert_eq!((server.seen.connections(), other.usage().connections_reused), (2, 0));
    // The same address under another name is another service.
    let both = [at, format!("b.test.example:{}", server.port())];
    let third = world.tenant(&both, no_secrets(), Limits::default());
    for host in &both {
        whole(third.http(get(&format!("https://{host}/")))).await.unwrap();
    }
    assert_eq!((server.seen.connections(), third.usage().connections_reused), (4, 0));
}

#[tokio::test]
async fn a_warm_connection_that_the_other_side_closed_is_replaced() {
    let world = World::new();
    let server = Server::start(None, |_| {
        let mut steps = answer("200 OK", "x");
        steps.push(Step::Close);
        steps
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], no_secrets(), Limits::default());
    for nth in 1..=3 {
        assert_eq!(whole(tenant.http(get(&format!("http://{at}/")))).await, Ok((200, "x".into())));
        until("the server closes", || server.seen.closed.load(std::sync::atomic::Ordering::SeqCst) == nth).await;
    }
    assert_eq!(server.seen.connections(), 3);
}

#[tokio::test]
async fn a_secret_reaches_its_host_in_its_header_and_follows_a_redirect_there() {
    let world = World::new();
    let server = Server::start(Some(world.acceptor.clone()), |request| match request.starts_with("GET /first ") {
        true => answer("307 Temporary Redirect\r\nlocation: /second", ""),
        false => answer("200 OK", "x"),
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], vec![secret("openai", "sk-1", &at)], Limits::default());
    let request = with_header(get(&format!("https://{at}/first")), "Authorization", "Bearer {{secret:openai}}");
    assert_eq!(whole(tenant.http(request)).await, Ok((200, "x".into())));
    let seen = server.seen.requests();
    assert!(
        seen.len() == 2 && seen.iter().all(|request| request.contains("authorization: Bearer sk-1\r\n")),
        "{seen:?}"
    );
    assert_eq!(tenant.usage().redirects, 1);
}

#[tokio::test]
async fn a_redirect_turns_a_post_into_a_get_where_browsers_do() {
    let world = World::new();
    let server = Server::start(None, |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path.strip_prefix("/from/") {
            Some(status) => answer(&format!("{status} Elsewhere\r\nlocation: /to"), ""),
            None => answer("200 OK", request.split(' ').next().unwrap_or_default()),
        }
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], no_secrets(), Limits::default());
    for (method, status, expect) in [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
    ] {
        let url = format!("http://{at}/from/{status}");
        let request = Request { method: method.into(), body: "b".into(), ..get(&url) };
        let answered = whole(tenant.http(with_header(request, "content-type", "text/plain"))).await;
        assert_eq!(answered, Ok((200, expect.to_owned())), "{method} {status}");
        let last = server.seen.requests().pop().unwrap();
        assert_eq!(last.ends_with("\r\n\r\nb"), expect != "GET", "{last}");
        assert_eq!(last.contains("content-type"), expect != "GET", "{last}");
    }
}
