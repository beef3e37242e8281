//! What a leg sends: the frame that the bot returned for this tick, else the next of its playout queue, else silence.

use std::sync::atomic::Ordering;

use media::SoundSource;

use crate::bots::{FromBot, MediaEnds};

/// The bot's voice towards the caller: the media thread's ends of the call's rings.
pub struct Voice {
    pub ends: MediaEnds,
    /// The tick whose answer is due at the next departure.
    awaited: Option<u64>,
    /// Answers that one packet may carry: so many ticks back an answer is still on time.
    frames_per_packet: u64,
    /// The awaited tick for which an underrun was counted.
    underrun_at: Option<u64>,
}

impl Voice {
    pub fn new(ends: MediaEnds, ptime_ms: u32) -> Self {
        let mut voice = Self { ends, awaited: None, frames_per_packet: 1, underrun_at: None };
        voice.set_ptime(ptime_ms);
        voice
    }

    pub fn set_ptime(&mut self, ptime_ms: u32) {
        self.frames_per_packet = u64::from(ptime_ms).div_ceil(20).max(1);
    }

    /// A frame for this tick was handed to the bot; its answer is due at the next departure.
    pub fn await_answer(&mut self, tick: u64) {
        self.awaited = Some(tick);
    }

    /// The bot's next frame among those due at this departure; what was due at an earlier one came too late and is dropped.
    fn next_answer(&mut self) -> Option<FromBot> {
        let awaited = self.awaited?;
        while self.ends.answers.peek().is_ok_and(|frame| frame.tick <= awaited) {
            let frame = self.ends.answers.pop().ok()?;
            if frame.tick + self.frames_per_packet > awaited {
                return Some(frame);
            }
        }
        None
    }

