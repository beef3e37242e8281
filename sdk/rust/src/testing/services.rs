//! The fake call's side of everything beyond telephony: what the bot asks for is kept for the test to see, and what comes of it is
//! the test's to say. Only speaking is done here, by a text-to-speech engine that says each text with a hum.

use std::collections::VecDeque;

use super::host::{Host, State, refused};
use crate::outcome::chat::Request as ChatRequest;
use crate::outcome::control::Header as SipHeader;
use crate::outcome::http::{Header, Request as HttpRequest};
use crate::outcome::speech::{ListenOptions, SayOptions};
use crate::outcome::voice::{BargeIn, Rules};
use crate::outcome::{BargedIn, ChatEvent, ControlEvent, HttpEvent, Played, SpeechEvent, VoiceEvent, WebsocketEvent};
use crate::{Error, Event, Happened, Outcome, tone};

const OUTSIDE_MAX: usize = 16;
const UTTERANCES_MAX: usize = 32;
const SAY_BYTES_MAX: usize = 4096;
const KEY_BYTES_MAX: usize = 256;
const HUM_HZ: f32 = 200.0;

/// What the bot asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Http(HttpRequest),
    Open { url: String, headers: Vec<Header>, subprotocols: Vec<String> },
    Get { key: String },
    Put { key: String, value: Vec<u8>, expires_ms: u64 },
    Swap { key: String, expected: Option<Vec<u8>>, value: Vec<u8> },
    Delete { key: String },
    List { prefix: String, after: String },
    Say { text: String, options: SayOptions },
    Listen(ListenOptions),
    Ask(ChatRequest),
    Transfer { target: String, headers: Vec<SipHeader> },
    Hold,
    TakeBack,
}

/// What the bot sends on a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Close(u16, String),
}

/// How the fake engine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// After this long, then for so long per character.
    Speaks { after_ms: u64, character_ms: usize },
    /// Each utterance fails at once, with this code.
    Fails(&'static str),
    /// Nothing ever comes.
    Hangs,
    /// `say` and `listen` are refused with `no-engine`.
    Missing,
}

/// One text that the bot gave to be spoken, and has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub text: String,
    /// False: stopped, cleared or failed.
    pub to_the_end: bool,
}

pub(super) struct Utterance {
    id: u64,
    text: String,
    asked_ms: u64,
    /// Where its sound ends, counted as `played`; none before it has any.
    ends_at: Option<u64>,
}

pub(super) struct Services {
    pub(super) requests: Vec<(u64, Request)>,
    pub(super) sent: Vec<(u64, Sent)>,
    pub(super) cancelled: Vec<u64>,
    pub(super) engine: Engine,
    pub(super) spoken: Vec<Spoken>,
    pub(super) watched: Option<Rules>,
    pub(super) answer_headers: Vec<SipHeader>,
    pub(super) bye_headers: Vec<SipHeader>,
    pub(super) hangup_status: Option<(u16, String)>,
    /// Begun, and not over.
    pending: Vec<(u64, Request)>,
    utterances: VecDeque<Utterance>,
}

impl Default for Services {
    fn default() -> Services {
        Services {
            requests: Vec::new(),
            sent: Vec::new(),
            cancelled: Vec::new(),
            engine: Engine::Speaks { after_ms: 200, character_ms: 60 },
            spoken: Vec::new(),
            watched: None,
            answer_headers: Vec::new(),
            bye_headers: Vec::new(),
            hangup_status: None,
            pending: Vec::new(),
            utterances: VecDeque::new(),
        }
    }
}

