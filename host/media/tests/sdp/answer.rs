use std::net::SocketAddr;

use media::sdp::{Refusal, accept_answer, answer as answer_to};
use media::{Codec, Direction, PayloadType, SrtpPolicy};

use crate::{answer, answer_under, fresh, lines, local, offer_of, read, text};

const AUDIO: &str = "m=audio 40000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n";

fn refusal(media: &str) -> Refusal {
    answer_under(SrtpPolicy::Prefer, &offer_of(media)).expect_err("refused")
}

fn at(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn answer_is_these_bytes() {
    let expected = "v=0\r\no=- 1000 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=audio 12000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(text(&answer(&offer_of(AUDIO))), expected);
}

#[test]
fn codec_is_ours_by_preference_among_those_offered() {
    let mut ours = local(SrtpPolicy::Off);
    let codec = |ours: &_, media: &str| {
        let session = answer_to(&read(&offer_of(media)), ours, None, &fresh(1)).unwrap();
        (session.negotiated.codec, session.negotiated.payload_type)
    };
    assert_eq!(codec(&ours, AUDIO), (Codec::Pcma, PayloadType(8)));
    assert_eq!(codec(&ours, "m=audio 4 RTP/AVP 3 0 18\n"), (Codec::Pcmu, PayloadType(0)));
    ours.codecs.reverse();
    assert_eq!(codec(&ours, AUDIO), (Codec::Pcmu, PayloadType(0)));
}

#[test]
fn every_g711_number_offered_is_accepted_from_the_peer() {
    let media = "m=audio 4 RTP/AVP 0 8 97 8\na=rtpmap:97 pcmu/8000/1\n";
    let negotiated = answer(&offer_of(media)).negotiated;
    let expected = [(0, Codec::Pcmu), (8, Codec::Pcma), (97, Codec::Pcmu)];
    assert_eq!(negotiated.receive, expected.map(|(pt, codec)| (PayloadType(pt), codec)));
}

#[test]
fn dynamic_numbers_are_answered_with_the_same_numbers() {
    let media = "m=audio 4 RTP/AVP 110 96\na=rtpmap:110 PCMA/8000\na=rtpmap:96 Telephone-Event/8000\n";
    let session = answer(&offer_of(media));
    assert_eq!(lines(&session, "m="), ["m=audio 12000 RTP/AVP 110 96"]);
    assert_eq!(lines(&session, "a=rtpmap:110"), ["a=rtpmap:110 PCMA/8000"]);
    assert_eq!(session.negotiated.telephone_event, Some(PayloadType(96)));
}

#[test]
fn rtpmap_counts_before_the_static_meaning_of_a_number() {
    let media = "m=audio 4 RTP/AVP 8 0\na=rtpmap:8 PCMA/16000\n";
    assert_eq!(answer(&offer_of(media)).negotiated.payload_type, PayloadType(0));
    let media = "m=audio 4 RTP/AVP 8\na=rtpmap:8 G729/8000\n";
    assert_eq!(refusal(media), Refusal::NO_CODEC);
}

#[test]
fn unreadable_rtpmap_of_a_static_number_leaves_its_static_meaning() {
    let media = "m=audio 4 RTP/AVP 8\na=rtpmap:8 PCMA\n";
    assert_eq!(answer(&offer_of(media)).negotiated.codec, Codec::Pcma);
}

#[test]
fn telephone_event_is_taken_at_8000_hz_only_and_only_if_offered() {
    let media = "m=audio 4 RTP/AVP 8 96 97\na=rtpmap:96 telephone-event/48000\n\
        a=rtpmap:97 telephone-event/8000\n";
    assert_eq!(answer(&offer_of(media)).negotiated.telephone_event, Some(PayloadType(97)));
    let session = answer(&offer_of("m=audio 4 RTP/AVP 8\n"));
    assert_eq!(session.negotiated.telephone_event, None);
    assert!(!text(&session).contains("telephone-event"));
}

#[test]
fn comfort_noise_is_known_but_not_answered() {
    let session = answer(&offer_of("m=audio 4 RTP/AVP 8 13\n"));
    assert_eq!(session.negotiated.comfort_noise, Some(PayloadType(13)));
    assert_eq!(lines(&session, "m="), ["m=audio 12000 RTP/AVP 8"]);
}

#[test]
fn streams_that_we_do_not_speak_keep_their_place_with_port_0() {
    let media = "m=image 6000 udptl t38\nm=video 5000 RTP/AVP 96 97\na=rtpmap:96 H264/90000\n\
        m=audio 40000 RTP/AVP 8\nm=audio 40010 RTP/AVP 8\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\n\
        m=text 7000 RTP/AVP 98\nm=strange\n";
    let expected = [
        "m=image 0 udptl t38",
        "m=video 0 RTP/AVP 96 97",
        "m=audio 12000 RTP/AVP 8",
        "m=audio 0 RTP/AVP 8",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "m=text 0 RTP/AVP 98",
        "m=strange 0 unknown 0",
    ];
    assert_eq!(lines(&answer(&offer_of(media)), "m="), expected);
}

#[test]
fn first_speakable_audio_is_taken() {
    let media = "m=audio 0 RTP/AVP 8\nm=audio 5 UDP/TLS/RTP/SAVPF 8\nm=audio 6 RTP/AVP 18\nm=audio 7 RTP/AVP 8\n";
    let session = answer(&offer_of(media));
    assert_eq!(session.negotiated.remote_rtp, at("192.0.2.9:7"));
    let ports: Vec<_> = read(&text(&session)).media.iter().map(|m| m.rtp.as_ref().map(|r| r.port)).collect();
    assert_eq!(ports, [Some(0), None, Some(0), Some(12000)]);
}

#[test]
fn without_audio_that_we_can_speak_the_answer_is_488() {
    let cases = [
        ("", Refusal::NO_AUDIO),
        ("m=video 5000 RTP/AVP 96\n", Refusal::NO_AUDIO),
        ("m=audio 0 RTP/AVP 8\n", Refusal::NO_AUDIO),
        ("m=audio 40000 RTP/AVP 18 3\n", Refusal::NO_CODEC),
        ("m=audio 40000 RTP/AVP\n", Refusal::TRANSPORT),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 8 0\n", Refusal::TRANSPORT),
        ("m=audio 9 RTP/AVP 8\nc=IN IP6 2001:db8::1\n", Refusal::ADDRESS_FAMILY),
    ];
    for (media, expected) in cases {
        assert_eq!(refusal(media), expected, "{media}");
        assert_eq!(expected.status, 488);
    }
}

/// What the peer says at session and media level and in c=; what we answer; whether that is hold.
#[test]
fn direction_attributes_and_c_0_0_0_0_are_hold() {
    use Direction::*;
    let cases = [
        ("", "", "", SendRecv, false),
        ("", "a=sendrecv\n", "", SendRecv, false),
        ("", "a=sendonly\n", "", RecvOnly, true),
        ("", "a=recvonly\n", "", SendOnly, false),
        ("", "a=inactive\n", "", Inactive, true),
        ("a=sendonly\n", "", "", RecvOnly, true),
        ("a=inactive\n", "a=sendrecv\n", "", SendRecv, false),
        ("", "", "c=IN IP4 0.0.0.0\n", RecvOnly, true),
        ("", "a=sendonly\n", "c=IN IP4 0.0.0.0\n", RecvOnly, true),
        ("", "a=recvonly\n", "c=IN IP4 0.0.0.0\n", Inactive, true),
        ("", "a=inactive\n", "c=IN IP4 0.0.0.0\n", Inactive, true),
    ];
    for (session_level, media_level, connection, direction, held) in cases {
        let offer = offer_of(&format!("{session_level}{AUDIO}{connection}{media_level}"));
        let session = answer(&offer);
        let negotiated = &session.negotiated;
        assert_eq!((negotiated.direction, negotiated.held), (direction, held), "{offer}");
        assert_eq!(negotiated.remote_rtp.is_none(), !connection.is_empty(), "{offer}");
        let written = read(&text(&session)).media[0].level.direction;
        assert_eq!(written, Some(direction), "{offer}");
    }
}

#[test]
fn rtcp_goes_next_to_rtp_or_where_a_rtcp_says() {
    let cases = [
        ("", at("192.0.2.9:40001")),
        ("a=rtcp:40007\n", at("192.0.2.9:40007")),
        ("a=rtcp:40007 IN IP4 192.0.2.77\n", at("192.0.2.77:40007")),
        ("a=rtcp:40007 IN IP4 media.example.net\n", at("192.0.2.9:40007")),
        ("a=rtcp:40007 IN IP6 2001:db8::5\n", at("192.0.2.9:40007")),
        ("a=rtcp:0\n", None),
        ("a=rtcp:70000\n", at("192.0.2.9:40001")),
        ("a=rtcp:40007\na=rtcp-mux\n", at("192.0.2.9:40000")),
        ("c=IN IP4 0.0.0.0\n", None),
    ];
    for (attributes, expected) in cases {
        let offer = offer_of(&format!("{AUDIO}{attributes}"));
        assert_eq!(answer(&offer).negotiated.remote_rtcp, expected, "{attributes}");
    }
    let last = answer(&offer_of("m=audio 65535 RTP/AVP 8\n")).negotiated;
    assert_eq!((last.remote_rtp, last.remote_rtcp), (at("192.0.2.9:65535"), None));
}

#[test]
fn rtcp_mux_is_answered_if_offered() {
    let muxed = answer(&offer_of(&format!("{AUDIO}a=rtcp-mux\n")));
    assert!(muxed.negotiated.rtcp_mux);
    assert_eq!(lines(&muxed, "a=rtcp"), ["a=rtcp-mux"]);
    let apart = answer(&offer_of(AUDIO));
    assert!(!apart.negotiated.rtcp_mux && lines(&apart, "a=rtcp").is_empty());
}

#[test]
fn our_rtcp_port_is_named_if_it_is_not_next_to_rtp() {
    let mut ours = local(SrtpPolicy::Off);
    ours.rtcp_port = 13000;
    let session = answer_to(&read(&offer_of(AUDIO)), &ours, None, &fresh(1)).unwrap();
    assert_eq!(lines(&session, "a=rtcp"), ["a=rtcp:13000"]);
}

#[test]
fn ipv6_is_answered_in_ipv6() {
    let offer = "v=0\no=- 1 1 IN IP6 2001:db8::9\ns=-\nc=IN IP6 2001:db8::9\nt=0 0\nm=audio 40000 RTP/AVP 8\n";
    assert_eq!(read(offer).audio_address(), Some("2001:db8::9".parse().unwrap()));
    let mut ours = local(SrtpPolicy::Off);
    ours.address = "2001:db8::1".parse().unwrap();
    let session = answer_to(&read(offer), &ours, None, &fresh(1)).unwrap();
    assert_eq!(session.negotiated.remote_rtp, at("[2001:db8::9]:40000"));
    assert_eq!(session.negotiated.remote_rtcp, at("[2001:db8::9]:40001"));
    assert_eq!(lines(&session, "c="), ["c=IN IP6 2001:db8::1"]);
    let held = answer_to(&read(&offer.replace("2001:db8::9", "::")), &ours, None, &fresh(1)).unwrap();
    assert!(held.negotiated.held && held.negotiated.remote_rtp.is_none());
}

#[test]
fn host_name_multicast_or_no_address_is_answered_and_nothing_is_sent_there() {
    for connection in ["c=IN IP4 media.example.net\n", "c=IN IP4 224.2.1.1/127\n", "c=IN IP4 255.255.255.255\n"] {
        let negotiated = answer(&offer_of(&format!("{AUDIO}{connection}"))).negotiated;
        assert_eq!((negotiated.remote_rtp, negotiated.remote_rtcp), (None, None), "{connection}");
        assert_eq!((negotiated.direction, negotiated.held), (Direction::SendRecv, false));
    }
    let without = format!("v=0\r\n{AUDIO}");
    assert_eq!(answer(&without).negotiated.remote_rtp, None);
}

#[test]
fn address_of_the_media_counts_before_that_of_the_session() {
    let offer = offer_of(&format!("{AUDIO}c=IN IP4 203.0.113.5\n"));
    assert_eq!(answer(&offer).negotiated.remote_rtp, at("203.0.113.5:40000"));
}

#[test]
fn ptime_of_the_peer_within_its_maxptime_is_what_we_send() {
    let cases = [
        ("", 20),
        ("a=ptime:10\n", 10),
        ("a=ptime:20\n", 20),
        ("a=ptime:30\n", 30),
        ("a=ptime:40\n", 40),
        ("a=ptime:60\n", 60),
        ("a=ptime:20.0\n", 20),
        ("a=ptime:40.000\n", 40),
        ("a=PTIME: 30 \n", 30),
        ("a=ptime:30.5\n", 20),
        ("a=ptime:50\n", 20),
        ("a=ptime:0\n", 20),
        ("a=ptime:99999999999999999999\n", 20),
        ("a=ptime:-20\n", 20),
        ("a=ptime:60\na=maxptime:40\n", 20),
        ("a=ptime:40\na=maxptime:40\n", 40),
        ("a=maxptime:150\n", 20),
        ("a=maxptime:10\n", 10),
        ("a=ptime:30\na=maxptime:5\n", 20),
    ];
    for (attributes, expected) in cases {
        let session = answer(&offer_of(&format!("{AUDIO}{attributes}")));
        assert_eq!(session.negotiated.send_ptime_ms, expected, "{attributes}");
        assert_eq!(lines(&session, "a=ptime"), ["a=ptime:20"], "ours says 20 whatever theirs says");
    }
}

#[test]
fn unchanged_reoffer_gives_the_same_bytes_and_the_same_session() {
    let offer = read(&offer_of(AUDIO));
    let ours = local(SrtpPolicy::Prefer);
    let first = answer_to(&offer, &ours, None, &fresh(1)).unwrap();
    let again = answer_to(&offer, &ours, Some(&first), &fresh(2)).unwrap();
    assert_eq!(again, first);
}

#[test]
fn version_rises_by_one_with_each_change_and_the_id_stays() {
    let ours = local(SrtpPolicy::Prefer);
    let mut session = answer(&offer_of(AUDIO));
    for (attributes, version) in [("a=sendonly\n", 2), ("a=sendonly\n", 2), ("", 3), ("a=inactive\n", 4)] {
        let offer = read(&offer_of(&format!("{AUDIO}{attributes}")));
        session = answer_to(&offer, &ours, Some(&session), &fresh(9)).unwrap();
        assert_eq!(lines(&session, "o="), [format!("o=- 1000 {version} IN IP4 198.51.100.7")]);
    }
}

#[test]
fn address_change_of_the_peer_alone_leaves_our_version() {
    let first = answer(&offer_of(AUDIO));
    let moved = read(&offer_of(&format!("{AUDIO}c=IN IP4 203.0.113.5\n")));
    let session = answer_to(&moved, &local(SrtpPolicy::Prefer), Some(&first), &fresh(2)).unwrap();
    assert_eq!(session.sdp, first.sdp);
    assert_eq!(session.negotiated.remote_rtp, at("203.0.113.5:40000"));
}

#[test]
fn refused_reinvite_leaves_the_session_as_it_was() {
    let offer = read(&offer_of(AUDIO));
    let ours = local(SrtpPolicy::Prefer);
    let session = answer_to(&offer, &ours, None, &fresh(1)).unwrap();
    let before = session.clone();
    let bad = read(&offer_of("m=audio 40000 RTP/AVP 18\n"));
    assert_eq!(answer_to(&bad, &ours, Some(&session), &fresh(2)), Err(Refusal::NO_CODEC));
    assert_eq!(session, before);
    assert_eq!(answer_to(&offer, &ours, Some(&session), &fresh(3)).unwrap(), before);
}

#[test]
fn our_answer_is_one_that_our_own_caller_accepts() {
    let ours = local(SrtpPolicy::Off);
    let offer = media::sdp::offer(&ours, None, &fresh(4));
    let answered = answer(std::str::from_utf8(&offer.sdp).unwrap());
    let session = accept_answer(&offer, &read(&text(&answered))).unwrap();
    assert_eq!(session.negotiated.payload_type, answered.negotiated.payload_type);
    assert_eq!(session.negotiated.telephone_event, answered.negotiated.telephone_event);
}
