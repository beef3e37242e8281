//! The reader and the writer on the trunk's own messages.

use sip::message::{HeaderName, Method};
use sip::{Message, Request, Response};

fn trunk_invite(record_route: &str) -> Vec<u8> {
    let sdp = "v=0\r\no=root 1683048786 1683048786 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 37456 RTP/SAVP 8 0 96\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=sendrecv\r\na=rtcp:37457\r\na=ptime:20\r\n";
    format!(
        "INVITE sip:+912200000001@198.51.100.7:5061;transport=tls SIP/2.0\r\n\
         Record-Route: {record_route}\r\n\
         Via: SIP/2.0/TLS 192.0.2.5:443;branch=z9hG4bK2414aa\r\n\
         From: \"+919800000002\" <sip:+919800000002@exotelt.pstn.exotel.com>;tag=as2aefddf2\r\n\
         To: <sip:+912200000001@198.51.100.7>\r\n\
         Call-ID: 5c5b0d0e-0001@pstn.mum1.exotel.com\r\n\
         CSeq: 102 INVITE\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
         Supported: replaces\r\n\
         X-Exotel-LegSid: leg-1\r\n\
         X-Exotel-CallSid: call-1\r\n\
         P-Asserted-Identity: <sip:+919800000002@exotelt.pstn.exotel.com>\r\n\
         P-Early-Media: supported\r\n\
         Contact: <sip:+919800000002@203.0.113.4:5061;transport=tls>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\
         Max-Forwards: 67\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

fn request(bytes: &[u8]) -> Request {
    match Message::parse(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

const UNBRACKETED: &str = "sip:192.0.2.5:443;transport=tls;lr";
const BRACKETED: &str = "<sip:192.0.2.5:443;transport=tls;lr>";

#[test]
fn the_trunks_invite_is_read_in_both_spellings_of_record_route() {
    for spelling in [UNBRACKETED, BRACKETED] {
        let invite = request(&trunk_invite(spelling));
        assert_eq!(*invite.method(), Method::INVITE);
        assert_eq!(invite.uri().number().unwrap(), "+912200000001");
        assert_eq!(invite.from().display().unwrap(), "+919800000002");
        assert_eq!((invite.from_tag(), invite.to_tag()), (Some("as2aefddf2"), None));
        assert_eq!((invite.via().transport(), invite.via().sent_by()), ("TLS", "192.0.2.5:443"));
        let routes: Vec<_> = invite.record_routes().collect();
        assert_eq!(routes.len(), 1);
        assert!(routes[0].uri().is_loose_route());
        assert_eq!(routes[0].uri().transport(), Some("tls"));
        assert_eq!(routes[0].to_route(), BRACKETED.as_bytes());
        assert_eq!(invite.headers().get("x-exotel-callsid"), Some(&b"call-1"[..]));
        assert_eq!(invite.tokens(HeaderName::Allow).count(), 11);
        assert_eq!(invite.content_type().as_deref(), Some("application/sdp"));
        assert!(invite.body().starts_with(b"v=0") && invite.body().ends_with(b"a=ptime:20\r\n"));
    }
}

#[test]
fn a_200_copies_record_route_byte_for_byte_and_adds_the_tag() {
    let invite = request(&trunk_invite(UNBRACKETED));
    let response = Response::to_request(&invite, 200)
        .to_tag("ours")
        .record_route()
        .header(HeaderName::Contact, "<sip:198.51.100.7:5061;transport=tls>")
        .header("Call-ID", "not-this")
        .header("X-Note", "one\r\nInjected: two")
        .body("application/sdp", b"v=0\r\n".to_vec())
        .build();
    let bytes = response.to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(
        text,
        "SIP/2.0 200 OK\r\n\
         Via: SIP/2.0/TLS 192.0.2.5:443;branch=z9hG4bK2414aa\r\n\
         Record-Route: sip:192.0.2.5:443;transport=tls;lr\r\n\
         From: \"+919800000002\" <sip:+919800000002@exotelt.pstn.exotel.com>;tag=as2aefddf2\r\n\
         To: <sip:+912200000001@198.51.100.7>;tag=ours\r\n\
         Call-ID: 5c5b0d0e-0001@pstn.mum1.exotel.com\r\n\
         CSeq: 102 INVITE\r\n\
         Contact: <sip:198.51.100.7:5061;transport=tls>\r\n\
         X-Note: one  Injected: two\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: 5\r\n\r\nv=0\r\n"
    );
    assert!(matches!(Message::parse(&bytes), Ok(Message::Response(response)) if response.to_tag() == Some("ours")));
}
