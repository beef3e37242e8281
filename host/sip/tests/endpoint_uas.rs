//! What a UAS answers, request by request, spoken to in text.

mod pair;

use std::time::Duration;

use pair::*;
use sip::*;

fn tcp() -> Flow {
    flow(Transport::Tcp, 1, CALLER)
}

#[test]
fn the_trunks_invite_works_in_every_spelling() {
    let routes = [
        "sip:203.0.113.9:443;transport=tls;lr",
        "<sip:203.0.113.9:443;transport=tls;lr>",
        "<sip:203.0.113.9:443;transport=tcp;lr>",
    ];
    for (name, transport) in [("TCP", Transport::Tcp), ("TLS", Transport::Tls)] {
        for record_route in routes {
            for contact in ["tcp", "tls"] {
                let mut host = Host::on(transport);
                let way = flow(transport, 1, "203.0.113.9:443");
                let text = trunk_invite(name, record_route, contact);
                host.hear(way, &text);
                assert!(host.reply().1.starts_with("SIP/2.0 100"));
                let Event::Invite { dialog, request, .. } = host.event() else { panic!() };
                assert_eq!(request.uri().user(), Some("+911234"));
                assert_eq!(request.headers().get_text("X-Exotel-CallSid").as_deref(), Some("call"));
                host.command(Command::Answer {
                    dialog,
                    sdp: ANSWER.into(),
                    headers: vec![("X-Us".into(), "1".into())],
                });
                let (_, ok) = host.reply();
                assert_eq!(headers(&ok, "Record-Route"), [record_route], "byte for byte");
                let lower = name.to_ascii_lowercase();
                assert_eq!(header(&ok, "Contact"), format!("<sip:+911234@198.51.100.1:5070;transport={lower}>"));
                assert_eq!(header(&ok, "X-Us"), "1");
                let tag = header(&ok, "To").split("tag=").nth(1).unwrap().to_owned();
                host.hear(way, &in_dialog(&text, "ACK", &tag, 102, ""));
                assert!(matches!(host.event(), Event::Acknowledged { .. }));

                // Our BYE takes the live connection, by the route set all the same.
                host.command(Command::Bye { dialog, reason: None });
                let (sent_on, bye) = host.reply();
                assert_eq!(sent_on, way);
                assert!(
                    bye.starts_with(&format!("BYE sip:+919999@203.0.113.7:5080;transport={contact} SIP/2.0\r\n")),
                    "{bye}"
                );
                assert_eq!(header(&bye, "Route"), format!("<{}>", record_route.trim_matches(['<', '>'])));
                assert_eq!(header(&bye, "From"), format!("<sip:+911234@198.51.100.1>;tag={tag}"));
                assert_eq!(header(&bye, "To"), "\"+919999\" <sip:+919999@exotelt.pstn.exotel.com>;tag=as2aefddf2");
                assert!(header(&bye, "Via").starts_with(&format!("SIP/2.0/{name} 198.51.100.1:5070;")));
            }
        }
    }
}

