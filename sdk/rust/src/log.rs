//! Lines in the bot's log, each with the file and line it came from; panics go there too.
//!
//! `info!("pressed {key}")`, and `debug!`, `warn!`, `error!` alike. The host takes 50 lines a second, 4 KiB each.

pub use crate::imports::Level;

#[macro_export]
macro_rules! log {
    ($level:ident, $($message:tt)+) => {
        $crate::log::write($crate::log::Level::$level, file!(), line!(), &::std::format!($($message)+))
    };
}

#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log!(Debug, $($message)+) };
}

#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log!(Info, $($message)+) };
}

#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log!(Warn, $($message)+) };
}

#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log!(Error, $($message)+) };
}

/// What the macros call.
pub fn write(level: Level, file: &str, line: u32, message: &str) {
    crate::imports::log_write(level, file, line, message);
}

/// From now on a panic's message, file and line reach the log before the instance traps.
/// Without this a panic would be a bare `unreachable`: a Wasm guest has no standard error here.
pub(crate) fn panics_to_log() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => text,
            (_, Some(text)) => text.as_str(),
            _ => "no message",
        };
        let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
        write(Level::Error, file, line, &format!("panicked: {message}"));
    }));
}
