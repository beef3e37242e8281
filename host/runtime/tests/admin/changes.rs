//! What an operator and a tenant change, and what is told of it afterwards.

use serde_json::{Value, json};
use store::Store;

use crate::support::{Host, desk};

#[tokio::test]
async fn a_tenant_lives_from_its_creation_to_its_deletion() {
    let host = Host::start().await;
    let made =
        host.ask(&host.operator, "POST", "/v1/tenants", Some(json!({ "name": "new", "quotas": { "calls": 7 } }))).await;
    assert_eq!((made.status, &made.json()["quotas"]["calls"]), (201, &json!(7)));
    assert_eq!(host.ask(&host.operator, "POST", "/v1/tenants", Some(json!({ "name": "new" }))).await.problem().0, 409);
    let set = host.ask(&host.operator, "PUT", "/v1/tenants/new/quotas", Some(json!({ "calls": 9 }))).await;
    assert_eq!((set.status, &set.json()["quotas"]["calls"]), (200, &json!(9)));
    let shown = host.get(&host.operator, "/v1/tenants/new").await.json();
    assert_eq!((&shown["name"], &shown["usage"]["plugins"]), (&json!("new"), &json!(0)));
    let names: Vec<Value> = host
        .get(&host.operator, "/v1/tenants")
        .await
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].clone())
        .collect();
    assert_eq!(names, ["acme", "new", "rival"]);
    assert_eq!(host.ask(&host.operator, "DELETE", "/v1/tenants/new", None).await.status, 204);
    assert_eq!(host.get(&host.operator, "/v1/tenants/new").await.problem().0, 404);
}

#[tokio::test]
async fn the_text_of_a_token_is_in_the_answer_that_made_it_and_nowhere_else() {
    let host = Host::start().await;
    let path = "/v1/tenants/acme/tokens";
    let made = host.ask(&host.operator, "POST", path, Some(json!({ "label": "ci", "scope": "deploy" }))).await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")));
    let text = made.json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("patchbay_"));
    assert_eq!(host.get(&text, "/v1/whoami").await.json()["label"], "ci");
    for look in [path, "/v1/tokens", "/v1/audit", "/v1/tenants/acme/audit"] {
        let answer = host.get(&host.operator, look).await;
        assert!(answer.status == 200 && !answer.text().contains(&text), "{look}");
    }
    let operator = host.ask(&host.operator, "POST", "/v1/tokens", Some(json!({ "label": "second" }))).await.json();
    assert_eq!(operator["token"]["scope"]["kind"], "operator");
    assert_eq!(host.get(operator["text"].as_str().unwrap(), "/v1/tenants").await.status, 200);
    let nobody = host.ask(&host.operator, "POST", "/v1/tenants/nobody/tokens", Some(json!({ "scope": "read" }))).await;
    assert_eq!(nobody.problem().0, 404);
}

#[tokio::test]
async fn a_secret_goes_in_and_no_operation_gives_it_out() {
    let host = Host::start().await;
    let put = |value: Value| host.ask(&host.deploy, "PUT", "/v1/tenants/acme/secrets/key", Some(value));
    assert_eq!(put(json!({ "value": "hunter2-hunter2" })).await.status, 204);
    assert_eq!(host.store.reveal_secret("acme", "key").unwrap().reveal(), "hunter2-hunter2");
    for path in ["secrets", "audit", "secrets/key", ""] {
        let answer = host.get(&host.deploy, format!("/v1/tenants/acme/{path}").trim_end_matches('/')).await;
        assert!(!answer.text().contains("hunter2"), "{path}");
    }
    assert_eq!(host.get(&host.read, "/v1/tenants/acme/secrets").await.json()[0]["name"], "key");
    assert_eq!(put(json!({ "value": "" })).await.problem(), (422, "/problems/invalid".into()));
    assert_eq!(host.ask(&host.deploy, "DELETE", "/v1/tenants/acme/secrets/key", None).await.status, 204);
    assert!(host.store.secrets("acme").unwrap().is_empty());
}

