//! Our REFER and the NOTIFYs that tell what came of it; our re-INVITE where it meets a refresh, a longer session or the peer's own.

mod pair;

use std::time::Duration;

use pair::*;
use sip::*;

/// A call over TCP whose peer is this test.
struct Scene {
    host: Host,
    invite: String,
    dialog: DialogId,
    tag: String,
    cseq: u32,
}

fn tcp() -> Flow {
    flow(Transport::Tcp, 1, CALLER)
}

impl Scene {
    fn new() -> Scene {
        Scene::with("")
    }

    fn with(headers: &str) -> Scene {
        let mut host = Host::on(Transport::Tcp);
        let invite = invite("refer", 1, headers);
        let (dialog, tag) = host.call(tcp(), &invite);
        Scene { host, invite, dialog, tag, cseq: 1 }
    }

    /// Sends our REFER. Returns it as it went out.
    fn refer(&mut self) -> String {
        let target = ReferTarget::parse("sip:agent@trunk.example").unwrap();
        let headers = vec![("X-Topic".to_owned(), "billing".to_owned())];
        self.host.command(Command::Refer { dialog: self.dialog, target, headers });
        self.host.reply().1
    }

    fn answer(&mut self, request: &str, status: &str, headers: &str) {
        let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .map(|name| format!("{name}: {}\r\n", header(request, name)))
            .collect();
        self.host.hear(tcp(), &format!("SIP/2.0 {status}\r\n{copied}{headers}Content-Length: 0\r\n\r\n"));
    }

    /// A NOTIFY with these headers and this body. Returns the status of its answer.
    fn notify(&mut self, headers: &str, body: &str) -> u16 {
        self.cseq += 1;
        let head = in_dialog(&self.invite, "NOTIFY", &self.tag, self.cseq, headers);
        let text = head.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.host.status(tcp(), &text)
    }

    fn notified(&mut self, state: &str, fragment: &str) -> u16 {
        let headers =
            format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n");
        self.notify(&headers, fragment)
    }

    #[track_caller]
    fn expect_progress(&mut self, expected: u16) {
        assert!(matches!(self.host.event(), Event::ReferProgress { status, .. } if status == expected));
    }

    /// The one event that ends it. Returns status and phrase.
    #[track_caller]
    fn ended(&mut self) -> (u16, String) {
        let ended = match self.host.event() {
            Event::ReferEnded { status, phrase, .. } => (status, phrase),
            other => panic!("{other:?}"),
        };
        assert!(self.host.events.is_empty() && self.host.endpoint.dialog_count() == 1, "and the dialog goes on");
        ended
    }
}

#[test]
fn a_refer_names_whom_to_call_who_asks_and_where_we_are() {
    let mut scene = Scene::new();
    let refer = scene.refer();
    assert!(refer.starts_with("REFER sip:+910000@192.0.2.1:5060 SIP/2.0\r\n"), "{refer}");
    for (name, value) in [
        ("Refer-To", "<sip:agent@trunk.example>"),
        ("Referred-By", "<sip:+911234@198.51.100.1>"),
        ("Contact", "<sip:+911234@198.51.100.1:5070;transport=tcp>"),
        ("X-Topic", "billing"),
        ("CSeq", "1 REFER"),
    ] {
        assert_eq!(headers(&refer, name), [value], "{refer}");
    }
}

#[test]
fn progress_is_told_when_it_changes_and_the_last_notify_ends_it() {
    let mut scene = Scene::new();
    let refer = scene.refer();
    scene.answer(&refer, "202 Accepted", "");
    for (fragment, told) in
        [("SIP/2.0 100 Trying\r\n", true), ("SIP/2.0 100 Trying\r\n", false), ("SIP/2.0 180 Ringing\r\n", true)]
    {
        assert_eq!(scene.notified("active;expires=60", fragment), 200);
        assert_eq!(!scene.host.events.is_empty(), told, "{fragment}");
        scene.host.events.clear();
    }
    assert_eq!(scene.notified("terminated;reason=noresource", "SIP/2.0 200 OK\r\n"), 200);
    assert_eq!(scene.ended(), (200, "OK".into()));
    assert_eq!(scene.notified("terminated;reason=noresource", "SIP/2.0 200 OK\r\n"), 481, "it is over");
}

