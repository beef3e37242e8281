//! Keys for the bot, RFC 4733: timing to the sample.

use media::{DigitTiming, DigitsRefused, LegEvent, SoundSource};

use crate::caller::*;

struct Loud;

impl SoundSource for Loud {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        *frame = [8000; 160];
        true
    }
}

/// Event, end, duration in samples.
fn event(packet: &Packet) -> Option<(u8, bool, u16)> {
    let payload: [u8; 4] = packet.payload.as_slice().try_into().ok().filter(|_| packet.payload_type == EVENT)?;
    Some((payload[0], payload[1] & 0x80 != 0, u16::from_be_bytes([payload[2], payload[3]])))
}

#[test]
fn a_tone_of_100_ms_has_five_durations_and_three_end_packets_and_one_timestamp() {
    let mut caller = Caller::plain();
    caller.sent_for(40, &mut Loud);
    caller.leg.send_digits(9, "5").unwrap();
    let packets = caller.sent_for(240, &mut Loud);
    let events: Vec<_> = packets.iter().filter_map(event).collect();
    let durations = [160, 320, 480, 640].map(|duration| (5, false, duration));
    assert_eq!(events, [durations.as_slice(), &[(5, true, 800); 3]].concat());
    let start = 0xffff_ff00_u32.wrapping_add(320);
    assert!(packets[..7].iter().all(|packet| packet.timestamp == start));
    let markers: Vec<bool> = packets.iter().map(|packet| packet.marker).collect();
    assert_eq!(markers.iter().position(|&marker| marker), Some(0), "the event's first packet has the marker");
    assert_eq!(markers.iter().filter(|&&marker| marker).count(), 1, "sound after it has none: there was no gap");
    // Numbers by one, audio by real time, muted until the gap after the tone is over.
    for (n, packet) in packets.iter().enumerate().skip(7) {
        assert_eq!(packet.timestamp, start.wrapping_add(n as u32 * 160));
    }
    assert!(packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    assert_eq!(packets[7].payload, [0xd5; 160]);
    assert_ne!(packets[8].payload, [0xd5; 160]);
    assert_eq!(caller.events(), [LegEvent::DigitsSent { id: 9 }]);
    assert_eq!(caller.leg.stats().digits_sent, 1);
}

#[test]
fn tones_and_gaps_have_their_length_at_every_ptime() {
    for ptime_ms in [10, 20, 30, 40, 60] {
        let mut offer = negotiated();
        offer.send_ptime_ms = ptime_ms;
        let mut params = params(offer);
        params.digits = DigitTiming { tone_ms: 90, gap_ms: 70 };
        let mut caller = Caller::new(params);
        caller.leg.send_digits(1, "1#").unwrap();
        let packets = caller.sent_for(1200, &mut ());
        let events: Vec<_> =
            packets.iter().filter_map(|packet| event(packet).map(|event| (packet.timestamp, event))).collect();
        let starts: Vec<u32> = [1, 11].map(|key| events.iter().find(|(_, event)| event.0 == key).unwrap().0).into();
        assert!(starts[1].wrapping_sub(starts[0]) >= 160 * 8, "{ptime_ms}: tone and gap");
        for key in [1, 11] {
            let of_key: Vec<_> = events.iter().filter(|(_, event)| event.0 == key).collect();
            let ends: Vec<_> = of_key.iter().filter(|(_, event)| event.1).collect();
            assert_eq!(ends.len(), 3, "{ptime_ms}");
            assert!(ends.iter().all(|(_, event)| event.2 == 720), "{ptime_ms}: 90 ms");
            assert_eq!(of_key.len() as u32, 90_u32.div_ceil(ptime_ms) + 2, "{ptime_ms}: {of_key:?}");
            assert!(of_key.windows(2).all(|pair| pair[0].0 == pair[1].0), "{ptime_ms}: one timestamp");
        }
        assert_eq!(packets.len() as u32, 1200 / ptime_ms, "a packet every ptime all the while");
    }
}

#[test]
fn a_comma_is_a_pause_of_half_a_second() {
    let mut caller = Caller::plain();
    caller.leg.send_digits(1, "1,2").unwrap();
    let packets = caller.sent_for(2000, &mut Loud);
    let start =
        |key| packets.iter().find(|packet| event(packet).is_some_and(|event| event.0 == key)).unwrap().timestamp;
    // Tone, its gap up to the next slot, the pause.
    assert_eq!(start(2).wrapping_sub(start(1)), (160 + 500) * 8);
    let muted = packets.iter().filter(|packet| packet.payload == [0xd5; 160]).count();
    assert_eq!(muted, 1 + 25 + 1);
}

#[test]
fn orders_are_sent_in_turn_and_reported_each() {
    let mut caller = Caller::plain();
    caller.leg.send_digits(1, "12").unwrap();
    caller.leg.send_digits(2, "a*").unwrap();
    let packets = caller.sent_for(2000, &mut ());
    let mut keys: Vec<u8> = packets.iter().filter_map(event).map(|event| event.0).collect();
    keys.dedup();
    assert_eq!(keys, [1, 2, 12, 10]);
    assert_eq!(caller.events(), [LegEvent::DigitsSent { id: 1 }, LegEvent::DigitsSent { id: 2 }]);
}

#[test]
fn what_is_no_key_or_too_much_is_refused_whole() {
    let mut caller = Caller::plain();
    assert_eq!(caller.leg.send_digits(1, ""), Err(DigitsRefused::NotAKey));
    assert_eq!(caller.leg.send_digits(1, "12x"), Err(DigitsRefused::NotAKey));
    assert_eq!(caller.leg.send_digits(1, &"1".repeat(65)), Err(DigitsRefused::TooMany));
    caller.leg.send_digits(1, &"1".repeat(60)).unwrap();
    assert_eq!(caller.leg.send_digits(2, "12345"), Err(DigitsRefused::TooMany));
    caller.leg.send_digits(3, "1234").unwrap();
    let mut offer = negotiated();
    offer.telephone_event = None;
    let mut caller = Caller::new(params(offer));
    assert_eq!(caller.leg.send_digits(1, "1"), Err(DigitsRefused::NotNegotiated));
}

#[test]
fn keys_that_an_offer_makes_impossible_are_cancelled() {
    let mut caller = Caller::plain();
    caller.leg.send_digits(1, "12").unwrap();
    caller.leg.send_digits(2, "34").unwrap();
    caller.sent_for(40, &mut ());
    let mut offer = negotiated();
    offer.telephone_event = None;
    let now = caller.now;
    caller.leg.renegotiate(offer, now);
    assert_eq!(caller.events(), [LegEvent::DigitsCancelled { id: 1 }, LegEvent::DigitsCancelled { id: 2 }]);
    assert!(caller.sent_for(200, &mut ()).iter().all(|packet| packet.payload_type == PCMA));
}

#[test]
fn a_stall_within_a_tone_leaves_its_length_and_its_end() {
    let mut caller = Caller::plain();
    caller.leg.send_digits(1, "5").unwrap();
    let mut packets = caller.sent_for(40, &mut ());
    caller.now += ms(500);
    packets.extend(caller.sent_for(200, &mut ()));
    let events: Vec<_> = packets.iter().filter_map(event).collect();
    assert_eq!(events, [(5, false, 160), (5, false, 320), (5, true, 800), (5, true, 800), (5, true, 800)]);
}

/// Found by the simulation: seconds later the rest of it would be heard as another press.
#[test]
fn a_key_that_a_hold_cuts_short_is_not_gone_on_with_after_it() {
    let mut caller = Caller::plain();
    caller.leg.send_digits(1, "57").unwrap();
    let mut packets = caller.sent_for(40, &mut ());
    let mut hold = negotiated();
    (hold.direction, hold.held) = (media::Direction::Inactive, true);
    let now = caller.now;
    caller.leg.renegotiate(hold, now);
    assert_eq!(caller.sent_for(4000, &mut ()), []);
    let now = caller.now;
    caller.leg.renegotiate(negotiated(), now);
    packets.extend(caller.sent_for(300, &mut ()));
    let keys: Vec<u8> = packets.iter().filter_map(event).map(|event| event.0).collect();
    assert_eq!(keys, [[5].repeat(2), [7].repeat(7)].concat());
    assert_eq!(caller.events(), [LegEvent::DigitsSent { id: 1 }]);
}
