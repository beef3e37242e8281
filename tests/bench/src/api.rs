//! The admin API, as much of it as is measured.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use ureq::http::{Method, Request};

/// Only a hang takes as long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Api {
    agent: ureq::Agent,
    base: String,
    token: String,
}

/// What live calls do at an activation.
#[derive(Clone, Copy)]
pub enum Live {
    Drain,
    Move,
}

impl Live {
    fn word(self) -> &'static str {
        match self {
            Live::Drain => "drain",
            Live::Move => "move",
        }
    }
}

impl Api {
    pub fn new(base: String, token: String) -> Api {
        // A connection for each request: the host ends those that rest, and a change is not sent twice.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIME_MAX))
            .max_idle_connections(0);
        Api { agent: config.build().into(), base, token }
    }

    /// The answer's JSON, null where there is none. Errors: no answer, or one of 400 and above. Of 429 it is asked again.
    fn send(&self, method: &Method, path: &str, kind: &str, body: &[u8]) -> Result<Value> {
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        loop {
            let request = Request::builder()
                .method(method)
                .uri(format!("{}{path}", self.base))
                .header("Authorization", format!("Bearer {}", self.token));
            let sent = if body.is_empty() {
                self.agent.run(request.body(())?)
            } else {
                self.agent.run(request.header("Content-Type", kind).body(body)?)
            };
            let mut response = sent.with_context(|| format!("{method} {path}"))?;
            let text = response.body_mut().read_to_string()?;
            match response.status().as_u16() {
                429 if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(100)),
                200..=299 if text.is_empty() => return Ok(Value::Null),
                200..=299 => return Ok(serde_json::from_str(&text)?),
                status => bail!("{method} {path}: {status} {text}"),
            }
        }
    }

    fn json(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        self.send(&method, path, "application/json", body.to_string().as_bytes())
    }

    /// A tenant that no quota stands in the way of.
    pub fn create_tenant(&self, tenant: &str) -> Result<()> {
        let quotas = json!({
            "calls": 100_000, "calls_per_second": 10_000, "guest_cpu_ms_per_call_second": 1_000,
            "guest_cpu_burst_ms": 10_000, "storage_bytes": 1_u64 << 36,
        });
        self.create_tenant_with(tenant, &quotas)
    }

    pub fn create_tenant_with(&self, tenant: &str, quotas: &Value) -> Result<()> {
        self.json(Method::POST, "/v1/tenants", &json!({ "name": tenant, "quotas": quotas })).map(drop)
    }

    /// Calls of that number go to the plugin.
    pub fn route(&self, tenant: &str, number: &str, plugin: &str, config: &Value) -> Result<()> {
        let route = json!({ "called": { "exact": number }, "plugin": plugin, "config": config });
        self.json(Method::PUT, &format!("/v1/tenants/{tenant}/routes/{number}"), &route).map(drop)
    }

    /// Returns the digest.
    pub fn upload(&self, tenant: &str, plugin: &str, component: &[u8], activate: bool) -> Result<String> {
        let path = format!("/v1/tenants/{tenant}/plugins/{plugin}/versions?activate={activate}");
        let made = self.send(&Method::POST, &path, "application/wasm", component)?;
        Ok(made["version"]["digest"].as_str().context("an upload without a digest")?.to_owned())
    }

    pub fn activate(&self, tenant: &str, plugin: &str, digest: &str, live: Live) -> Result<()> {
        let body = json!({ "digest": digest, "live": { "policy": live.word() } });
        self.json(Method::POST, &format!("/v1/tenants/{tenant}/plugins/{plugin}/activate"), &body).map(drop)
    }

    /// The digest that answers new calls.
    pub fn current(&self, tenant: &str, plugin: &str) -> Result<String> {
        let plugin = self.send(&Method::GET, &format!("/v1/tenants/{tenant}/plugins/{plugin}"), "", &[])?;
        Ok(plugin["current"]["digest"].as_str().context("a plugin without a current generation")?.to_owned())
    }

    pub fn versions(&self, tenant: &str, plugin: &str) -> Result<Vec<String>> {
        let versions = self.send(&Method::GET, &format!("/v1/tenants/{tenant}/plugins/{plugin}/versions"), "", &[])?;
        let digests = versions.as_array().into_iter().flatten().filter_map(|version| version["digest"].as_str());
        Ok(digests.map(str::to_owned).collect())
    }

    pub fn delete_version(&self, tenant: &str, plugin: &str, digest: &str) -> Result<()> {
        let path = format!("/v1/tenants/{tenant}/plugins/{plugin}/versions/{digest}");
        self.send(&Method::DELETE, &path, "", &[]).map(drop)
    }
}
