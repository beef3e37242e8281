//! One answer of the caller, in keys or in speech, with time-outs.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::{Call, Heard, Line, Said, SayOptions, Saying, Sleep};
use crate::Error;

/// How long the engine has for a transcript, once the caller is quiet.
const TRANSCRIPT_MS: u64 = 15_000;

/// How long a question may take until it has been heard. Engines have time-outs of their own; this is for those that break them.
const QUESTION_MS_MAX: u64 = 60_000;

/// When the caller's turn to speak is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// So long after an utterance was understood, unless another one begins. The silence that ends an utterance has passed before.
    pub silence_ms: u64,
    /// At the latest so long after it began.
    pub ms_max: u64,
    /// What has fewer words ends no turn by itself: more is waited for, as long as for an answer.
    pub words_min: usize,
}

impl Default for Turn {
    fn default() -> Turn {
        Turn { silence_ms: 0, ms_max: 30_000, words_min: 1 }
    }
}

/// What to ask, and which answers count.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Said first. None: the question has been asked.
    pub question: Option<Line>,
    pub voice: SayOptions,
    /// Complete at so many keys; 0: keys do not count.
    pub digits_max: usize,
    /// Complete at this key, which is not part of the answer.
    pub terminator: Option<char>,
    /// How long to wait for each further key.
    pub between_ms: u64,
    /// None: speech does not count. What is said is known only while the call is listened to.
    pub speech: Option<Turn>,
    /// How long to wait for an answer to begin, once the question was heard.
    pub wait_ms: u64,
}

