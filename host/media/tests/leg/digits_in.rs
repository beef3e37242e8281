//! Keys pressed by the caller, RFC 4733: each reported once.

use media::{DropReason, LegEvent};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::caller::*;

/// (sequence, timestamp, event, end, duration)
type Event = (u16, u32, u8, bool, u16);

fn payload(event: u8, end: bool, duration: u16) -> [u8; 4] {
    let [d0, d1] = duration.to_be_bytes();
    [event, u8::from(end) << 7 | 10, d0, d1]
}

/// A press as a good sender makes it: five updates and three end packets.
fn press(sequence: u16, timestamp: u32, event: u8) -> Vec<Event> {
    let updates = (0..5).map(|n| (sequence + n, timestamp, event, false, 160 * (n + 1)));
    let ends = (5..8).map(|n| (sequence + n, timestamp, event, true, 800));
    updates.chain(ends).collect()
}

fn deliver(caller: &mut Caller, &(sequence, timestamp, event, end, duration): &Event) {
    let packet = write_packet(EVENT, sequence, timestamp, 0x1111, &payload(event, end, duration));
    caller.deliver(packet);
}

fn keys(caller: &mut Caller) -> String {
    let key = |event| match event {
        LegEvent::Digit { key, .. } => Some(key),
        _ => None,
    };
    caller.events().into_iter().filter_map(key).collect()
}

/// Delivers packets 20 ms apart and says which keys were reported.
fn heard(packets: &[Event]) -> String {
    let mut caller = Caller::plain();
    for packet in packets {
        deliver(&mut caller, packet);
        caller.now += ms(20);
    }
    keys(&mut caller)
}

#[test]
fn all_sixteen_keys_are_known_by_their_codes() {
    let packets: Vec<Event> = (0..16).flat_map(|n| press(100 + 10 * n, 5000 + 2000 * u32::from(n), n as u8)).collect();
    assert_eq!(heard(&packets), "0123456789*#ABCD");
}

#[test]
fn a_press_is_reported_at_its_first_packet_and_in_the_tick_it_began() {
    let mut caller = Caller::plain();
    caller.warm_up(7);
    deliver(&mut caller, &press(500, 9000, 5)[0]);
    assert_eq!(caller.events(), [LegEvent::Digit { key: '5', tick: 7 }]);
    assert_eq!(caller.leg.stats().digits_received, 1);
}

#[test]
fn a_press_survives_the_loss_of_all_but_any_one_packet() {
    for survivor in press(100, 5000, 7) {
        assert_eq!(heard(&[survivor]), "7", "{survivor:?}");
    }
}

#[test]
fn copies_and_reordering_never_double_a_press() {
    for seed in 0..500 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut packets = [press(100, 5000, 1), press(100, 5000, 1)].concat();
        packets.shuffle(&mut random);
        packets.truncate(random.random_range(1..=16));
        assert_eq!(heard(&packets), "1", "seed {seed}");
    }
}

#[test]
fn the_same_key_twice_is_two_presses() {
    let packets = [press(100, 5000, 1), press(108, 6600, 1)].concat();
    assert_eq!(heard(&packets), "11");
    // Though of the first only an update was seen, if the second comes later than 100 ms.
    let mut caller = Caller::plain();
    deliver(&mut caller, &(100, 5000, 1, false, 160));
    caller.now += ms(101);
    deliver(&mut caller, &(108, 6600, 1, false, 160));
    assert_eq!(keys(&mut caller), "11");
    // Or at once after an end bit.
    assert_eq!(heard(&[(100, 5000, 1, true, 400), (101, 5400, 1, false, 160)]), "11");
}

#[test]
fn a_timestamp_that_moves_within_a_press_does_not_make_it_two() {
    // A gateway that steps it with each packet.
    let stepping: Vec<Event> = (0..40).map(|n| (100 + n, 5000 + 160 * u32::from(n), 3, n > 36, 160)).collect();
    assert_eq!(heard(&stepping), "3");
    for seed in 0..200 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut packets = stepping.clone();
        for at in 0..packets.len() - 3 {
            packets[at..at + 3].shuffle(&mut random);
        }
        packets.retain(|_| random.random_range(0..100) < 80);
        assert_eq!(heard(&packets), "3", "seed {seed}");
    }
    // A long press in segments, RFC 4733 2.5.1.3: each begins where the one before it ended.
    let long: Vec<Event> =
        (0..800_u16).map(|n| (n, 5000 + 65_440 * u32::from(n / 409), 9, n >= 797, (n % 409 + 1) * 160)).collect();
    assert_eq!(heard(&long), "9");
}

#[test]
fn another_key_within_100_ms_is_another_press() {
    assert_eq!(heard(&[(100, 5000, 1, false, 160), (101, 5160, 2, false, 160)]), "12");
}

#[test]
fn digits_may_come_on_another_ssrc_than_the_sound_and_do_not_disturb_it() {
    let mut caller = Caller::plain();
    caller.warm_up(20);
    for (n, (_, timestamp, event, end, duration)) in press(0, 77, 4).into_iter().enumerate() {
        let packet = write_packet(EVENT, n as u16, timestamp, 0x9999, &payload(event, end, duration));
        caller.deliver(packet);
        caller.tick(&[0x55; 160]);
    }
    assert_eq!(keys(&mut caller), "4");
    let stats = caller.leg.stats();
    assert_eq!((stats.stream_restarts, stats.packets_lost, stats.sound.frames_concealed), (0, 0, 0));
}

#[test]
fn a_recording_played_again_later_counts_again() {
    let mut caller = Caller::plain();
    for _ in 0..2 {
        for packet in press(100, 5000, 8) {
            deliver(&mut caller, &packet);
            caller.now += ms(20);
        }
        caller.now += ms(3000);
    }
    assert_eq!(keys(&mut caller), "88");
}

#[test]
fn events_that_are_no_keys_and_short_payloads_are_counted_only() {
    let mut caller = Caller::plain();
    deliver(&mut caller, &(1, 1, 16, false, 160));
    deliver(&mut caller, &(2, 1, 255, false, 160));
    let short = write_packet(EVENT, 3, 1, 0x1111, &[1, 0, 0]);
    caller.deliver(short);
    assert_eq!(keys(&mut caller), "");
    assert_eq!(caller.leg.stats().drops.get(DropReason::BadTelephoneEvent), 3);
}

#[test]
fn a_flood_of_presses_fills_the_queue_and_no_more() {
    let mut caller = Caller::plain();
    for n in 0..1000 {
        deliver(&mut caller, &(n, u32::from(n) * 1000, (n % 16) as u8, true, 160));
    }
    assert_eq!(caller.events().len(), 64);
    assert_eq!(caller.leg.stats().digits_received, 1000);
    assert_eq!(caller.leg.stats().events_dropped, 1001 - 64);
}

#[test]
fn digits_numbered_by_themselves_on_the_ssrc_of_the_sound_do_not_disturb_it() {
    let mut caller = Caller::plain();
    caller.warm_up(20);
    for (_, _, event, end, duration) in press(0, 0, 4) {
        let packet = write_packet(EVENT, 30_000 + duration / 160, 77, 0x1111, &payload(event, end, duration));
        caller.deliver(packet);
        assert_eq!(caller.tick(&[0x55; 160]).1, [alaw(0x55); 160]);
    }
    assert_eq!(keys(&mut caller), "4");
    let stats = caller.leg.stats();
    assert_eq!((stats.stream_restarts, stats.packets_lost, stats.drops.total()), (0, 0, 0));
}