#[test]
fn each_request_gets_the_status_the_rfcs_say() {
    type Case = (&'static str, String, u16, &'static [(&'static str, &'static str)]);
    let cases: &[Case] = &[
        (
            "OPTIONS",
            request("OPTIONS", "o", "", 1, "", ""),
            200,
            &[("Allow", "INVITE"), ("Accept", "application/sdp"), ("Supported", "timer")],
        ),
        ("REGISTER", request("REGISTER", "r", "", 1, "", ""), 405, &[("Allow", "INVITE")]),
        ("an unknown method", request("NEWMETHOD", "n", "", 1, "", ""), 501, &[("Allow", "INVITE")]),
        ("BYE outside a dialog", request("BYE", "b", "", 1, "", ""), 481, &[]),
        ("BYE for an unknown dialog", request("BYE", "b", "nobody", 1, "", ""), 481, &[]),
        ("INVITE for an unknown dialog", request("INVITE", "b", "nobody", 1, "", ""), 481, &[]),
        ("INFO outside a dialog", request("INFO", "b", "", 1, "", ""), 481, &[]),
        ("UPDATE outside a dialog", request("UPDATE", "b", "", 1, "", ""), 481, &[]),
        ("CANCEL of nothing", request("CANCEL", "b", "", 1, "", ""), 481, &[]),
        ("an unknown extension", invite("x", 1, "Require: timer, foo,bar\r\n"), 420, &[("Unsupported", "foo, bar")]),
        (
            "a body we cannot read",
            request("INVITE", "t", "", 1, "Content-Type: text/plain\r\n", "hello"),
            415,
            &[("Accept", "application/sdp")],
        ),
        ("an encoded body", invite("e", 1, "Content-Encoding: gzip\r\n"), 415, &[("Accept-Encoding", "identity")]),
        (
            "too short a session",
            invite("s", 1, "Supported: timer\r\nSession-Expires: 60\r\n"),
            422,
            &[("Min-SE", "90")],
        ),
        ("an unknown scheme", invite("u", 1, "").replacen("sip:", "soap:", 1), 416, &[]),
        ("another version", invite("v", 1, "").replacen("SIP/2.0", "SIP/7.0", 1), 505, &[]),
        ("no Contact", invite("c", 1, "").replace("Contact: <sip:+910000@192.0.2.1:5060>\r\n", ""), 400, &[]),
        ("two Contacts", invite("c", 1, "Contact: <sip:other@192.0.2.1>\r\n"), 400, &[]),
        ("no Call-ID", invite("c", 1, "").replace("Call-ID: c\r\n", ""), 400, &[]),
        ("a CSeq of another method", invite("c", 1, "").replace("1 INVITE", "1 BYE"), 400, &[]),
    ];
    for (name, text, status, expected) in cases {
        let mut host = Host::on(Transport::Tcp);
        let reply = host.ask(tcp(), text);
        assert_eq!(status_of(&reply), *status, "{name}: {reply}");
        for (header_name, value) in *expected {
            assert!(header(&reply, header_name).starts_with(value), "{name}: {reply}");
        }
        assert!(header(&reply, "To").contains(";tag="), "{name}: {reply}");
        assert!(host.events.is_empty(), "{name}");
        host.run_for(Duration::from_secs(40));
        assert_eq!((host.endpoint.transaction_count(), host.endpoint.timer_count()), (0, 0), "{name}");
    }
}

#[test]
fn what_a_uas_must_not_refuse_is_accepted() {
    let cases = [
        invite("m", 1, "").replace("Max-Forwards: 70", "Max-Forwards: 0"),
        invite("m", 1, "").replace("Max-Forwards: 70\r\n", ""),
        invite("h", 1, "").replace("INVITE sip:+911234@198.51.100.1:5070", "INVITE sip:+911234@elsewhere.example"),
        invite("t", 1, "").replace("INVITE sip:+911234@198.51.100.1:5070", "INVITE tel:+911234"),
        invite("r", 1, "Require: 100rel\r\n"),
        invite("o", 1, "Content-Disposition: session\r\n"),
        request("INVITE", "n", "", 1, "", ""),
        request(
            "INVITE",
            "b",
            "",
            1,
            "Content-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n",
            "hello",
        ),
        // An unknown extension in Supported, a short session from a proxy for a peer without timers.
        invite("s", 1, "Supported: foo\r\nSession-Expires: 60\r\n"),
    ];
    for text in cases {
        let mut host = Host::on(Transport::Tcp);
        host.hear(tcp(), &text);
        assert!(matches!(host.events.pop_front(), Some(Event::Invite { .. })), "{text}: {:?}", host.replies);
        assert_eq!(host.replies.len(), 1);
        assert!(host.reply().1.starts_with("SIP/2.0 100"));
    }
}

