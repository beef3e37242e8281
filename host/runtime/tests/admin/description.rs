//! The OpenAPI document is what the host does: every operation answers, and its answers have the shapes that are described.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use store::Store;

use crate::schema::mismatches;
use crate::scopes::operations;
use crate::support::{Answer, Host, ask, by, desk, name};

async fn document(host: &Host) -> Value {
    ask(host.address, "GET", "/v1/openapi.json", "", b"").await.json()
}

/// What the document says of that answer.
fn schema_of<'a>(document: &'a Value, path: &str, method: &str, answer: &Answer) -> &'a Value {
    let responses = &document["paths"][path][method.to_lowercase()]["responses"];
    let status = answer.status.to_string();
    let response = responses.get(&status).or(responses.get("default")).unwrap();
    let content = answer.header("content-type").map_or(&Value::Null, |kind| &response["content"][kind]["schema"]);
    assert_eq!(content.is_null(), answer.body.is_empty(), "{method} {path} {status}: {}", answer.text());
    content
}

#[tokio::test]
async fn every_operation_is_described_answers_and_is_refused_as_described() {
    let host = Host::start().await;
    let document = document(&host).await;
    let mut names = std::collections::BTreeSet::new();
    for (path, method, _) in operations(&host).await {
        let operation = &document["paths"][&path][method.to_lowercase()];
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path} shares its name");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path = parameters.filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
        let answer = host.ask("patchbay_nobody", &method, &path.replace(['{', '}'], ""), None).await;
        assert_eq!(answer.status, 401, "{method} {path} is there");
        let found = mismatches(&document, schema_of(&document, &path, &method, &answer), &answer.json());
        assert_eq!(found, Vec::<String>::new(), "{method} {path}");
    }
}

