use media::sdp::{Offer, Refusal, Session, accept_answer, answer as answer_to, offer};
use media::{Codec, Direction, LocalMedia, PayloadType, SrtpKey, SrtpPolicy};

use crate::{KEY_A, answer, fresh, local, offer_of, read, text};

fn offer_under(policy: SrtpPolicy) -> Offer {
    offer(&local(policy), None, &fresh(1))
}

fn accept(policy: SrtpPolicy, media: &str) -> Result<Session, Refusal> {
    accept_answer(&offer_under(policy), &read(&offer_of(media)))
}

fn written(offer: &Offer) -> String {
    String::from_utf8(offer.sdp.clone()).unwrap()
}

#[test]
fn first_offer_is_these_bytes() {
    let expected = "v=0\r\no=- 1000 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=audio 12000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(written(&offer_under(SrtpPolicy::Off)), expected);
}

#[test]
fn key_is_offered_on_savp_under_require_and_on_avp_under_prefer() {
    let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\r\n";
    for (policy, profile) in [(SrtpPolicy::Require, "RTP/SAVP"), (SrtpPolicy::Prefer, "RTP/AVP")] {
        let text = written(&offer_under(policy));
        assert!(text.contains(&format!("m=audio 12000 {profile} 8 0 101\r\n")), "{text}");
        assert!(text.ends_with(crypto), "{text}");
    }
}

#[test]
fn answer_settles_codec_numbers_address_and_ptime() {
    let media = "m=audio 6000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\na=ptime:30\na=rtcp:6005\n";
    let negotiated = accept(SrtpPolicy::Off, media).unwrap().negotiated;
    assert_eq!((negotiated.codec, negotiated.payload_type), (Codec::Pcmu, PayloadType(0)));
    assert_eq!(negotiated.telephone_event, Some(PayloadType(101)));
    assert_eq!(negotiated.remote_rtp, Some("192.0.2.9:6000".parse().unwrap()));
    assert_eq!(negotiated.remote_rtcp, Some("192.0.2.9:6005".parse().unwrap()));
    assert_eq!(negotiated.send_ptime_ms, 30);
    let receive = [(0, Codec::Pcmu), (8, Codec::Pcma)];
    assert_eq!(negotiated.receive, receive.map(|(pt, codec)| (PayloadType(pt), codec)));
}

#[test]
fn answer_that_leaves_out_rtpmap_lines_means_our_numbers() {
    let negotiated = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 8 101\n").unwrap().negotiated;
    assert_eq!(negotiated.telephone_event, Some(PayloadType(101)));
    let without = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 8\n").unwrap().negotiated;
    assert_eq!(without.telephone_event, None);
}

#[test]
fn answer_may_hold() {
    let held = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 8\na=inactive\n").unwrap().negotiated;
    assert_eq!((held.direction, held.held), (Direction::Inactive, true));
}

#[test]
fn rtcp_mux_that_we_did_not_offer_is_not_taken_up() {
    let negotiated = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 8\na=rtcp-mux\n").unwrap().negotiated;
    assert!(!negotiated.rtcp_mux);
    assert_eq!(negotiated.remote_rtcp, Some("192.0.2.9:6001".parse().unwrap()));
}

#[test]
fn answer_with_our_tag_and_suite_is_srtp() {
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\n");
    for (policy, profile) in [(SrtpPolicy::Require, "SAVP"), (SrtpPolicy::Prefer, "AVP"), (SrtpPolicy::Prefer, "SAVP")]
    {
        let session = accept(policy, &format!("m=audio 6000 RTP/{profile} 8\n{crypto}")).unwrap();
        let srtp = session.negotiated.srtp.unwrap();
        assert_eq!((srtp.tag, srtp.ours), (1, SrtpKey([1; 30])));
        assert_eq!(srtp.theirs.0[..4], *b"wDfv");
    }
}

#[test]
fn answer_without_crypto_is_plain_under_prefer_only() {
    let plain = "m=audio 6000 RTP/AVP 8\n";
    assert_eq!(accept(SrtpPolicy::Prefer, plain).unwrap().negotiated.srtp, None);
    assert_eq!(accept(SrtpPolicy::Off, plain).unwrap().negotiated.srtp, None);
    assert_eq!(accept(SrtpPolicy::Require, plain), Err(Refusal::NO_USABLE_CRYPTO));
}

#[test]
fn answers_that_do_not_fit_the_offer_are_refused() {
    let other_tag = format!("m=audio 6 RTP/SAVP 8\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\n");
    let other_suite = format!("m=audio 6 RTP/SAVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{KEY_A}\n");
    let cases = [
        ("", Refusal::BROKEN_ANSWER),
        ("m=audio 0 RTP/AVP 8\n", Refusal::NO_AUDIO),
        ("m=video 6 RTP/AVP 8\n", Refusal::NO_AUDIO),
        ("m=audio 6 RTP/SAVP 18\n", Refusal::NO_USABLE_CRYPTO),
        (other_tag.as_str(), Refusal::NO_USABLE_CRYPTO),
        (other_suite.as_str(), Refusal::NO_USABLE_CRYPTO),
    ];
    for (media, expected) in cases {
        assert_eq!(accept(SrtpPolicy::Require, media), Err(expected), "{media}");
    }
    let ipv6 = "m=audio 6 RTP/AVP 8\nc=IN IP6 2001:db8::1\n";
    assert_eq!(accept(SrtpPolicy::Off, ipv6), Err(Refusal::ADDRESS_FAMILY));
    assert_eq!(accept(SrtpPolicy::Off, "m=audio 6 RTP/AVP 18\n"), Err(Refusal::NO_CODEC));
}

