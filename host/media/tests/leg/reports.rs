//! RTCP: RFC 3550 6, read by hand.

use std::time::Duration;

use media::DropReason;

use crate::caller::*;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The packets of a compound: type and bytes.
fn packets(mut compound: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    while !compound.is_empty() {
        let length = (usize::from(u16::from_be_bytes([compound[2], compound[3]])) + 1) * 4;
        out.push((compound[1], compound[..length].to_vec()));
        compound = &compound[length..];
    }
    out
}

fn rtcp_from(caller: &mut Caller, bytes: &[u8]) {
    let now = caller.now;
    caller.leg.receive_rtcp(&mut bytes.to_vec(), address("10.0.0.1:4001"), now);
}

#[test]
fn reports_leave_about_every_five_seconds_and_never_at_once() {
    let mut caller = Caller::plain();
    let (mut at, mut out) = (Vec::new(), Vec::new());
    for _ in 0..50 * 300 {
        if let Some(to) = caller.leg.poll_rtcp(caller.now, &mut out) {
            assert_eq!(to, address("10.0.0.1:4001"));
            at.push(caller.now - caller.start);
        }
        caller.now += media::FRAME;
    }
    assert!(at[0] >= ms(1250) && at[0] <= ms(3770));
    assert!(at.windows(2).all(|pair| (ms(2480)..ms(7540)).contains(&(pair[1] - pair[0]))));
    assert!((50..72).contains(&at.len()), "{} in 300 s", at.len());
    assert_eq!(caller.leg.stats().rtcp_sent as usize, at.len());
}

#[test]
fn a_sender_report_tells_what_we_sent_and_what_we_lost() {
    let mut caller = Caller::plain();
    caller.sent_for(1000, &mut ());
    for n in 0..100 {
        if n % 4 == 3 {
            caller.next(PCMA, &[0x55; 160]);
        } else {
            caller.tick(&[0x55; 160]);
        }
    }
    let mut out = Vec::new();
    let now = caller.now;
    caller.leg.bye_rtcp(now, &mut out).unwrap();
    let parts = packets(&out);
    assert_eq!(parts.iter().map(|part| part.0).collect::<Vec<_>>(), [200, 202, 203]);
    let report = &parts[0].1;
    assert_eq!(report[0], 0x81);
    assert_eq!(word(report, 4), 0x0bad_cafe);
    // 1 s of sending and 75 ticks of 20 ms later.
    assert_eq!(word(report, 8), 2);
    assert_eq!(word(report, 16), 0xffff_ff00_u32.wrapping_add(2500 * 8));
    assert_eq!((word(report, 20), word(report, 24)), (50, 8000));
    assert_eq!(word(report, 28), 0x1111);
    // 24 of 98: the last one is not missed yet, the first 99 numbers are.
    assert_eq!((word(report, 32) >> 24, word(report, 32) & 0xff_ffff), ((24 << 8) / 99, 24));
    assert_eq!(word(report, 36), 0x2_0000 + (65_530 + 98) - 0x1_0000);
    assert_eq!(&parts[1].1[8..18], [&[1, 8][..], b"3f2a@leg"].concat());
    // One source, no reason, no padding.
    assert_eq!(parts[2].1[..], [0x81, 203, 0, 1, 0x0b, 0xad, 0xca, 0xfe]);
    // Nothing sent since: a receiver report.
    caller.leg.bye_rtcp(now, &mut out).unwrap();
    assert_eq!(packets(&out)[0].0, 201);
}

#[test]
fn the_peers_report_on_us_gives_round_trip_loss_and_jitter() {
    let mut caller = Caller::plain();
    caller.now += ms(3000);
    caller.sent_for(100, &mut ());
    let (mut out, now) = (Vec::new(), caller.now);
    caller.leg.bye_rtcp(now, &mut out).unwrap();
    let last_sender_report = word(&out, 8) << 16 | word(&out, 12) >> 16;
    caller.now += ms(350);
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0x11, 0x11];
    // Our SSRC; 3 lost less than none (duplicates); highest; 80 samples of jitter; held for a quarter of a second.
    for field in [0x0bad_cafe, 0x00ff_fffd, 9, 80, last_sender_report, 16_384] {
        report.extend(u32::to_be_bytes(field));
    }
    rtcp_from(&mut caller, &report);
    let stats = caller.leg.stats();
    let round_trip = stats.round_trip.unwrap();
    assert!(round_trip.abs_diff(ms(100)) < Duration::from_micros(100), "{round_trip:?}");
    assert_eq!((stats.remote_lost, stats.remote_jitter_ms), (Some(-3), Some(10.0)));
}

