//! Who may do what. The table is the OpenAPI document's own: what it says of an operation's scope is what is asked of the host.

use serde_json::Value;

use crate::support::{Answer, Host, ask};

/// Path, method and scope of every operation that takes a token.
pub async fn operations(host: &Host) -> Vec<(String, String, String)> {
    let document = ask(host.address, "GET", "/v1/openapi.json", "", b"").await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scope = operation["security"][0]["token"][0].as_str();
            let scope = scope.unwrap_or_else(|| panic!("{method} {path} says no scope"));
            operations.push((path.clone(), method.to_uppercase(), scope.to_owned()));
        }
    }
    assert!(operations.len() > 30, "{operations:?}");
    operations
}

/// A request of that operation about a tenant, without a body.
fn filled(path: &str, tenant: &str) -> String {
    path.replace("{tenant}", tenant)
        .replace("{plugin}", "menu")
        .replace("{name}", "desk")
        .replace("{id}", "x1")
        .replace("{digest}", "0123456789abcdef")
}

fn kind(answer: &Answer) -> (u16, String) {
    answer.problem()
}

#[tokio::test]
async fn every_operation_without_a_token_or_with_a_wrong_one_is_401_and_says_how() {
    let host = Host::start().await;
    for (path, method, _) in operations(&host).await {
        let path = filled(&path, "acme");
        for headers in ["", "Authorization: Basic YTpi\r\n", "Authorization: Bearer patchbay_nobody\r\n"] {
            let answer = ask(host.address, &method, &path, headers, b"").await;
            assert_eq!(kind(&answer), (401, "/problems/unauthenticated".into()), "{method} {path}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
    }
}

#[tokio::test]
async fn another_tenant_is_answered_as_one_that_does_not_exist_to_the_last_byte() {
    let host = Host::start().await;
    let mut seen = 0;
    for (path, method, _) in operations(&host).await.into_iter().filter(|(path, ..)| path.contains("{tenant}")) {
        for token in [&host.read, &host.deploy] {
            let theirs = host.ask(token, &method, &filled(&path, "rival"), None).await;
            let nobodys = host.ask(token, &method, &filled(&path, "nobody"), None).await;
            assert_eq!(kind(&theirs), (404, "/problems/not-found".into()), "{method} {path}");
            assert_eq!(theirs.text().replace("rival", "nobody"), nobodys.text(), "{method} {path}");
            let without_date = |answer: &Answer| {
                answer
                    .headers
                    .iter()
                    .filter(|(name, _)| name != "date" && name != "content-length")
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(without_date(&theirs), without_date(&nobodys));
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
    // As the operator sees one that is not there.
    let nobody = host.get(&host.operator, "/v1/tenants/nobody").await;
    assert_eq!(nobody.text(), host.get(&host.read, "/v1/tenants/nobody").await.text());
    assert_eq!(
        host.get(&host.read, "/v1/calls?tenant=rival").await.text(),
        host.get(&host.read, "/v1/tenants/rival").await.text()
    );
}

#[tokio::test]
async fn within_its_own_tenant_a_token_learns_what_scope_it_lacks() {
    let host = Host::start().await;
    for (path, method, scope) in operations(&host).await {
        let path = filled(&path, "acme");
        let may_read = matches!(scope.as_str(), "any" | "read");
        // The tail of a log has no end.
        if may_read && path.ends_with("/log") {
            continue;
        }
        for (token, may) in [(&host.read, may_read), (&host.deploy, may_read || scope == "deploy")] {
            let answer = host.ask(token, &method, &path, None).await;
            if may {
                assert!(
                    answer.status != 403 && answer.status != 401 && answer.status < 500,
                    "{method} {path}: {}",
                    answer.text()
                );
            } else {
                assert_eq!(kind(&answer), (403, "/problems/scope".into()), "{method} {path}");
                assert!(answer.text().contains(&format!("scope {scope}")), "{}", answer.text());
            }
        }
    }
    assert_eq!(host.get(&host.operator, "/v1/tenants").await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn whoami_says_whose_token_it_is_and_a_revoked_one_is_nobodys_at_once() {
    let host = Host::start().await;
    let deploy = host.get(&host.deploy, "/v1/whoami").await.json();
    assert_eq!(deploy["scope"], serde_json::json!({ "kind": "deploy", "tenant": "acme" }));
    assert_eq!(host.get(&host.operator, "/v1/whoami").await.json()["scope"], serde_json::json!({ "kind": "operator" }));
    let revoke = format!("/v1/tokens/{}", deploy["id"].as_str().unwrap());
    assert_eq!(host.ask(&host.operator, "DELETE", &revoke, None).await.status, 204);
    assert_eq!(host.get(&host.deploy, "/v1/whoami").await.status, 401);
}

#[tokio::test]
async fn a_tenant_that_is_deleted_takes_its_tokens_along() {
    let host = Host::start().await;
    assert_eq!(host.ask(&host.operator, "DELETE", "/v1/tenants/acme", None).await.status, 204);
    assert_eq!(host.get(&host.read, "/v1/tenants/acme").await.status, 401);
    assert_eq!(host.get(&host.rival, "/v1/tenants/rival").await.status, 200);
}

#[tokio::test]
async fn a_route_test_shows_a_tenant_its_own_routes_alone() {
    let host = Host::start().await;
    let bound = host.ask(&host.deploy, "PUT", "/v1/tenants/acme/routes/desk", Some(crate::support::desk())).await;
    assert_eq!(bound.status, 200, "{}", bound.text());
    let test = "/v1/route-test?called=%2B912261234567&trunk=exotel";
    for (token, tenant) in
        [(&host.operator, Value::from("acme")), (&host.read, "acme".into()), (&host.rival, Value::Null)]
    {
        let answer = host.get(token, test).await;
        assert_eq!(answer.json()["tenant"], tenant, "{}", answer.text());
        assert_eq!(answer.text().contains("acme"), !tenant.is_null());
        assert_eq!(host.get(token, &test.replace("%2B", "+")).await.text(), answer.text(), "a + is a +");
    }
}