#[tokio::test]
async fn real_answers_have_the_described_shapes() {
    let host = Host::start().await;
    let document = document(&host).await;
    let menu = "/v1/tenants/{tenant}/plugins/{plugin}";
    host.store.upload(&by(), "acme", &name("menu"), b"second", "0.1.0").unwrap();
    let digest = |bytes: &[u8]| store::Digest::of(bytes).to_string();
    let mut full = desk();
    full["fallback"] = json!({ "prompt": "sorry" });
    full["config"] = json!({ "a": { "b": [1] } });
    full["trunk"] = json!("exotel");
    let engines = json!({ "chat": { "url": "https://a.example/v1", "model": "m" } });
    let asked = [
        ("POST", "/v1/tenants".to_owned(), Some(json!({ "name": "new" })), 201),
        ("POST", "/v1/tokens".into(), Some(json!({ "label": "x" })), 201),
        ("POST", "/v1/tenants/{tenant}/tokens".into(), Some(json!({ "scope": "read" })), 201),
        ("PUT", "/v1/tenants/{tenant}/routes/{name}".into(), Some(full), 200),
        ("PUT", "/v1/tenants/{tenant}/secrets/{name}".into(), Some(json!({ "value": "x" })), 204),
        ("PUT", "/v1/tenants/{tenant}/quotas".into(), Some(json!({})), 200),
        ("PUT", "/v1/tenants/{tenant}/egress".into(), Some(json!({ "egress": ["*.example.com:443"] })), 200),
        ("PUT", "/v1/tenants/{tenant}/egress".into(), Some(json!({ "egress": ["example.com"] })), 422),
        ("PUT", "/v1/tenants/{tenant}/engines".into(), Some(json!({ "engines": engines })), 200),
        ("POST", format!("{menu}/activate"), Some(json!({ "digest": digest(b"acme") })), 200),
        (
            "POST",
            format!("{menu}/activate"),
            Some(json!({ "digest": digest(b"second"), "live": { "policy": "move", "limit_s": 9 } })),
            200,
        ),
        ("POST", format!("{menu}/activate"), Some(json!({ "digest": digest(b"acme"), "canary_percent": 9 })), 200),
        ("GET", menu.into(), None, 200),
        ("GET", format!("{menu}/versions"), None, 200),
        ("POST", format!("{menu}/rollback"), Some(json!({ "reason": "x" })), 200),
        ("GET", "/v1/tenants/{tenant}/plugins".into(), None, 200),
        ("GET", "/v1/whoami".into(), None, 200),
        ("GET", "/v1/tenants".into(), None, 200),
        ("GET", "/v1/tenants/{tenant}".into(), None, 200),
        ("GET", "/v1/tokens".into(), None, 200),
        ("GET", "/v1/tenants/{tenant}/tokens".into(), None, 200),
        ("GET", "/v1/tenants/{tenant}/routes".into(), None, 200),
        ("GET", "/v1/tenants/{tenant}/secrets".into(), None, 200),
        ("GET", "/v1/audit".into(), None, 200),
        ("GET", "/v1/tenants/{tenant}/audit".into(), None, 200),
        ("GET", "/v1/calls".into(), None, 200),
        ("GET", "/v1/route-test?called=%2B912261234567&trunk=exotel".into(), None, 200),
        ("GET", "/v1/route-test?called=1".into(), None, 200),
        ("PUT", "/v1/tenants/{tenant}/quotas".into(), Some(json!({ "calls": 1e9 as u64 })), 422),
        ("DELETE", "/v1/tenants/{tenant}/routes/{name}".into(), None, 204),
        ("DELETE", menu.into(), None, 204),
    ];
    for (method, path, body, status) in asked {
        let real = path.replace("{tenant}", "acme").replace("{plugin}", "menu").replace("{name}", "desk");
        let answer = host.ask(&host.operator, method, &real, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let described = path.split('?').next().unwrap();
        let schema = schema_of(&document, described, method, &answer);
        if !schema.is_null() {
            assert_eq!(mismatches(&document, schema, &answer.json()), Vec::<String>::new(), "{method} {path}");
        }
    }
}

/// A value that the schema describes, more or less: some of it is left out, of another type, or at the edge.
fn value_of(document: &Value, schema: &Value, random: &mut SmallRng, depth: usize) -> Value {
    if depth > 6 || random.random_bool(0.08) {
        return match random.random_range(0..7) {
            0 => Value::Null,
            1 => json!(-1),
            2 => json!(u64::MAX),
            3 => json!("\u{0}\u{1f4a9}"),
            4 => json!([[[]]]),
            5 => json!({ "x": 1 }),
            _ => json!("y".repeat(300)),
        };
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return value_of(document, document.pointer(reference.trim_start_matches('#')).unwrap(), random, depth + 1);
    }
    if let Some(list) = schema["oneOf"].as_array() {
        return value_of(document, &list[random.random_range(0..list.len())], random, depth + 1);
    }
    if let Some(list) = schema["enum"].as_array() {
        return list[random.random_range(0..list.len())].clone();
    }
    let kind = schema["type"].as_str().or(schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "integer" | "number" => json!(random.random_range(0..100)),
        "boolean" => json!(random.random_bool(0.5)),
        "array" => {
            (0..random.random_range(0..3)).map(|_| value_of(document, &schema["items"], random, depth + 1)).collect()
        }
        "object" => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let kept: Vec<_> = properties.into_iter().filter(|_| random.random_bool(0.9)).collect();
            let fields = kept.into_iter().map(|(name, schema)| (name, value_of(document, &schema, random, depth + 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => json!(["menu", "acme", "1", "read", "x"][random.random_range(0..5)]),
    }
}

#[tokio::test]
async fn no_body_and_no_name_makes_the_host_fail() {
    let host = Host::start().await;
    let document = document(&host).await;
    let random = &mut SmallRng::seed_from_u64(3);
    let operations = operations(&host).await;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for turn in 0..600 {
        let (path, method, _) = &operations[random.random_range(0..operations.len())];
        // The tail of a log has no end, and a token that is revoked ends the test.
        if path.ends_with("/log") || path.ends_with("/versions") && method == "POST" || path.contains("{id}") {
            continue;
        }
        let body =
            &document["paths"][path][method.to_lowercase()]["requestBody"]["content"]["application/json"]["schema"];
        let body = (!body.is_null()).then(|| value_of(&document, body, random, 0));
        let names = ["acme", "menu", "new", "%00", "..", "%F0%9F%92%A9", "+1", "0123456789"];
        let filled: Vec<_> = path
            .split('/')
            .map(|part| if part.starts_with('{') { names[random.random_range(0..names.len())] } else { part })
            .collect();
        let filled = filled.join("/");
        let answer = host.ask(&host.operator, method, &filled, body.clone()).await;
        assert!(answer.status < 500, "{turn}: {method} {filled} {body:?}: {}", answer.text());
        *statuses.entry(answer.status).or_default() += 1;
        let schema = schema_of(&document, path, method, &answer);
        if !schema.is_null() {
            assert_eq!(mismatches(&document, schema, &answer.json()), Vec::<String>::new(), "{method} {filled}");
        }
    }
    assert!([200, 201, 404, 422].iter().all(|status| statuses.contains_key(status)), "{statuses:?}");
}
