//! The host's own ear, over the call's real rings: ticks are virtual, the voice is one of the prompts that we ship.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use call::{BargeInTimes, WallClock};
use media::{Codec, g711};
use plugin::{BargeIn, Event, FrameKind, VoiceEvent, VoiceRules};

use crate::bots::ear::Ear;
use crate::bots::operations::{Affairs, CallFacts, EVENTS_MAX, Operations};
use crate::bots::rings::{BotEnds, rings};
use crate::bots::{BotLog, FromCaller, MediaEnds, Voice};

const TICK: Duration = Duration::from_millis(20);
const SILENCE: [i16; 160] = [0; 160];
pub const BOT: i16 = 1000;

pub fn rules(barge_in: BargeIn) -> VoiceRules {
    VoiceRules { strictness: 1, start_ms: 60, hang_over_ms: 400, barge_in }
}

/// 0.7 s of a voice, frame by frame.
pub fn voice() -> Vec<[i16; 160]> {
    prompt("you-entered")
}

/// Of the bots that we ship.
pub fn prompt(name: &str) -> Vec<[i16; 160]> {
    let path = format!("{}/../../plugins/prompts/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let data = file.windows(4).position(|four| four == b"data").unwrap() + 8;
    let mut samples = vec![0; file.len() - data];
    g711::decode(Codec::Pcma, &file[data..], &mut samples);
    samples.as_chunks().0.to_vec()
}

/// One call: its rings, its operations, its ear, and a leg that sends a packet each tick.
struct Scene {
    media: MediaEnds,
    bot: BotEnds,
    operations: Arc<Affairs>,
    ear: Ear,
    tick: u64,
    now: Instant,
    /// In which tick the bot was told what.
    told: Vec<(u64, Event)>,
    /// In which ticks a packet with the bot's sound left.
    sounded: Vec<u64>,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        let (media, bot, playout) = rings(0, 10_000);
        let clock = WallClock { at: now, unix_ms: 0 };
        let log = BotLog::new(Voice::none(), 1, now);
        let operations = Operations::new(Arc::new(CallFacts::default()), (playout, 10_000), log, [7; 32], clock);
        let operations = Arc::new(Affairs::new(operations));
        media.shared.listens.store(true, Ordering::Relaxed);
        Self { media, bot, operations, ear: Ear::default(), tick: 0, now, told: vec![], sounded: vec![] }
    }

    fn watching(barge_in: BargeIn) -> Self {
        let mut scene = Self::new();
        scene.watch(Some(rules(barge_in)));
        scene
    }

    fn watch(&mut self, rules: Option<VoiceRules>) {
        self.operations.lock().watch_voice(rules).unwrap();
        self.attend();
    }

    fn attend(&mut self) {
        let change = self.operations.look().take_change();
        change.into_iter().for_each(|change| self.ear.attend(change, &self.operations));
    }

    fn write(&self, frames: usize) {
        assert_eq!(self.operations.lock().playout_write(&vec![BOT; frames * 160]).accepted as usize, frames * 160);
    }

    fn tick(&mut self, samples: [i16; 160]) {
        let (tick, due) = (self.tick, self.now + TICK / 2);
        let frame = FromCaller { tick, due, kind: FrameKind::Audio, budget_ms: 10, delay_ms: 40, samples };
        assert!(!self.media.hand_over(frame), "nobody is to answer it");
        self.bot.frames.look_through(|frame| self.ear.hear(frame, self.now, &self.operations));
        assert!(self.bot.frames.pop().is_ok());
        let mut operations = self.operations.advance(self.now);
        self.told.extend(std::iter::from_fn(|| operations.next_event()).map(|event| (tick, event)));
        let mut packet = SILENCE;
        if self.media.playout.pull(&mut packet) > 0 {
            self.sounded.push(tick);
        }
        self.tick += 1;
        self.now += TICK;
    }

    fn hear(&mut self, frames: &[[i16; 160]]) {
        frames.iter().for_each(|frame| self.tick(*frame));
    }

    fn quiet(&mut self, frames: usize) {
        (0..frames).for_each(|_| self.tick(SILENCE));
    }

    /// The names of what was told, in order, and the tick of each.
    fn story(&self) -> (Vec<&'static str>, Vec<u64>) {
        let name = |event: &Event| match event {
            Event::Voice(VoiceEvent::SpeechStarted { .. }) => "started",
            Event::Voice(VoiceEvent::SpeechStopped { .. }) => "stopped",
            Event::Voice(VoiceEvent::Paused) => "paused",
            Event::Voice(VoiceEvent::Resumed) => "resumed",
            Event::Voice(VoiceEvent::BargedIn { .. }) => "barged in",
            Event::Cleared { .. } => "cleared",
            Event::Mark { .. } => "mark",
            _ => "else",
        };
        self.told.iter().map(|(tick, event)| (name(event), *tick)).unzip()
    }

    fn barged_in(&self) -> (u32, Vec<String>) {
        let barged_in = self.told.iter().find_map(|(_, event)| match event {
            Event::Voice(VoiceEvent::BargedIn { played_ms, dropped_marks }) => {
                Some((*played_ms, dropped_marks.clone()))
            }
            _ => None,
        });
        barged_in.expect("it was cut off")
    }
}

