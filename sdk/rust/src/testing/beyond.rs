//! What a test sees and says of everything beyond telephony.

use super::{Engine, FakeCall, Request, Sent, Spoken};
use crate::outcome::control::Header;
use crate::outcome::voice::Rules;
use crate::outcome::{ChatEvent, Head, HttpEvent, SpeechEvent, Transcript};
use crate::{Bot, Error, Outcome};

/// How long the caller of a test takes to say something, and the engine to understand it.
const SAYING_MS: u64 = 600;
const UNDERSTANDING_MS: u64 = 300;

impl<B: Bot> FakeCall<B> {
    /// What the bot has asked for since the last time, each with its id.
    pub fn take_requests(&mut self) -> Vec<(u64, Request)> {
        std::mem::take(&mut self.host.borrow_mut().services.requests)
    }

    /// What the bot has sent on its WebSockets since the last time.
    pub fn take_sent(&mut self) -> Vec<(u64, Sent)> {
        std::mem::take(&mut self.host.borrow_mut().services.sent)
    }

    /// Operations that the bot cancelled before they were over.
    pub fn cancelled(&self) -> Vec<u64> {
        self.host.borrow().services.cancelled.clone()
    }

    /// This came of what the bot asked for. Nothing happens if it is over or was cancelled.
    pub fn comes_of(&mut self, outcome: Outcome) {
        self.host.borrow_mut().comes_of(outcome);
        self.advance_ms(20);
    }

    /// How texts are spoken from now on.
    pub fn engine(&mut self, engine: Engine) {
        self.host.borrow_mut().services.engine = engine;
    }

    /// Texts that have been spoken or were cut off since the last time, in order.
    pub fn take_spoken(&mut self) -> Vec<Spoken> {
        std::mem::take(&mut self.host.borrow_mut().services.spoken)
    }

    /// The rules by which the caller's voice is watched now.
    pub fn watched(&self) -> Option<Rules> {
        self.host.borrow().services.watched
    }

    /// The caller begins to speak.
    pub fn begins_to_speak(&mut self) {
        {
            let mut host = self.host.borrow_mut();
            host.voice_begins();
            if let Some(id) = host.services.listening() {
                let at = host.tick * 160;
                host.comes_of(Outcome::Speech(id, SpeechEvent::UtteranceStarted(at)));
            }
        }
        self.advance_ms(20);
    }

    /// The caller has said this since [`begins_to_speak`](FakeCall::begins_to_speak), and the engine has understood it.
    pub fn has_said(&mut self, text: &str) {
        let listening = self.host.borrow().services.listening();
        self.host.borrow_mut().voice_ends();
        if let Some(id) = listening {
            let at = self.host.borrow().tick * 160;
            self.host.borrow_mut().comes_of(Outcome::Speech(id, SpeechEvent::UtteranceStopped(at)));
            self.advance_ms(UNDERSTANDING_MS);
            let transcript = Transcript {
                text: text.to_owned(),
                final_: true,
                from_sample: at.saturating_sub(SAYING_MS * 8),
                to_sample: at,
                engine_ms: UNDERSTANDING_MS as u32,
            };
            self.host.borrow_mut().comes_of(Outcome::Speech(id, SpeechEvent::Transcript(transcript)));
        }
        self.advance_ms(20);
    }

    /// The caller says this, and it is understood.
    pub fn says(&mut self, text: &str) {
        self.begins_to_speak();
        self.advance_ms(SAYING_MS);
        self.has_said(text);
    }

    /// The model answers the question of this id with these pieces of text, and has finished.
    pub fn model_answers(&mut self, id: u64, pieces: &[&str]) {
        for piece in pieces {
            self.comes_of(Outcome::Chat(id, ChatEvent::Text((*piece).to_owned())));
        }
        self.comes_of(Outcome::Chat(id, ChatEvent::Done("stop".to_owned())));
    }

    /// The server answers the request of this id.
    pub fn server_answers(&mut self, id: u64, status: u16, body: &str) {
        self.comes_of(Outcome::Http(id, HttpEvent::Head(Head { status, headers: Vec::new() })));
        self.comes_of(Outcome::Http(id, HttpEvent::Body(body.as_bytes().to_vec())));
        self.comes_of(Outcome::Http(id, HttpEvent::Done));
    }

    /// The model's endpoint fails the question of this id, with this code.
    pub fn model_fails(&mut self, id: u64, code: &str) {
        self.comes_of(Outcome::Chat(id, ChatEvent::Failed(error(code))));
    }

    /// What understands the caller fails, once.
    pub fn understanding_fails(&mut self, code: &str) {
        let listening = self.host.borrow().services.listening();
        if let Some(id) = listening {
            self.comes_of(Outcome::Speech(id, SpeechEvent::Failed(error(code))));
        }
    }

    /// The headers that would go with the 200, and with the BYE.
    pub fn headers_sent(&self) -> (Vec<Header>, Vec<Header>) {
        let host = self.host.borrow();
        (host.services.answer_headers.clone(), host.services.bye_headers.clone())
    }

    /// The status and reason that the bot hung up with.
    pub fn hangup_status(&self) -> Option<(u16, String)> {
        self.host.borrow().services.hangup_status.clone()
    }
}

fn error(code: &str) -> Error {
    Error { code: code.to_owned(), message: "as the test wants it".to_owned() }
}
