//! From packets to frames: jitter buffer, concealment, codecs, restarts.

use media::{DropReason, FRAME, FrameKind, LegEvent};

use crate::caller::*;

/// Feeds packets of these lengths in turn, each sent when its sound is complete, and returns the frames until then.
fn frames_of(lengths_ms: &[usize], total_ms: usize) -> (Vec<FrameKind>, Vec<i16>, Caller) {
    let mut caller = Caller::plain();
    let (mut kinds, mut heard) = (Vec::new(), Vec::new());
    let (mut written, mut turn) = (0, 0);
    for at_ms in (0..total_ms).step_by(5) {
        caller.now = caller.start + ms(at_ms as u64);
        loop {
            let count = lengths_ms[turn % lengths_ms.len()] * 8;
            if written + count > at_ms * 8 {
                break;
            }
            caller.say(&codes(written, count));
            written += count;
            turn += 1;
        }
        if at_ms % 20 == 0 {
            let (frame, samples) = caller.take();
            kinds.push(frame.kind);
            if frame.kind == FrameKind::Audio {
                heard.extend(samples);
            }
        }
    }
    (kinds, heard, caller)
}

#[test]
fn sound_in_packets_of_any_length_comes_out_in_frames_of_20_ms_bit_for_bit() {
    for lengths in [&[20][..], &[10], &[30], &[40], &[60], &[100], &[10, 60, 20, 100, 30, 40]] {
        let (kinds, heard, caller) = frames_of(lengths, 2000);
        let absent = kinds.iter().take_while(|&&kind| kind == FrameKind::Absent).count();
        assert!(absent * 20 <= 260, "{lengths:?}: {absent} frames before the first sound");
        let stats = caller.leg.stats();
        if stats.sound.frames_taken_out + stats.sound.frames_put_in == 0 {
            assert!(kinds[absent..].iter().all(|&kind| kind == FrameKind::Audio), "{lengths:?}: {kinds:?}");
            let expected: Vec<i16> = codes(0, heard.len()).into_iter().map(alaw).collect();
            assert!(heard == expected, "{lengths:?}");
        }
        assert_eq!((stats.packets_lost, stats.sound.late, stats.drops.total()), (0, 0, 0), "{lengths:?}");
        assert!(lengths != [20] || absent * 20 <= 80);
    }
}

#[test]
fn a_quiet_line_is_played_without_repair_20_ms_after_the_initial_caution() {
    let mut caller = Caller::plain();
    for n in 0..1500 {
        caller.tick(&codes(n * 160, 160));
    }
    let sound = caller.leg.stats().sound;
    assert_eq!((sound.frames_concealed, sound.late, sound.frames_put_in), (0, 0, 0));
    assert!(sound.playout_delay_ms <= 30, "{} ms", sound.playout_delay_ms);
    assert!(sound.frames_absent <= 3);
}

#[test]
fn ticks_count_20_ms_and_jump_over_what_the_host_skipped() {
    let mut caller = Caller::plain();
    let ticks: Vec<u64> = [0, 20, 39, 61, 80, 300, 320]
        .map(|at| {
            caller.now = caller.start + ms(at);
            caller.take().0.tick
        })
        .into();
    assert_eq!(ticks, [0, 1, 2, 3, 4, 15, 16]);
}

#[test]
fn a_lost_packet_is_concealed_and_counted_and_a_long_gap_fades_to_absent() {
    let mut caller = Caller::plain();
    caller.warm_up(20);
    caller.next(PCMA, &[0x55; 160]);
    let mut kinds = Vec::new();
    for _ in 0..6 {
        kinds.push(caller.tick(&[0x55; 160]).0.kind);
    }
    assert_eq!(kinds.iter().filter(|&&kind| kind == FrameKind::Concealed).count(), 1, "{kinds:?}");
    assert_eq!(caller.leg.stats().packets_lost, 1);
    let kinds = caller.kinds(12);
    let concealed = kinds.iter().filter(|&&kind| kind == FrameKind::Concealed).count();
    assert_eq!(concealed, 3, "{kinds:?}");
    assert_eq!(kinds[11], FrameKind::Absent);
    assert_eq!(caller.take().1, [0; 160]);
}

