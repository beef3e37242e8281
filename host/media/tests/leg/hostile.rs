//! A leg under a peer that means harm: nothing it sends may panic, grow without bound, or stop the sound of the others.

use media::{Direction, DropReason, FRAME, FrameKind};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};

use crate::caller::*;

/// Something like a packet: few sources, few SSRCs, numbers near and far, payloads of any length.
fn something(random: &mut SmallRng, sequence: u16, timestamp: u32) -> Vec<u8> {
    let payload_type = *[PCMA, PCMU, EVENT, COMFORT_NOISE, 77, 200, 201].choose(random).unwrap();
    let near = random.random_bool(0.7);
    let sequence =
        if near { sequence.wrapping_add(random.random_range(0..6)).wrapping_sub(3) } else { random.random() };
    let step = random.random_range(0..2000_u32);
    let timestamp = if near { timestamp.wrapping_add(step).wrapping_sub(1000) } else { random.random() };
    let length = *[0, 1, 3, 4, 33, 80, 160, 480, 800, 801, 1400].choose(random).unwrap();
    let mut payload = vec![0; length];
    random.fill_bytes(&mut payload);
    let mut packet = write_packet(payload_type, sequence, timestamp, random.random_range(0..6), &payload);
    if random.random_bool(0.1) {
        packet[0] = random.random();
    }
    packet
}

#[test]
fn no_series_of_packets_offers_and_orders_breaks_a_leg() {
    for seed in 0..300 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut caller = Caller::plain();
        let (mut sequence, mut timestamp) = (random.random(), random.random());
        let mut out = Vec::new();
        let mut previous: Option<u16> = None;
        for _ in 0..1000 {
            caller.from = address(["10.0.0.1:4000", "10.0.0.2:4000", "192.0.2.1:4000"].choose(&mut random).unwrap());
            for _ in 0..random.random_range(0..4) {
                let packet = something(&mut random, sequence, timestamp);
                let (from, now) = (caller.from, caller.now);
                caller.leg.receive_rtcp(&mut packet.clone(), from, now);
                caller.deliver(packet);
            }
            (sequence, timestamp) = (sequence.wrapping_add(1), timestamp.wrapping_add(160));
            match random.random_range(0..200) {
                0 => {
                    let mut offer = negotiated();
                    offer.send_ptime_ms = *[10, 20, 30, 40, 60, 0, 1000].choose(&mut random).unwrap();
                    offer.direction =
                        *[Direction::SendRecv, Direction::SendOnly, Direction::Inactive].choose(&mut random).unwrap();
                    offer.held = random.random_bool(0.2);
                    offer.telephone_event = offer.telephone_event.filter(|_| random.random_bool(0.8));
                    caller.leg.renegotiate(offer, caller.now);
                }
                1..=5 => drop(caller.leg.send_digits(seed, "1,*9")),
                _ => {}
            }
            caller.take();
            while caller.leg.send(caller.now, &mut (), &mut out).is_some() {
                let sent = read_packet(&out).sequence;
                assert!(previous.is_none_or(|previous| sent == previous.wrapping_add(1)), "seed {seed}");
                previous = Some(sent);
            }
            let _ = caller.leg.poll_rtcp(caller.now, &mut out);
            caller.events();
            caller.now += ms(random.random_range(0..60));
        }
        assert!(caller.leg.stats().sound.playout_delay_ms_max <= 500, "seed {seed}");
    }
}

#[test]
fn garbage_from_the_caller_s_own_address_does_not_stop_its_sound() {
    let mut random = SmallRng::seed_from_u64(1);
    let mut caller = Caller::plain();
    caller.warm_up(50);
    for n in 0..2000_u32 {
        // Stray SSRCs, never two packets in a row that follow each other.
        let stray = write_packet(PCMA, random.random(), random.random(), random.random(), &[0xaa; 160]);
        caller.deliver(stray);
        let noise = (0..random.random_range(0..60)).map(|_| random.random()).collect();
        caller.deliver(noise);
        assert_eq!(caller.tick(&[0x55; 160]).1, [alaw(0x55); 160], "{n}");
    }
    let stats = caller.leg.stats();
    assert_eq!(stats.stream_restarts, 0);
    assert!(stats.drops.get(DropReason::Unconfirmed) >= 2000, "noise may look like a packet, too");
}

#[test]
fn the_delay_never_passes_its_bound_whatever_the_timestamps_say() {
    for seed in 0..50 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut caller = Caller::plain();
        caller.warm_up(20);
        for _ in 0..500 {
            // Steps forward faster than real time, then slower.
            caller.timestamp = caller.timestamp.wrapping_add_signed(random.random_range(-400..500));
            caller.tick(&[0x55; 160]);
        }
        for _ in 0..500 {
            caller.tick(&[0x55; 160]);
        }
        let (frame, samples) = caller.tick(&[0x55; 160]);
        assert_eq!((frame.kind, samples), (FrameKind::Audio, [alaw(0x55); 160]), "seed {seed}");
        assert!(caller.leg.stats().sound.playout_delay_ms <= 60, "seed {seed}");
        caller.now += FRAME;
    }
}
