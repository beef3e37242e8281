//! A bot's own log lines: bounded in rate and length, then handed to the host's log.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::WallClock;
use plugin::LogLevel;

#[cfg(test)]
use crate::hosting::LogTails;
use crate::hosting::{LogLine, Tap};

pub const LINES_PER_SECOND_MAX: u32 = 50;
pub const LINE_BYTES_MAX: usize = 4096;

/// Where the words of one call's bot go: the host's log, within the call's span, and whoever listens to its plugin.
pub struct Voice {
    pub span: tracing::Span,
    pub tap: Arc<Tap>,
    /// The host's name of the call.
    pub call: String,
}

impl Voice {
    /// One that nobody hears.
    #[cfg(test)]
    pub fn none() -> Self {
        Self { span: tracing::Span::none(), tap: LogTails::default().tap(""), call: String::new() }
    }
}

/// The lines of one call's bot, and how many there may be.
pub struct BotLog {
    voice: Voice,
    /// Of the instance that speaks.
    pub generation: u64,
    second_began: Instant,
    lines: u32,
    dropped: u64,
}

impl BotLog {
    pub fn new(voice: Voice, generation: u64, now: Instant) -> Self {
        Self { voice, generation, second_began: now, lines: 0, dropped: 0 }
    }

    /// Counts one more; false: it is one too many.
    fn has_room(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second_began) >= Duration::from_secs(1) {
            self.second_began = now;
            self.lines = 0;
        }
        self.lines += 1;
        let has_room = self.lines <= LINES_PER_SECOND_MAX;
        self.dropped += u64::from(!has_room);
        has_room
    }

    pub fn write(&mut self, clock: &WallClock, now: Instant, level: LogLevel, file: &str, line: u32, message: &str) {
        if !self.has_room(now) {
            return;
        }
        let message = &one_line(cut(message));
        let file = &*one_line(file);
        self.voice.tap.say(|| LogLine {
            at_ms: clock.unix_ms_at(now),
            call: self.voice.call.clone(),
            generation: self.generation,
            level: match level {
                LogLevel::Debug => "debug",
                LogLevel::Info => "info",
                LogLevel::Warn => "warn",
                LogLevel::Error => "error",
            },
            file: file.to_owned(),
            line,
            message: message.to_string(),
        });
        let _entered = self.voice.span.enter();
        match level {
            LogLevel::Debug => tracing::debug!(target: "bot", file, line, "{message}"),
            LogLevel::Info => tracing::info!(target: "bot", file, line, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "bot", file, line, "{message}"),
            LogLevel::Error => tracing::error!(target: "bot", file, line, "{message}"),
        }
    }

    /// A line of the host's own about this bot.
    pub fn warn(&self, message: &str) {
        let _entered = self.voice.span.enter();
        tracing::warn!("the bot {message}");
    }

    /// What came of something that was done for the bot, for the operator alone. It counts as a line of the bot's, who asked for it.
    pub fn tell_operator(&mut self, now: Instant, message: &str) {
        if self.has_room(now) {
            let _entered = self.voice.span.enter();
            tracing::warn!("{}", one_line(cut(message)));
        }
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
        let mut log = BotLog::new(Voice::none(), 1, start);
        let clock = WallClock { at: start, unix_ms: 0 };
        let say = |log: &mut BotLog, at, lines| {
            (0..lines).for_each(|_| log.write(&clock, at, LogLevel::Info, "bot.rs", 1, "so"));
        };
        say(&mut log, start, 50);
        assert_eq!(log.dropped(), 0);
        say(&mut log, start + Duration::from_millis(999), 3);
        assert_eq!(log.dropped(), 3);
        say(&mut log, start + Duration::from_secs(1), 49);
        (0..3).for_each(|_| log.tell_operator(start + Duration::from_secs(1), "an engine failed"));
        assert_eq!(log.dropped(), 5, "what the bot's asking makes the host say is among them");
    }
}