#[test]
fn the_session_is_found_in_a_multipart_body() {
    let body = format!(
        "preamble\r\n--b1\r\nContent-Type: application/isup;version=x\r\n\r\n\u{1}\r\n--b1\r\nContent-Type : application/SDP\r\n\r\n{OFFER}\r\n--b1--\r\n"
    );
    let mut host = Host::on(Transport::Tcp);
    host.hear(tcp(), &request("INVITE", "multi", "", 1, "Content-Type: multipart/mixed; boundary=\"b1\"\r\n", &body));
    let Event::Invite { request: invite, .. } = host.event() else { panic!() };
    assert_eq!(session_of(&invite), Some(OFFER.as_bytes()));
    for broken in ["--b1", "--b1\r\nContent-Type: application/sdp\r\n\r\nv=0", "nothing"] {
        let text = request(
            "INVITE",
            broken.len().to_string().as_str(),
            "",
            1,
            "Content-Type: multipart/mixed;boundary=b1\r\n",
            broken,
        );
        assert_eq!(host.status(tcp(), &text), 415);
    }
}

#[test]
fn an_untrusted_trunk_may_call_only_our_own_hosts() {
    let mut config = config(Transport::Tcp, HOST);
    config.trunks[0].trusted = false;
    let mut host = Host::new(config);
    assert_eq!(
        host.status(tcp(), &invite("a", 1, "").replace("INVITE sip:+911234@198.51.100.1", "INVITE sip:+911234@other")),
        404
    );
    host.hear(tcp(), &invite("b", 1, ""));
    assert!(matches!(host.event(), Event::Invite { .. }));
}

#[test]
fn a_request_that_comes_by_two_ways_is_served_once() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("twice", 1, "");
    host.hear(tcp(), &text);
    assert!(matches!(host.event(), Event::Invite { .. }));
    let merged = text.replace("branch=z9hG4bK", "branch=z9hG4bKother");
    assert_eq!(host.status(tcp(), &merged), 482);
    // A true retransmission is absorbed.
    host.hear(tcp(), &text);
    assert!(host.reply().1.starts_with("SIP/2.0 100"));
    assert!(host.events.is_empty());
}

#[test]
fn a_request_that_another_has_overtaken_gets_500() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("stale", 10, "");
    let (_, tag) = host.call(tcp(), &text);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "INFO", &tag, 12, "")), 200);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "INFO", &tag, 11, "")), 500);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "OPTIONS", &tag, 12, "")), 500);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "BYE", &tag, 9, "")), 500);
    assert_eq!(host.endpoint.dialog_count(), 1);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "BYE", &tag, 13, "")), 200);
    assert_eq!(host.endpoint.dialog_count(), 0);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "BYE", &tag, 14, "")), 481);
}

#[test]
fn a_second_invite_before_the_first_is_answered_gets_500_with_retry_after() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("overlap", 1, "");
    let (dialog, tag) = host.call(tcp(), &text);
    host.hear(tcp(), &in_dialog(&text, "INVITE", &tag, 2, ""));
    assert!(matches!(host.event(), Event::Offer { sdp: None, .. }));
    let reply = host.ask(tcp(), &in_dialog(&text, "INVITE", &tag, 3, ""));
    assert_eq!(status_of(&reply), 500);
    assert!(header(&reply, "Retry-After").parse::<u32>().unwrap() <= 10);
    // A CANCEL takes the first back, and the session stays.
    let cancel =
        in_dialog(&text, "INVITE", &tag, 2, "").replace("INVITE sip", "CANCEL sip").replace("2 INVITE", "2 CANCEL");
    host.hear(tcp(), &cancel);
    let statuses: Vec<u16> = host.replies.drain(..).map(|(_, text)| status_of(&text)).collect();
    assert_eq!(statuses, [200, 487]);
    assert!(matches!(host.event(), Event::OfferWithdrawn { .. }));
    host.command(Command::AcceptOffer { dialog, sdp: ANSWER.into() });
    assert!(host.replies.is_empty(), "too late");
}

