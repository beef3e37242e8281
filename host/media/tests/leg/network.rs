//! Seeded networks and drifting clocks, hours in virtual time.

use std::time::Duration;

use media::{FRAME, FrameKind, LegStats};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::caller::*;

#[derive(Clone, Copy, Default)]
struct Network {
    lost_percent: u32,
    duplicated_percent: u32,
    /// Each packet is delayed by up to this much, and so may overtake another.
    jitter_ms: f64,
    /// The caller's clock against ours.
    drift_ppm: f64,
    /// Sockets are read once a tick, as the media thread does: arrivals are seen in steps of 20 ms.
    polled: bool,
}

struct Outcome {
    stats: LegStats,
    lost: u64,
    duplicated: u64,
    delay_ms_max_settled: u32,
    not_audio_settled: usize,
}

fn run(network: Network, seconds: u64, seed: u64) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut caller = Caller::plain();
    let mut in_flight: Vec<(f64, Vec<u8>)> = Vec::new();
    let (mut lost, mut duplicated) = (0, 0);
    let (mut delay_ms_max_settled, mut not_audio_settled) = (0, 0);
    let packet_ms = 20.0 / (1.0 + network.drift_ppm / 1e6);
    let mut sent = 0_u64;
    for tick in 0..seconds * 50 {
        let now_ms = (tick * 20) as f64 + 7.0; // the receive phase lies somewhere
        while (sent as f64 + 1.0) * packet_ms <= now_ms {
            let left_ms = (sent as f64 + 1.0) * packet_ms;
            let packet = caller.next(PCMA, &codes(sent as usize * 160, 160));
            sent += 1;
            // The first packets pass, so that the test knows what was expected.
            if sent > 10 && random.random_range(0..100) < network.lost_percent {
                lost += 1;
                continue;
            }
            let copies = if random.random_range(0..100) < network.duplicated_percent { 2 } else { 1 };
            duplicated += copies - 1;
            for _ in 0..copies {
                in_flight.push((left_ms + random.random_range(0.0..=network.jitter_ms), packet.clone()));
            }
        }
        in_flight.sort_by(|a, b| a.0.total_cmp(&b.0));
        let arrived = in_flight.partition_point(|packet| packet.0 <= now_ms);
        for (at_ms, packet) in in_flight.drain(..arrived) {
            let seen_ms = if network.polled { now_ms } else { at_ms };
            caller.now = caller.start + Duration::from_secs_f64(seen_ms / 1000.0);
            caller.deliver(packet);
        }
        caller.now = caller.start + FRAME * tick as u32 + ms(7);
        let (frame, _) = caller.take();
        if tick > 500 {
            not_audio_settled += usize::from(frame.kind != FrameKind::Audio);
            delay_ms_max_settled = delay_ms_max_settled.max(caller.leg.stats().sound.playout_delay_ms);
        }
    }
    Outcome { stats: caller.leg.stats(), lost, duplicated, delay_ms_max_settled, not_audio_settled }
}

#[test]
fn a_drift_of_100_ppm_for_an_hour_neither_grows_the_delay_nor_underruns() {
    for drift_ppm in [100.0, -100.0, 0.0] {
        let outcome = run(Network { drift_ppm, ..Network::default() }, 3600, 1);
        let sound = outcome.stats.sound;
        assert_eq!(outcome.not_audio_settled, 0, "{drift_ppm}: {sound:?}");
        assert_eq!(sound.late, 0, "{drift_ppm}");
        assert!(outcome.delay_ms_max_settled <= 45, "{drift_ppm}: {} ms", outcome.delay_ms_max_settled);
        let corrections = sound.frames_put_in + sound.frames_taken_out;
        assert!(corrections <= 24, "360 ms are 18 frames, {corrections} were moved at {drift_ppm} ppm");
    }
}

#[test]
fn sockets_that_are_read_once_a_tick_stand_an_hour_of_drift_as_well() {
    for drift_ppm in [100.0, -100.0] {
        for jitter_ms in [0.0, 3.0] {
            let outcome = run(Network { drift_ppm, jitter_ms, polled: true, ..Network::default() }, 3600, 4);
            let sound = outcome.stats.sound;
            assert!(outcome.not_audio_settled <= 2, "{drift_ppm} {jitter_ms}: {sound:?}");
            assert!(sound.late <= 2, "{drift_ppm} {jitter_ms}: {sound:?}");
            assert!(outcome.delay_ms_max_settled <= 65, "{drift_ppm}: {} ms", outcome.delay_ms_max_settled);
        }
    }
}

#[test]
fn drift_and_jitter_together_stay_within_bounds_for_an_hour() {
    for drift_ppm in [100.0, -100.0] {
        let outcome = run(Network { drift_ppm, jitter_ms: 25.0, ..Network::default() }, 3600, 2);
        let sound = outcome.stats.sound;
        assert!(outcome.not_audio_settled <= 180, "{drift_ppm}: {} of 180000", outcome.not_audio_settled);
        assert!(outcome.delay_ms_max_settled <= 90, "{drift_ppm}: {} ms", outcome.delay_ms_max_settled);
        assert!(sound.late <= 180, "{drift_ppm}: {} late", sound.late);
    }
}

#[test]
fn loss_duplication_and_reordering_are_counted_as_what_they_are() {
    for seed in 0..20 {
        let network = Network { lost_percent: 5, duplicated_percent: 5, jitter_ms: 70.0, ..Network::default() };
        let outcome = run(network, 60, seed);
        let stats = outcome.stats;
        // Those under way at the end are neither.
        assert!(
            stats.packets_lost.abs_diff(outcome.lost) <= 4,
            "seed {seed}: {} for {}",
            stats.packets_lost,
            outcome.lost
        );
        let duplicates = stats.drops.get(media::DropReason::Duplicate);
        assert!(duplicates.abs_diff(outcome.duplicated) <= 4, "seed {seed}: {duplicates} for {}", outcome.duplicated);
        assert!(stats.packets_reordered > 100, "seed {seed}");
        assert!(stats.sound.playout_delay_ms_max <= 220, "seed {seed}: {} ms", stats.sound.playout_delay_ms_max);
        let repaired = stats.sound.frames_concealed + stats.sound.frames_absent;
        assert!(repaired <= outcome.lost + stats.sound.late + 20, "seed {seed}: {repaired}");
        assert!(stats.sound.late <= 60, "seed {seed}: {} late", stats.sound.late);
        assert_eq!(stats.stream_restarts, 0, "seed {seed}");
    }
}

#[test]
fn the_delay_follows_jitter_up_and_never_passes_its_bound() {
    let wild = run(Network { jitter_ms: 600.0, ..Network::default() }, 60, 3);
    assert!(wild.stats.sound.playout_delay_ms_max <= 220, "{} ms", wild.stats.sound.playout_delay_ms_max);
    let calm = run(Network { jitter_ms: 5.0, ..Network::default() }, 60, 3);
    assert!(calm.delay_ms_max_settled <= 60, "{} ms", calm.delay_ms_max_settled);
    assert_eq!(calm.not_audio_settled, 0);
}

#[test]
fn jitter_is_measured_as_rfc_3550_says() {
    let steady = run(Network::default(), 10, 1).stats.jitter_ms;
    assert!(steady < 0.2, "{steady} ms");
    // Uniform delays over 30 ms differ by 10 ms on average.
    let jittery = run(Network { jitter_ms: 30.0, ..Network::default() }, 60, 1).stats.jitter_ms;
    assert!((6.0..14.0).contains(&jittery), "{jittery} ms");
}
