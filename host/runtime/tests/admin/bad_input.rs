//! What is wrong is refused with what to do about it, and changes nothing.

use futures_util::future::join_all;
use serde_json::{Value, json};
use store::Store;

use runtime::admin::Bounds;
use tokio::io::AsyncWriteExt;

use crate::support::{COMPONENT_BYTES_MAX, Host, NO_RATES, ask, by, desk, name};

#[tokio::test]
async fn bodies_that_are_not_what_is_described_say_where() {
    let host = Host::start().await;
    let put = "/v1/tenants/acme/routes/desk";
    for (body, status, kind, says) in [
        ("{", 400, "malformed", "line 1"),
        ("[]", 422, "invalid", ""),
        (r#"{"called":{"exact":"1"},"plugin":"menu","x":1}"#, 422, "invalid", "unknown field `x`"),
        (r#"{"called":{"exact":1},"plugin":"menu"}"#, 422, "invalid", "called.exact"),
        (r#"{"called":{"exact":"1"}}"#, 422, "invalid", "missing field `plugin`"),
        (r#"{"called":{"exact":"1"},"plugin":"../x"}"#, 422, "invalid", "plugin"),
        (r#"{"called":{"exact":"1"},"plugin":"menue"}"#, 422, "invalid", "did you mean `menu`?"),
        (r#"{"called":{"exact":"1"},"called":{"exact":"1"},"plugin":"menu"}"#, 422, "invalid", "duplicate"),
        ("", 422, "invalid", "missing field"),
        ("\u{0}", 400, "malformed", "not JSON"),
    ] {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", host.deploy);
        let answer = ask(host.address, "PUT", put, &headers, body.as_bytes()).await;
        assert_eq!(answer.problem(), (status, format!("/problems/{kind}")), "{body}: {}", answer.text());
        assert!(answer.text().contains(&says.replace('"', "\\\"")), "{body}: {}", answer.text());
    }
    let places = host
        .ask(&host.operator, "PUT", "/v1/tenants/acme/quotas", Some(json!({ "playout_ms": 1, "guest_memory_mb": 0 })))
        .await;
    let problems = places.json()["problems"].clone();
    assert_eq!(
        (&problems[0]["place"], &problems[1]["place"]),
        (&json!("quotas.guest_memory_mb"), &json!("quotas.playout_ms"))
    );
    assert!(host.store.routes("acme").unwrap().is_empty());
}

#[tokio::test]
async fn paths_methods_types_and_queries_that_do_not_exist_are_told_apart() {
    let host = Host::start().await;
    let bearer = format!("Authorization: Bearer {}\r\n", host.operator);
    for (method, path, headers, body, expect) in [
        ("GET", "/v1/nothing", "", "", 404),
        ("GET", "/v1/tenants/", "", "", 404),
        ("PATCH", "/v1/tenants", "", "", 405),
        ("DELETE", "/v1/tenants/acme/quotas", "", "", 405),
        ("POST", "/v1/tenants", "Content-Type: text/plain\r\n", "{}", 415),
        ("POST", "/v1/tenants", "", "{}", 415),
        ("POST", "/v1/tenants/acme/plugins/menu/versions", "Content-Type: application/json\r\n", "{}", 415),
        ("GET", "/v1/audit?befor=1", "", "", 400),
        ("GET", "/v1/audit?limit=-1", "", "", 400),
        ("GET", "/v1/tenants/%ff", "", "", 400),
        ("GET", "/v1/tenants/..%2Facme", "", "", 404),
        ("PUT", "/v1/tenants/acme/secrets/a%2Fb", "Content-Type: application/json\r\n", r#"{"value":"x"}"#, 422),
        ("GET", "/v1/calls/c1", "", "", 404),
        ("DELETE", "/v1/calls/c1", "", "", 404),
        ("DELETE", "/v1/tokens/nobody", "", "", 404),
    ] {
        let answer = ask(host.address, method, path, &format!("{bearer}{headers}"), body.as_bytes()).await;
        assert_eq!(answer.problem().0, expect, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("allow").is_some(), expect == 405, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_413_whether_it_says_so_or_not() {
    let host = Host::start().await;
    let bearer = format!("Authorization: Bearer {}\r\n", host.deploy);
    let upload = "/v1/tenants/acme/plugins/menu/versions";
    for (method, path, kind, limit) in [
        ("PUT", "/v1/tenants/acme/routes/desk", "application/json", 128 << 10),
        ("POST", upload, "application/wasm", COMPONENT_BYTES_MAX),
    ] {
        // Announced, and not even sent.
        let announced =
            format!("{bearer}Content-Type: {kind}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n", limit + 1);
        let answer = ask(host.address, method, path, &announced, b"").await;
        assert_eq!(answer.problem(), (413, "/problems/too-large".into()), "{path}");
        // Chunks that do not say how many will come.
        let chunked = format!("{bearer}Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{chunked}\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let request = head + &chunk.repeat(limit / 0x10000 + 1) + "0\r\n\r\n";
        let stream = tokio::net::TcpStream::connect(host.address).await.unwrap();
        let answer = crate::support::exchange(stream, request.as_bytes()).await;
        assert_eq!(answer.problem(), (413, "/problems/too-large".into()), "{path}");
    }
    assert_eq!(host.store.versions("acme", "menu").unwrap().len(), 1);
}

#[tokio::test]
async fn a_tenant_from_a_folder_is_not_changed_and_the_file_is_named() {
    let host = Host::start().await;
    let folder = store::FolderTenant {
        name: name("kept"),
        file: "/etc/patchbay/kept/tenant.toml".into(),
        quotas: Default::default(),
        egress: Vec::new(),
        engines: serde_json::Map::new(),
        live: Default::default(),
        routes: Vec::new(),
        secrets: Default::default(),
        bots: Default::default(),
    };
    host.store.put_folder_tenant(&by(), &folder).unwrap();
    let wasm = format!("Authorization: Bearer {}\r\nContent-Type: application/wasm\r\n", host.operator);
    let upload = ask(host.address, "POST", "/v1/tenants/kept/plugins/menu/versions", &wasm, b"\0asm").await;
    let put = |path: &'static str, body: Value| host.ask(&host.operator, "PUT", path, Some(body));
    for answer in [
        upload,
        put("/v1/tenants/kept/quotas", json!({})).await,
        put("/v1/tenants/kept/routes/desk", desk()).await,
        put("/v1/tenants/kept/secrets/key", json!({ "value": "x" })).await,
        put("/v1/tenants/kept/egress", json!({ "egress": [] })).await,
        host.ask(&host.operator, "DELETE", "/v1/tenants/kept", None).await,
    ] {
        assert_eq!(answer.problem(), (409, "/problems/kept-elsewhere".into()));
        assert!(answer.text().contains("/etc/patchbay/kept/tenant.toml"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_upload_that_could_not_be_activated_is_refused_before_it_is_read() {
    let host = Host::start().await;
    let wasm = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/wasm\r\nExpect: 100-continue\r\nContent-Length: 99\r\n",
        host.deploy
    );
    for (query, expect) in [
        ("?canary=10", (422, "/problems/invalid")),
        ("?activate=true&canary=0", (422, "/problems/invalid")),
        ("?activate=true&canary=100", (422, "/problems/invalid")),
        ("?activate=true&limit_s=0", (422, "/problems/invalid")),
        ("?activate=true&canary=10", (409, "/problems/nothing-to-share-with")),
        ("?activate=perhaps", (400, "/problems/malformed")),
        ("?activate=true&live=kill", (400, "/problems/malformed")),
    ] {
        let answer =
            ask(host.address, "POST", &format!("/v1/tenants/acme/plugins/menu/versions{query}"), &wasm, b"").await;
        assert_eq!(answer.problem(), (expect.0, expect.1.to_owned()), "{query}");
    }
    let nobody = ask(host.address, "POST", "/v1/tenants/acme/plugins/-menu/versions", &wasm, b"").await;
    assert_eq!(nobody.problem().0, 422);
}

#[tokio::test]
async fn of_activations_at_once_that_expect_the_same_generation_one_is_made() {
    let host = Host::start().await;
    host.store.upload(&by(), "acme", &name("menu"), b"second", "0.1.0").unwrap();
    let asked = (0..20).map(|turn: usize| {
        let digest = store::Digest::of([b"acme".as_slice(), b"second"][turn % 2]).to_string();
        let body = json!({ "digest": digest, "if_last_generation": 0 });
        host.ask(&host.deploy, "POST", "/v1/tenants/acme/plugins/menu/activate", Some(body))
    });
    let mut statuses: Vec<u16> = join_all(asked).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [&[200][..], &[412; 19]].concat());
    assert_eq!(host.store.plugin("acme", "menu").unwrap().last_generation, 1);
}

#[tokio::test]
async fn a_full_disk_is_507_and_leaves_the_state_as_it_was() {
    let settings = store::Settings { database_bytes_max: 512 << 10, ..Default::default() };
    let host = Host::over(Bounds { requests: NO_RATES, failures: NO_RATES, ..Bounds::default() }, settings).await;
    let long = "x".repeat(store::SECRET_BYTES_MAX);
    let mut kept = 0;
    let refused = loop {
        let path = format!("/v1/tenants/acme/secrets/s{kept}");
        match host.ask(&host.deploy, "PUT", &path, Some(json!({ "value": long }))).await {
            answer if answer.status == 204 => kept += 1,
            answer => break answer,
        }
    };
    assert_eq!(refused.problem(), (507, "/problems/disk-full".into()));
    assert!(!refused.text().contains("database"), "where is the operator's business: {}", refused.text());
    assert_eq!(host.get(&host.read, "/v1/tenants/acme/secrets").await.json().as_array().unwrap().len(), kept);
    assert_eq!(
        host.ask(&host.operator, "DELETE", "/v1/tenants/rival", None).await.status,
        204,
        "what frees room is taken"
    );
}

#[tokio::test]
async fn an_upload_that_breaks_off_changes_nothing() {
    let host = Host::start().await;
    let before = host.store.sequence();
    let head = format!(
        "POST /v1/tenants/acme/plugins/menu/versions?activate=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/wasm\r\nContent-Length: 1000\r\n\r\n\0asm",
        host.deploy
    );
    let mut stream = tokio::net::TcpStream::connect(host.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(!crate::support::text_of(&mut stream).await.contains("201"));
    assert_eq!(host.store.sequence(), before);
}