#[test]
fn a_packet_after_its_time_is_late_and_a_second_copy_a_duplicate() {
    let mut caller = Caller::plain();
    caller.warm_up(20);
    let delayed = caller.next(PCMA, &[0x55; 160]);
    for _ in 0..6 {
        caller.tick(&[0x55; 160]);
    }
    caller.deliver(delayed.clone());
    caller.deliver(delayed);
    let stats = caller.leg.stats();
    assert_eq!(stats.sound.late, 1);
    assert_eq!(stats.drops.get(DropReason::Late), 1);
    assert_eq!(stats.drops.get(DropReason::Duplicate), 1);
    assert_eq!((stats.packets_lost, stats.packets_reordered), (0, 1));
}

#[test]
fn the_codec_is_that_of_each_packets_payload_type() {
    let mut caller = Caller::plain();
    caller.warm_up(10);
    let mut heard = Vec::new();
    for n in 0..12 {
        // 0x80 is the loudest positive code of mu-law, and a small one of A-law.
        let payload_type = if n % 2 == 0 { PCMU } else { PCMA };
        let packet = caller.next(payload_type, &[0x80; 160]);
        caller.deliver(packet);
        heard.push(caller.take().1[80]);
        caller.now += FRAME;
    }
    assert!(heard[6..].contains(&32_124), "{heard:?}");
    assert!(heard[6..].contains(&alaw(0x80)), "{heard:?}");
}

#[test]
fn comfort_noise_and_unknown_payload_types_are_counted_and_heard_by_nobody() {
    let mut caller = Caller::plain();
    for payload_type in [COMFORT_NOISE, 18, 127] {
        let packet = caller.next(payload_type, &[1; 20]);
        caller.deliver(packet);
    }
    for length in [0, 801, 1400] {
        let packet = caller.next(PCMA, &vec![1; length]);
        caller.deliver(packet);
    }
    let drops = caller.leg.stats().drops;
    assert_eq!(drops.get(DropReason::ComfortNoise), 1);
    assert_eq!(drops.get(DropReason::UnknownPayloadType), 2);
    assert_eq!(drops.get(DropReason::BadPayloadLength), 3);
    assert!(caller.kinds(5).iter().all(|&kind| kind == FrameKind::Absent));
}

#[test]
fn a_new_ssrc_takes_over_with_its_second_packet_and_not_with_its_first() {
    let mut caller = Caller::plain();
    caller.warm_up(20);
    let (sequence, timestamp) = (caller.sequence, caller.timestamp);
    (caller.ssrc, caller.sequence, caller.timestamp) = (0x2222, 9, 1_000_000);
    caller.tick(&[0x55; 160]);
    assert_eq!(caller.leg.stats().drops.get(DropReason::Unconfirmed), 1);
    assert_eq!(caller.leg.stats().stream_restarts, 0);
    for _ in 0..20 {
        caller.tick(&[0xaa; 160]);
    }
    assert_eq!(caller.leg.stats().stream_restarts, 1);
    assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160]);
    // A stray packet of the old one is only that.
    let stray = write_packet(PCMA, sequence, timestamp, 0x1111, &[0x55; 160]);
    caller.deliver(stray);
    assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160]);
    assert_eq!(caller.leg.stats().stream_restarts, 1);
}

#[test]
fn a_jump_of_the_timestamp_is_believed_when_two_packets_say_so() {
    for jump in [9_000_i32, 800_000, -9_000, -800_000] {
        let mut caller = Caller::plain();
        caller.warm_up(20);
        let back = caller.timestamp;
        caller.timestamp = caller.timestamp.wrapping_add_signed(jump);
        caller.tick(&[0x55; 160]);
        caller.timestamp = back.wrapping_add(160);
        caller.tick(&[0x55; 160]);
        assert_eq!(caller.leg.stats().stream_restarts, 0, "one stray packet, {jump}");
        caller.timestamp = caller.timestamp.wrapping_add_signed(jump);
        for _ in 0..20 {
            caller.tick(&[0xaa; 160]);
        }
        assert_eq!(caller.leg.stats().stream_restarts, 1, "{jump}");
        assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160], "{jump}");
    }
}

