//! Where we listen and send to, seen from outside; its states are tested beside them.

use media::{DropReason, LegEvent};

use crate::caller::*;

fn moves(caller: &mut Caller) -> Vec<LegEvent> {
    caller.events().into_iter().filter(|event| matches!(event, LegEvent::SourceMoved { .. })).collect()
}

#[test]
fn we_send_to_the_sdp_address_until_a_packet_comes_from_elsewhere() {
    let mut caller = Caller::plain();
    let (sdp, natted) = (address("10.0.0.1:4000"), address("10.7.7.7:9999"));
    assert_eq!(caller.leg.send(caller.now, &mut (), &mut Vec::new()), Some(sdp));
    caller.from = natted;
    caller.say(&[0x55; 160]);
    assert_eq!(caller.events(), [LegEvent::FirstPacket, LegEvent::SourceMoved { from: Some(sdp), to: natted }]);
    caller.now += media::FRAME;
    assert_eq!(caller.leg.send(caller.now, &mut (), &mut Vec::new()), Some(natted));
    assert_eq!(caller.leg.stats().source_moves, 1);
}

#[test]
fn packets_that_are_not_acceptable_teach_nothing() {
    let mut caller = Caller::plain();
    for (from, payload_type) in [("192.0.2.1:4000", PCMA), ("10.7.7.7:9999", 18)] {
        caller.from = address(from);
        for _ in 0..20 {
            let packet = caller.next(payload_type, &[0x55; 160]);
            caller.deliver(packet);
        }
    }
    assert_eq!(caller.leg.destination(), Some(address("10.0.0.1:4000")));
    let stats = caller.leg.stats();
    assert_eq!(stats.packets_received, 0);
    assert_eq!(stats.drops.get(DropReason::ForeignNetwork), 20);
    assert_eq!(stats.drops.get(DropReason::UnknownPayloadType), 20);
}

#[test]
fn while_the_settled_source_sends_another_is_neither_heard_nor_sent_to() {
    let mut caller = Caller::plain();
    caller.warm_up(50);
    let intruder = address("10.0.0.1:4002");
    for n in 0..500_u16 {
        let mut packet = write_packet(PCMA, n, u32::from(n) * 160, 0x6666, &[0xaa; 160]);
        caller.leg.receive_rtp(&mut packet, intruder, caller.now);
        let (_, samples) = caller.tick(&[0x55; 160]);
        assert_eq!(samples, [alaw(0x55); 160]);
    }
    assert_eq!(moves(&mut caller), []);
    assert_eq!(caller.leg.destination(), Some(address("10.0.0.1:4000")));
    assert_eq!(caller.leg.stats().drops.get(DropReason::OtherSource), 500);
}

#[test]
fn a_source_that_fell_silent_for_two_seconds_gives_way() {
    let mut caller = Caller::plain();
    caller.warm_up(50);
    let old = caller.from;
    caller.from = address("10.8.8.8:8000");
    (caller.ssrc, caller.sequence) = (0x2222, 1);
    for _ in 0..99 {
        caller.tick(&[0xaa; 160]);
    }
    assert_eq!(moves(&mut caller), []);
    for _ in 0..20 {
        caller.tick(&[0xaa; 160]);
    }
    let to = caller.from;
    assert_eq!(moves(&mut caller), [LegEvent::SourceMoved { from: Some(old), to }]);
    assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160]);
}