#[tokio::test]
async fn a_tenant_says_where_it_wants_to_go_and_the_operator_where_a_secret_may() {
    let host = Host::start().await;
    let egress =
        |lines: Value| host.ask(&host.deploy, "PUT", "/v1/tenants/acme/egress", Some(json!({ "egress": lines })));
    let kept = egress(json!(["api.example.com:443", "*.b.example:8443"])).await;
    assert_eq!((kept.status, &kept.json()["egress"][1]), (200, &json!("*.b.example:8443")));
    for wrong in [json!(["api.example.com"]), json!(["https://a.example:443"]), json!(["*.com:443"])] {
        assert_eq!(egress(wrong).await.problem(), (422, "/problems/invalid".into()));
    }
    assert_eq!(host.store.tenant("acme").unwrap().egress.len(), 2);

    let put = |token: &str, body: Value| {
        let token = token.to_owned();
        let host = &host;
        async move { host.ask(&token, "PUT", "/v1/tenants/acme/secrets/key", Some(body)).await }
    };
    let to = |host: &str| json!({ "value": "hunter2", "hosts": [host], "header": "Authorization" });
    assert_eq!(put(&host.deploy, to("a.example:443")).await.status, 204);
    assert_eq!(put(&host.deploy, json!({ "value": "hunter3" })).await.status, 204);
    assert_eq!(put(&host.deploy, to("b.example:443")).await.problem(), (403, "/problems/scope".into()));
    assert_eq!(put(&host.deploy, json!({ "hosts": [], "header": "X" })).await.problem().0, 403);
    let half = put(&host.operator, json!({ "hosts": ["b.example:443"] })).await;
    assert_eq!(half.problem(), (422, "/problems/invalid".into()));
    let wrong = put(&host.operator, json!({ "hosts": ["b.example"], "header": "X" })).await;
    assert_eq!(wrong.problem(), (422, "/problems/invalid".into()));
    assert_eq!(put(&host.operator, json!({ "hosts": ["b.example:443"], "header": "X-Key" })).await.status, 204);
    let shown = host.get(&host.read, "/v1/tenants/acme/secrets").await.json();
    assert_eq!((&shown[0]["hosts"], &shown[0]["header"]), (&json!(["b.example:443"]), &json!("X-Key")));
    assert_eq!(host.store.reveal_secret("acme", "key").unwrap().reveal(), "hunter3");
}

#[tokio::test]
async fn a_route_is_put_replaced_and_deleted_and_the_host_follows_at_once() {
    let host = Host::start().await;
    let path = "/v1/tenants/acme/routes/desk";
    let put = host.ask(&host.deploy, "PUT", path, Some(desk())).await;
    assert_eq!((put.status, &put.json()["name"]), (200, &json!("desk")));
    let test = "/v1/route-test?called=%2B912261234567";
    assert_eq!(host.get(&host.operator, test).await.json()["route"], "desk");
    assert_eq!(host.get(&host.read, "/v1/tenants/acme/routes").await.json().as_array().unwrap().len(), 1);
    assert_eq!(
        host.ask(&host.deploy, "DELETE", "/v1/tenants/acme/plugins/menu", None).await.problem(),
        (409, "/problems/in-use".into())
    );
    assert_eq!(host.ask(&host.deploy, "DELETE", path, None).await.status, 204);
    assert_eq!(host.get(&host.operator, test).await.json()["outcome"], "no-route");
    assert_eq!(host.ask(&host.deploy, "DELETE", path, None).await.problem().0, 404);
}

#[tokio::test]
async fn a_tenant_binds_what_is_nobody_elses_and_an_operator_decides_the_rest() {
    let host = Host::start().await;
    let called = |kind: &str, text: &str| Some(json!({ "called": { kind: text }, "plugin": "menu" }));
    let theirs = "/v1/tenants/rival/routes/r";
    assert_eq!(
        host.ask(&host.deploy, "PUT", "/v1/tenants/acme/routes/all", called("prefix", "+9122")).await.status,
        200
    );
    for (kind, text) in [("exact", "+91226"), ("prefix", "+91"), ("uri", "sip:*@rival.example.com")] {
        let refused = host.ask(&host.rival, "PUT", theirs, called(kind, text)).await;
        assert_eq!(refused.problem(), (409, "/problems/called-taken".into()), "{text}");
        assert!(!refused.text().contains("acme"));
    }
    assert_eq!(host.ask(&host.rival, "PUT", theirs, called("prefix", "")).await.problem().0, 422);
    assert_eq!(host.ask(&host.operator, "PUT", theirs, called("exact", "+91226")).await.status, 200);
    let equal = host.ask(&host.operator, "PUT", "/v1/tenants/rival/routes/s", called("prefix", "+9122")).await;
    assert_eq!(equal.problem(), (409, "/problems/called-taken".into()), "the very same is nobody's to take");
}

