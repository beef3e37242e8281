//! One packet each ptime, whatever happens.

use media::{Direction, FRAME, SoundSource};

use crate::caller::*;

/// A ramp of frames, each sample told by its place; every `gap`th frame is missing.
struct Ramp {
    frames: usize,
    gap: usize,
}

impl SoundSource for Ramp {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        let from = self.frames * 160;
        self.frames += 1;
        // Spoilt even where there is none: false means silence.
        for (n, sample) in frame.iter_mut().enumerate() {
            *sample = alaw(codes(from + n, 1)[0]);
        }
        !self.frames.is_multiple_of(self.gap)
    }
}

fn ptime(ptime_ms: u32) -> Caller {
    let mut offer = negotiated();
    offer.send_ptime_ms = ptime_ms;
    Caller::new(params(offer))
}

#[test]
fn a_packet_leaves_every_ptime_from_the_first_send_on_in_silence_too() {
    for ptime_ms in [10, 20, 30, 40, 60] {
        let mut caller = ptime(ptime_ms);
        let packets = caller.sent_for(1200, &mut ());
        assert_eq!(packets.len(), 1200 / ptime_ms as usize);
        for (n, packet) in packets.iter().enumerate() {
            assert_eq!(packet.marker, n == 0, "only the first of the SSRC, {n}");
            assert_eq!(packet.sequence, 0x7ffe_u16.wrapping_add(n as u16));
            assert_eq!(packet.timestamp, 0xffff_ff00_u32.wrapping_add(n as u32 * ptime_ms * 8));
            assert_eq!((packet.payload_type, packet.ssrc), (PCMA, 0x0bad_cafe));
            assert_eq!(packet.payload, vec![0xd5; ptime_ms as usize * 8]);
        }
    }
}

#[test]
fn frames_of_the_source_are_cut_to_packets_of_the_ptime_without_a_sample_lost() {
    for ptime_ms in [10, 20, 30, 40, 60] {
        let mut caller = ptime(ptime_ms);
        let packets = caller.sent_for(1200, &mut Ramp { frames: 0, gap: 5 });
        let sent: Vec<i16> = packets.iter().flat_map(|packet| packet.payload.iter().map(|&code| alaw(code))).collect();
        let expected = (0..1200 * 8).map(|n| match (n / 160 + 1) % 5 {
            0 => alaw(0xd5),
            _ => alaw(codes(n, 1)[0]),
        });
        assert!(expected.eq(sent), "{ptime_ms} ms");
    }
}

#[test]
fn slots_missed_in_a_stall_are_skipped_and_media_time_goes_on_with_real_time() {
    let mut caller = Caller::plain();
    let before = caller.sent_for(100, &mut ());
    caller.now += ms(130);
    let after = caller.sent_for(100, &mut ());
    assert_eq!(before.len(), 5);
    // Due at 100, woken at 230: the slots of 100 to 200 are gone, that of 220 is sent.
    assert_eq!(after[0].sequence, before[4].sequence.wrapping_add(1));
    assert_eq!(after[0].timestamp, before[0].timestamp.wrapping_add(220 * 8));
    assert!(after[0].marker, "nothing was sent for a while");
    assert!(after[1..].iter().all(|packet| !packet.marker));
    assert_eq!(after.len(), 6, "at 230, 240, 260, 280, 300 and 320: no burst");
    assert_eq!(caller.leg.stats().send_slots_skipped, 6);
    assert_eq!(caller.leg.next_send(), Some(caller.start + ms(340)));
}

#[test]
fn a_wake_up_a_little_late_or_early_neither_shifts_the_grid_nor_skips() {
    let mut caller = Caller::plain();
    let start = caller.now;
    let mut stamps = Vec::new();
    for (slot, shift_us) in [0_i64, 900, -1500, 12_000, 0, 17_000, -2000, 3].into_iter().enumerate() {
        caller.now = start + FRAME * slot as u32;
        caller.now = caller.now + ms(100) - std::time::Duration::from_micros((100_000 - shift_us) as u64);
        stamps.extend(caller.sent(&mut ()).map(|packet| packet.timestamp.wrapping_sub(0xffff_ff00)));
        assert_eq!(caller.sent(&mut ()), None, "one packet a slot");
    }
    assert_eq!(stamps, [0, 160, 320, 480, 640, 800, 960, 1120]);
    assert_eq!(caller.leg.stats().send_slots_skipped, 0);
}

