//! What the endpoint is asked.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Ask, Message, Tool, ToolCall};
use crate::{ChatConfig, Code, Fault, TokensMaxKey};

/// Of the JSON of one request.
const BODY_BYTES_MAX: usize = 1024 * 1024;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(flatten)]
    tokens_max: Map<String, Value>,
}

/// Errors: `bad-request`, and `too-long`.
pub(super) fn body(config: &ChatConfig, ask: &Ask) -> Result<Vec<u8>, Fault> {
    if ask.messages.is_empty() {
        return Err(Fault::new(Code::BadRequest, "no messages"));
    }
    let mut tokens_max = Map::new();
    let limit = if ask.tokens_max == 0 { config.tokens_max } else { ask.tokens_max };
    if limit > 0 {
        let key = match config.tokens_max_key {
            TokensMaxKey::MaxTokens => "max_tokens",
            TokensMaxKey::MaxCompletionTokens => "max_completion_tokens",
        };
        tokens_max.insert(key.to_owned(), limit.into());
    }
    let own = config.temperature.map(|degree| (f64::from(degree) * 100.0).round() / 100.0);
    let body = Body {
        model: if ask.model.is_empty() { &config.model } else { &ask.model },
        stream: true,
        messages: ask.messages.iter().map(message).collect(),
        tools: ask.tools.iter().map(tool).collect::<Result<_, _>>()?,
        temperature: ask.temperature.map(|hundredths| f64::from(hundredths) / 100.0).or(own),
        tokens_max,
    };
    let body = serde_json::to_vec(&body).map_err(|error| Fault::new(Code::BadRequest, error.to_string()))?;
    match body.len() > BODY_BYTES_MAX {
        true => Err(Fault::new(Code::TooLong, format!("a request of {} bytes, at most {BODY_BYTES_MAX}", body.len()))),
        false => Ok(body),
    }
}

fn message(message: &Message) -> Value {
    let call = |call: &ToolCall| {
        let function = serde_json::json!({ "name": call.name, "arguments": call.arguments });
        serde_json::json!({ "id": call.id, "type": "function", "function": function })
    };
    let calls: Vec<Value> = message.tool_calls.iter().map(call).collect();
    let mut json = serde_json::json!({ "role": message.role, "content": message.content });
    if !calls.is_empty() {
        json["tool_calls"] = calls.into();
    }
    if !message.tool_call_id.is_empty() {
        json["tool_call_id"] = message.tool_call_id.as_str().into();
    }
    json
}

fn tool(tool: &Tool) -> Result<Value, Fault> {
    let parameters: Map<String, Value> = match tool.parameters.is_empty() {
        true => Map::new(),
        false => serde_json::from_str(&tool.parameters).map_err(|error| {
            let name = crate::fault::one_line(&tool.name);
            Fault::new(Code::BadRequest, format!("the parameters of tool `{name}` are no JSON object: {error}"))
        })?,
    };
    let mut function = serde_json::json!({ "name": tool.name, "description": tool.description });
    if !parameters.is_empty() {
        function["parameters"] = parameters.into();
    }
    Ok(serde_json::json!({ "type": "function", "function": function }))
}