#[test]
fn a_pause_in_which_the_timestamp_stood_still_or_went_on_is_survived() {
    for (pause_ms, advance) in [(300, false), (700, false), (5000, false), (300, true), (5000, true)] {
        let mut caller = Caller::plain();
        caller.warm_up(50);
        caller.kinds(pause_ms / 20);
        if advance {
            caller.timestamp = caller.timestamp.wrapping_add(pause_ms as u32 * 8);
        }
        for _ in 0..100 {
            caller.tick(&[0xaa; 160]);
        }
        let before = caller.leg.stats().sound;
        assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160], "{pause_ms} {advance}");
        for _ in 0..100 {
            caller.tick(&[0xaa; 160]);
        }
        let after = caller.leg.stats().sound;
        assert_eq!(after.late, before.late, "{pause_ms} {advance}");
        assert_eq!(after.frames_concealed, before.frames_concealed, "{pause_ms} {advance}");
    }
}

#[test]
fn many_ssrcs_in_a_row_are_followed_and_not_kept() {
    let mut caller = Caller::plain();
    for ssrc in 0..50_u32 {
        (caller.ssrc, caller.sequence, caller.timestamp) = (ssrc, 0, ssrc.wrapping_mul(77_777));
        for _ in 0..10 {
            caller.tick(&[0x55; 160]);
        }
    }
    assert_eq!(caller.leg.stats().stream_restarts, 49);
    assert_eq!(caller.leg.stats().packets_lost, 0);
}

#[test]
fn a_call_on_hold_has_held_frames_and_no_time_out() {
    let mut held = negotiated();
    held.held = true;
    let mut caller = Caller::new(params(held));
    for _ in 0..60 * 50 + 100 {
        assert_eq!(caller.take().0.kind, FrameKind::Held);
        caller.now += FRAME;
    }
    assert_eq!(caller.events(), []);
    let resumed = negotiated();
    let now = caller.now;
    caller.leg.renegotiate(resumed, now);
    assert!(caller.kinds(59 * 50).iter().all(|&kind| kind == FrameKind::Absent));
    assert_eq!(caller.events(), [], "the time-out counts from the resumption");
    caller.kinds(100);
    assert_eq!(caller.events(), [LegEvent::MediaTimeout]);
}

#[test]
fn silence_of_60_s_is_a_media_time_out_said_once_until_something_comes_again() {
    let mut caller = Caller::plain();
    caller.warm_up(10);
    caller.kinds(60 * 50 - 2);
    assert_eq!(caller.events(), []);
    caller.kinds(60 * 50 * 2);
    assert_eq!(caller.events(), [LegEvent::MediaTimeout]);
    caller.say(&[0x55; 160]);
    caller.kinds(60 * 50 + 2);
    assert_eq!(caller.events(), [LegEvent::MediaTimeout]);
}

#[test]
fn offers_that_change_nothing_do_not_put_the_time_out_off() {
    let mut caller = Caller::plain();
    caller.warm_up(10);
    for _ in 0..3 {
        caller.kinds(25 * 50);
        let now = caller.now;
        caller.leg.renegotiate(negotiated(), now);
    }
    assert_eq!(caller.events(), [LegEvent::MediaTimeout]);
}

#[test]
fn one_way_by_our_own_direction_is_no_time_out() {
    let mut one_way = negotiated();
    one_way.direction = media::Direction::SendOnly;
    let mut caller = Caller::new(params(one_way));
    caller.kinds(60 * 50 * 2);
    assert_eq!(caller.events(), []);
}

#[test]
fn a_burst_after_a_stall_of_the_network_or_the_host_loses_at_most_the_stall() {
    for stall in [10, 30, 100] {
        let mut caller = Caller::plain();
        caller.warm_up(100);
        let held_back: Vec<_> = (0..stall).map(|_| caller.next(PCMA, &[0x55; 160])).collect();
        caller.kinds(stall);
        held_back.into_iter().for_each(|packet| caller.deliver(packet));
        for _ in 0..600 {
            caller.tick(&[0xaa; 160]);
        }
        let sound = caller.leg.stats().sound;
        assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160], "{stall}");
        assert!(sound.playout_delay_ms <= 60, "{stall}: the delay came down again, {} ms", sound.playout_delay_ms);
    }
}
