//! How the bot ends its call, hands it over, and what it adds to the call's signalling.

use call::BotAct;
use plugin::{ControlRequest, Header, HostError};

use super::{Operations, Stage, refused};

/// A hangup that waits until the sound before it has left.
#[derive(Clone)]
pub(super) struct Leaving {
    pub position: u64,
    /// Status and reason, if the bot gave any.
    pub with: Option<(u16, String)>,
}

impl Leaving {
    pub fn act(self) -> BotAct {
        act_of_hangup(self.with)
    }
}

fn act_of_hangup(with: Option<(u16, String)>) -> BotAct {
    match with {
        Some((status, reason)) => BotAct::HangupWith { status, reason },
        None => BotAct::Hangup,
    }
}

fn pairs(headers: Vec<Header>) -> Vec<(String, String)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

pub(super) fn act_of(id: u64, request: ControlRequest) -> BotAct {
    match request {
        ControlRequest::Transfer { target, headers } => BotAct::Transfer { id, target, headers: pairs(headers) },
        ControlRequest::Hold => BotAct::Hold { id },
        ControlRequest::Resume => BotAct::Resume { id },
    }
}

impl Operations {
    pub fn answer(&mut self) {
        self.note_answered();
        self.act(BotAct::Answer);
    }

    /// The 200 is on its way: its headers are said.
    pub fn note_answered(&mut self) {
        self.answered = true;
    }

    pub fn hangup(&mut self, after_playout: bool) {
        self.leave(None, after_playout);
    }

    pub fn hangup_with(&mut self, status: u16, reason: &str, after_playout: bool) {
        self.leave(Some((status, reason.to_owned())), after_playout);
    }

    fn leave(&mut self, with: Option<(u16, String)>, after_playout: bool) {
        let position = self.position();
        if after_playout && self.playout.played() < position {
            // A second one cannot put off the first.
            self.hangup_at.get_or_insert(Leaving { position, with });
        } else {
            let act = act_of_hangup(with);
            self.act_once(|act| matches!(act, BotAct::HangupWith { .. }), act);
        }
    }

    pub fn answer_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError> {
        if self.answered || self.is_over() {
            return Err(refused("too-late", "the call is answered".to_owned()));
        }
        self.act_once(|act| matches!(act, BotAct::AnswerHeaders(_)), BotAct::AnswerHeaders(pairs(headers)));
        Ok(())
    }

    pub fn bye_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError> {
        if self.is_over() {
            return Err(refused("too-late", "the call is over".to_owned()));
        }
        self.act_once(|act| matches!(act, BotAct::ByeHeaders(_)), BotAct::ByeHeaders(pairs(headers)));
        Ok(())
    }

    /// In place of the one of its kind that has not been told yet, so that a bot in a loop cannot make this grow.
    fn act_once(&mut self, is_of_its_kind: impl Fn(&BotAct) -> bool, act: BotAct) {
        // What was asked for before a move is tried stays as it is.
        let first = self.trial.as_ref().map_or(0, |trial| trial.acts);
        match self.acts.iter_mut().skip(first).find(|act| is_of_its_kind(act)) {
            Some(there) => *there = act,
            None => self.act(act),
        }
    }

    pub fn done(&mut self) {
        if self.stage == Stage::Told {
            self.stage = Stage::Done;
            self.act(BotAct::Done);
        }
    }
}