#[test]
fn a_notify_may_come_before_the_202_and_bear_the_refers_number() {
    let mut scene = Scene::new();
    let refer = scene.refer();
    let of = |id: &str| format!("o: refer;id={id}\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n");
    assert_eq!(scene.notify(&of("2"), "SIP/2.0 100 Trying"), 481, "of another REFER");
    assert_eq!(scene.notify(&of("x"), "SIP/2.0 100 Trying"), 481);
    assert_eq!(scene.notify(&of("1"), "SIP/2.0 183 Session Progress"), 200);
    scene.expect_progress(183);
    scene.answer(&refer, "202 Accepted", "");
    assert_eq!(scene.notify(&of("1"), "SIP/2.0 486 Busy Here"), 200);
    assert_eq!(scene.ended(), (486, "Busy Here".into()), "a final status ends it, whatever the subscription's state");
}

#[test]
fn a_refer_that_is_refused_leaves_the_call() {
    for status in
        ["403 Forbidden", "405 Method Not Allowed", "408 Request Timeout", "603 Decline", "302 Moved Temporarily"]
    {
        let mut scene = Scene::new();
        let refer = scene.refer();
        scene.answer(&refer, status, "");
        let (code, phrase) = scene.ended();
        assert_eq!(format!("{code} {phrase}"), status);
        assert_eq!(scene.notified("active", "SIP/2.0 100 Trying"), 481);
    }
}

#[test]
fn a_peer_that_knows_the_dialog_no_more_ends_it() {
    let mut scene = Scene::new();
    let refer = scene.refer();
    scene.answer(&refer, "481 Call/Transaction Does Not Exist", "");
    assert!(matches!(scene.host.event(), Event::Ended { ending: Ending::Gone { status: 481 }, .. }));
}

#[test]
fn a_2xx_that_promises_no_notify_is_the_end_of_it() {
    let mut scene = Scene::new();
    let refer = scene.refer();
    scene.answer(&refer, "200 OK", "Refer-Sub: false\r\n");
    assert_eq!(scene.ended(), (200, "OK".into()));
}

#[test]
fn without_a_notify_it_is_given_up_after_30_s_and_the_call_stays() {
    for answered in [true, false] {
        let mut scene = Scene::new();
        let refer = scene.refer();
        if answered {
            scene.answer(&refer, "202 Accepted", "");
        }
        scene.host.run_for(Duration::from_millis(29_999));
        assert!(scene.host.events.is_empty());
        scene.host.run_for(Duration::from_millis(1));
        assert_eq!(scene.ended(), (408, "Request Timeout".into()));
        assert_eq!(scene.notified("active", "SIP/2.0 200 OK"), 481, "too late");
        // The transaction of a REFER without any answer ends 2 s later, and takes nothing with it.
        scene.host.run_for(Duration::from_secs(60));
        assert_eq!((scene.host.events.len(), scene.host.endpoint.dialog_count()), (0, 1));
    }
}

#[test]
fn a_notify_gives_it_as_long_as_it_says_and_no_more_than_3_minutes() {
    for (state, seconds) in [
        ("active;expires=60", 60),
        ("active;expires=1", 30),
        ("active", 180),
        ("active;expires=4294967295", 180),
        ("", 180),
    ] {
        let mut scene = Scene::new();
        let refer = scene.refer();
        scene.answer(&refer, "202 Accepted", "");
        assert_eq!(scene.notified(state, "SIP/2.0 180 Ringing"), 200);
        scene.expect_progress(180);
        scene.host.run_for(Duration::from_millis(seconds * 1000 - 1));
        assert!(scene.host.events.is_empty(), "{state}");
        scene.host.run_for(Duration::from_millis(1));
        assert_eq!(scene.ended().0, 408, "{state}");
    }
    let mut scene = Scene::new();
    scene.refer();
    for _ in 0..17 {
        scene.host.run_for(Duration::from_secs(10));
        assert_eq!(scene.notified("active;expires=3600", "SIP/2.0 100 Trying"), 200);
    }
    scene.host.events.clear();
    scene.host.run_for(Duration::from_secs(10));
    assert_eq!(scene.ended().0, 408, "three minutes after the REFER");
}