#[test]
fn later_offer_keeps_streams_numbers_and_key_and_asks_for_both_directions() {
    let crypto = format!("a=crypto:5 AES_CM_128_HMAC_SHA1_32 inline:{KEY_A}\n");
    let media = format!(
        "m=video 4 RTP/AVP 96\nm=audio 6 RTP/SAVP 110 96\na=rtpmap:110 PCMA/8000\n\
         a=rtpmap:96 telephone-event/8000\na=sendonly\na=rtcp-mux\n{crypto}"
    );
    let held = answer(&offer_of(&media));
    assert!(held.negotiated.held);
    let ours = local(SrtpPolicy::Prefer);
    let again = offer(&ours, Some(&held), &fresh(2));
    let expected = "v=0\r\no=- 1000 2 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=video 0 RTP/AVP 96\r\nm=audio 12000 RTP/SAVP 110 0 96\r\na=rtpmap:110 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=ptime:20\r\na=sendrecv\r\na=rtcp-mux\r\n\
        a=crypto:5 AES_CM_128_HMAC_SHA1_32 inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\r\n";
    assert_eq!(written(&again), expected);

    let resumed = accept_answer(&again, &read(&offer_of(&media.replace("a=sendonly\n", "")))).unwrap();
    assert_eq!(resumed.negotiated.direction, Direction::SendRecv);
    assert_eq!(resumed.negotiated.srtp, held.negotiated.srtp);
    assert!(resumed.negotiated.rtcp_mux);
}

#[test]
fn we_hold_by_a_sendonly_offer_one_version_up_and_take_no_sound_until_the_next() {
    let talking = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 8 101\n").unwrap();
    let holding = LocalMedia { holds: true, ..local(SrtpPolicy::Off) };
    let hold = offer(&holding, Some(&talking), &fresh(2));
    assert!(
        written(&hold).contains("o=- 1000 2 IN IP4") && written(&hold).contains("a=sendonly\r\n"),
        "{}",
        written(&hold)
    );
    // A peer that does not honour it, one that does, one that holds us at the same time.
    for (line, direction, held) in [
        ("", Direction::SendOnly, false),
        ("a=recvonly\n", Direction::SendOnly, false),
        ("a=inactive\n", Direction::Inactive, true),
    ] {
        let answer = read(&offer_of(&format!("m=audio 6000 RTP/AVP 8 101\n{line}")));
        let session = accept_answer(&hold, &answer).unwrap();
        assert_eq!((session.negotiated.direction, session.negotiated.held), (direction, held), "{line}");
        let resume = offer(&local(SrtpPolicy::Off), Some(&session), &fresh(3));
        assert!(written(&resume).contains("o=- 1000 3 IN IP4") && written(&resume).contains("a=sendrecv\r\n"));
    }
}

#[test]
fn a_peer_that_we_hold_may_offer_and_stays_on_hold() {
    let holding = LocalMedia { holds: true, ..local(SrtpPolicy::Off) };
    for (theirs, ours, held) in [
        ("sendrecv", Direction::SendOnly, false),
        ("recvonly", Direction::SendOnly, false),
        ("sendonly", Direction::Inactive, true),
        ("inactive", Direction::Inactive, true),
    ] {
        let offer = read(&offer_of(&format!("m=audio 6000 RTP/AVP 8\na={theirs}\n")));
        let session = answer_to(&offer, &holding, None, &fresh(1)).unwrap();
        assert_eq!((session.negotiated.direction, session.negotiated.held), (ours, held), "{theirs}");
        let word = if ours == Direction::SendOnly { "a=sendonly\r\n" } else { "a=inactive\r\n" };
        assert!(text(&session).contains(word), "{theirs}");
    }
}

#[test]
fn offer_again_without_a_change_is_the_same_bytes() {
    let first = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 8 101\n").unwrap();
    // Both our codecs are in the session's receive list, so nothing changes.
    assert_eq!(offer(&local(SrtpPolicy::Off), Some(&first), &fresh(2)).sdp, first.sdp);
}

#[test]
fn peer_may_offer_after_our_offer_was_answered() {
    let session = accept(SrtpPolicy::Off, "m=audio 6000 RTP/AVP 0\n").unwrap();
    let offer = read(&offer_of("m=audio 6000 RTP/AVP 0\na=sendonly\n"));
    let next = answer_to(&offer, &local(SrtpPolicy::Off), Some(&session), &fresh(2)).unwrap();
    assert!(text(&next).contains("o=- 1000 2 IN IP4 198.51.100.7\r\n"));
}
