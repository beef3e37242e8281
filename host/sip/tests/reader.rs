//! The reader and the writer on the trunk's own messages.

use sip::message::{HeaderName, Method};
use sip::{Message, Problem, Request, Response, Uri};

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

/// A small request with these lines in it.
fn with_lines(lines: &str) -> Vec<u8> {
    format!(
        "BYE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n{lines}\r\n"
    )
    .into_bytes()
}

fn problem(bytes: &[u8]) -> Option<Problem> {
    Message::parse(bytes).err().map(|error| error.problem)
}

#[test]
fn no_header_line_is_read_two_ways() {
    let table: &[(&str, Problem)] = &[
        ("X: a\nTo: b\r\n", Problem::LoneLineBreak),
        ("X: a\rTo: b\r\n", Problem::LoneLineBreak),
        ("X: a\r\r\n", Problem::LoneLineBreak),
        ("no colon here\r\n", Problem::BadHeaderLine),
        (": nameless\r\n", Problem::BadHeaderLine),
        ("two words: x\r\n", Problem::BadHeaderLine),
        ("t: <sip:other@d>\r\n", Problem::DuplicateHeader),
        ("CSeq: 1 BYE\r\n", Problem::DuplicateHeader),
        ("i: x\r\n", Problem::DuplicateHeader),
        ("Max-Forwards: 1\r\nMax-Forwards: 1\r\n", Problem::DuplicateHeader),
        ("Content-Length: 0\r\nl: 0\r\n", Problem::DuplicateHeader),
        ("Content-Length: 0x0\r\n", Problem::BadContentLength),
        ("Content-Length: +0\r\n", Problem::BadContentLength),
        ("Content-Length: 99999999999999999999\r\n", Problem::BadContentLength),
        ("Content-Length: 1\r\n", Problem::ContentLengthPastEnd),
        ("Max-Forwards: 256\r\n", Problem::BadMaxForwards),
        ("Contact: *, <sip:a@b>\r\n", Problem::BadContact),
        ("Contact: <sip:a@b\r\n", Problem::BadContact),
        ("Route: <sip:p;lr>;;\r\n", Problem::BadRoute),
    ];
    for (lines, expected) in table {
        assert_eq!(problem(&with_lines(lines)), Some(*expected), "{lines:?}");
    }
    assert_eq!(problem(&with_lines("Content-Length : 0\r\nMax-Forwards:\t70 \r\n")), None);
}

#[test]
fn an_ack_a_response_and_a_message_without_via_get_no_answer() {
    let bad = String::from_utf8(with_lines("X\r\n")).unwrap();
    assert!(Message::parse(bad.as_bytes()).unwrap_err().refusal.is_some());
    for unanswered in [
        bad.replace("BYE", "ACK"),
        bad.replace("BYE sip:a@192.0.2.1 SIP/2.0", "SIP/2.0 200 OK"),
        bad.replace("Via: SIP/2.0/UDP h;branch=z9hG4bKa\r\n", ""),
        "\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nVia: x\r\n\r\n".into(),
    ] {
        assert!(Message::parse(unanswered.as_bytes()).unwrap_err().refusal.is_none(), "{unanswered}");
    }
}

