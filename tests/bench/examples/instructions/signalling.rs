//! The trunk's INVITE: cut out of a stream, and read.

use sip::Message;
use sip::framing::StreamReader;

use crate::Piece;

pub const PIECES: &[Piece] = &[
    Piece {
        name: "sip_framing_invite",
        make: |_| {
            let (invite, mut reader) = (invite(), StreamReader::new());
            Ok(Box::new(move |_, meter| {
                meter.count(|| {
                    reader.push(&invite);
                    assert!(reader.by_ref().count() == 1);
                });
            }))
        },
    },
    Piece {
        name: "sip_reading_invite",
        make: |_| {
            let invite = invite();
            Ok(Box::new(move |_, meter| meter.count(|| assert!(Message::parse(&invite).is_ok()))))
        },
    },
];

fn invite() -> Vec<u8> {
    let body = "v=0\r\no=root 1683048786 1683048786 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
        m=audio 37456 RTP/AVP 8 0 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\n\
        a=fmtp:96 0-15\r\na=sendrecv\r\na=rtcp:37457\r\na=ptime:20\r\n";
    let head = "INVITE sip:+912200000001@198.51.100.7:5070;transport=tcp SIP/2.0\r\n\
        Record-Route: sip:192.0.2.5:443;transport=tls;lr\r\n\
        Via: SIP/2.0/TCP 192.0.2.5:443;branch=z9hG4bK2414aa\r\n\
        From: \"+919800000002\" <sip:+919800000002@exotelt.pstn.exotel.com>;tag=as2aefddf2\r\n\
        To: <sip:+912200000001@198.51.100.7>\r\n\
        Call-ID: 5c5b0d0e-0001@pstn.mum1.exotel.com\r\n\
        CSeq: 102 INVITE\r\n\
        Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
        Supported: replaces\r\n\
        X-Exotel-LegSid: leg-1\r\n\
        X-Exotel-CallSid: call-1\r\n\
        X-Exotel-TrunkSid: trunk-1\r\n\
        P-Asserted-Identity: <sip:+919800000002@exotelt.pstn.exotel.com>\r\n\
        P-Early-Media: supported\r\n\
        Contact: <sip:+919800000002@203.0.113.4:5070;transport=tcp>\r\n\
        Content-Type: application/sdp\r\n";
    format!("{head}Content-Length: {}\r\nMax-Forwards: 67\r\n\r\n{body}", body.len()).into_bytes()
}
