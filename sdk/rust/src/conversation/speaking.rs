//! To say something: a text by the tenant's engine, or a sound that the bot brings.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::operation::Operation;
use super::{Call, SayOptions};
use crate::outcome::SpeechEvent;
use crate::{Error, Happened, Outcome, Prompt, Sound, imports};

/// What can be said.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Text(String),
    Sound(Sound),
}

impl From<&str> for Line {
    fn from(text: &str) -> Line {
        Line::Text(text.to_owned())
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Line {
        Line::Text(text.clone())
    }
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        Line::Text(text)
    }
}

impl From<Prompt> for Line {
    fn from(prompt: Prompt) -> Line {
        Line::Sound(prompt.into())
    }
}

impl From<Sound> for Line {
    fn from(sound: Sound) -> Line {
        Line::Sound(sound)
    }
}

/// How much of it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Whole,
    /// The caller cut it off, or the bot did.
    CutOff,
}

/// Is over when it has been heard, cut off, or not spoken at all. Dropped before, it is cut off, and all that plays with it.
#[must_use = "what is dropped is not said"]
pub struct Saying {
    how: How,
    /// When its sound began to play or to wait for what plays before it, in ms since the call began.
    began_ms: Option<u64>,
    over: Option<(u64, Result<Said, Error>)>,
}

enum How {
    Spoken(Operation),
    Played { call: Call, mark: String },
    Refused,
}

impl Saying {
    pub(super) fn began_ms(&self) -> Option<u64> {
        self.began_ms
    }

    /// When it was over, and how. Looks at what has come since.
    pub(super) fn over(&mut self) -> Option<&(u64, Result<Said, Error>)> {
        if self.over.is_none() {
            self.over = match &mut self.how {
                How::Spoken(operation) => spoken(operation, &mut self.began_ms),
                How::Played { call, mark } => call.inbox.sound(mark).map(|whole| (call.now_ms(), Ok(said(whole)))),
                How::Refused => None,
            };
        }
        self.over.as_ref()
    }
}

impl Future for Saying {
    type Output = Result<Said, Error>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut().over() {
            Some((_, result)) => Poll::Ready(result.clone()),
            None => Poll::Pending,
        }
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        let is_over = self.over().is_some();
        if let How::Played { call, mark } = &self.how {
            call.inbox.end_sound(mark);
            if !is_over {
                call.clear();
            }
        }
    }
}

/// What the engine's events come to.
fn spoken(operation: &mut Operation, began_ms: &mut Option<u64>) -> Option<(u64, Result<Said, Error>)> {
    while let Some((at_ms, happened)) = operation.take() {
        let result = match happened {
            Happened::Outcome(Outcome::Speech(_, SpeechEvent::UtterancePlayed(played))) => Ok(said(played.to_the_end)),
            Happened::Outcome(Outcome::Speech(_, SpeechEvent::Failed(error))) => Err(error),
            Happened::Outcome(Outcome::Speech(_, SpeechEvent::Speaking(_))) => {
                *began_ms = Some(at_ms);
                continue;
            }
            _ => continue,
        };
        operation.finish();
        return Some((at_ms, result));
    }
    None
}

fn said(whole: bool) -> Said {
    if whole { Said::Whole } else { Said::CutOff }
}

impl Call {
    /// Says a text, or plays a prompt or a sound, behind what is being said. It begins now, and the future is over when it has been
    /// heard or was cut off.
    pub fn say(&self, line: impl Into<Line>) -> Saying {
        self.say_as(line, &SayOptions { voice: String::new(), language: String::new() })
    }

    /// In that voice and language, where it is a text.
    pub fn say_as(&self, line: impl Into<Line>, options: &SayOptions) -> Saying {
        let now_ms = self.now_ms();
        match line.into() {
            Line::Text(text) => match imports::speech_say(&text, options) {
                Ok(id) => {
                    let operation = Operation::new(self, id, imports::speech_stop);
                    Saying { how: How::Spoken(operation), began_ms: None, over: None }
                }
                Err(error) => Saying { how: How::Refused, began_ms: None, over: Some((now_ms, Err(error))) },
            },
            Line::Sound(sound) => {
                let mark = self.inbox.begin_sound();
                self.play(sound);
                self.mark(&mark);
                let how = How::Played { call: self.clone(), mark };
                Saying { how, began_ms: Some(now_ms), over: None }
            }
        }
    }
}