#[test]
fn the_peers_sender_report_is_named_in_ours_with_its_age() {
    let mut caller = Caller::plain();
    caller.warm_up(10);
    let mut report = vec![0x80, 200, 0, 6, 0, 0, 0x11, 0x11];
    for field in [0xaaaa_1234, 0x5678_bbbb, 0, 10, 1600_u32] {
        report.extend(field.to_be_bytes());
    }
    rtcp_from(&mut caller, &report);
    caller.now += ms(500);
    let (mut out, now) = (Vec::new(), caller.now);
    caller.leg.bye_rtcp(now, &mut out).unwrap();
    assert_eq!((out[1], word(&out, 24), word(&out, 28)), (201, 0x1234_5678, 32_768));
}

#[test]
fn what_is_no_compound_is_counted_and_forgotten() {
    let bad: [&[u8]; 9] = [
        &[],
        &[0x80],
        &[0x80, 200, 0, 1, 0, 0, 0, 1],  // a sender report without its fields
        &[0x81, 201, 0, 1, 0, 0, 0, 1],  // one block announced, none there
        &[0x80, 201, 0, 9, 0, 0, 0, 1],  // longer than the datagram
        &[0x40, 201, 0, 1, 0, 0, 0, 1],  // version 1
        &[0x81, 0xcd, 0, 1, 0, 0, 0, 0], // panics in the rtcp crate
        &[0x84, 0xce, 0, 1, 0, 0, 0, 0], // and this one
        &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 203, 0, 0, 1], // half a packet after a good one
    ];
    let mut caller = Caller::plain();
    for bytes in bad {
        rtcp_from(&mut caller, bytes);
    }
    let stats = caller.leg.stats();
    assert_eq!((stats.rtcp_received, stats.drops.get(DropReason::BadRtcp)), (0, 9));
    // The crate's panics again, behind a good report: passed over.
    for kind in [0xcd, 0xce] {
        rtcp_from(&mut caller, &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x84, kind, 0, 1, 0, 0, 0, 0]);
    }
    assert_eq!(caller.leg.stats().rtcp_received, 2);
}

#[test]
fn rtcp_from_elsewhere_is_not_heard() {
    let mut caller = Caller::plain();
    let report = [0x80, 201, 0, 1, 0, 0, 0x11, 0x11];
    let now = caller.now;
    caller.leg.receive_rtcp(&mut report.to_vec(), address("192.0.2.9:4001"), now);
    caller.warm_up(10);
    caller.leg.receive_rtcp(&mut report.to_vec(), address("10.0.0.2:4001"), now);
    let stats = caller.leg.stats();
    assert_eq!(stats.rtcp_received, 0);
    let drops = [DropReason::ForeignNetwork, DropReason::OtherSource];
    assert_eq!(drops.map(|reason| stats.drops.get(reason)), [1, 1]);
}

#[test]
fn with_rtcp_mux_both_share_a_port_and_without_it_rtcp_on_rtp_is_refused() {
    let report = vec![0x80, 201, 0, 1, 0, 0, 0x11, 0x11];
    let mut offer = negotiated();
    (offer.rtcp_mux, offer.remote_rtcp) = (true, offer.remote_rtp);
    let mut caller = Caller::new(params(offer));
    caller.deliver(report.clone());
    assert_eq!(caller.leg.stats().rtcp_received, 1);
    let (mut out, now) = (Vec::new(), caller.now);
    assert_eq!(caller.leg.bye_rtcp(now, &mut out), Some(address("10.0.0.1:4000")));

    let mut caller = Caller::plain();
    caller.deliver(report);
    assert_eq!(caller.leg.stats().rtcp_received, 0);
}
