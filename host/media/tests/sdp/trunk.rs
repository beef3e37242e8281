//! The trunk's own offer (Exotel's guides), in each spelling that its oddities have.

use media::sdp::answer as answer_to;
use media::{Codec, PayloadType, SrtpPolicy};

use crate::{KEY_A, answer, answer_under, fresh, lines, local, read, text};

/// As the guides print it for TLS, with no s= line.
fn offer(secure: bool) -> String {
    let (profile, crypto) = match secure {
        true => ("RTP/SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\r\n")),
        false => ("RTP/AVP", String::new()),
    };
    format!(
        "v=0\r\no=root 1683048786 1683048786 IN IP4 192.0.2.61\r\nc=IN IP4 192.0.2.61\r\nt=0 0\r\n\
         m=audio 37456 {profile} 8 0 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=sendrecv\r\na=rtcp:37457\r\na=ptime:20\r\n{crypto}"
    )
}

fn with_session_name(offer: &str) -> String {
    offer.replacen("c=IN", "s=session\r\nc=IN", 1)
}

#[test]
fn offer_without_s_is_answered_like_the_one_with_it() {
    for secure in [false, true] {
        let session = answer(&offer(secure));
        assert_eq!(session, answer(&with_session_name(&offer(secure))));
        assert_eq!(session.negotiated.codec, Codec::Pcma);
        assert!(text(&session).contains("\r\ns="), "what we send is strict");
    }
}

#[test]
fn offer_without_t_is_answered() {
    let without = offer(false).replace("t=0 0\r\n", "");
    assert_eq!(answer(&without), answer(&offer(false)));
}

#[test]
fn telephone_event_has_the_number_of_the_offer() {
    for number in ["96", "101"] {
        let session = answer(&offer(false).replace("96", number));
        assert_eq!(session.negotiated.telephone_event, Some(PayloadType(number.parse().unwrap())));
        assert_eq!(lines(&session, "a=fmtp"), [format!("a=fmtp:{number} 0-15")]);
    }
}

#[test]
fn rtcp_goes_to_the_port_that_a_rtcp_names() {
    let rtcp = |offer: &str| answer(offer).negotiated.remote_rtcp.unwrap().to_string();
    assert_eq!(rtcp(&offer(false)), "192.0.2.61:37457");
    assert_eq!(rtcp(&offer(false).replace("a=rtcp:37457", "a=rtcp:40001")), "192.0.2.61:40001");
}

#[test]
fn savp_is_answered_with_savp_the_same_tag_and_a_key_of_our_own() {
    let session = answer_under(SrtpPolicy::Require, &offer(true)).unwrap();
    assert_eq!(lines(&session, "m="), ["m=audio 12000 RTP/SAVP 8 96"]);
    assert!(lines(&session, "a=crypto:")[0].starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AQEB"));
}

#[test]
fn savp_is_never_answered_by_avp() {
    for policy in [SrtpPolicy::Require, SrtpPolicy::Prefer, SrtpPolicy::Off] {
        let broken = offer(true).replace(KEY_A, "c2hvcnQ=");
        assert_eq!(answer_under(policy, &broken).unwrap_err().status, 488);
    }
}

#[test]
fn unchanged_session_refresh_disturbs_nothing() {
    let first = answer(&offer(true));
    let refresh = read(&offer(true).replace("1683048786 IN", "1683048787 IN"));
    assert_eq!(answer_to(&refresh, &local(SrtpPolicy::Prefer), Some(&first), &fresh(2)), Ok(first));
}
