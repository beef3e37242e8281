//! A bot's own log lines: bounded in rate and length, then handed to the host's log.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use plugin::LogLevel;

pub const LINES_PER_SECOND_MAX: u32 = 50;
pub const LINE_BYTES_MAX: usize = 4096;

/// Where the lines of one call's bot go, and how many may go there.
pub struct BotLog {
    span: tracing::Span,
    second_began: Instant,
    lines: u32,
    dropped: u64,
}

impl BotLog {
    pub fn new(span: tracing::Span, now: Instant) -> Self {
        Self { span, second_began: now, lines: 0, dropped: 0 }
    }

    pub fn write(&mut self, now: Instant, level: LogLevel, file: &str, line: u32, message: &str) {
        if now.saturating_duration_since(self.second_began) >= Duration::from_secs(1) {
            self.second_began = now;
            self.lines = 0;
        }
        self.lines += 1;
        if self.lines > LINES_PER_SECOND_MAX {
            self.dropped += 1;
            return;
        }
        let message = &one_line(cut(message));
        let file = &*one_line(file);
        let _entered = self.span.enter();
        match level {
            LogLevel::Debug => tracing::debug!(target: "bot", file, line, "{message}"),
            LogLevel::Info => tracing::info!(target: "bot", file, line, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "bot", file, line, "{message}"),
            LogLevel::Error => tracing::error!(target: "bot", file, line, "{message}"),
        }
    }

    /// A line of the host's own about this bot.
    pub fn warn(&self, message: &str) {
        let _entered = self.span.enter();
        tracing::warn!("the bot {message}");
    }

    /// Lines over the limit, for the call's summary.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// A line is one line: what a bot writes must not look like a line of the host's own.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.trim_end().replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(LINE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_lines_a_second_are_written_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut log = BotLog::new(tracing::Span::none(), start);
        let say =
            |log: &mut BotLog, at, lines| (0..lines).for_each(|_| log.write(at, LogLevel::Info, "bot.rs", 1, "so"));
        say(&mut log, start, 50);
        assert_eq!(log.dropped(), 0);
        say(&mut log, start + Duration::from_millis(999), 3);
        assert_eq!(log.dropped(), 3);
        say(&mut log, start + Duration::from_secs(1), 50);
        assert_eq!(log.dropped(), 3);
    }
}
