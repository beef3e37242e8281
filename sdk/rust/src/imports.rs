//! The imported functions, one for one. On Wasm they reach the host; elsewhere the fake call of `testing`.

use crate::Error;
pub use crate::bindings::patchbay::bot::log::Level;
pub use crate::bindings::patchbay::bot::playout::Written;
use crate::outcome::chat::Request as ChatRequest;
use crate::outcome::control::Header as SipHeader;
use crate::outcome::http::{Header, Request as HttpRequest};
use crate::outcome::speech::{ListenOptions, SayOptions};
use crate::outcome::voice::Rules;

/// One line per import: the SDK's name, its arguments, and the path of the generated function in these bindings.
macro_rules! imports {
    ($bindings:ident: $($name:ident($($arg:ident: $of:ty),*) $(-> $ret:ty)? = $($path:ident)::+;)*) => {
        $(
            #[cfg(target_arch = "wasm32")]
            pub fn $name($($arg: $of),*) $(-> $ret)? {
                crate::$bindings::patchbay::bot::$($path)::+($($arg),*)
            }
            #[cfg(not(target_arch = "wasm32"))]
            pub fn $name($($arg: $of),*) $(-> $ret)? {
                crate::testing::host(|host| host.$name($($arg),*))
            }
        )*
    };
}

imports! { bindings:
    header(name: &str) -> Vec<String> = call::header;
    attribute(name: &str) -> Option<String> = call::attribute;
    answer() = call::answer;
    hangup(after_playout: bool) = call::hangup;
    send_digits(keys: &str) -> Result<u64, Error> = call::send_digits;
    note(key: &str, value: &str) -> Result<(), Error> = call::note;
    want_frames(wanted: bool) = call::want_frames;
    done() = call::done;
    playout_write(samples: &[i16]) -> Written = playout::write;
    playout_clear() -> u64 = playout::clear;
    playout_mark(name: &str) -> Result<u64, Error> = playout::mark;
    timer_set(after_ms: u64) -> Result<u64, Error> = timer::set;
    timer_cancel(id: u64) -> bool = timer::cancel;
    now_ms() -> u64 = clock::now_ms;
    wall_ms() -> u64 = clock::wall_ms;
    random_bytes(len: u32) -> Vec<u8> = random::bytes;
    random_number() -> u64 = random::number;
    log_write(level: Level, file: &str, line: u32, message: &str) = log::write;
    config_get(key: &str) -> Option<String> = config::get;
}

imports! { beyond_telephony:
    http_send(request: &HttpRequest) -> Result<u64, Error> = http::send;
    http_cancel(id: u64) -> bool = http::cancel;
    websocket_open(url: &str, headers: &[Header], subprotocols: &[String]) -> Result<u64, Error> = websocket::open;
    websocket_send_text(id: u64, text: &str) -> Result<(), Error> = websocket::send_text;
    websocket_send_binary(id: u64, bytes: &[u8]) -> Result<(), Error> = websocket::send_binary;
    websocket_close(id: u64, code: u16, reason: &str) = websocket::close;
    store_get(key: &str) -> Result<u64, Error> = store::get;
    store_put(key: &str, value: &[u8], expires_ms: u64) -> Result<u64, Error> = store::put;
    store_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<u64, Error> = store::swap;
    store_delete(key: &str) -> Result<u64, Error> = store::delete;
    store_list(prefix: &str, after: &str) -> Result<u64, Error> = store::list;
    voice_watch(rules: Rules) -> Result<(), Error> = voice::watch;
    voice_unwatch() = voice::unwatch;
    speech_say(text: &str, options: &SayOptions) -> Result<u64, Error> = speech::say;
    speech_stop(id: u64) -> bool = speech::stop;
    speech_listen(options: &ListenOptions) -> Result<u64, Error> = speech::listen;
    chat_ask(request: &ChatRequest) -> Result<u64, Error> = chat::ask;
    chat_cancel(id: u64) -> bool = chat::cancel;
    answer_headers(headers: &[SipHeader]) -> Result<(), Error> = control::answer_headers;
    bye_headers(headers: &[SipHeader]) -> Result<(), Error> = control::bye_headers;
    hangup_with(status: u16, reason: &str, after_playout: bool) -> Result<(), Error> = control::hangup_with;
    transfer(target: &str, headers: &[SipHeader]) -> Result<u64, Error> = control::transfer;
    hold() -> Result<u64, Error> = control::hold;
    take_back() -> Result<u64, Error> = control::resume;
}
