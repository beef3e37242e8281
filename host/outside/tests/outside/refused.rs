//! What no rule lets out, and what a redirect takes with it.

use outside::http::Request;
use outside::{Code, Limits, OperatorRules, Refusal, TenantRules};

use crate::server::{Server, answer};
use crate::world::{World, code, get, secret, whole, with_header};

#[tokio::test]
async fn a_name_that_resolves_into_no_public_network_is_not_dialled() {
    let world = World::new();
    let server = Server::start(None, |_| answer("200 OK", "inside")).await;
    let at = format!("*.test.example:{}", server.port());
    let rules = OperatorRules { allow: vec![at.parse().unwrap()], private: Vec::new() };
    world.outside.set_rules(rules);
    let egress = vec![at.parse().unwrap()];
    let tenant = world.outside.tenant(TenantRules { egress, ..TenantRules::default() });
    for address in
        ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::", "64:ff9b::7f00:1", "10.0.0.1", "169.254.169.254"]
    {
        world.names.say("bad.test.example", &[&[address]]);
        let error = whole(tenant.http(get(&format!("https://bad.test.example:{}/", server.port())))).await.unwrap_err();
        assert_eq!(error.code, Code::EgressDenied, "{address}");
        assert!(!error.message.contains(address), "what a name resolves to is not told: {error}");
    }
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]", "localhost"] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(code(tenant.http(get(&url))).await, Code::EgressDenied, "{host}");
    }
    assert_eq!(server.seen.connections(), 0);
    let refused = tenant.usage().refused;
    for (refusal, count) in [
        (Refusal::Address, 7),
        (Refusal::Metadata, 1),
        // 2130706433, 0x7f.1, 0177.0.0.1, 127.1
        (Refusal::Spelling, 4),
        (Refusal::TenantsList, 4),
    ] {
        assert!(refused.contains(&(refusal, count)), "{refusal:?} {count}: {refused:?}");
    }
}

#[tokio::test]
async fn a_list_that_does_not_allow_a_target_is_named_before_anybody_looks_it_up() {
    let world = World::new();
    let patterns = |text: &str| vec![text.parse().unwrap()];
    world.outside.set_rules(OperatorRules { allow: patterns("a.test.example:443"), private: Vec::new() });
    let tenant = world.outside.tenant(TenantRules { egress: patterns("b.test.example:443"), ..TenantRules::default() });
    let refusal = async |url: &str| whole(tenant.http(get(url))).await.unwrap_err();
    let expect = "the tenant's egress list does not allow a.test.example:443";
    assert_eq!(refusal("https://a.test.example/").await.message, expect);
    let expect = "the operator's egress list does not allow b.test.example:443";
    assert_eq!(refusal("https://b.test.example/").await.message, expect);
    assert!(world.names.asked.lock().unwrap().is_empty());
    assert!(tenant.usage().failed.contains(&(Code::EgressDenied, 2)));
    let named = |refusal| tenant.usage().refused.contains(&(refusal, 1));
    assert!(named(Refusal::TenantsList) && named(Refusal::OperatorsList), "{:?}", tenant.usage().refused);
}