#[test]
fn speech_is_told_with_its_positions_and_without_a_policy_the_bot_speaks_on() {
    let mut scene = Scene::watching(BargeIn::Off);
    scene.write(200);
    scene.quiet(25);
    let voice = voice();
    scene.hear(&voice);
    scene.quiet(40);
    let (story, _) = scene.story();
    assert!(story.len() >= 2 && story.chunks(2).all(|pair| pair == ["started", "stopped"]), "{story:?}");
    let (
        Event::Voice(VoiceEvent::SpeechStarted { sample: from }),
        Event::Voice(VoiceEvent::SpeechStopped { sample: to }),
    ) = (&scene.told[0].1, &scene.told[scene.told.len() - 1].1)
    else {
        panic!("{:?}", scene.told)
    };
    let end = 4000 + voice.len() as u64 * 160;
    assert!((3000..5600).contains(from) && (end - 3000..end + 1000).contains(to), "{from} to {to} of 4000 to {end}");
    assert_eq!(scene.sounded.len() as u64, scene.tick, "every packet has the bot's sound");
}

#[test]
fn at_once_is_in_the_tick_in_which_speech_is_known() {
    let mut scene = Scene::watching(BargeIn::ClearAfter { ms: 0 });
    scene.write(10);
    scene.operations.lock().playout_mark("heard").unwrap();
    scene.write(300);
    scene.operations.lock().playout_mark("unheard").unwrap();
    scene.operations.lock().playout_mark("nor this").unwrap();
    scene.quiet(25);
    scene.hear(&voice());
    let (story, ticks) = scene.story();
    assert_eq!(story[..3], ["mark", "started", "barged in"], "{story:?}");
    assert!(!story.contains(&"cleared"), "the clear is the host's own");
    let known = ticks[1];
    assert_eq!(ticks[2], known + 1, "told once the packet has left without it");
    assert_eq!(scene.sounded.last(), Some(&(known - 1)), "the packet of the same tick is silent");
    let dropped = ["unheard", "nor this"].map(str::to_owned).to_vec();
    assert_eq!(scene.barged_in(), (20 * known as u32, dropped));
    let began = match &scene.told[1].1 {
        Event::Voice(VoiceEvent::SpeechStarted { sample }) => sample / 160,
        other => panic!("{other:?}"),
    };
    let detector_ms = 20 * (known - began) as u32;
    assert_eq!(scene.ear.take_times(), Some(BargeInTimes::new(40, detector_ms, 0, 10, -20)));
    assert_eq!(scene.ear.take_times(), None);
    // What is written after that is heard.
    scene.write(2);
    scene.quiet(2);
    assert_eq!(scene.sounded.last(), Some(&(scene.tick - 1)));
}

#[test]
fn after_so_much_speech_is_counted_from_where_it_began() {
    let mut scene = Scene::watching(BargeIn::ClearAfter { ms: 400 });
    scene.write(300);
    scene.quiet(25);
    scene.hear(&voice());
    let (story, ticks) = scene.story();
    assert_eq!(story[..2], ["started", "barged in"], "{story:?}");
    let Event::Voice(VoiceEvent::SpeechStarted { sample }) = &scene.told[0].1 else { panic!("{:?}", scene.told) };
    let cut = ticks[1] - 1;
    assert!((cut + 1) * 160 - sample >= 3200, "cut in tick {cut}, began at {sample}");
    assert_eq!(scene.sounded.last(), Some(&(cut - 1)));
    let times = scene.ear.take_times().unwrap();
    assert_eq!(u64::from(times.policy_ms), 20 * (cut - ticks[0]), "{times:?}");
    assert!(times.policy_ms >= 200, "{times:?}");
}

#[test]
fn a_word_pauses_the_bot_which_goes_on_where_it_stopped() {
    let mut scene = Scene::watching(BargeIn::PauseThenConfirm { ms: 600 });
    scene.write(150);
    scene.operations.lock().playout_mark("end").unwrap();
    scene.quiet(25);
    let voice = voice();
    let first = voice.iter().position(|frame| frame.iter().any(|sample| sample.unsigned_abs() > 1000)).unwrap();
    scene.hear(&voice[first..first + 14]);
    scene.quiet(160);
    let (story, ticks) = scene.story();
    assert_eq!(
        story.iter().filter(|what| **what != "stopped").collect::<Vec<_>>(),
        [&"started", &"paused", &"resumed", &"mark"]
    );
    let (paused, resumed) = (ticks[1], ticks[story.iter().position(|what| *what == "resumed").unwrap()]);
    assert_eq!(paused, ticks[0], "at once");
    assert!(resumed - paused <= 30, "{paused} to {resumed}");
    let sounded: Vec<u64> = (0..paused).chain(resumed..resumed + 150 - paused).collect();
    assert_eq!(scene.sounded, sounded, "nothing of it is lost");
}