impl Services {
    pub(super) fn listening(&self) -> Option<u64> {
        self.pending.iter().rev().find(|(_, request)| matches!(request, Request::Listen(_))).map(|(id, _)| *id)
    }

    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.iter().any(|(there, _)| *there == id)
    }

    /// Nothing of its operation follows.
    fn is_last(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Http(_, event) => matches!(event, HttpEvent::Done | HttpEvent::Failed(_)),
            Outcome::WebSocket(_, event) => matches!(event, WebsocketEvent::Closed(_) | WebsocketEvent::Failed(_)),
            Outcome::Store(..) => true,
            Outcome::Voice(_) => false,
            Outcome::Speech(_, SpeechEvent::UtterancePlayed(_)) => true,
            // What is listened to goes on.
            Outcome::Speech(id, SpeechEvent::Failed(_)) => self.listening() != Some(*id),
            Outcome::Speech(..) => false,
            Outcome::Chat(_, event) => matches!(event, ChatEvent::Done(_) | ChatEvent::Failed(_)),
            Outcome::Control(_, event) => matches!(event, ControlEvent::Done | ControlEvent::Failed(_)),
        }
    }

    fn finish(&mut self, id: u64) -> bool {
        let before = self.pending.len();
        self.pending.retain(|(there, _)| *there != id);
        self.pending.len() < before
    }
}

/// What the driver of the call does.
impl Host {
    /// Queues what came of an operation, unless nothing is to come of it any more.
    pub(super) fn comes_of(&mut self, outcome: Outcome) {
        if outcome.id().is_some_and(|id| !self.services.is_pending(id)) {
            return;
        }
        if self.services.is_last(&outcome) {
            outcome.id().map(|id| self.services.finish(id));
        }
        self.coming.push_back(outcome.into());
    }

    /// Speaks what is due, and tells what has been spoken.
    pub(super) fn speak(&mut self) {
        let (now_ms, played) = (self.now_ms, self.played);
        while self.services.utterances.front().is_some_and(|front| front.ends_at.is_some_and(|end| end <= played)) {
            let Some(front) = self.services.utterances.pop_front() else { break };
            self.utterance_is_over(front, true);
        }
        let Engine::Speaks { after_ms, character_ms } = self.services.engine else { return };
        for at in 0..self.services.utterances.len() {
            let utterance = &mut self.services.utterances[at];
            if utterance.ends_at.is_some() {
                continue;
            }
            if now_ms < utterance.asked_ms + after_ms {
                break;
            }
            let sound = tone(HUM_HZ, character_ms * utterance.text.chars().count());
            let (id, took_ms) = (utterance.id, (now_ms - utterance.asked_ms) as u32);
            let end = self.append(&sound);
            self.services.utterances[at].ends_at = Some(end);
            self.comes_of(Outcome::Speech(id, SpeechEvent::Speaking(took_ms)));
        }
    }

    pub(super) fn drop_utterances(&mut self, is_dropped: impl Fn(&Utterance) -> bool) {
        let all = std::mem::take(&mut self.services.utterances);
        let (dropped, kept): (VecDeque<_>, _) = all.into_iter().partition(is_dropped);
        self.services.utterances = kept;
        dropped.into_iter().for_each(|utterance| self.utterance_is_over(utterance, false));
    }

    fn utterance_is_over(&mut self, Utterance { id, text, .. }: Utterance, to_the_end: bool) {
        self.services.spoken.push(Spoken { text, to_the_end });
        self.comes_of(Outcome::Speech(id, SpeechEvent::UtterancePlayed(Played { to_the_end })));
    }

    /// The caller begins to speak: told if it is watched, and the queue is cleared if the rules say so, whatever they say of time.
    pub(super) fn voice_begins(&mut self) {
        let Some(rules) = self.services.watched else { return };
        self.comes_of(Outcome::Voice(VoiceEvent::SpeechStarted(self.tick * 160)));
        if rules.barge_in == BargeIn::Off || self.queued_ms() == 0 {
            return;
        }
        let cleared = self.clear_queue();
        let barged_in = BargedIn { played_ms: cleared.played_ms, dropped_marks: cleared.dropped_marks };
        self.comes_of(Outcome::Voice(VoiceEvent::BargedIn(barged_in)));
    }

    pub(super) fn voice_ends(&mut self) {
        if self.services.watched.is_some() {
            self.comes_of(Outcome::Voice(VoiceEvent::SpeechStopped(self.tick * 160)));
        }
    }

