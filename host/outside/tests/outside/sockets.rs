//! WebSockets over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use outside::websocket::{Event, Goodbye, MESSAGE_BYTES_MAX, Message, NotTaken, Open, Socket, WAITING_BYTES_MAX};
use outside::{Code, Limits, Tenant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Wire};

use crate::server::{Server, Step, answer};
use crate::world::{WITHIN, World, secret, until};

/// Says everything back. `authorization` and a `2` in the subprotocol are asked for; `bye` is answered with a goodbye.
async fn echo(tls: Option<TlsAcceptor>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = closed.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, closed) = (tls.clone(), counted.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => converse(tls.accept(stream).await.unwrap()).await,
                    None => converse(stream).await,
                }
                closed.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (port, closed)
}

#[expect(clippy::result_large_err)]
fn choose(
    request: &Request,
    mut response: Response,
) -> Result<Response, tokio_tungstenite::tungstenite::handshake::server::ErrorResponse> {
    assert_eq!(request.headers().get("authorization").map(|value| value.to_str().unwrap()), Some("Bearer sk-1"));
    if request.headers().contains_key("sec-websocket-protocol") {
        response.headers_mut().insert("sec-websocket-protocol", "v2".parse().unwrap());
    }
    Ok(response)
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut socket: WebSocketStream<_> = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Wire::Text(text) if text.as_str() == "bye" => {
                let frame = CloseFrame { code: CloseCode::from(4321), reason: "go".into() };
                let _ = socket.close(Some(frame)).await;
            }
            Wire::Text(_) | Wire::Binary(_) => {
                let _ = socket.send(message).await;
            }
            _ => {}
        }
    }
}

async fn next(socket: &mut Socket) -> Option<Event> {
    tokio::time::timeout(WITHIN, socket.next()).await.expect("an event in time")
}

fn open(url: &str) -> Open {
    let headers = vec![("Authorization".to_owned(), "Bearer {{secret:key}}".to_owned())];
    Open { url: url.into(), headers, subprotocols: vec!["v1".into(), "v2".into()] }
}

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