    /// The bot answers each frame, has not answered this one, and has queued nothing either. Before its first answer it has not begun.
    fn count_underrun(&mut self) {
        let shared = &self.ends.shared;
        if let Some(awaited) = self.awaited
            && self.underrun_at != self.awaited
            && shared.wants_frames.load(Ordering::Relaxed)
            && (1..=awaited).contains(&shared.answered.load(Ordering::Acquire))
        {
            self.underrun_at = self.awaited;
            shared.underruns.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl SoundSource for Voice {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        if let Some(answer) = self.next_answer() {
            self.ends.playout.act_on_clear();
            *frame = answer.samples;
            return true;
        }
        match self.ends.playout.pull(frame) {
            0 => {
                // A queue that is paused has something to say.
                if self.ends.playout.is_empty() {
                    self.count_underrun();
                }
                false
            }
            pulled => {
                // The end of what was queued need not fill a frame.
                frame[pulled..].fill(0);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use media::PlayoutWriter;

    use super::*;
    use crate::bots::{AnswersIn, Shared, slots};

    /// The bot's end, and the voice of a leg with packets of so many ms.
    struct Scene {
        voice: Voice,
        answers: AnswersIn,
        queue: PlayoutWriter,
        shared: Arc<Shared>,
    }

    const QUEUED: i16 = -1;

    impl Scene {
        fn new(ptime_ms: u32) -> Self {
            let (answers, answers_out) = slots::slots();
            let (queue, playout) = media::playout(1000);
            let shared = Arc::new(Shared::default());
            shared.wants_frames.store(true, Ordering::Relaxed);
            let (frames, digits) = (slots::slots().0, rtrb::RingBuffer::new(1).0);
            let ends = MediaEnds {
                phase: 0,
                lane_phase: Arc::default(),
                frames,
                digits,
                answers: answers_out,
                playout,
                shared: Arc::clone(&shared),
            };
            Self { voice: Voice::new(ends, ptime_ms), answers, queue, shared }
        }

        /// The bot answers this tick's frame with samples of that value.
        fn answer(&mut self, tick: u64) {
            assert!(self.answers.push(FromBot { tick, samples: [tick as i16; 160] }).is_ok());
            self.shared.answered.store(tick + 1, Ordering::Release);
        }

        /// What the next 20 ms of a packet are; none is silence.
        fn depart(&mut self) -> Option<i16> {
            let mut frame = [0; 160];
            self.voice.next_frame(&mut frame).then_some(frame[0])
        }

        fn underruns(&self) -> u64 {
            self.shared.underruns.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn an_answer_leaves_with_its_own_packet_and_a_late_one_never() {
        let mut scene = Scene::new(20);
        scene.voice.await_answer(1);
        scene.answer(1);
        assert_eq!(scene.depart(), Some(1));
        scene.voice.await_answer(2);
        assert_eq!(scene.depart(), None);
        scene.voice.await_answer(3);
        scene.answer(2);
        scene.answer(3);
        assert_eq!((scene.depart(), scene.depart()), (Some(3), None));
    }

    #[test]
    fn an_answer_to_a_frame_that_is_not_due_yet_waits() {
        let mut scene = Scene::new(20);
        scene.voice.await_answer(1);
        scene.answer(2);
        assert_eq!(scene.depart(), None);
        scene.voice.await_answer(2);
        assert_eq!(scene.depart(), Some(2));
    }

    #[test]
    fn every_answer_in_time_is_heard_once_whatever_the_ptime_and_its_phase() {
        // (ptime, whether its packets ask at the first of two sends): what each departure asks for in one go.
        for (ptime_ms, asks) in
            [(10, [1, 0].as_slice()), (10, &[0, 1]), (20, &[1]), (40, &[2]), (60, &[3]), (30, &[2, 1]), (30, &[1, 2])]
        {
            let mut scene = Scene::new(ptime_ms);
            let mut heard = Vec::new();
            // In steps of 10 ms: a frame comes every 20 and is answered at once, a packet leaves every ptime.
            for step in 0..240_u64 {
                if step % 2 == 0 {
                    scene.voice.await_answer(step / 2);
                    scene.answer(step / 2);
                }
                if step % u64::from(ptime_ms / 10) == u64::from(ptime_ms / 10) - 1 {
                    let departure = (step / u64::from(ptime_ms / 10)) as usize;
                    heard.extend((0..asks[departure % asks.len()]).filter_map(|_| scene.depart()));
                }
            }
            let begin = i64::from(heard[0]);
            assert!(begin <= 2, "{ptime_ms} ms, {asks:?}: {heard:?}");
            let expected: Vec<i64> = (begin..).take(heard.len()).collect();
            assert!(heard.iter().map(|tick| i64::from(*tick)).eq(expected), "{ptime_ms} ms, {asks:?}: {heard:?}");
            assert!(heard.len() >= 115, "{ptime_ms} ms, {asks:?}: {}", heard.len());
        }
    }

    #[test]
    fn a_returned_frame_plays_instead_of_the_queue_which_waits() {
        let mut scene = Scene::new(20);
        scene.queue.write(&[QUEUED; 200]);
        scene.voice.await_answer(1);
        scene.answer(1);
        assert_eq!(scene.depart(), Some(1));
        scene.voice.await_answer(2);
        assert_eq!((scene.depart(), scene.queue.played()), (Some(QUEUED), 160));
        // Its last piece is filled up with silence.
        let mut last = [7; 160];
        assert!(scene.voice.next_frame(&mut last));
        assert_eq!((last[39], last[40]), (QUEUED, 0));
    }

    #[test]
    fn a_clear_acts_also_while_returned_frames_play() {
        let mut scene = Scene::new(20);
        scene.queue.write(&[QUEUED; 1600]);
        scene.queue.clear();
        scene.voice.await_answer(1);
        scene.answer(1);
        assert_eq!(scene.depart(), Some(1));
        assert!(scene.queue.poll_cleared().is_some());
    }

    #[test]
    fn an_underrun_is_a_late_answer_with_an_empty_queue_counted_once() {
        let mut scene = Scene::new(20);
        scene.voice.await_answer(1);
        assert_eq!((scene.depart(), scene.underruns()), (None, 0), "the bot has not begun");
        scene.answer(1);
        scene.voice.await_answer(2);
        scene.depart();
        scene.depart();
        assert_eq!(scene.underruns(), 1);
        scene.voice.await_answer(3);
        scene.queue.write(&[QUEUED; 160]);
        assert_eq!((scene.depart(), scene.underruns()), (Some(QUEUED), 1), "the queue had something");
        scene.voice.await_answer(4);
        scene.shared.answered.store(5, Ordering::Release);
        assert_eq!((scene.depart(), scene.underruns()), (None, 1), "it chose silence");
        scene.queue.write(&[QUEUED; 160]);
        scene.queue.pause();
        scene.voice.await_answer(5);
        scene.shared.answered.store(5, Ordering::Release);
        assert_eq!((scene.depart(), scene.underruns()), (None, 1), "the queue is paused");
        scene.queue.clear();
        scene.shared.wants_frames.store(false, Ordering::Relaxed);
        scene.voice.await_answer(6);
        assert_eq!((scene.depart(), scene.underruns()), (None, 1), "it wants no frames");
    }

    #[test]
    fn what_waited_through_a_hold_is_not_heard_after_it() {
        let mut scene = Scene::new(20);
        (0..25).for_each(|tick| {
            scene.voice.await_answer(tick);
            scene.answer(tick);
        });
        scene.voice.await_answer(100);
        assert_eq!(scene.depart(), None);
        scene.answer(100);
        assert_eq!(scene.depart(), Some(100));
    }
}