#[test]
fn who_speaks_on_is_confirmed_and_cuts_the_bot_off() {
    let mut scene = Scene::watching(BargeIn::PauseThenConfirm { ms: 200 });
    scene.write(300);
    scene.operations.lock().playout_mark("end").unwrap();
    scene.quiet(25);
    scene.hear(&voice());
    let (story, ticks) = scene.story();
    assert_eq!(story[..3], ["started", "paused", "barged in"], "{story:?}");
    assert_eq!(ticks[2], ticks[1] + 11, "200 ms later, and a tick to be told");
    assert_eq!(scene.sounded.last(), Some(&(ticks[1] - 1)), "not a packet after the pause");
    assert_eq!(scene.barged_in(), (20 * ticks[1] as u32, vec!["end".to_owned()]));
}

#[test]
fn the_bots_own_clear_of_the_same_tick_is_told_apart() {
    let mut scene = Scene::watching(BargeIn::ClearAfter { ms: 0 });
    scene.write(300);
    scene.operations.lock().playout_mark("end").unwrap();
    scene.quiet(25);
    let mut own = None;
    for frame in voice() {
        scene.tick(frame);
        if own.is_none() && scene.told.len() == 1 {
            // Before its packet has left, as a bot does in its handler.
            own = Some(scene.operations.lock().playout_clear());
        }
    }
    let cleared = scene.told.iter().find_map(|(_, event)| match event {
        Event::Cleared { id, dropped_marks, .. } => Some((*id, dropped_marks.clone())),
        _ => None,
    });
    assert_eq!(cleared, Some((own.unwrap(), vec![])));
    assert_eq!(scene.barged_in().1, ["end"]);
}

#[test]
fn a_queue_that_the_bot_cleared_itself_is_not_cut_off_in_the_same_speech() {
    let mut scene = Scene::watching(BargeIn::PauseThenConfirm { ms: 400 });
    scene.write(300);
    scene.quiet(25);
    for frame in voice() {
        scene.tick(frame);
        if scene.told.last().is_some_and(|(_, event)| *event == Event::Voice(VoiceEvent::Paused)) {
            scene.operations.lock().playout_clear();
            scene.write(200);
        }
    }
    let (story, ticks) = scene.story();
    assert_eq!(story[..3], ["started", "paused", "cleared"], "{story:?}");
    let next = ticks.get(3).copied().unwrap_or(scene.tick);
    assert!((ticks[1] + 1..next).all(|tick| scene.sounded.contains(&tick)), "the answer to it is heard");
}

#[test]
fn who_no_longer_watches_is_told_nothing_and_its_queue_goes_on() {
    let mut scene = Scene::watching(BargeIn::PauseThenConfirm { ms: 5000 });
    scene.write(300);
    scene.quiet(25);
    let voice = voice();
    let paused = voice.iter().position(|frame| {
        scene.tick(*frame);
        scene.operations.look().playout().is_paused()
    });
    let paused = paused.expect("it pauses");
    scene.watch(None);
    assert!(scene.ear.is_idle());
    let told = scene.told.len();
    scene.hear(&voice[paused + 1..]);
    assert_eq!(scene.told.len(), told);
    assert_eq!(scene.sounded.last(), Some(&(scene.tick - 1)));
}

#[test]
fn another_policy_lets_a_paused_queue_go_on_and_says_so() {
    let mut scene = Scene::watching(BargeIn::PauseThenConfirm { ms: 5000 });
    scene.write(300);
    scene.quiet(25);
    for frame in voice() {
        scene.tick(frame);
        if scene.operations.look().playout().is_paused() {
            scene.watch(Some(rules(BargeIn::Off)));
        }
    }
    assert_eq!(scene.story().0[..3], ["started", "paused", "resumed"]);
}

#[test]
fn a_bot_that_lets_what_it_is_told_fill_up_is_known() {
    let mut scene = Scene::watching(BargeIn::Off);
    let operations = Arc::clone(&scene.operations);
    let fill = || while operations.lock().push(Event::Hold).is_ok() {};
    fill();
    let frames: VecDeque<[i16; 160]> = voice().into();
    for (tick, samples) in (0..).zip(frames) {
        let frame = FromCaller { tick, due: scene.now, kind: FrameKind::Audio, budget_ms: 10, delay_ms: 0, samples };
        scene.ear.hear(&frame, scene.now, &operations);
    }
    assert!(scene.ear.is_overfull());
    let mut operations = operations.lock();
    assert_eq!(std::iter::from_fn(|| operations.next_event()).count(), EVENTS_MAX);
}

#[test]
fn a_late_host_is_part_of_the_measure() {
    let mut scene = Scene::watching(BargeIn::ClearAfter { ms: 0 });
    scene.write(300);
    for (tick, samples) in (0..).zip(voice()) {
        // The turn begins 15 ms after the packet of its tick has left: it is the next one that is silent.
        let due = scene.now - Duration::from_millis(15);
        let frame = FromCaller { tick, due, kind: FrameKind::Audio, budget_ms: 10, delay_ms: 0, samples };
        scene.ear.hear(&frame, scene.now, &scene.operations);
    }
    let times = scene.ear.take_times().expect("it was cut off");
    assert_eq!((times.rest_ms, times.stop_ms), (0, times.detector_ms + 10));
}