#[test]
fn a_subscription_that_ends_without_a_word_is_408() {
    for fragment in ["SIP/2.0 100 Trying", "nonsense", ""] {
        let mut scene = Scene::new();
        let refer = scene.refer();
        scene.answer(&refer, "202 Accepted", "");
        assert_eq!(scene.notified("Terminated ;reason=noresource", fragment), 200);
        assert_eq!(scene.ended().0, 408, "{fragment}");
    }
}

#[test]
fn so_much_progress_is_told_and_no_more() {
    let mut scene = Scene::new();
    scene.refer();
    for number in 0..100 {
        assert_eq!(scene.notified("active", &format!("SIP/2.0 {} x", 180 + number % 2)), 200);
    }
    assert_eq!(scene.host.events.len(), 16);
}

#[test]
fn a_notify_that_nobody_asked_for_is_refused() {
    let fragment = "SIP/2.0 200 OK";
    let mut scene = Scene::new();
    assert_eq!(scene.notified("active", fragment), 481, "no REFER was sent");
    assert_eq!(scene.notify("Event: presence\r\n", ""), 489);
    assert_eq!(scene.notify("", ""), 489);
    assert_eq!(scene.host.status(tcp(), &request("NOTIFY", "other", "", 1, "Event: refer\r\n", "")), 481, "no dialog");
    scene.refer();
    assert_eq!(scene.notify("Event: refer\r\nContent-Type: text/plain\r\n", fragment), 415);
    assert!(scene.host.events.is_empty());
    assert_eq!(scene.notified("active", fragment), 200);
    assert_eq!(scene.ended().0, 200);
}

#[test]
fn one_refer_at_a_time_and_none_that_waits_after_it_was_given_up() {
    let mut scene = Scene::new();
    scene.refer();
    let target = ReferTarget::parse("tel:+911").unwrap();
    let again = Command::Refer { dialog: scene.dialog, target: target.clone(), headers: Vec::new() };
    scene.host.command(again);
    assert!(matches!(scene.host.event(), Event::ReferEnded { status: 491, .. }));
    // The first is given up, its transaction has 2 s left: the second waits for that, and is sent.
    scene.host.run_for(Duration::from_secs(30));
    assert_eq!(scene.ended().0, 408);
    scene.host.command(Command::Refer { dialog: scene.dialog, target, headers: Vec::new() });
    assert!(scene.host.replies.is_empty());
    scene.host.run_for(Duration::from_secs(3));
    let (_, second) = scene.host.reply();
    assert!(second.starts_with("REFER") && header(&second, "Refer-To") == "<tel:+911>", "{second}");
    scene.answer(&second, "403 Forbidden", "");
    assert_eq!(scene.ended().0, 403);
}

#[test]
fn a_hangup_forgets_the_refer() {
    let mut scene = Scene::new();
    scene.refer();
    scene.host.command(Command::Bye { dialog: scene.dialog, reason: None });
    let (_, bye) = scene.host.reply();
    assert_eq!(scene.notified("terminated", "SIP/2.0 200 OK"), 481);
    scene.answer(&bye, "200 OK", "");
    assert!(matches!(scene.host.event(), Event::Ended { ending: Ending::OurBye, .. }));
    scene.host.run_for(Duration::from_secs(300));
    assert_eq!((scene.host.endpoint.timer_count(), scene.host.endpoint.transaction_count()), (0, 0));
}

#[test]
fn headers_of_the_bye_go_with_it_and_add_nothing_that_is_ours() {
    let mut scene = Scene::new();
    let header_pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
    for headers in
        [header_pairs(&[("X-Old", "1")]), header_pairs(&[("X-Outcome", "sold\r\nX-Evil: 1"), ("From", "<sip:x@y>")])]
    {
        scene.host.command(Command::ByeHeaders { dialog: scene.dialog, headers });
    }
    scene.host.command(Command::Bye { dialog: scene.dialog, reason: None });
    let (_, bye) = scene.host.reply();
    assert_eq!((headers(&bye, "X-Outcome"), headers(&bye, "X-Old")), (vec!["sold  X-Evil: 1"], vec![]));
    assert_eq!(headers(&bye, "From").len(), 1);
}

