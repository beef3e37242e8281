//! In real time: the transcription session of `/realtime`, over a WebSocket that lasts as long as the bot listens.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::session::{self, Session};
use super::{Asked, HEARD_SAMPLES_MAX, Heard, Told, UTTERANCES_WAITING_MAX, too_long, too_many};
use crate::answer::place;
use crate::config::{bearer, joined};
use crate::{Code, Fault, Messages, Resampler, TELEPHONE_RATE};

/// What OpenAI's own engines take.
const REALTIME_RATE: u32 = 24_000;
/// That wait to be sent: some 10 s of sound. An engine that does not take them does not keep up.
const MESSAGES_WAITING_MAX: usize = 128;
/// Sound that goes in one message, in ms.
const APPEND_MS: usize = 100;

pub(super) fn listen(asked: Asked, heard: mpsc::Receiver<Heard>) -> BoxStream<'static, Told> {
    let mut listening = Listening {
        asked,
        heard: Some(heard),
        connection: None,
        session: Session::default(),
        next_utterance: 0,
        hearing: Hearing::Nothing,
        told: VecDeque::new(),
    };
    // At once, so that the first utterance does not wait for TLS.
    listening.connect();
    stream::unfold(listening, |mut listening| async { Some((listening.next().await?, listening)) }).boxed()
}

struct Listening {
    asked: Asked,
    /// None: it is closed.
    heard: Option<mpsc::Receiver<Heard>>,
    /// None: the next utterance begins another.
    connection: Option<Connection>,
    session: Session,
    next_utterance: u64,
    hearing: Hearing,
    told: VecDeque<Told>,
}

struct Connection {
    outgoing: mpsc::Sender<String>,
    messages: Messages,
}

enum Hearing {
    Nothing,
    Utterance {
        resampler: Resampler,
        /// At the engine's rate, not sent yet.
        sound: Vec<i16>,
        samples_left: usize,
    },
    /// The rest of an utterance that has failed.
    Rest,
}

/// What happens next.
enum Turn {
    Heard(Option<Heard>),
    Message(Option<Result<String, Fault>>),
    TooLate,
}

impl Listening {
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            if self.heard.is_none() && self.session.len() == 0 {
                return None;
            }
            match self.turn().await {
                Turn::Heard(Some(Heard::Samples(samples))) => self.samples(&samples),
                Turn::Heard(Some(Heard::Stopped)) => self.stopped(),
                Turn::Heard(None) => {
                    self.stopped();
                    self.heard = None;
                }
                Turn::Message(Some(Ok(message))) => match self.session.read(&message, Instant::now()) {
                    Ok(told) => self.told.extend(told),
                    Err(fault) => self.broken(fault),
                },
                Turn::Message(Some(Err(fault))) => self.broken(fault),
                Turn::Message(None) => self.broken(Fault::new(Code::Unreachable, "the engine closed the connection")),
                Turn::TooLate => {
                    let ms = self.asked.config.total_ms_max;
                    self.broken(Fault::new(Code::TimedOut, format!("no transcript within {ms} ms")));
                }
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let total = Duration::from_millis(u64::from(self.asked.config.total_ms_max));
        let deadline = self.session.oldest_stop().map(|stopped| stopped + total);
        let heard = async {
            match &mut self.heard {
                Some(heard) => heard.recv().await,
                None => std::future::pending().await,
            }
        };
        let message = async {
            match &mut self.connection {
                Some(connection) => connection.messages.next().await,
                None => std::future::pending().await,
            }
        };
        let too_late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What the engine says first: an utterance's end may free the place for the next.
            biased;
            message = message => Turn::Message(message),
            () = too_late => Turn::TooLate,
            heard = heard => Turn::Heard(heard),
        }
    }

    fn rate(&self) -> u32 {
        self.asked.config.sample_rate.unwrap_or(REALTIME_RATE)
    }

    fn url(&self) -> String {
        // `https` becomes `wss`, `http` becomes `ws`.
        let url = joined(&self.asked.config.url, "/realtime?intent=transcription");
        format!("ws{}", url.strip_prefix("http").unwrap_or(&url))
    }

    fn connect(&mut self) {
        let (outgoing, sent) = mpsc::channel(MESSAGES_WAITING_MAX);
        let headers = bearer(self.asked.config.api_key.as_deref()).into_iter().collect();
        let messages = self.asked.wire.websocket(self.url(), headers, sent);
        let connection = Connection { outgoing, messages };
        // The first in an empty channel.
        let _ = connection.outgoing.try_send(session::update(&self.asked, self.rate()));
        self.connection = Some(connection);
    }

    fn samples(&mut self, samples: &[i16]) {
        if let Hearing::Nothing = self.hearing {
            self.begin();
        }
        let Hearing::Utterance { resampler, sound, samples_left } = &mut self.hearing else { return };
        let Some(left) = samples_left.checked_sub(samples.len()) else {
            return self.broken(too_long());
        };
        *samples_left = left;
        if let Err(fault) = resampler.push(samples, sound) {
            return self.broken(fault);
        }
        let is_enough = sound.len() >= APPEND_MS * self.rate() as usize / 1000;
        if is_enough {
            self.append();
        }
    }

    fn begin(&mut self) {
        let utterance = self.next_utterance;
        self.next_utterance += 1;
        let waiting = self.session.len();
        self.session.begin(utterance);
        // Until nothing speaks against it.
        self.hearing = Hearing::Rest;
        let resampler = match Resampler::new(TELEPHONE_RATE, self.rate()) {
            Ok(resampler) => resampler,
            Err(fault) => return self.broken(fault),
        };
        if waiting >= UTTERANCES_WAITING_MAX {
            return self.broken(too_many());
        }
        if self.connection.is_none() {
            self.connect();
        }
        self.hearing = Hearing::Utterance { resampler, sound: Vec::new(), samples_left: HEARD_SAMPLES_MAX };
    }

    fn stopped(&mut self) {
        if let Hearing::Utterance { resampler, sound, .. } = &mut self.hearing {
            if let Err(fault) = resampler.finish(sound) {
                self.broken(fault);
            } else {
                self.append();
            }
        }
        if let Hearing::Utterance { .. } = self.hearing {
            self.session.stop(Instant::now());
            self.send(session::commit());
        }
        self.hearing = Hearing::Nothing;
    }

    fn append(&mut self) {
        if let Hearing::Utterance { sound, .. } = &mut self.hearing
            && !sound.is_empty()
        {
            let message = session::append(sound);
            sound.clear();
            self.send(message);
        }
    }

    fn send(&mut self, message: String) {
        let Some(connection) = &self.connection else { return };
        match connection.outgoing.try_send(message) {
            // Why it is closed comes as a message.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.broken(Fault::new(Code::TimedOut, "the engine does not keep up with the caller"));
            }
        }
    }

    /// The connection is given up, and with it what was pending.
    fn broken(&mut self, fault: Fault) {
        self.connection = None;
        if let Hearing::Utterance { .. } = self.hearing {
            self.hearing = Hearing::Rest;
        }
        let fault = fault.privately(&place(&self.url()));
        self.told.extend(self.session.fail(&fault));
    }
}