#[test]
fn an_update_with_an_offer_while_ours_is_open_gets_491() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("glare", 1, "");
    let (dialog, tag) = host.call(tcp(), &text);
    host.command(Command::Reinvite { dialog, sdp: HOLD.into() });
    let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}", OFFER.len());
    let update = in_dialog(&text, "UPDATE", &tag, 2, "").replace("Content-Length: 0\r\n\r\n", &body);
    assert_eq!(host.status(tcp(), &update), 491);
    let refresh = in_dialog(&text, "UPDATE", &tag, 3, "Contact: <sip:moved@192.0.2.1:5099>\r\n");
    assert_eq!(host.status(tcp(), &refresh), 200);
    host.command(Command::InfoDigit { dialog, digit: '1', duration_ms: 100 });
    assert!(host.reply().1.starts_with("INFO sip:moved@192.0.2.1:5099 SIP/2.0"), "UPDATE moved the target");
}

#[test]
fn an_update_with_an_offer_is_put_to_the_call_plane() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("update", 1, "");
    let (dialog, tag) = host.call(tcp(), &text);
    host.replies.clear();
    let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{HOLD}", HOLD.len());
    host.hear(tcp(), &in_dialog(&text, "UPDATE", &tag, 2, "").replace("Content-Length: 0\r\n\r\n", &body));
    assert!(matches!(host.event(), Event::Offer { sdp: Some(sdp), .. } if sdp == HOLD.as_bytes()));
    assert!(host.replies.is_empty());
    host.command(Command::AcceptOffer { dialog, sdp: ANSWER.into() });
    let (_, ok) = host.reply();
    assert!(ok.starts_with("SIP/2.0 200") && ok.ends_with(ANSWER));
}

#[test]
fn an_ack_of_an_earlier_invite_does_not_acknowledge_a_later_one() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("acks", 1, "");
    let (dialog, tag) = host.call(tcp(), &text);
    host.hear(tcp(), &in_dialog(&text, "INVITE", &tag, 2, ""));
    assert!(matches!(host.event(), Event::Offer { sdp: None, .. }));
    host.command(Command::AcceptOffer { dialog, sdp: ANSWER.into() });
    host.hear(tcp(), &in_dialog(&text, "ACK", &tag, 1, ""));
    assert!(host.events.is_empty());
    assert_eq!(host.endpoint.counters().dropped.get(&DropReason::StrayAck), Some(&1));
    // The right one has no answer to our offer, which changes nothing.
    host.hear(tcp(), &in_dialog(&text, "ACK", &tag, 2, ""));
    assert!(matches!(host.event(), Event::OfferRejected { status: 488, .. }));
}

#[test]
fn a_lost_ack_is_made_good_by_the_next_invite() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("lost", 1, "");
    host.hear(tcp(), &text);
    let Event::Invite { dialog, .. } = host.event() else { panic!() };
    host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
    let ok = host.replies.drain(..).next_back().unwrap().1;
    let tag = header(&ok, "To").split("tag=").nth(1).unwrap().to_owned();
    host.hear(tcp(), &in_dialog(&text, "INVITE", &tag, 2, ""));
    assert!(matches!(host.event(), Event::Acknowledged { .. }));
    assert!(matches!(host.event(), Event::Offer { .. }));
}

