//! A new offer: what it moves, and what an unchanged one leaves alone.

use media::{Codec, LegEvent, PayloadType};

use crate::caller::*;

#[test]
fn an_unchanged_offer_disturbs_nothing() {
    let mut caller = Caller::plain();
    caller.warm_up(50);
    let before = caller.sent_for(40, &mut ());
    caller.now -= ms(40);
    let now = caller.now;
    caller.leg.renegotiate(negotiated(), now);
    caller.now += ms(40);
    let after = caller.sent_for(40, &mut ());
    assert_eq!(after[0].sequence, before[1].sequence.wrapping_add(1));
    assert!(!after[0].marker);
    caller.now -= ms(80);
    for _ in 0..20 {
        assert_eq!(caller.tick(&[0x55; 160]).1, [alaw(0x55); 160]);
    }
    assert_eq!(caller.events(), []);
    assert_eq!(caller.leg.stats().stream_restarts, 0);
}

#[test]
fn a_new_codec_and_payload_type_are_sent_from_the_next_packet_on() {
    let mut caller = Caller::plain();
    let mut offer = negotiated();
    (offer.codec, offer.payload_type) = (Codec::Pcmu, PayloadType(PCMU));
    let before = caller.sent_for(20, &mut ());
    let now = caller.now;
    caller.leg.renegotiate(offer, now);
    let after = caller.sent_for(20, &mut ());
    assert_eq!((before[0].payload_type, before[0].payload[0]), (PCMA, 0xd5));
    assert_eq!((after[0].payload_type, after[0].payload[0]), (PCMU, 0xff));
    assert_eq!((after[0].ssrc, after[0].marker), (before[0].ssrc, false));
}

#[test]
fn an_offer_with_another_address_moves_us_there_at_once() {
    let mut caller = Caller::plain();
    caller.warm_up(50);
    let (old, new) = (caller.from, address("10.4.4.4:4444"));
    let mut offer = negotiated();
    offer.remote_rtp = Some(new);
    let now = caller.now;
    caller.leg.renegotiate(offer, now);
    assert_eq!(caller.leg.send(now, &mut (), &mut Vec::new()), Some(new));
    // The old source's last packets do not win us back.
    for _ in 0..10 {
        caller.tick(&[0x55; 160]);
    }
    assert_eq!(caller.leg.destination(), Some(new));
    // The new one is heard, from behind its NAT as well.
    caller.from = address("10.4.4.5:1111");
    for _ in 0..20 {
        caller.tick(&[0xaa; 160]);
    }
    assert_eq!(caller.tick(&[0xaa; 160]).1, [alaw(0xaa); 160]);
    let moved = LegEvent::SourceMoved { from: Some(new), to: caller.from };
    assert_eq!(caller.events(), [moved]);
    assert_ne!(old, new);
}