    fn begin(&mut self, request: Request) -> Result<u64, Error> {
        let is_over = matches!(self.state, State::Over { .. });
        let needs_a_call = matches!(
            request,
            Request::Say { .. } | Request::Listen(_) | Request::Transfer { .. } | Request::Hold | Request::TakeBack
        );
        if is_over && needs_a_call {
            return refused("call-ended", "the call is over");
        }
        let is_outside = |request: &Request| {
            !matches!(request, Request::Say { .. } | Request::Listen(_) | Request::Hold | Request::TakeBack)
        };
        let outside = self.services.pending.iter().filter(|(_, pending)| is_outside(pending)).count();
        if is_outside(&request) && outside == OUTSIDE_MAX {
            return refused("too-many", "at most 16 operations a call");
        }
        let id = self.new_id();
        self.services.pending.push((id, request.clone()));
        self.services.requests.push((id, request));
        Ok(id)
    }

    fn cancel_operation(&mut self, id: u64) -> bool {
        let was_pending = self.services.finish(id);
        if was_pending {
            self.services.cancelled.push(id);
            let is_of_it =
                |happened: &Happened| matches!(happened, Happened::Outcome(outcome) if outcome.id() == Some(id));
            self.events.retain(|happened| !is_of_it(happened));
            self.coming.retain(|happened| !is_of_it(happened));
        }
        was_pending
    }
}

/// What the bot calls: one method per import, under the SDK's names.
impl Host {
    pub(crate) fn http_send(&mut self, request: &HttpRequest) -> Result<u64, Error> {
        self.begin(Request::Http(request.clone()))
    }

    pub(crate) fn http_cancel(&mut self, id: u64) -> bool {
        self.cancel_operation(id)
    }

    pub(crate) fn websocket_open(
        &mut self,
        url: &str,
        headers: &[Header],
        subprotocols: &[String],
    ) -> Result<u64, Error> {
        let (url, headers, subprotocols) = (url.to_owned(), headers.to_vec(), subprotocols.to_vec());
        self.begin(Request::Open { url, headers, subprotocols })
    }

    pub(crate) fn websocket_send_text(&mut self, id: u64, text: &str) -> Result<(), Error> {
        self.send(id, Sent::Text(text.to_owned()))
    }

    pub(crate) fn websocket_send_binary(&mut self, id: u64, bytes: &[u8]) -> Result<(), Error> {
        self.send(id, Sent::Binary(bytes.to_vec()))
    }

    pub(crate) fn websocket_close(&mut self, id: u64, code: u16, reason: &str) {
        // One that is over takes nothing more, and says nothing of it.
        let _ = self.send(id, Sent::Close(code, reason.to_owned()));
    }

    fn send(&mut self, id: u64, sent: Sent) -> Result<(), Error> {
        if !self.services.is_pending(id) {
            return refused("unknown", "no such WebSocket");
        }
        self.services.sent.push((id, sent));
        Ok(())
    }

    pub(crate) fn store_get(&mut self, key: &str) -> Result<u64, Error> {
        self.begin_with(key, |key| Request::Get { key })
    }

    pub(crate) fn store_put(&mut self, key: &str, value: &[u8], expires_ms: u64) -> Result<u64, Error> {
        self.begin_with(key, |key| Request::Put { key, value: value.to_vec(), expires_ms })
    }

