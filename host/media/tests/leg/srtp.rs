//! SRTP and SRTCP against RFC 3711 written a second time, on plain AES and HMAC-SHA1, proved by the RFC's own vectors.

use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::Mac;
use media::{DropReason, LegEvent, Srtp, SrtpKey, SrtpSuite};

use crate::caller::*;

fn keystream(key: &[u8; 16], iv: [u8; 16], data: &mut [u8]) {
    ctr::Ctr128BE::<aes::Aes128>::new(key.into(), &iv.into()).apply_keystream(data);
}

/// RFC 3711 4.3.1, with a key derivation rate of zero.
fn derive(master: &[u8; 30], label: u8, length: usize) -> Vec<u8> {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(&master[16..]);
    iv[7] ^= label;
    let mut out = vec![0; length];
    keystream(master[..16].try_into().unwrap(), iv, &mut out);
    out
}

fn tag(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// RFC 3711 4.1.1: (salt << 16) xor (SSRC << 64) xor (index << 16).
fn counter(salt: &[u8], ssrc: u32, index: u64) -> [u8; 16] {
    let salt = salt.iter().fold(0_u128, |sum, &byte| sum << 8 | u128::from(byte)) << 16;
    (salt ^ (u128::from(ssrc) << 64) ^ (u128::from(index) << 16)).to_be_bytes()
}

struct Crypto {
    master: [u8; 30],
    tag_bytes: usize,
}

impl Crypto {
    fn crypt_rtp(&self, packet: &mut [u8], roll_over: u32) {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        let index = u64::from(roll_over) << 16 | u64::from(sequence);
        let key = derive(&self.master, 0, 16).try_into().unwrap();
        keystream(&key, counter(&derive(&self.master, 2, 14), ssrc, index), &mut packet[12..]);
    }

    fn rtp_tag(&self, packet: &[u8], roll_over: u32) -> Vec<u8> {
        tag(&derive(&self.master, 1, 20), &[packet, &roll_over.to_be_bytes()])[..self.tag_bytes].to_vec()
    }

    fn seal(&self, mut packet: Vec<u8>, roll_over: u32) -> Vec<u8> {
        self.crypt_rtp(&mut packet, roll_over);
        let tag = self.rtp_tag(&packet, roll_over);
        packet.extend(tag);
        packet
    }

    fn open(&self, packet: &[u8], roll_over: u32) -> Option<Vec<u8>> {
        let (packet, tag) = packet.split_at(packet.len() - self.tag_bytes);
        let mut packet = packet.to_vec();
        (self.rtp_tag(&packet, roll_over) == tag).then(|| {
            self.crypt_rtp(&mut packet, roll_over);
            packet
        })
    }

    fn crypt_rtcp(&self, packet: &mut [u8], index: u32) {
        let ssrc = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        let key = derive(&self.master, 3, 16).try_into().unwrap();
        keystream(&key, counter(&derive(&self.master, 5, 14), ssrc, u64::from(index)), &mut packet[8..]);
    }

    fn seal_rtcp(&self, mut packet: Vec<u8>, index: u32) -> Vec<u8> {
        self.crypt_rtcp(&mut packet, index);
        packet.extend((index | 1 << 31).to_be_bytes());
        let tag = tag(&derive(&self.master, 4, 20), &[&packet]);
        packet.extend(&tag[..10]);
        packet
    }

    fn open_rtcp(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (signed, signature) = packet.split_at(packet.len() - 10);
        let (body, index) = signed.split_at(signed.len() - 4);
        let index = u32::from_be_bytes(index.try_into().unwrap());
        assert_eq!(index >> 31, 1, "we always encrypt");
        let mut plain = body.to_vec();
        (tag(&derive(&self.master, 4, 20), &[signed])[..10] == *signature).then(|| {
            self.crypt_rtcp(&mut plain, index & 0x7fff_ffff);
            plain
        })
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The master key and salt of RFC 3711 B.3.
fn b3() -> [u8; 30] {
    hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6").try_into().unwrap()
}

#[test]
fn the_test_s_own_srtp_agrees_with_rfc_3711_b2_and_b3() {
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let mut stream = [0; 32];
    keystream(&key, counter(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), 0, 0), &mut stream);
    assert_eq!(stream.to_vec(), hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(derive(&b3(), 0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derive(&b3(), 2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(derive(&b3(), 1, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

const SUITES: [(SrtpSuite, usize); 2] = [(SrtpSuite::AesCm128HmacSha1_80, 10), (SrtpSuite::AesCm128HmacSha1_32, 4)];

const OURS: [u8; 30] = [0x42; 30];

fn secured(suite: SrtpSuite, theirs: [u8; 30], ours: [u8; 30]) -> media::Negotiated {
    let mut offer = negotiated();
    offer.srtp = Some(Srtp { suite, tag: 1, ours: SrtpKey(ours), theirs: SrtpKey(theirs) });
    offer
}

/// A caller that seals with the key of B.3, and what it seals with.
fn caller(suite: SrtpSuite, tag_bytes: usize) -> (Caller, Crypto) {
    (Caller::new(params(secured(suite, b3(), OURS))), Crypto { master: b3(), tag_bytes })
}

fn strong() -> (Caller, Crypto) {
    caller(SUITES[0].0, SUITES[0].1)
}

#[test]
fn what_a_peer_seals_is_heard_across_the_roll_over() {
    for (suite, tag_bytes) in SUITES {
        let (mut caller, crypto) = caller(suite, tag_bytes);
        for n in 0..40 {
            let roll_over = u32::from(n >= 6); // 65530 is the first
            let packet = caller.next(PCMA, &[0xaa; 160]);
            caller.deliver(crypto.seal(packet, roll_over));
            let (_, samples) = caller.take();
            caller.now += media::FRAME;
            assert!(n < 6 || samples == [alaw(0xaa); 160], "{suite:?} {n}");
        }
        let stats = caller.leg.stats();
        assert_eq!((stats.packets_received, stats.drops.total()), (40, 0));
    }
}

#[test]
fn what_we_seal_can_be_opened_by_the_peer_across_the_roll_over() {
    for (suite, tag_bytes) in SUITES {
        let mut params = params(secured(suite, b3(), OURS));
        params.first_sequence = 0x7fff;
        let mut caller = Caller::new(params);
        let crypto = Crypto { master: OURS, tag_bytes };
        let mut out = Vec::new();
        for n in 0..0x9000_u32 {
            assert!(caller.leg.send(caller.now, &mut (), &mut out).is_some());
            caller.now += media::FRAME;
            let roll_over = (0x7fff + n) >> 16;
            if n % 997 == 0 || (0x8000..0x8010).contains(&n) {
                let plain = crypto.open(&out, roll_over).expect("authentic");
                assert_eq!(read_packet(&plain).payload, [0xd5; 160], "{suite:?} {n}");
            }
        }
    }
}

#[test]
fn replayed_srtp_is_dropped_before_decryption_and_counted() {
    let (mut caller, crypto) = strong();
    let packets: Vec<_> = (0..6).map(|_| crypto.seal(caller.next(PCMA, &[1; 160]), 0)).collect();
    for _ in 0..3 {
        packets.iter().for_each(|packet| caller.deliver(packet.clone()));
    }
    let stats = caller.leg.stats();
    assert_eq!((stats.packets_received, stats.drops.get(DropReason::Replayed)), (6, 12));
}

#[test]
fn forged_and_plain_packets_are_dropped_and_end_nothing() {
    let (mut caller, crypto) = strong();
    for n in 0..2000_u32 {
        let plain = write_packet(PCMA, n as u16, n * 160, n % 7, &[1; 160]);
        caller.deliver(plain);
        let mut forged = crypto.seal(write_packet(PCMA, n as u16, n * 160, 0x4000 + n, &[1; 160]), 0);
        forged[20] ^= 1;
        caller.deliver(forged);
    }
    let stats = caller.leg.stats();
    assert_eq!((stats.packets_received, stats.drops.get(DropReason::Unauthenticated)), (0, 4000));
    assert_eq!(caller.events(), []);
    // And the real one comes through, its sequence not spoilt by forgeries of its SSRC.
    let mut forged = crypto.seal(write_packet(PCMA, 0x7000, 0, caller.ssrc, &[1; 160]), 0);
    forged[13] ^= 1;
    caller.deliver(forged);
    let packet = caller.next(PCMA, &[1; 160]);
    caller.deliver(crypto.seal(packet, 0));
    assert_eq!(caller.leg.stats().packets_received, 1);
}

#[test]
fn a_packet_from_elsewhere_is_refused_before_any_cryptography() {
    let (mut caller, crypto) = strong();
    for _ in 0..6 {
        let packet = caller.next(PCMA, &[1; 160]);
        caller.deliver(crypto.seal(packet, 0));
    }
    caller.from = address("10.0.0.66:4000");
    let packet = caller.next(PCMA, &[1; 160]);
    caller.deliver(packet);
    let drops = caller.leg.stats().drops;
    assert_eq!((drops.get(DropReason::OtherSource), drops.get(DropReason::Unauthenticated)), (1, 0));
}

#[test]
fn a_source_is_not_learnt_from_what_is_not_authentic() {
    let (mut caller, _) = strong();
    caller.from = address("10.0.0.66:4000");
    for _ in 0..20 {
        let packet = caller.next(PCMA, &[1; 170]);
        caller.deliver(packet);
    }
    assert_eq!(caller.leg.destination(), Some(address("10.0.0.1:4000")));
}

#[test]
fn the_same_key_goes_on_with_its_roll_over_and_replay_state_and_a_new_one_begins_anew() {
    let (mut caller, crypto) = strong();
    let sealed: Vec<_> = (0..20).map(|n| crypto.seal(caller.next(PCMA, &[1; 160]), u32::from(n >= 6))).collect();
    sealed.iter().for_each(|packet| caller.deliver(packet.clone()));
    let (mut out, now) = (Vec::new(), caller.now);
    caller.leg.send(now, &mut (), &mut out);

    caller.leg.renegotiate(secured(SUITES[0].0, b3(), OURS), now);
    sealed.iter().for_each(|packet| caller.deliver(packet.clone()));
    let packet = caller.next(PCMA, &[1; 160]);
    caller.deliver(crypto.seal(packet, 1));
    let stats = caller.leg.stats();
    assert_eq!((stats.packets_received, stats.drops.get(DropReason::Replayed)), (21, 20));

    let fresh = Crypto { master: [0x77; 30], tag_bytes: 10 };
    caller.leg.renegotiate(secured(SUITES[0].0, fresh.master, [0x43; 30]), now);
    let packet = caller.next(PCMA, &[1; 160]);
    caller.deliver(crypto.seal(packet.clone(), 1));
    assert_eq!(caller.leg.stats().drops.get(DropReason::Unauthenticated), 1);
    caller.deliver(fresh.seal(packet, 0));
    assert_eq!(caller.leg.stats().packets_received, 22);
    caller.now += media::FRAME;
    assert!(caller.leg.send(caller.now, &mut (), &mut out).is_some());
    assert!(Crypto { master: [0x43; 30], tag_bytes: 10 }.open(&out, 0).is_some());
}

#[test]
fn digits_come_through_srtp_both_ways() {
    let (mut caller, crypto) = strong();
    let packet = write_packet(EVENT, 1, 1, 0x77, &[5, 10, 0, 160]);
    caller.deliver(crypto.seal(packet, 0));
    assert!(caller.events().contains(&LegEvent::Digit { key: '5', tick: 0 }));
    caller.leg.send_digits(1, "7").unwrap();
    let mut out = Vec::new();
    caller.leg.send(caller.now, &mut (), &mut out);
    let plain = Crypto { master: OURS, tag_bytes: 10 }.open(&out, 0).unwrap();
    assert_eq!(read_packet(&plain).payload, [7, 10, 0, 160]);
}

#[test]
fn srtcp_is_sealed_and_opened_and_guarded() {
    for (suite, tag_bytes) in SUITES {
        let (mut caller, crypto) = caller(suite, tag_bytes);
        let now = caller.now;
        let mut out = Vec::new();
        assert!(caller.leg.bye_rtcp(now, &mut out).is_some());
        let plain = Crypto { master: OURS, tag_bytes }.open_rtcp(&out).expect("a tag of ten bytes in both suites");
        assert_eq!(plain[1], 201);

        // An empty receiver report.
        let report = vec![0x80, 201, 0, 1, 0, 0, 0x11, 0x11];
        let mut sealed = crypto.seal_rtcp(report.clone(), 1);
        let from = address("10.0.0.1:4001");
        caller.leg.receive_rtcp(&mut sealed.clone(), from, now);
        assert_eq!(caller.leg.stats().rtcp_received, 1);
        caller.leg.receive_rtcp(&mut sealed, from, now);
        // With the E bit clear webrtc-srtp would take anything as it is.
        let mut unencrypted = [report.clone(), vec![0; 14]].concat();
        caller.leg.receive_rtcp(&mut unencrypted, from, now);
        let mut forged = crypto.seal_rtcp(report, 2);
        forged[9] ^= 1;
        caller.leg.receive_rtcp(&mut forged, from, now);
        for length in 0..22 {
            caller.leg.receive_rtcp(&mut vec![0x80; length], from, now);
        }
        let stats = caller.leg.stats();
        let counts = [DropReason::Replayed, DropReason::NotEncrypted, DropReason::Unauthenticated, DropReason::BadRtcp];
        assert_eq!(counts.map(|reason| stats.drops.get(reason)), [1, 1, 1, 22]);
        assert_eq!(stats.rtcp_received, 1);
    }
}

#[test]
fn packets_reordered_across_the_roll_over_are_all_opened() {
    let (mut caller, crypto) = strong();
    caller.sequence = 65_500;
    let mut sealed: Vec<_> = (0..80).map(|n| crypto.seal(caller.next(PCMA, &[1; 160]), u32::from(n >= 36))).collect();
    sealed[1..].chunks_mut(3).for_each(<[_]>::reverse);
    sealed.into_iter().for_each(|packet| caller.deliver(packet));
    let stats = caller.leg.stats();
    assert_eq!((stats.packets_received, stats.drops.get(DropReason::Unauthenticated)), (80, 0));
}

#[test]
fn a_capture_sees_both_directions_decrypted() {
    let (mut caller, crypto) = strong();
    let plain = caller.next(PCMA, &[0x12; 160]);
    let mut sealed = crypto.seal(plain.clone(), 0);
    assert_eq!(caller.leg.receive_rtp(&mut sealed, caller.from, caller.now), Some(plain.as_slice()));
    let mut again = crypto.seal(plain, 0);
    assert_eq!(caller.leg.receive_rtp(&mut again, caller.from, caller.now), None);
    let mut out = Vec::new();
    caller.leg.send(caller.now, &mut (), &mut out).unwrap();
    let opened = Crypto { master: OURS, tag_bytes: 10 }.open(&out, 0).unwrap();
    assert_eq!(caller.leg.plain_packet(&[]), opened);
}

#[test]
fn authentic_ssrcs_beyond_the_bound_are_refused_and_counted() {
    let (mut caller, crypto) = strong();
    for ssrc in 0..20 {
        let packet = write_packet(PCMA, 1, 1, ssrc, &[1; 160]);
        caller.deliver(crypto.seal(packet, 0));
    }
    let stats = caller.leg.stats();
    assert_eq!((stats.packets_received, stats.drops.get(DropReason::TooManySsrcs)), (16, 4));
}
