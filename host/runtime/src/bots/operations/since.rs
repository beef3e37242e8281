//! What happened to a call since its bot was last saved or moved: so that another instance can go on from there.

use std::collections::VecDeque;

use plugin::{Event, VoiceRules};

use super::clears::{By, Clear};
use super::{EVENTS_MAX, Operations};

/// What was under way at that moment is known to an instance that goes on from it; what was begun later is not.
pub(super) struct Since {
    pub last_id: u64,
    pub hangs_up: bool,
    voice: Option<VoiceRules>,
    /// Events delivered since. None: more than can be delivered again.
    pub delivered: Option<VecDeque<Event>>,
    /// What they hold.
    bytes: usize,
}

/// Of events that can be delivered again.
pub(super) const DELIVERED_BYTES_MAX: usize = 2 << 20;

/// What becomes of the playout queue when an instance goes on from an earlier moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Cleared,
    Kept,
}

impl Operations {
    /// The bot was saved just now.
    pub fn note_save(&mut self) {
        self.remember(self.last_id, self.hangup_at.is_some());
    }

    pub(super) fn remember(&mut self, last_id: u64, hangs_up: bool) {
        self.remember_watching(last_id, hangs_up, self.voice.rules);
    }

    pub(super) fn remember_watching(&mut self, last_id: u64, hangs_up: bool, voice: Option<VoiceRules>) {
        self.since = Some(Since { last_id, hangs_up, voice, delivered: Some(VecDeque::new()), bytes: 0 });
    }

    pub(super) fn note_delivered(&mut self, event: &Event) {
        let Some(since) = &mut self.since else { return };
        let Some(delivered) = &mut since.delivered else { return };
        since.bytes += event.bytes();
        if delivered.len() < EVENTS_MAX && since.bytes <= DELIVERED_BYTES_MAX {
            delivered.push_back(event.clone());
        } else {
            since.delivered = None;
        }
    }

    /// The last event that was delivered brought its bot down: nobody is given it again.
    pub fn strike_last_delivered(&mut self) {
        if let Some(Since { delivered: Some(delivered), .. }) = &mut self.since {
            delivered.pop_back();
        }
    }

    /// Cancels what was begun since, and puts the events of that time in front of those that wait: each of them but what
    /// concerns the cancelled. False, and nothing is changed, if that cannot be done.
    pub fn go_back(&mut self, queue: Queue) -> bool {
        let Some(since) = &mut self.since else { return false };
        let Some(mut delivered) = since.delivered.replace(VecDeque::new()) else {
            since.delivered = None;
            return false;
        };
        since.bytes = 0;
        let (last_id, hangs_up, voice) = (since.last_id, since.hangs_up, since.voice);
        self.timers.retain(|timer| timer.id <= last_id);
        self.marks.retain(|mark| mark.id <= last_id);
        self.orders.iter_mut().filter(|order| order.id > last_id).for_each(|order| order.told = false);
        if !hangs_up {
            self.hangup_at = None;
        }
        self.voice.set(voice);
        self.cancel_since(last_id);
        self.cut_queue(last_id, queue);
        delivered.extend(self.events.drain(..));
        delivered.retain(|event| is_known(event, last_id) && (voice.is_some() || !matches!(event, Event::Voice(_))));
        self.events = delivered;
        self.recount();
        self.digits_waiting = self.events.iter().filter(|event| matches!(event, Event::Digit { .. })).count();
        true
    }

    /// A clear that the instance does not know of acts under the id of its own last one, else it is nobody's.
    fn cut_queue(&mut self, last_id: u64, queue: Queue) {
        if queue == Queue::Cleared {
            self.cut_utterances(|_| true);
        }
        let mut unknown = None;
        self.clears.retain(|clear| {
            // That the caller cut it off concerns whoever speaks for the call.
            let stays = clear.id <= last_id || clear.by == By::BargeIn;
            if !stays {
                unknown = Some(clear.playout_id);
            }
            stays
        });
        let playout_id = match queue {
            Queue::Cleared if self.playout.played() < self.playout.position() => Some(self.playout.clear()),
            Queue::Cleared | Queue::Kept => unknown,
        };
        let Some(playout_id) = playout_id else { return };
        match self.clears.back_mut() {
            Some(own) if own.by != By::BargeIn => own.playout_id = playout_id,
            _ => {
                let id = self.new_id();
                self.clears.push_back(Clear { id, playout_id, by: By::Nobody });
            }
        }
    }
}

/// Whether an event concerns no operation that was cancelled. A clear is told if it cut off a mark that is known.
fn is_known(event: &Event, last_id: u64) -> bool {
    match event {
        Event::Timer { id } | Event::Mark { id, .. } | Event::DigitsSent { id } | Event::Outcome { id, .. } => {
            *id <= last_id
        }
        Event::Cleared { id, dropped_marks, .. } => *id <= last_id || !dropped_marks.is_empty(),
        Event::Answered
        | Event::Digit { .. }
        | Event::Hold
        | Event::Resume
        | Event::Hangup { .. }
        | Event::Voice(_) => true,
    }
}