#[test]
fn another_trunk_cannot_touch_a_dialog_or_a_transaction() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("mine", 1, "");
    let stranger = Flow { trunk: TrunkId(1), ..flow(Transport::Tcp, 2, "203.0.113.66:5060") };
    host.hear(tcp(), &text);
    let cancel = text.replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL");
    assert_eq!(host.status(stranger, &cancel), 481);
    let Event::Invite { dialog, .. } = host.event() else { panic!() };
    host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
    let ok = host.replies.drain(..).next_back().unwrap().1;
    let tag = header(&ok, "To").split("tag=").nth(1).unwrap().to_owned();
    assert_eq!(host.status(stranger, &in_dialog(&text, "BYE", &tag, 2, "")), 481);
    host.hear(stranger, &in_dialog(&text, "ACK", &tag, 1, ""));
    assert!(host.events.is_empty() && host.endpoint.dialog_count() == 1);
    // The trunk's own, on a connection never seen before, does.
    assert_eq!(host.status(flow(Transport::Tcp, 9, "192.0.2.77:9999"), &in_dialog(&text, "BYE", &tag, 2, "")), 200);
}

#[test]
fn an_ack_with_the_branch_of_its_invite_or_none_is_heard() {
    for branch in [";branch=z9hG4bKsame", ""] {
        let mut host = Host::on(Transport::Tcp);
        let text = invite("old", 1, "").replace(";branch=z9hG4bK-old-1-INVITE", branch);
        host.hear(tcp(), &text);
        let Event::Invite { dialog, .. } = host.event() else { panic!() };
        host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
        let ok = host.replies.pop_back().unwrap().1;
        let tag = header(&ok, "To").split("tag=").nth(1).unwrap().to_owned();
        let ack = text.replace("INVITE sip", "ACK sip").replace("1 INVITE", "1 ACK");
        host.hear(tcp(), &ack.replace("<sip:+911234@198.51.100.1>", &format!("<sip:+911234@198.51.100.1>;tag={tag}")));
        assert!(matches!(host.event(), Event::Acknowledged { .. }), "{branch}");
    }
}

#[test]
fn a_bye_before_the_answer_ends_the_call_with_487_to_its_invite() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("early", 1, "");
    host.hear(tcp(), &text);
    let Event::Invite { dialog, .. } = host.event() else { panic!() };
    host.command(Command::Ring { dialog });
    let (_, ringing) = host.replies.pop_back().unwrap();
    let tag = header(&ringing, "To").split("tag=").nth(1).unwrap().to_owned();
    host.replies.clear();
    host.hear(tcp(), &in_dialog(&text, "BYE", &tag, 2, "Reason: Q.850;cause=16\r\n"));
    let statuses: Vec<u16> = host.replies.drain(..).map(|(_, text)| status_of(&text)).collect();
    assert_eq!(statuses, [200, 487]);
    assert!(matches!(host.event(), Event::Ended { ending: Ending::PeerBye { reason: Some(_) }, .. }));
}

#[test]
fn a_draining_host_turns_new_calls_away_and_keeps_the_others() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("kept", 1, "");
    let (_, tag) = host.call(tcp(), &text);
    host.command(Command::Drain);
    let refusal = host.ask(tcp(), &invite("new", 1, ""));
    assert_eq!((status_of(&refusal), header(&refusal, "Retry-After")), (503, ""));
    assert_eq!(host.status(tcp(), &request("OPTIONS", "o", "", 1, "", "")), 503);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "OPTIONS", &tag, 2, "")), 200);
    assert_eq!(host.status(tcp(), &in_dialog(&text, "BYE", &tag, 3, "")), 200);
}

#[test]
fn what_nobody_waits_for_is_dropped_and_counted() {
    let mut host = Host::on(Transport::Udp);
    let way = flow(Transport::Udp, 0, CALLER);
    let ok = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    host.hear(way, ok);
    host.hear(way, &request("ACK", "stray", "nobody", 1, "", ""));
    host.hear(way, "\0\u{1}garbage\r\n\r\n");
    host.hear(way, "SIP/2.0 200 OK\r\n\r\n");
    host.hear(Flow { trunk: TrunkId(9), ..way }, &invite("x", 1, ""));
    assert!(host.replies.is_empty() && host.events.is_empty());
    let dropped = |reason| host.endpoint.counters().dropped.get(&reason).copied().unwrap_or(0);
    assert_eq!(dropped(DropReason::StrayResponse), 1);
    assert_eq!(dropped(DropReason::StrayAck), 1);
    assert_eq!(dropped(DropReason::Unreadable), 2);
    assert_eq!(dropped(DropReason::UnknownOrigin), 1);
    assert_eq!(host.endpoint.counters().requests_received.get("ACK"), Some(&1));
}