impl Default for Gather {
    /// One key or any speech, within 6 s.
    fn default() -> Gather {
        Gather {
            question: None,
            voice: SayOptions { voice: String::new(), language: String::new() },
            digits_max: 1,
            terminator: None,
            between_ms: 3_000,
            speech: Some(Turn::default()),
            wait_ms: 6_000,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// By count, by the terminator, or because no further key came in time.
    Digits(String),
    Speech(String),
    /// No answer came in time.
    Nothing,
    /// The question was not spoken, or the answer not understood.
    Failed(Error),
}

impl Call {
    /// Asks, and waits for the answer. A key cuts the question off; speech does so by the rules of [`watch`](Call::watch). What the caller did before
    /// and nobody took counts.
    pub async fn gather(&self, gather: Gather) -> Answer {
        let mut gathering = Gathering::new(self, gather);
        loop {
            if let Some(answer) = gathering.step().await {
                return answer;
            }
        }
    }
}

struct Gathering<'a> {
    call: &'a Call,
    rules: Gather,
    question: Option<Saying>,
    late: Option<Sleep>,
    /// Until when nothing but silence may last.
    wait_until_ms: u64,
    /// When the caller's turn is over in any case.
    turn_until_ms: Option<u64>,
    is_speaking: bool,
    digits: String,
    words: String,
}

enum Next {
    QuestionIsOver(Result<Said, Error>),
    Heard(Heard),
    Late,
}

impl Gathering<'_> {
    fn new(call: &Call, mut rules: Gather) -> Gathering<'_> {
        let question = rules.question.take().map(|line| call.say_as(line, &rules.voice));
        let mut gathering = Gathering {
            call,
            rules,
            question,
            late: None,
            wait_until_ms: 0,
            turn_until_ms: None,
            is_speaking: false,
            digits: String::new(),
            words: String::new(),
        };
        if gathering.question.is_some() {
            gathering.late = Some(call.sleep(QUESTION_MS_MAX));
        } else {
            gathering.wait_for_answer();
        }
        gathering
    }

    async fn step(&mut self) -> Option<Answer> {
        match self.next().await {
            Next::QuestionIsOver(Err(error)) => return Some(Answer::Failed(error)),
            Next::QuestionIsOver(Ok(_)) => {
                self.question = None;
                // The answer may have begun.
                if !self.is_speaking && !self.is_enough() {
                    self.wait_for_answer();
                }
            }
            Next::Heard(heard) => return self.heard(heard),
            Next::Late if self.question.is_some() && !self.is_speaking && !self.is_enough() => {
                let message = "the question was not heard in time".to_owned();
                return Some(Answer::Failed(Error { code: "timed-out".to_owned(), message }));
            }
            Next::Late => return Some(self.so_far()),
        }
        None
    }

    async fn next(&mut self) -> Next {
        poll_fn(|context| {
            if let Some(heard) = self.call.inbox.take_heard() {
                return Poll::Ready(Next::Heard(heard));
            }
            if let Some(question) = &mut self.question {
                if let Poll::Ready(result) = Pin::new(question).poll(context) {
                    return Poll::Ready(Next::QuestionIsOver(result));
                }
            }
            match &mut self.late {
                Some(late) => Pin::new(late).poll(context).map(|()| Next::Late),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn heard(&mut self, heard: Heard) -> Option<Answer> {
        match heard {
            Heard::Digit(key) if self.rules.digits_max > 0 => self.key(key),
            Heard::Speaking if self.rules.speech.is_some() => {
                let until_ms = self.turn_until_ms();
                self.is_speaking = true;
                self.late_at(until_ms);
                None
            }
            Heard::Quiet if self.rules.speech.is_some() => {
                self.late = Some(self.call.sleep(TRANSCRIPT_MS));
                None
            }
            Heard::Speech(text) if self.rules.speech.is_some() => self.speech(text.trim()),
            Heard::NotUnderstood(error) if self.rules.speech.is_some() => Some(Answer::Failed(error)),
            _ => None,
        }
    }

    fn key(&mut self, key: char) -> Option<Answer> {
        self.question = None;
        if self.rules.terminator != Some(key) {
            self.digits.push(key);
            if self.digits.len() < self.rules.digits_max {
                self.late = Some(self.call.sleep(self.rules.between_ms));
                return None;
            }
        }
        Some(Answer::Digits(std::mem::take(&mut self.digits)))
    }

    fn speech(&mut self, text: &str) -> Option<Answer> {
        let silence_ms = self.rules.speech.as_ref().map_or(0, |turn| turn.silence_ms);
        self.is_speaking = false;
        if !text.is_empty() && !self.words.is_empty() {
            self.words.push(' ');
        }
        self.words.push_str(text);
        let now_ms = self.call.now_ms();
        let until_ms = self.turn_until_ms();
        if self.is_enough() {
            if silence_ms == 0 || now_ms >= until_ms {
                return Some(self.so_far());
            }
            self.late_at(until_ms.min(now_ms + silence_ms));
        } else if self.question.is_some() {
            self.late = Some(self.call.sleep(QUESTION_MS_MAX));
        } else {
            // As if nothing had been said.
            self.late_at(self.wait_until_ms.max(now_ms).min(until_ms));
        }
        None
    }

    fn is_enough(&self) -> bool {
        let words = self.words.split_whitespace().count();
        words > 0 && self.rules.speech.as_ref().is_some_and(|turn| words >= turn.words_min)
    }

    /// What there is when time is up.
    fn so_far(&mut self) -> Answer {
        if !self.digits.is_empty() {
            Answer::Digits(std::mem::take(&mut self.digits))
        } else if !self.words.is_empty() {
            Answer::Speech(std::mem::take(&mut self.words))
        } else {
            Answer::Nothing
        }
    }

    fn wait_for_answer(&mut self) {
        self.wait_until_ms = self.call.now_ms() + self.rules.wait_ms;
        self.turn_until_ms = None;
        self.late = Some(self.call.sleep(self.rules.wait_ms));
    }

    fn turn_until_ms(&mut self) -> u64 {
        let ms_max = self.rules.speech.as_ref().map_or(0, |turn| turn.ms_max);
        *self.turn_until_ms.get_or_insert(self.call.now_ms() + ms_max)
    }

    fn late_at(&mut self, at_ms: u64) {
        self.late = Some(self.call.sleep(at_ms.saturating_sub(self.call.now_ms())));
    }
}