    pub(crate) fn store_swap(&mut self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<u64, Error> {
        let expected = expected.map(<[u8]>::to_vec);
        self.begin_with(key, |key| Request::Swap { key, expected, value: value.to_vec() })
    }

    pub(crate) fn store_delete(&mut self, key: &str) -> Result<u64, Error> {
        self.begin_with(key, |key| Request::Delete { key })
    }

    pub(crate) fn store_list(&mut self, prefix: &str, after: &str) -> Result<u64, Error> {
        self.begin(Request::List { prefix: prefix.to_owned(), after: after.to_owned() })
    }

    fn begin_with(&mut self, key: &str, request: impl FnOnce(String) -> Request) -> Result<u64, Error> {
        match key.len() {
            0 => refused("bad-key", "a key is not empty"),
            1..=KEY_BYTES_MAX => self.begin(request(key.to_owned())),
            _ => refused("too-long", "keys have at most 256 bytes"),
        }
    }

    pub(crate) fn voice_watch(&mut self, rules: Rules) -> Result<(), Error> {
        let in_range = rules.strictness <= 3
            && (20..=1000).contains(&rules.start_ms)
            && (100..=5000).contains(&rules.hang_over_ms)
            && !matches!(rules.barge_in, BargeIn::ClearAfter(ms) | BargeIn::PauseThenConfirm(ms) if ms > 10_000);
        if !in_range {
            return refused("out-of-range", "see voice.wit");
        }
        self.services.watched = Some(rules);
        Ok(())
    }

    pub(crate) fn voice_unwatch(&mut self) {
        self.services.watched = None;
    }

    pub(crate) fn speech_say(&mut self, text: &str, options: &SayOptions) -> Result<u64, Error> {
        if self.services.engine == Engine::Missing {
            return refused("no-engine", "none is configured");
        }
        if text.len() > SAY_BYTES_MAX {
            return refused("too-long", "at most 4096 bytes");
        }
        if self.services.utterances.len() == UTTERANCES_MAX {
            return refused("too-many", "32 utterances wait");
        }
        let id = self.begin(Request::Say { text: text.to_owned(), options: options.clone() })?;
        if let Engine::Fails(code) = self.services.engine {
            self.services.spoken.push(Spoken { text: text.to_owned(), to_the_end: false });
            let error = Error { code: code.to_owned(), message: "the fake engine fails".to_owned() };
            self.comes_of(Outcome::Speech(id, SpeechEvent::Failed(error)));
        } else {
            let asked_ms = self.now_ms;
            self.services.utterances.push_back(Utterance { id, text: text.to_owned(), asked_ms, ends_at: None });
        }
        Ok(id)
    }

    pub(crate) fn speech_stop(&mut self, id: u64) -> bool {
        let Some(stopped) = self.services.utterances.iter().find(|utterance| utterance.id == id) else {
            return self.cancel_operation(id);
        };
        if stopped.ends_at.is_none() {
            self.drop_utterances(|utterance| utterance.id == id);
            return true;
        }
        let cleared = self.drop_sound();
        self.drop_utterances(|utterance| utterance.ends_at.is_some());
        if !cleared.dropped_marks.is_empty() {
            self.coming.push_back(Event::Cleared(cleared).into());
        }
        true
    }

    pub(crate) fn speech_listen(&mut self, options: &ListenOptions) -> Result<u64, Error> {
        if self.services.engine == Engine::Missing {
            return refused("no-engine", "none is configured");
        }
        if let Some(before) = self.services.listening() {
            self.services.finish(before);
        }
        self.begin(Request::Listen(options.clone()))
    }

    pub(crate) fn chat_ask(&mut self, request: &ChatRequest) -> Result<u64, Error> {
        self.begin(Request::Ask(request.clone()))
    }

    pub(crate) fn chat_cancel(&mut self, id: u64) -> bool {
        self.cancel_operation(id)
    }

    pub(crate) fn answer_headers(&mut self, headers: &[SipHeader]) -> Result<(), Error> {
        self.services.answer_headers = headers.to_vec();
        Ok(())
    }

    pub(crate) fn bye_headers(&mut self, headers: &[SipHeader]) -> Result<(), Error> {
        self.services.bye_headers = headers.to_vec();
        Ok(())
    }

    pub(crate) fn hangup_with(&mut self, status: u16, reason: &str, after_playout: bool) -> Result<(), Error> {
        if !(400..=699).contains(&status) {
            return refused("out-of-range", "400 to 699");
        }
        self.services.hangup_status = Some((status, reason.to_owned()));
        self.hangup(after_playout);
        Ok(())
    }

    pub(crate) fn transfer(&mut self, target: &str, headers: &[SipHeader]) -> Result<u64, Error> {
        if !["sip:", "sips:", "tel:"].iter().any(|scheme| target.starts_with(scheme)) {
            return refused("bad-uri", "sip:, sips: or tel:");
        }
        if self.services.pending.iter().any(|(_, request)| matches!(request, Request::Transfer { .. })) {
            return refused("too-many", "one transfer at a time");
        }
        self.begin(Request::Transfer { target: target.to_owned(), headers: headers.to_vec() })
    }

    pub(crate) fn hold(&mut self) -> Result<u64, Error> {
        self.begin(Request::Hold)
    }

    pub(crate) fn take_back(&mut self) -> Result<u64, Error> {
        self.begin(Request::TakeBack)
    }
}