#[test]
fn nothing_leaves_while_our_direction_forbids_it_and_time_goes_on_meanwhile() {
    for direction in [Direction::RecvOnly, Direction::Inactive] {
        let mut caller = Caller::plain();
        let before = caller.sent_for(100, &mut ());
        let mut offer = negotiated();
        offer.direction = direction;
        let now = caller.now;
        caller.leg.renegotiate(offer, now);
        let mut asked = Ramp { frames: 0, gap: 9 };
        assert_eq!(caller.sent_for(400, &mut asked), []);
        assert_eq!(asked.frames, 0, "what the bot has to say waits");
        let now = caller.now;
        caller.leg.renegotiate(negotiated(), now);
        let after = caller.sent_for(100, &mut ());
        assert_eq!(after[0].sequence, before[4].sequence.wrapping_add(1));
        assert_eq!(after[0].timestamp, before[0].timestamp.wrapping_add(500 * 8));
        assert!(after[0].marker && !after[1].marker);
        assert_eq!(caller.leg.stats().send_slots_skipped, 0);
    }
}

#[test]
fn a_hold_by_address_zero_stops_sending_and_the_resumption_goes_on_to_the_same_source() {
    let mut caller = Caller::plain();
    caller.from = address("10.5.5.5:1234");
    caller.warm_up(10);
    let mut offer = negotiated();
    (offer.remote_rtp, offer.held) = (None, true);
    let now = caller.now;
    caller.leg.renegotiate(offer, now);
    assert_eq!(caller.sent_for(200, &mut ()), []);
    let now = caller.now;
    caller.leg.renegotiate(negotiated(), now);
    assert_eq!(caller.leg.destination(), Some(address("10.5.5.5:1234")));
    assert_eq!(caller.sent_for(200, &mut ()).len(), 10);
}

#[test]
fn a_new_ptime_counts_from_the_next_slot_on() {
    let mut caller = Caller::plain();
    let before = caller.sent_for(100, &mut ());
    let mut offer = negotiated();
    offer.send_ptime_ms = 40;
    let now = caller.now;
    caller.leg.renegotiate(offer, now);
    let after = caller.sent_for(200, &mut ());
    assert_eq!(after.len(), 5);
    let stamps: Vec<u32> =
        before.iter().chain(&after).map(|packet| packet.timestamp.wrapping_sub(0xffff_ff00) / 8).collect();
    assert_eq!(stamps, [0, 20, 40, 60, 80, 100, 140, 180, 220, 260]);
    assert!(after.iter().all(|packet| !packet.marker && packet.payload.len() == 320));
}

#[test]
fn the_first_sequence_number_is_below_2_to_the_15() {
    let mut params = params(negotiated());
    params.first_sequence = 0xffff;
    assert_eq!(Caller::new(params).sent(&mut ()).map(|packet| packet.sequence), Some(0x7fff));
}

#[test]
fn phases_that_move_leave_one_gap_with_a_marker_after_it_and_media_time_goes_on() {
    let mut caller = ptime(20);
    let before = caller.sent_for(100, &mut ());
    assert!(caller.leg.shift_phases(ms(14)));
    let after = caller.sent_for(100, &mut ());
    let (last, first) = (&before[before.len() - 1], &after[0]);
    assert_eq!(first.sequence, last.sequence.wrapping_add(1));
    assert_eq!(first.timestamp.wrapping_sub(last.timestamp), (20 + 14) * 8);
    assert!(first.marker && after[1..].iter().all(|packet| !packet.marker));
    // In the middle of a key, whose duration counts in slots, nothing moves.
    caller.leg.send_digits(1, "5").unwrap();
    let slot = caller.leg.next_send();
    assert!(!caller.leg.shift_phases(ms(14)));
    assert_eq!(caller.leg.next_send(), slot);
}
