//! Clears of the playout queue: what was heard, and which marks were not.

use plugin::{Event, VoiceEvent};

use super::{Operations, SAMPLES_PER_MS};

/// Who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// Nobody: what the bot asked for, or became, takes the queue with it. It is told of the marks that went too, if any.
    Nobody,
    Bot,
    /// The host, because the caller cut the bot off.
    BargeIn,
}

/// One clear under way: the id that the bot knows it by, and the playout's own.
pub(super) struct Clear {
    pub id: u64,
    pub playout_id: u64,
    pub by: By,
}

/// A clear that took effect, not told yet: what acted together with it joins it.
struct Cut {
    id: u64,
    by: By,
    until: u64,
    played_ms: u32,
    dropped_marks: Vec<String>,
}

impl Operations {
    /// Clears that took effect. Those of the bot's between which nothing was heard acted before one packet: they are one, told under
    /// the last id that it was given.
    pub(super) fn take_clears(&mut self) {
        let mut untold: Option<Cut> = None;
        while let Some(cleared) = self.playout.poll_cleared() {
            let mut played_ms = (cleared.played / SAMPLES_PER_MS) as u32;
            while let Some(clear) = self.clears.pop_front_if(|clear| clear.playout_id <= cleared.id) {
                let is_hosts = |by| by == By::BargeIn;
                let joins = |cut: &Cut| is_hosts(cut.by) == is_hosts(clear.by) && cleared.cut <= cut.until;
                if untold.as_ref().is_some_and(|cut| !joins(cut)) {
                    self.tell_cleared(untold.take());
                }
                let new = || Cut { id: 0, by: clear.by, until: 0, played_ms, dropped_marks: Vec::new() };
                let cut = untold.get_or_insert_with(new);
                cut.until = cleared.until;
                if clear.by >= cut.by {
                    (cut.id, cut.by) = (clear.id, clear.by);
                }
                // Of two that were one cut, the second found all gone.
                played_ms = 0;
                // A mark set after the clear stays, also where nothing was written in between.
                while let Some(mark) =
                    self.marks.pop_front_if(|mark| mark.position <= cleared.until && mark.id < clear.id)
                {
                    if mark.position <= cleared.cut {
                        self.events.push_back(Event::Mark { id: mark.id, name: mark.name });
                    } else {
                        cut.dropped_marks.push(mark.name);
                    }
                }
            }
        }
        self.tell_cleared(untold);
    }

    fn tell_cleared(&mut self, cut: Option<Cut>) {
        let Some(Cut { id, by, played_ms, dropped_marks, .. }) = cut else { return };
        self.events.push_back(match by {
            By::Nobody if dropped_marks.is_empty() => return,
            By::Nobody | By::Bot => Event::Cleared { id, played_ms, dropped_marks },
            By::BargeIn => Event::Voice(VoiceEvent::BargedIn { played_ms, dropped_marks }),
        });
    }

    pub(super) fn begin_clear(&mut self, id: u64) {
        self.clear_queue(id, By::Bot);
        self.cut_utterances(|utterance| utterance.id < id);
    }

    /// The caller cut the bot off: all that waits goes, told once the next packet has left without it.
    pub fn barge_in(&mut self) {
        let id = self.new_id();
        self.clear_queue(id, By::BargeIn);
        self.cut_utterances(|utterance| utterance.id < id);
    }

    pub(super) fn clear_queue(&mut self, id: u64, by: By) {
        let playout_id = self.playout.clear();
        match self.clears.back_mut() {
            // More clears than can act before the next packet: they are one, and the last id is the one told.
            Some(last) if (last.playout_id, last.by) == (playout_id, by) => last.id = id,
            _ => self.clears.push_back(Clear { id, playout_id, by }),
        }
    }
}