#[tokio::test]
async fn a_redirect_is_checked_as_the_first_request_was() {
    let world = World::new();
    let inside = Server::start(None, |_| answer("200 OK", "inside")).await;
    let port = inside.port();
    let server = Server::start(None, move |request| {
        let location = match request.split(' ').nth(1).unwrap_or_default() {
            "/unlisted" => format!("http://b.test.example:{port}/"),
            "/address" => format!("http://127.0.0.1:{port}/"),
            "/spelled" => format!("http://0x7f000001:{port}/"),
            "/resolves-inside" => format!("http://c.test.example:{port}/"),
            "/file" => "file:///etc/hostname".to_owned(),
            _ => "/again".to_owned(),
        };
        answer(&format!("302 Found\r\nlocation: {location}"), "")
    })
    .await;
    world.names.say("c.test.example", &[&["127.0.0.2"]]);
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[at.clone(), format!("c.test.example:{port}")], Vec::new(), Limits::default());
    for (path, expect) in [
        ("/unlisted", Code::EgressDenied),
        ("/address", Code::EgressDenied),
        ("/spelled", Code::EgressDenied),
        ("/resolves-inside", Code::EgressDenied),
        ("/file", Code::Protocol),
        ("/again", Code::Protocol),
    ] {
        assert_eq!(code(tenant.http(get(&format!("http://{at}{path}")))).await, expect, "{path}");
    }
    assert_eq!(inside.seen.connections(), 0);
    assert_eq!(server.seen.requests().len(), 5 + 6, "one request and five redirects of the last");
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_secret_and_no_credentials_along() {
    let world = World::new();
    let other = Server::start(Some(world.acceptor.clone()), |_| answer("200 OK", "other")).await;
    let location = format!("https://b.test.example:{}/", other.port());
    let server = Server::start(Some(world.acceptor.clone()), move |_| {
        answer(&format!("307 Temporary Redirect\r\nlocation: {location}"), "")
    })
    .await;
    let hosts = [format!("a.test.example:{}", server.port()), format!("b.test.example:{}", other.port())];
    // May go to both, and all the same not by a redirect.
    let mut key = secret("key", "sk-1", &hosts[0]);
    key.hosts.push(hosts[1].parse().unwrap());
    key.header = "x-mine".into();
    let tenant = world.tenant(&hosts, vec![key], Limits::default());
    let mut request = get(&format!("https://{}/", hosts[0]));
    for (name, value) in
        [("x-mine", "{{secret:key}}"), ("Authorization", "Basic abc"), ("Cookie", "c=d"), ("x-kept", "e")]
    {
        request = with_header(request, name, value);
    }
    assert_eq!(whole(tenant.http(request)).await, Ok((200, "other".into())));
    let (first, second) = (server.seen.requests().remove(0), other.seen.requests().remove(0));
    for carried in ["x-mine: sk-1", "authorization: Basic abc", "cookie: c=d", "x-kept: e"] {
        assert!(first.contains(carried), "{carried}: {first}");
        assert_eq!(second.contains(carried), carried.starts_with("x-kept"), "{carried}: {second}");
    }
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_dialled_and_a_warm_connection_asks_again() {
    let world = World::new();
    let server = Server::start(None, |_| answer("200 OK", "x")).await;
    let at = format!("a.test.example:{}", server.port());
    let url = format!("http://{at}/");
    let tenant = world.tenant(&[at], Vec::new(), Limits::default());
    world.names.say("a.test.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    assert_eq!(whole(tenant.http(get(&url))).await, Ok((200, "x".into())));
    assert_eq!(world.names.asked.lock().unwrap().len(), 1, "one lookup for a request, so none that says otherwise");
    assert_eq!(code(tenant.http(get(&url))).await, Code::EgressDenied);
    // Of several addresses only those that are allowed are dialled.
    world.names.say("a.test.example", &[&["10.0.0.1", "127.0.0.1", "::1"]]);
    assert_eq!(whole(tenant.http(get(&url))).await, Ok((200, "x".into())));
    assert_eq!(server.seen.connections(), 1);
}

#[tokio::test]
async fn a_secret_where_it_may_not_go_is_an_error_and_nothing_is_sent() {
    let world = World::new();
    let server = Server::start(Some(world.acceptor.clone()), |_| answer("200 OK", "x")).await;
    let plain = Server::start(None, |_| answer("200 OK", "x")).await;
    let hosts = ["a.test.example", "b.test.example"].map(|host| format!("{host}:{}", server.port()));
    let without_tls = format!("a.test.example:{}", plain.port());
    let mut key = secret("key", "sk-1", &hosts[0]);
    key.hosts.push(without_tls.parse().unwrap());
    let open = [&hosts[..], std::slice::from_ref(&without_tls)].concat();
    let tenant = world.tenant(&open, vec![key], Limits::default());
    let there = get(&format!("https://{}/", hosts[0]));
    let cases = [
        ("another host", with_header(get(&format!("https://{}/", hosts[1])), "authorization", "{{secret:key}}")),
        ("without TLS", with_header(get(&format!("http://{without_tls}/")), "authorization", "{{secret:key}}")),
        ("another header", with_header(there.clone(), "x-key", "{{secret:key}}")),
        ("the name of a header", with_header(there.clone(), "{{secret:key}}", "x")),
        ("unknown", with_header(there.clone(), "authorization", "{{secret:other}}")),
        ("the URL", get(&format!("https://{}/?key={{{{secret:key}}}}", hosts[0]))),
        ("the body", Request { method: "POST".into(), body: "a={{secret:key}}".into(), ..there.clone() }),
    ];
    for (what, request) in cases {
        let error = whole(tenant.http(request)).await.unwrap_err();
        assert_eq!(error.code, Code::SecretDenied, "{what}");
        assert!(!error.to_string().contains("sk-1"), "{error}");
    }
    assert_eq!(server.seen.connections() + plain.seen.connections(), 0);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let world = World::new();
    let server = Server::start(None, |_| answer("200 OK", "x")).await;
    let at = format!("a.test.example:{}", server.port());
    let tenant = world.tenant(&[&at], Vec::new(), Limits { request_bytes: 10, ..Limits::default() });
    let fine = get(&format!("http://{at}/"));
    let many = (0..65).fold(fine.clone(), |request, nth| with_header(request, &format!("x-{nth}"), "a"));
    let cases = [
        Request { method: "CONNECT".into(), ..fine.clone() },
        Request { method: "get".into(), ..fine.clone() },
        Request { body: "12345678901".into(), ..fine.clone() },
        get("a.test.example"),
        get("http://"),
        get("gopher://a.test.example/"),
        with_header(fine.clone(), "Host", "b.test.example"),
        with_header(fine.clone(), "Transfer-Encoding", "chunked"),
        with_header(fine.clone(), "content-length", "5"),
        with_header(fine.clone(), "connection", "upgrade"),
        with_header(fine.clone(), "a b", "c"),
        with_header(fine.clone(), "x-a", "b\r\nhost: c"),
        with_header(fine.clone(), "x-long", &"a".repeat(32 << 10)),
        many,
    ];
    for (nth, request) in cases.into_iter().enumerate() {
        assert_eq!(code(tenant.http(request)).await, Code::BadRequest, "case {nth}");
    }
    assert_eq!(server.seen.connections(), 0);
    assert_eq!(whole(tenant.http(fine)).await, Ok((200, "x".into())));
}