#[tokio::test]
async fn versions_are_activated_by_the_first_of_their_digits_rolled_back_and_deleted_unless_in_use() {
    let host = Host::start().await;
    let menu = "/v1/tenants/acme/plugins/menu";
    host.store.upload(&crate::support::by(), "acme", &crate::support::name("menu"), b"second", "0.1.0").unwrap();
    let versions = host.get(&host.read, &format!("{menu}/versions")).await.json();
    let digests: Vec<String> =
        versions.as_array().unwrap().iter().map(|v| v["digest"].as_str().unwrap().to_owned()).collect();
    let activate = |body: Value| host.ask(&host.deploy, "POST", "/v1/tenants/acme/plugins/menu/activate", Some(body));
    let first = activate(json!({ "digest": digests[1][..8] })).await;
    assert_eq!((first.status, &first.json()["current"]["digest"]), (200, &json!(digests[1])));
    let second =
        activate(json!({ "digest": digests[0], "if_last_generation": 1, "live": { "policy": "move", "limit_s": 60 } }))
            .await;
    assert_eq!(second.json()["current"]["live"], json!({ "policy": "move", "limit_s": 60 }));
    assert_eq!(
        activate(json!({ "digest": digests[1], "if_last_generation": 1 })).await.problem(),
        (412, "/problems/stale".into())
    );
    for (digits, status) in [("00000000", 404), (&"0".repeat(64), 404), ("0000000", 422), ("nonsense", 422)] {
        assert_eq!(activate(json!({ "digest": digits })).await.problem().0, status, "{digits}");
    }
    let version = |digest: &str| format!("{menu}/versions/{}", &digest[..12]);
    assert_eq!(
        host.ask(&host.deploy, "DELETE", &version(&digests[0]), None).await.problem(),
        (409, "/problems/in-use".into())
    );
    let back = host.ask(&host.deploy, "POST", &format!("{menu}/rollback"), None).await;
    assert_eq!((back.status, &back.json()["current"]["digest"]), (200, &json!(digests[1])), "{}", back.text());
    let none = host
        .ask(&host.rival, "POST", "/v1/tenants/rival/plugins/menu/rollback", Some(json!({ "reason": "why not" })))
        .await;
    assert_eq!(none.problem(), (409, "/problems/nothing-before".into()));
    let canary = host.ask(
        &host.rival,
        "POST",
        "/v1/tenants/rival/plugins/menu/activate",
        Some(json!({ "digest": store::Digest::of(b"rival").to_string(), "canary_percent": 10 })),
    );
    assert_eq!(canary.await.problem(), (409, "/problems/nothing-to-share-with".into()));
    let shown = host.get(&host.read, menu).await.json();
    assert_eq!(shown["last_generation"], 3);
    assert_eq!(host.ask(&host.deploy, "DELETE", menu, None).await.status, 204);
    assert_eq!(host.get(&host.read, menu).await.problem().0, 404);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_with_the_token_that_made_it() {
    let host = Host::start().await;
    let id = host.get(&host.deploy, "/v1/whoami").await.json()["id"].as_str().unwrap().to_owned();
    host.ask(&host.deploy, "PUT", "/v1/tenants/acme/routes/desk", Some(desk())).await;
    host.ask(&host.deploy, "DELETE", "/v1/tenants/acme/routes/desk", None).await;
    let log = host.get(&host.read, "/v1/tenants/acme/audit?limit=2").await.json();
    let told: Vec<_> =
        log.as_array().unwrap().iter().map(|entry| (entry["action"].clone(), entry["by"].clone())).collect();
    let by = json!(format!("token {id} (test)"));
    assert_eq!(told, [(json!("delete_route"), by.clone()), (json!("put_route"), by)]);
    let before = log[1]["sequence"].as_u64().unwrap();
    let older = host.get(&host.operator, &format!("/v1/audit?before={before}&limit=1")).await.json();
    assert_eq!(older[0]["sequence"], before - 1);
    let theirs = host.get(&host.rival, "/v1/tenants/rival/audit").await.text();
    assert!(!theirs.contains("acme") && theirs.contains("rival"));
}

#[tokio::test]
async fn a_tenant_names_engines_of_its_own_and_a_key_must_be_a_secret_that_may_go_there() {
    let host = Host::start().await;
    let put =
        |engines: Value| host.ask(&host.deploy, "PUT", "/v1/tenants/acme/engines", Some(json!({ "engines": engines })));
    let chat = |key: &str| json!({ "chat": { "url": "https://a.example/v1", "model": "m", "api_key": key } });
    assert_eq!(put(chat("key")).await.problem(), (422, "/problems/invalid".into()), "there is no secret");
    let secret = json!({ "value": "hunter2", "hosts": ["a.example:443"], "header": "Authorization" });
    assert_eq!(host.ask(&host.deploy, "PUT", "/v1/tenants/acme/secrets/key", Some(secret)).await.status, 204);
    let kept = put(chat("key")).await;
    assert_eq!((kept.status, &kept.json()["engines"]["chat"]["model"]), (200, &json!("m")));
    for wrong in [json!({ "chta": {} }), json!({ "chat": { "url": "a.example", "model": "m" } }), chat("sk-1234")] {
        let refused = put(wrong).await;
        assert!(!refused.text().contains("sk-1234"), "{}", refused.text());
        assert_eq!(refused.problem(), (422, "/problems/invalid".into()));
    }
    assert_eq!(host.store.tenant("acme").unwrap().engines["chat"]["api_key"], json!("key"));
    assert_eq!(put(json!({})).await.status, 200);
    assert!(host.store.tenant("acme").unwrap().engines.is_empty());
    assert_eq!(
        host.ask(&host.read, "PUT", "/v1/tenants/acme/engines", Some(json!({ "engines": {} }))).await.status,
        403
    );
}
