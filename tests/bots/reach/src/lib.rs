//! Asks of the world outside what its route tells it, one thing after the other, and notes what came of each.
//!
//! The route's `steps` are text, a step a line; the note `1` is what came of the first.
//!
//!     get URL [HEADER: VALUE]      status and body, or code and message
//!     put KEY VALUE | get-key KEY | swap KEY FROM TO | list PREFIX
//!     fill KEY BYTES               a value so long
//!     talk URL TEXT                a WebSocket: what comes back on one text
//!     listen | say TEXT | ask TEXT what the caller says, what became of the utterance, what the model answers

use std::cell::RefCell;

use patchbay_sdk::bindings::patchbay::bot::call as phone;
use patchbay_sdk::{Accept, Bot, Call, Refusal, Start};

wit_bindgen::generate!({
    inline: "
        package test:reach;
        world reach {
            import patchbay:bot/http@0.1.0;
            import patchbay:bot/websocket@0.1.0;
            import patchbay:bot/store@0.1.0;
            import patchbay:bot/speech@0.1.0;
            import patchbay:bot/chat@0.1.0;
            export patchbay:bot/http-handler@0.1.0;
            export patchbay:bot/websocket-handler@0.1.0;
            export patchbay:bot/store-handler@0.1.0;
            export patchbay:bot/speech-handler@0.1.0;
            export patchbay:bot/chat-handler@0.1.0;
        }
    ",
    path: "../../../wit/0.1.0",
    world: "test:reach/reach",
    generate_all,
});

use exports::patchbay::bot::chat_handler::{self, ChatEvent};
use exports::patchbay::bot::http_handler::{self, HttpEvent};
use exports::patchbay::bot::speech_handler::{self, SpeechEvent};
use exports::patchbay::bot::store_handler::{self, StoreEvent};
use exports::patchbay::bot::websocket_handler::{self, WebsocketEvent};
use patchbay::bot::types::Error;
use patchbay::bot::{chat, http, speech, store, websocket};

thread_local! {
    static STEPS: RefCell<Steps> = RefCell::default();
}

#[derive(Default)]
struct Steps {
    left: Vec<String>,
    number: usize,
    heard: String,
}

#[derive(Default)]
struct Reach;

impl Bot for Reach {
    fn start(&mut self, call: &Call, _start: Start) -> Result<Accept, Refusal> {
        let mut left: Vec<String> = call.config("steps").unwrap_or_default().lines().map(str::to_owned).collect();
        left.reverse();
        STEPS.with_borrow_mut(|steps| *steps = Steps { left, ..Steps::default() });
        next();
        Ok(Accept::events_only())
    }
}

/// Begins the next step; at the end of all hangs up.
fn next() {
    let step = STEPS.with_borrow_mut(|steps| {
        steps.number += 1;
        steps.heard.clear();
        steps.left.pop()
    });
    let Some(step) = step else {
        return phone::hangup(false);
    };
    if let Err(error) = begin(&step) {
        end(&format!("{}: {}", error.code, error.message));
    }
}

/// Notes what came of a step.
fn end(what: &str) {
    let number = STEPS.with_borrow(|steps| steps.number.to_string());
    // One that is too long or too many is seen by its absence.
    let _ = phone::note(&number, what);
    next();
}