/// The offer of ours that waits is sent once the peer's has its ACK.
#[test]
fn an_offer_of_ours_waits_for_the_end_of_the_peers() {
    let mut pair = Pair::new(Transport::Udp);
    let (caller, host) = pair.connect();
    pair.lose(End::Uac, "ACK", 1);
    pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: OFFER.into() });
    pair.settle();
    assert!(matches!(pair.uas.event(), Event::Offer { .. }));
    pair.command(End::Uas, Command::AcceptOffer { dialog: host, sdp: ANSWER.into() });
    pair.command(End::Uas, Command::Reinvite { dialog: host, sdp: "v=0 stale".into() });
    pair.command(End::Uas, Command::Reinvite { dialog: host, sdp: HOLD.into() });
    assert_eq!(pair.uas.count_sent("INVITE"), 0);
    pair.run_for(Duration::from_secs(9));
    assert!(matches!(pair.uac.event(), Event::OfferAnswered { .. }));
    assert!(matches!(pair.uac.event(), Event::Offer { sdp: Some(sdp), .. } if sdp == HOLD.as_bytes()), "the newest");
    pair.command(End::Uac, Command::AcceptOffer { dialog: caller, sdp: ANSWER.into() });
    pair.settle();
    assert!(matches!(pair.uas.event(), Event::OfferAnswered { .. }));
    assert_eq!(pair.uas.count_sent("INVITE"), 1);
    pair.bye(End::Uac, caller);
    pair.finish();
}

/// A refresh of the session by re-INVITE is on its way just when the hold is wanted.
#[test]
fn an_offer_of_ours_goes_after_a_refresh_and_the_refresh_is_told_to_nobody() {
    for refused in [None, Some("491 Request Pending"), Some("500 Server Internal Error")] {
        let mut scene = Scene::with("Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n");
        scene.host.run_for(Duration::from_secs(45));
        let (_, refresh) = scene.host.reply();
        assert!(refresh.starts_with("INVITE") && refresh.ends_with(ANSWER), "{refresh}");
        scene.host.command(Command::Reinvite { dialog: scene.dialog, sdp: HOLD.into() });
        assert!(scene.host.replies.is_empty());
        match refused {
            None => {
                let session = "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n";
                scene.answer(&refresh, "200 OK", session);
            }
            Some(status) => scene.answer(&refresh, status, ""),
        }
        let (_, ack) = scene.host.reply();
        assert!(ack.starts_with("ACK") && scene.host.events.is_empty());
        scene.host.run_for(Duration::from_secs(2));
        let (_, hold) = scene.host.reply();
        assert!(hold.starts_with("INVITE") && hold.ends_with(HOLD), "{refused:?}: {hold}");
        scene.answer(&hold, "488 Not Acceptable Here", "");
        assert!(matches!(scene.host.event(), Event::OfferRejected { status: 488, .. }));
    }
}

#[test]
fn a_422_to_our_offer_sends_it_again_with_a_longer_session() {
    let mut scene = Scene::with("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
    scene.host.command(Command::Reinvite { dialog: scene.dialog, sdp: HOLD.into() });
    let (_, first) = scene.host.reply();
    assert_eq!(header(&first, "Session-Expires"), "90;refresher=uas");
    scene.answer(&first, "422 Session Interval Too Small", "Min-SE: 300\r\n");
    assert!(scene.host.reply().1.starts_with("ACK"));
    let (_, again) = scene.host.reply();
    assert_eq!((header(&again, "Session-Expires"), header(&again, "Min-SE")), ("300;refresher=uas", "300"));
    scene.answer(&again, "422 Session Interval Too Small", "Min-SE: 200\r\n");
    assert!(
        matches!(scene.host.event(), Event::OfferRejected { status: 422, .. }),
        "which asks for no more than it got"
    );
}

#[test]
fn a_peer_that_always_wants_a_longer_session_is_asked_four_times() {
    let mut scene = Scene::with("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
    scene.host.command(Command::Reinvite { dialog: scene.dialog, sdp: HOLD.into() });
    let mut offers = 0;
    while let Some((_, text)) = scene.host.replies.pop_front() {
        if text.starts_with("INVITE") {
            offers += 1;
            scene.answer(&text, "422 Session Interval Too Small", &format!("Min-SE: {}\r\n", 1000 * offers));
        }
    }
    assert_eq!(offers, 4);
    assert!(matches!(scene.host.event(), Event::OfferRejected { status: 422, .. }));
}