#[test]
fn digits_by_info_are_read_in_every_spelling() {
    let mut host = Host::on(Transport::Tcp);
    let text = invite("digits", 1, "");
    let (_, tag) = host.call(tcp(), &text);
    type Case = (&'static str, &'static str, u16, Option<(char, u32)>);
    let cases: [Case; 11] = [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160", 200, Some(('5', 160))),
        ("application/dtmf-relay", "signal = *\r\nduration = 90\r\n", 200, Some(('*', 90))),
        ("Application/DTMF-Relay", "Duration=1\nSignal=11\n", 200, Some(('#', 1))),
        ("application/dtmf-relay", "Signal=d\r\n", 200, Some(('D', 160))),
        ("application/dtmf-relay", "Signal=1\r\nDuration=4000000000\r\n", 200, Some(('1', 10_000))),
        ("application/dtmf", "5", 200, Some(('5', 160))),
        ("application/dtmf", " # \r\n", 200, Some(('#', 160))),
        ("application/dtmf", "17", 400, None),
        ("application/dtmf-relay", "Signal=hello", 400, None),
        ("application/media_control+xml", "<x/>", 415, None),
        ("application/dtmf-relay", "", 200, None),
    ];
    for (cseq, (kind, body, status, digit)) in (2..).zip(cases) {
        let tail = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let info = in_dialog(&text, "INFO", &tag, cseq, "").replace("Content-Length: 0\r\n\r\n", &tail);
        assert_eq!(host.status(tcp(), &info), status, "{body}");
        let told = host.events.pop_front().map(|event| match event {
            Event::InfoDigit { digit, duration_ms, .. } => (digit, duration_ms),
            other => panic!("{other:?}"),
        });
        assert_eq!(told, digit, "{body}");
    }
}

#[test]
fn a_refresher_whose_peer_takes_no_update_sends_its_last_offer_again() {
    let mut host = Host::on(Transport::Tcp);
    let headers = "Allow: INVITE, ACK, BYE\r\nSupported: timer\r\nSession-Expires: 90;refresher=uas\r\n";
    let text = invite("refresh", 1, headers);
    let (dialog, _) = host.call(tcp(), &text);
    host.replies.clear();
    host.run_for(Duration::from_secs(46));
    let (_, reinvite) = host.reply();
    assert!(reinvite.starts_with("INVITE ") && reinvite.ends_with(ANSWER), "{reinvite}");
    assert_eq!(header(&reinvite, "Session-Expires"), "90;refresher=uac");
    host.hear(tcp(), &answer_to(&reinvite, "Session-Expires: 90;refresher=uac\r\n"));
    assert!(host.reply().1.starts_with("ACK "));
    host.run_for(Duration::from_secs(44));
    assert_eq!(host.endpoint.dialog_count(), 1);
    // The next one finds a peer that no longer knows the call.
    host.run_for(Duration::from_secs(2));
    let (_, reinvite) = host.reply();
    host.hear(tcp(), &answer_to(&reinvite, "").replace("200 OK", "481 Gone"));
    assert!(host.events.iter().any(|event| matches!(event, Event::Ended { dialog: ended, ending: Ending::Gone { status: 481 } } if *ended == dialog)));
}

fn answer_to(request: &str, extra: &str) -> String {
    let cseq = header(request, "CSeq");
    format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq}\r\n{extra}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
        header(request, "Via"),
        header(request, "From"),
        header(request, "To"),
        header(request, "Call-ID"),
        OFFER.len(),
    )
}