fn begin(step: &str) -> Result<u64, Error> {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    let (first, then) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "get" => {
            let header =
                then.split_once(": ").map(|(name, value)| http::Header { name: name.into(), value: value.into() });
            http::send(&http::Request {
                method: "GET".into(),
                url: first.into(),
                headers: header.into_iter().collect(),
                body: Vec::new(),
                timeout_ms: 0,
                pieces: http::Pieces::Whole,
            })
        }
        "put" => store::put(first, then.as_bytes(), 0),
        "fill" => store::put(first, &vec![b'x'; then.parse().unwrap_or(0)], 0),
        "get-key" => store::get(first),
        "swap" => {
            let (from, to) = then.split_once(' ').unwrap_or((then, ""));
            store::swap(first, Some(from.as_bytes()), to.as_bytes())
        }
        "list" => store::list(first, ""),
        "talk" => {
            let id = websocket::open(first, &[], &[])?;
            websocket::send_text(id, then)?;
            Ok(id)
        }
        "listen" => {
            let (language, hint) = (String::new(), String::new());
            speech::listen(&speech::ListenOptions { language, hint, end_of_turn_ms: 200, utterance_ms_max: 0 })
        }
        "say" => speech::say(rest, &speech::SayOptions { voice: String::new(), language: String::new() }),
        "ask" => {
            let (role, content) = (chat::Role::User, rest.to_owned());
            let message = chat::Message { role, content, tool_calls: Vec::new(), tool_call_id: String::new() };
            let (model, tools) = (String::new(), Vec::new());
            chat::ask(&chat::Request { model, messages: vec![message], tools, tokens_max: 0, temperature: None })
        }
        other => panic!("no step is called {other}"),
    }
}

struct Handlers;

impl http_handler::Guest for Handlers {
    fn on_http(_id: u64, event: HttpEvent) {
        let hear = |text: &str| STEPS.with_borrow_mut(|steps| steps.heard += text);
        match event {
            HttpEvent::Head(head) => hear(&format!("{} ", head.status)),
            HttpEvent::Body(body) => hear(&String::from_utf8_lossy(&body)),
            HttpEvent::Message(message) => hear(&message.data),
            HttpEvent::Done => end(&STEPS.with_borrow(|steps| steps.heard.clone())),
            HttpEvent::Failed(error) => end(&format!("{}: {}", error.code, error.message)),
        }
    }
}

impl websocket_handler::Guest for Handlers {
    fn on_websocket(id: u64, event: WebsocketEvent) {
        match event {
            WebsocketEvent::Opened(_) | WebsocketEvent::Binary(_) => {}
            WebsocketEvent::Text(text) => {
                STEPS.with_borrow_mut(|steps| steps.heard = text);
                websocket::close(id, 1000, "heard");
            }
            WebsocketEvent::Closed(goodbye) => {
                end(&format!("{} {}", STEPS.with_borrow(|steps| steps.heard.clone()), goodbye.code));
            }
            WebsocketEvent::Failed(error) => end(&format!("{}: {}", error.code, error.message)),
        }
    }
}

impl speech_handler::Guest for Handlers {
    fn on_speech(id: u64, event: SpeechEvent) {
        match event {
            SpeechEvent::Transcript(transcript) if transcript.final_ => {
                speech::stop(id);
                end(&transcript.text);
            }
            SpeechEvent::UtterancePlayed(played) => end(if played.to_the_end { "played" } else { "cut off" }),
            SpeechEvent::Failed(error) => end(&format!("{}: {}", error.code, error.message)),
            _ => {}
        }
    }
}

impl chat_handler::Guest for Handlers {
    fn on_chat(_id: u64, event: ChatEvent) {
        match event {
            ChatEvent::Text(text) => STEPS.with_borrow_mut(|steps| steps.heard += &text),
            ChatEvent::ToolCall(_) => {}
            ChatEvent::Done(_) => end(&STEPS.with_borrow(|steps| steps.heard.clone())),
            ChatEvent::Failed(error) => end(&format!("{}: {}", error.code, error.message)),
        }
    }
}

impl store_handler::Guest for Handlers {
    fn on_store(_id: u64, event: StoreEvent) {
        end(&match event {
            StoreEvent::Value(None) => "nothing".into(),
            StoreEvent::Value(Some(value)) => String::from_utf8_lossy(&value).into_owned(),
            StoreEvent::Stored => "stored".into(),
            StoreEvent::Swapped(done) => done.to_string(),
            StoreEvent::Keys(keys) => keys.join(" "),
            StoreEvent::Failed(error) => format!("{}: {}", error.code, error.message),
        });
    }
}

export!(Handlers);
patchbay_sdk::export!(Reach);
