//! A sender that is held up now and then and makes up for it in a burst, as a busy one does: nothing of it is lost.

use std::time::Duration;

use media::SoundStats;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::caller::*;

/// Sound that is never silent, in which each frame says which one it is: eight bits, each loud or quiet, behind the first 5 ms, which
/// may be blended with what was before.
fn numbered(index: u32) -> Vec<u8> {
    (0..160_u32).map(|at| if (index >> (at.saturating_sub(48) / 8).min(13)) & 1 == 1 { 0xaa } else { 0x2a }).collect()
}

fn number_of(samples: &[i16; 160]) -> Option<u32> {
    let bits = (0..14).map(|bit| samples[48 + bit * 8..56 + bit * 8].iter());
    let index = bits.enumerate().try_fold(0, |index, (bit, mut samples)| match () {
        () if samples.clone().all(|&sample| sample == alaw(0xaa)) => Some(index | 1 << bit),
        () if samples.all(|&sample| sample == alaw(0x2a)) => Some(index),
        () => None,
    })?;
    numbered(index).iter().zip(samples).skip(48).all(|(&code, &sample)| alaw(code) == sample).then_some(index)
}

struct Held {
    /// How far apart hold-ups begin, on average, and how long each is.
    every_ms: f64,
    for_ms: (f64, f64),
    /// Where the sender's packets lie to the phase in which the socket is read, and by how much each is late.
    offset_ms: f64,
    jitter_ms: f64,
}

/// Frames that did not come out exactly once, and the buffer's own account.
fn run(held: &Held, seconds: u32, seed: u64) -> (usize, SoundStats) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut caller = Caller::plain();
    let frames = seconds * 50;
    let mut heard = vec![0; frames as usize];
    let (mut sent, mut free_at, mut next_hold) = (0, 0.0_f64, 2000.0);
    for tick in 0..frames + 50 {
        let read_ms = f64::from(tick) * 20.0;
        caller.now = caller.start + Duration::from_secs_f64(read_ms / 1000.0);
        // The sender's own time: what is due leaves as soon as it is not held up.
        while sent < frames {
            let due = f64::from(sent) * 20.0 + held.offset_ms;
            if due >= next_hold {
                free_at = next_hold + random.random_range(held.for_ms.0..=held.for_ms.1);
                next_hold = free_at + random.random_range(0.5..1.5) * held.every_ms;
            }
            if due.max(free_at) + random.random_range(0.0..=held.jitter_ms) > read_ms {
                break;
            }
            caller.say(&numbered(sent));
            sent += 1;
        }
        if let Some(times) = number_of(&caller.take().1).and_then(|index| heard.get_mut(index as usize)) {
            *times += 1;
        }
    }
    (heard.iter().filter(|times| **times != 1).count(), caller.leg.stats().sound)
}

#[test]
fn of_a_sender_that_is_held_up_and_catches_up_every_frame_is_heard_once() {
    for offset_ms in [0.5, 4.0, 10.0, 16.0, 19.5] {
        for (for_ms, jitter_ms) in [((10.0, 30.0), 0.0), ((30.0, 60.0), 3.0)] {
            for seed in 0..5 {
                let held = Held { every_ms: 3000.0, for_ms, offset_ms, jitter_ms };
                let (lost, sound) = run(&held, 60, seed);
                assert_eq!(lost, 0, "{offset_ms} {for_ms:?} {jitter_ms} seed {seed}: {sound:?}");
                assert!(sound.playout_delay_ms_max <= 100, "{sound:?}");
            }
        }
    }
}

#[test]
fn of_long_hold_ups_only_what_shortens_a_long_delay_again_is_lost() {
    for seed in 0..20 {
        let held = Held { every_ms: 3000.0, for_ms: (20.0, 150.0), offset_ms: 4.0, jitter_ms: 8.0 };
        let (lost, sound) = run(&held, 60, seed);
        assert!(lost as u64 <= sound.frames_taken_out + sound.late, "{lost} lost, seed {seed}: {sound:?}");
        assert!(sound.frames_taken_out <= 20 && sound.playout_delay_ms_max <= 200, "seed {seed}: {sound:?}");
    }
}

#[test]
fn arrivals_that_straddle_the_reading_of_the_socket_cost_nothing() {
    for seed in 0..5 {
        let held = Held { every_ms: f64::MAX, for_ms: (0.0, 0.0), offset_ms: 19.0, jitter_ms: 2.0 };
        let (lost, sound) = run(&held, 120, seed);
        assert_eq!((lost, sound.frames_put_in, sound.frames_taken_out), (0, 0, 0), "seed {seed}");
        // The end of the stream fades out.
        assert!(sound.frames_concealed <= 3, "{sound:?}");
        assert!(sound.playout_delay_ms_max <= 40, "{sound:?}");
    }
}

#[test]
fn after_one_hold_up_the_delay_comes_down_in_the_next_pause_or_within_a_minute() {
    let held = Held { every_ms: f64::MAX, for_ms: (70.0, 70.0), offset_ms: 4.0, jitter_ms: 0.0 };
    let (lost, sound) = run(&held, 300, 1);
    // Loud all the time: each frame of delay too many costs one frame, and no more.
    assert_eq!(lost as u64, sound.frames_taken_out, "{sound:?}");
    assert!((1..=3).contains(&lost) && sound.playout_delay_ms <= 30, "{sound:?}");
}
