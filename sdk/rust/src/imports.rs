//! The imported functions, one for one. On Wasm they reach the host; elsewhere the fake call of `testing`.

use crate::Error;
pub use crate::bindings::patchbay::bot::log::Level;
pub use crate::bindings::patchbay::bot::playout::Written;

/// One line per import: the SDK's name, its arguments, and the path of the generated function.
macro_rules! imports {
    ($($name:ident($($arg:ident: $of:ty),*) $(-> $ret:ty)? = $($path:ident)::+;)*) => {
        $(
            #[cfg(target_arch = "wasm32")]
            pub fn $name($($arg: $of),*) $(-> $ret)? {
                crate::bindings::patchbay::bot::$($path)::+($($arg),*)
            }
            #[cfg(not(target_arch = "wasm32"))]
            pub fn $name($($arg: $of),*) $(-> $ret)? {
                crate::testing::host(|host| host.$name($($arg),*))
            }
        )*
    };
}

imports! {
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
