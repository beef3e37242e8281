//! Offers in the manner of clients that people use, written for these tests.

use media::{Codec, PayloadType, SrtpPolicy, SrtpSuite};

use crate::{KEY_A, KEY_B, answer, answer_under, lines, text};

#[test]
fn pjsua_offers_aes_256_first() {
    let long = format!("{KEY_A}AAAAAAAAAAAAAAAAAAAAAA==");
    let offer = format!(
        "v=0\r\no=- 3900000000 3900000000 IN IP4 127.0.0.1\r\ns=pjmedia\r\nb=AS:117\r\nt=0 0\r\na=X-nat:0\r\n\
         m=audio 4000 RTP/SAVP 96 9 8 0 101 102\r\nc=IN IP4 127.0.0.1\r\nb=TIAS:96000\r\n\
         a=rtcp:4001 IN IP4 127.0.0.1\r\na=sendrecv\r\na=rtpmap:96 speex/16000\r\na=rtpmap:9 G722/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/16000\r\na=fmtp:101 0-16\r\n\
         a=rtpmap:102 telephone-event/8000\r\na=fmtp:102 0-16\r\na=ssrc:1268675129 cname:0a1b2c3d4e5f6071\r\n\
         a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{long}\r\na=crypto:2 AES_256_CM_HMAC_SHA1_32 inline:{long}\r\n\
         a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\r\na=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:{KEY_B}\r\n"
    );
    let session = answer_under(SrtpPolicy::Require, &offer).unwrap();
    let srtp = session.negotiated.srtp.as_ref().unwrap();
    assert_eq!((srtp.tag, srtp.suite), (3, SrtpSuite::AesCm128HmacSha1_80));
    assert_eq!(lines(&session, "m="), ["m=audio 12000 RTP/SAVP 8 102"]);
    assert_eq!(session.negotiated.remote_rtcp, Some("127.0.0.1:4001".parse().unwrap()));
}

#[test]
fn baresip_offers_32_and_80_with_ptime_and_label() {
    let offer = format!(
        "v=0\r\no=- 1234567 987654 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=tool:baresip 1.0.0\r\n\
         m=audio 10024 RTP/SAVP 0 8 101\r\nb=AS:125\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:10025\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{KEY_A}\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY_B}\r\n\
         a=sendrecv\r\na=label:1\r\na=rtcp-rsize\r\na=ssrc:1 cname:sip:a@127.0.0.1\r\na=minptime:20\r\na=ptime:20\r\n"
    );
    let session = answer(&offer);
    let srtp = session.negotiated.srtp.as_ref().unwrap();
    assert_eq!((srtp.tag, srtp.suite), (1, SrtpSuite::AesCm128HmacSha1_32));
    assert_eq!(session.negotiated.codec, Codec::Pcma);
}

#[test]
fn asterisk_offers_maxptime_and_holds_with_sendonly() {
    let offer = |direction: &str| {
        format!(
            "v=0\r\no=- 1000 1001 IN IP4 203.0.113.20\r\ns=Asterisk\r\nc=IN IP4 203.0.113.20\r\nt=0 0\r\n\
             m=audio 14258 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\n{direction}"
        )
    };
    assert!(!answer(&offer("a=sendrecv\r\n")).negotiated.held);
    let held = answer(&offer("a=sendonly\r\n"));
    assert!(held.negotiated.held && text(&held).contains("\r\na=recvonly\r\n"));
}

#[test]
fn sipp_offers_pcmu_alone_without_attributes() {
    let offer = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 6000 RTP/AVP 0\r\n";
    assert_eq!(answer(offer).negotiated.payload_type, PayloadType(0));
}

#[test]
fn ice_and_dtls_attributes_next_to_sdes_are_ignored() {
    let offer = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\na=msid-semantic: WMS *\r\n\
         m=audio 40000 RTP/SAVPF 111 8 126\r\nc=IN IP4 192.0.2.4\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=candidate:1 1 udp 2130706431 192.0.2.4 40000 typ host\r\n\
         a=fingerprint:sha-256 00:11\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtcp-mux-only\r\na=extmap:1 urn:x\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\r\n"
    );
    let session = answer(&offer);
    assert_eq!(lines(&session, "m="), ["m=audio 12000 RTP/SAVPF 8 126"]);
    assert_eq!(lines(&session, "a=ice").len() + lines(&session, "a=setup").len(), 0);
    assert!(session.negotiated.rtcp_mux);
}
