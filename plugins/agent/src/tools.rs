//! What the model can do besides talk: the configuration's HTTP calls, a human, and the end of the call.

use std::collections::BTreeMap;

use patchbay_sdk::conversation::{Call, Fetch, Tool, ToolCall};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::settings::Settings;
use crate::template::{self, Arguments};

pub const TRANSFER: &str = "transfer_to_human";
pub const END: &str = "end_call";

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const TIMEOUT_MS_MAX: u32 = 60_000;
/// Of a response, as the model is told it.
const RESULT_BYTES_MAX: usize = 8 << 10;

/// An HTTP call that the model can make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSettings {
    pub name: String,
    /// What it does and when to use it, for the model.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments, an object's.
    #[serde(default = "nothing")]
    pub parameters: Value,
    #[serde(default = "get")]
    pub method: String,
    /// `{argument}` in its path or query is filled in.
    pub url: String,
    /// `{{secret:name}}` is the host's to fill in.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON, `{argument}` in its strings is filled in. Without one, POST, PUT and PATCH send the arguments.
    #[serde(default)]
    pub body: Option<Value>,
    #[serde(default = "ten_seconds")]
    pub timeout_ms: u32,
    /// Said while it is under way.
    #[serde(default)]
    pub say: String,
}

fn nothing() -> Value {
    json!({ "type": "object", "properties": {} })
}

fn get() -> String {
    "GET".to_owned()
}

fn ten_seconds() -> u32 {
    10_000
}

impl ToolSettings {
    pub fn check(&self) -> Result<(), String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(is_name) {
            return Err("its name must be 1 to 64 letters, digits, _ and -".to_owned());
        }
        if [TRANSFER, END].contains(&&*self.name) {
            return Err("its name is the agent's own".to_owned());
        }
        if !METHODS.contains(&&*self.method) {
            return Err(format!("its method must be one of {}", METHODS.join(", ")));
        }
        if !(1..=TIMEOUT_MS_MAX).contains(&self.timeout_ms) {
            return Err(format!("its timeout_ms must be 1 to {TIMEOUT_MS_MAX}"));
        }
        template::check_url(&self.url)?;
        let Some(known) = self.parameters.get("properties").and_then(Value::as_object) else {
            return Err("its parameters must be a JSON Schema with properties".to_owned());
        };
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut used = template::names(&self.url);
        used.extend(self.body.iter().flat_map(strings).flat_map(|text| template::names(text)));
        match used.into_iter().find(|name| !known.contains_key(*name)) {
            Some(name) => Err(format!("{{{name}}} is not among its parameters, in {} {body}", self.url)),
            None => Ok(()),
        }
    }

    /// The request for these arguments, which are the model's. Errors are for the model.
    pub fn fetch(&self, arguments: &str) -> Result<Fetch, String> {
        let given = if arguments.trim().is_empty() { "{}" } else { arguments };
        let mut arguments: Arguments =
            serde_json::from_str(given).map_err(|wrong| format!("the arguments must be one JSON object: {wrong}"))?;
        // What was not asked for is not passed on.
        arguments.retain(|name, _| self.parameters["properties"].get(name).is_some());
        let mut fetch = Fetch::new(&self.method, template::url(&self.url, &arguments)?).timeout_ms(self.timeout_ms);
        for (name, value) in &self.headers {
            fetch = fetch.header(name, value);
        }
        let body = match &self.body {
            Some(body) => template::body(body, &arguments)?,
            None if ["POST", "PUT", "PATCH"].contains(&&*self.method) => Value::Object(arguments),
            None => return Ok(fetch),
        };
        Ok(fetch.header("content-type", "application/json").body(body.to_string()))
    }

    /// What came of it, in words for the model.
    pub async fn call(&self, call: &Call, arguments: &str) -> String {
        let fetch = match self.fetch(arguments) {
            Ok(fetch) => fetch,
            Err(wrong) => return format!("error: {wrong}"),
        };
        // The host's own limit and a margin: it answers in any case.
        let limit_ms = u64::from(self.timeout_ms) + 5_000;
        match call.within(limit_ms, call.fetch(fetch)).await {
            Some(Ok(response)) => {
                let mut text = response.text();
                let end = (0..=RESULT_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
                text.truncate(end.unwrap_or(0));
                format!("status {}\n{text}", response.status)
            }
            Some(Err(error)) => format!("error: {}: {}", error.code, error.message),
            None => "error: timed-out".to_owned(),
        }
    }
}

/// All that the model may use.
pub fn offered(settings: &Settings) -> Vec<Tool> {
    let tool = |name: &str, description: &str, parameters: &Value| Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: parameters.to_string(),
    };
    let mut tools: Vec<Tool> =
        settings.tools.iter().map(|of| tool(&of.name, &of.description, &of.parameters)).collect();
    tools.extend(settings.transfer.as_ref().map(|transfer| tool(TRANSFER, &transfer.when, &nothing())));
    let end = "Ends the call, when the caller has said goodbye or wants nothing more. A goodbye is said for you.";
    tools.push(tool(END, end, &nothing()));
    tools
}

/// The one of the configuration that is meant.
pub fn named<'a>(settings: &'a Settings, call: &ToolCall) -> Option<&'a ToolSettings> {
    settings.tools.iter().find(|tool| tool.name == call.name)
}

/// Every string in it, keys apart.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