#[test]
fn comma_joined_values_are_split_outside_quotes_and_brackets() {
    let bye = request(&with_lines(
        "P-Asserted-Identity: \"A, B <x>\" <sip:a,b@c>, <tel:+91-80;phone-context=x>\r\nRoute: <sip:p;lr>,<sip:q;lr>\r\nk: a,,b ,\r\n",
    ));
    let identities: Vec<_> = bye.asserted_identities().collect();
    assert_eq!(identities.len(), 2);
    assert_eq!(identities[0].display().unwrap(), "A, B <x>");
    assert_eq!(identities[0].uri().user(), Some("a,b"));
    assert_eq!(identities[1].uri().number().unwrap(), "+91-80");
    assert_eq!(bye.routes().count(), 2);
    assert_eq!(bye.tokens(HeaderName::Supported).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn uris_are_kept_as_sent_or_refused() {
    for good in [
        "sip:h",
        "SIP:h:5060",
        "sip:+91;x=y:pw@h.example;transport=tls;lr",
        "sip:h;transport=tcp;transport=tcp",
        "sips:a%40b@[2001:db8::1]:5061;lr=on?Subject=x",
        "tel:+91-80(22).1;ext=5",
        "tel:*21#",
        "urn:service:sos",
    ] {
        assert_eq!(good.parse::<Uri>().map(|uri| uri.to_string()).as_deref(), Ok(good));
    }
    for bad in [
        "",
        "sip",
        "sip:",
        "sip:@h",
        "sip:a@",
        "sip:a@b@c",
        "sip:h:",
        "sip:h:65536",
        "sip:h:+1",
        "sip:[::1",
        "sip:[h]",
        "sip:::1",
        "sip:h;;",
        "sip:h;a;a=1",
        "sip:h;transport=tcp;TRANSPORT=tls",
        "sip:h;=x",
        "sip:a b@h",
        "sip:<h>",
        "sip:h\u{1}",
        "tel:",
        "tel:+",
        "tel:call",
        "1x:y",
        ":x",
    ] {
        assert!(bad.parse::<Uri>().is_err(), "{bad:?}");
    }
}

#[test]
fn the_source_is_noted_in_the_top_via_alone_and_replaces_what_the_sender_wrote() {
    let table = [
        ("SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa"),
        ("SIP/2.0/UDP h;branch=z9hG4bKa", "SIP/2.0/UDP h;branch=z9hG4bKa;received=192.0.2.9"),
        ("SIP/2.0/UDP h;rport;branch=z9hG4bKa", "SIP/2.0/UDP h;branch=z9hG4bKa;rport=4321;received=192.0.2.9"),
        ("SIP/2.0/UDP h;rport=1;received=198.51.100.1;x", "SIP/2.0/UDP h;x;rport=4321;received=192.0.2.9"),
        ("SIP/2.0/UDP h , SIP/2.0/TCP g;received=::1", "SIP/2.0/UDP h;received=192.0.2.9 , SIP/2.0/TCP g;received=::1"),
    ];
    for (sent, noted) in table {
        let bye = String::from_utf8(with_lines("")).unwrap().replace("SIP/2.0/UDP h;branch=z9hG4bKa", sent);
        let mut bye = request(bye.as_bytes());
        bye.note_source("192.0.2.9:4321".parse().unwrap());
        assert_eq!(String::from_utf8_lossy(bye.headers().get(HeaderName::Via).unwrap()), noted);
        let response = Response::to_request(&bye, 200).build().to_bytes();
        assert!(String::from_utf8(response).unwrap().contains(&format!("\r\nVia: {noted}\r\n")));
    }
}

#[test]
fn nothing_given_to_the_writer_adds_a_line_of_its_own() {
    let bye = request(&with_lines(""));
    let response = Response::to_request(&bye, 480)
        .phrase("Gone\r\nX-Evil: 1")
        .to_tag("x\r\nX-Evil: 2")
        .header("X-Fine", "a\nX-Evil: 3")
        .header("X-Evil: 4\r\nX", "b")
        .header("Content-Length", "99")
        .body("text/plain\r\nX-Evil: 5", b"body".to_vec())
        .build();
    let text = String::from_utf8(response.to_bytes()).unwrap();
    assert!(!text.contains("\nX-Evil"), "{text}");
    assert_eq!(text.matches("Content-Length").count(), 1, "{text}");
    assert!(text.ends_with("Content-Length: 4\r\n\r\nbody"), "{text}");
}

#[test]
fn a_request_is_built_with_what_every_request_needs_or_not_at_all() {
    let uri: Uri = "sip:c@d".parse().unwrap();
    let builder = || {
        Request::builder(Method::BYE, &uri)
            .header(HeaderName::Via, "SIP/2.0/TCP h:5060;branch=z9hG4bKx")
            .header(HeaderName::From, "<sip:a@b>;tag=1")
            .header(HeaderName::To, "<sip:c@d>;tag=2")
            .cseq(7)
    };
    assert_eq!(builder().build().unwrap_err(), Problem::MissingHeader);
    let bye = builder().header(HeaderName::CallId, "x@y").build().unwrap();
    assert_eq!(
        String::from_utf8(bye.to_bytes()).unwrap(),
        "BYE sip:c@d SIP/2.0\r\nVia: SIP/2.0/TCP h:5060;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
         CSeq: 7 BYE\r\nCall-ID: x@y\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn headers_are_taken_away_but_for_those_that_make_a_message() {
    let mut invite = request(&trunk_invite(BRACKETED));
    invite.retain_headers(|name, _| !name.starts_with("X-") && name != "P-Asserted-Identity" && name != "Via");
    assert_eq!(invite.asserted_identities().count(), 0);
    assert!(!invite.headers().contains("X-Exotel-LegSid") && invite.headers().contains(HeaderName::Via));
}

#[test]
fn reason_session_timer_and_status_vocabulary_are_read() {
    let bye = request(&with_lines(
        "Reason: Q.850 ;cause=16;text=\"a, b\", SIP;cause=200\r\nx: 1800 ;refresher=UAS\r\nMin-SE: 99999999999\r\n",
    ));
    let reason = bye.reason().unwrap();
    assert_eq!((reason.protocol.as_str(), reason.cause, reason.text.as_str()), ("Q.850", Some(16), "a, b"));
    let timer = bye.session_expires().unwrap();
    assert_eq!((timer.seconds, timer.refresher), (1800, Some(sip::message::Refresher::Uas)));
    assert_eq!(bye.min_se(), Some(u32::MAX));
    let phrases = [
        (200, "OK"),
        (481, "Call/Transaction Does Not Exist"),
        (486, "Busy Here"),
        (416, "Unsupported URI Scheme"),
        (499, "Request Failure"),
    ];
    for (status, phrase) in phrases {
        assert_eq!(sip::message::reason_phrase(status), phrase);
    }
}

/// Prints what reading and answering the trunk's INVITE costs here; asserts nothing about time.
#[test]
fn the_cost_of_the_trunks_invite_is_printed() {
    let bytes = trunk_invite(UNBRACKETED);
    let rounds = 20_000u32;
    let start = std::time::Instant::now();
    let routes: usize = (0..rounds).map(|_| request(std::hint::black_box(&bytes)).headers().len()).sum();
    let read = start.elapsed() / rounds;
    let invite = request(&bytes);
    let start = std::time::Instant::now();
    let written: usize = (0..rounds)
        .map(|_| Response::to_request(&invite, 200).to_tag("t").record_route().build().to_bytes().len())
        .sum();
    println!("{} bytes: read in {read:?}, 200 built and written in {:?}", bytes.len(), start.elapsed() / rounds);
    assert!(routes > 0 && written > 0);
}