async fn code(tenant: &Tenant, url: &str) -> Code {
    let (_sender, mut socket) = tenant.websocket(Open { url: url.into(), ..Open::default() });
    match next(&mut socket).await {
        Some(Event::Failed(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_go_both_ways_over_tls_in_order_even_those_sent_before_it_is_open() {
    let world = World::new();
    let (port, closed) = echo(Some(world.acceptor.clone())).await;
    let at = format!("a.test.example:{port}");
    let tenant = world.tenant(&[&at], vec![secret("key", "sk-1", &at)], Limits::default());
    let (sender, mut socket) = tenant.websocket(open(&format!("wss://{at}/realtime?x")));
    let sent: Vec<_> =
        (0..50).map(|n| if n % 2 == 0 { text(&n.to_string()) } else { Message::Binary(vec![n].into()) }).collect();
    for message in &sent {
        sender.send(message.clone()).unwrap();
    }
    assert_eq!(next(&mut socket).await, Some(Event::Opened("v2".into())));
    for message in sent {
        assert_eq!(next(&mut socket).await, Some(Event::Message(message)));
    }
    let long = Message::Binary(vec![7; WAITING_BYTES_MAX - 1000].into());
    sender.send(long.clone()).unwrap();
    assert_eq!(next(&mut socket).await, Some(Event::Message(long)));
    sender.close(3000, "enough");
    assert_eq!(next(&mut socket).await, Some(Event::Closed(Goodbye { code: 3000, reason: "enough".into() })));
    assert_eq!(next(&mut socket).await, None);
    assert_eq!(sender.send(text("late")), Err(NotTaken::Over));
    until("the connection is closed", || closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!(tenant.usage().sockets_open, 0);
}

#[tokio::test]
async fn the_other_sides_goodbye_is_told_and_a_dropped_socket_is_closed() {
    let world = World::new();
    let (port, closed) = echo(Some(world.acceptor.clone())).await;
    let at = format!("a.test.example:{port}");
    let tenant = world.tenant(&[&at], vec![secret("key", "sk-1", &at)], Limits::default());
    let (sender, mut socket) = tenant.websocket(open(&format!("wss://{at}/")));
    sender.send(text("bye")).unwrap();
    assert!(matches!(next(&mut socket).await, Some(Event::Opened(_))));
    assert_eq!(next(&mut socket).await, Some(Event::Closed(Goodbye { code: 4321, reason: "go".into() })));
    until("the first is closed", || closed.load(Ordering::SeqCst) == 1).await;
    let (_sender, mut socket) = tenant.websocket(open(&format!("wss://{at}/")));
    assert!(matches!(next(&mut socket).await, Some(Event::Opened(_))));
    drop(socket);
    until("the second is closed", || closed.load(Ordering::SeqCst) == 2).await;
    until("and counted", || tenant.usage().sockets_open == 0).await;
}

#[tokio::test]
async fn a_socket_is_under_the_rules_of_requests() {
    let world = World::new();
    let server = Server::start(None, |_| answer("403 Forbidden", "")).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[at.as_str(), "unknown.test.example:80"], Vec::new(), Limits::default());
    for (url, expect) in [
        (format!("ws://{at}/"), Code::Protocol),
        (format!("http://{at}/"), Code::BadRequest),
        (format!("ws://{at}/{{{{secret:key}}}}"), Code::SecretDenied),
        ("ws://127.0.0.1:80/".into(), Code::EgressDenied),
        ("ws://unknown.test.example/".into(), Code::NotFound),
    ] {
        assert_eq!(code(&tenant, &url).await, expect, "{url}");
    }
    world.names.say("a.test.example", &[&["10.0.0.1"]]);
    assert_eq!(code(&tenant, &format!("ws://{at}/")).await, Code::EgressDenied);
    let (_sender, mut socket) = tenant.websocket(open(&format!("ws://{at}/")));
    assert!(matches!(next(&mut socket).await, Some(Event::Failed(_))));
    let none = world.tenant(&[&at], Vec::new(), Limits { sockets: 0, ..Limits::default() });
    assert_eq!(code(&none, &format!("ws://{at}/")).await, Code::Quota);
}

#[tokio::test]
async fn who_sends_a_message_is_told_when_it_has_left() {
    let world = World::new();
    let server = Server::start(None, |_| vec![Step::WaitForClose]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (slow, quick) = (format!("a.test.example:{}", server.port()), format!("a.test.example:{port}"));
    let tenant = world.tenant(&[&slow, &quick], Vec::new(), Limits::default());
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let send = |sender: &outside::websocket::Sender| {
        let left = left.clone();
        let message = Message::Binary(vec![0; MESSAGE_BYTES_MAX].into());
        sender.send_then(message, move || {
            left.fetch_add(1, Ordering::SeqCst);
        })
    };
    let (sender, socket) = tenant.websocket(Open { url: format!("ws://{slow}/"), ..Open::default() });
    send(&sender).unwrap();
    assert_eq!(send(&sender), Err(NotTaken::Full));
    until("the handshake is under way", || server.seen.connections() == 1).await;
    drop(socket);
    let (sender, _socket) = tenant.websocket(Open { url: format!("ws://{quick}/"), ..Open::default() });
    send(&sender).unwrap();
    assert_eq!(left.load(Ordering::SeqCst), 0, "nothing has left yet");
    let (stream, _) = listener.accept().await.unwrap();
    tokio::spawn(async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    until("it has left", || left.load(Ordering::SeqCst) == 1).await;
    until("there is room again", || send(&sender).is_ok()).await;
    until("the next has left", || left.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn of_what_waits_to_be_sent_1_mib_is_kept() {
    let world = World::new();
    // Says nothing to the handshake, so nothing leaves.
    let server = Server::start(None, |_| vec![Step::WaitForClose]).await;
    let at = format!("a.test.example:{}", server.port());
    let limits = Limits { connect: Duration::from_millis(500), ..Limits::default() };
    let tenant = world.tenant(&[&at], Vec::new(), limits);
    let (sender, mut socket) = tenant.websocket(Open { url: format!("ws://{at}/"), ..Open::default() });
    let kept = (0..).take_while(|_| sender.send(Message::Binary(vec![0; 960].into())).is_ok()).count();
    assert_eq!(kept, WAITING_BYTES_MAX / 1024);
    assert_eq!(sender.send(Message::Binary(vec![0; MESSAGE_BYTES_MAX].into())), Err(NotTaken::Full));
    let Some(Event::Failed(error)) = next(&mut socket).await else { panic!("no end") };
    assert_eq!(error.code, Code::TimedOut);
}

/// The end of a socket whose other side sends these bytes after its handshake.
async fn end(limits: Limits, bytes: Vec<u8>, then: fn() -> Step) -> Event {
    let world = World::new();
    let server = Server::start(None, move |request| {
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        vec![Step::Send(head.into()), Step::Send(bytes.clone()), then()]
    })
    .await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), limits);
    let (_sender, mut socket) = tenant.websocket(Open { url: format!("ws://{at}/"), ..Open::default() });
    assert_eq!(next(&mut socket).await, Some(Event::Opened(String::new())));
    let last = next(&mut socket).await.expect("an end");
    until("the connection is closed", || server.seen.closed.load(Ordering::SeqCst) == 1).await;
    last
}

#[tokio::test]
async fn a_server_that_sends_too_much_or_rubbish_or_nothing_is_left() {
    let too_long = [&[0x82, 127][..], &(2_u64 << 30).to_be_bytes()].concat();
    let masked = vec![0x81, 0x81, 1, 2, 3, 4, b'a'];
    let short = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let wait: fn() -> Step = || Step::WaitForClose;
    let cases = [
        ("a frame of 2 GiB", too_long, wait, Code::TooLong),
        ("an unknown opcode", vec![0x83, 0], wait, Code::Protocol),
        ("a masked frame", masked, wait, Code::Protocol),
        ("text that is none", vec![0x81, 1, 0xff], wait, Code::Protocol),
        ("no goodbye", Vec::new(), || Step::Close, Code::Unreachable),
    ];
    for (what, bytes, then, expect) in cases {
        let last = end(Limits::default(), bytes, then).await;
        assert!(matches!(&last, Event::Failed(error) if error.code == expect), "{what}: {last:?}");
    }
    let fragments = [&[0x02, 127][..], &(1_u64 << 20).to_be_bytes(), &vec![0; 1 << 20], &[0x80, 1, 0]].concat();
    let last = end(Limits::default(), fragments, || Step::WaitForClose).await;
    assert!(matches!(&last, Event::Failed(error) if error.code == Code::TooLong), "{last:?}");
    let last = end(short, Vec::new(), || Step::WaitForClose).await;
    assert!(matches!(&last, Event::Failed(error) if error.code == Code::TimedOut), "{last:?}");
}

#[tokio::test]
async fn a_secret_in_a_message_ends_the_socket() {
    let world = World::new();
    let (port, _) = echo(Some(world.acceptor.clone())).await;
    let at = format!("a.test.example:{port}");
    let tenant = world.tenant(&[&at], vec![secret("key", "sk-1", &at)], Limits::default());
    let (sender, mut socket) = tenant.websocket(open(&format!("wss://{at}/")));
    sender.send(text("{{secret:key}}")).unwrap();
    assert!(matches!(next(&mut socket).await, Some(Event::Opened(_))));
    let Some(Event::Failed(error)) = next(&mut socket).await else { panic!("no end") };
    assert_eq!(error.code, Code::SecretDenied);
}
