//! Every bound of [`sip::Limits`]: what happens at it, and that it holds. Each test fails if its bound is taken away.

mod pair;

use std::time::Duration;

use pair::*;
use sip::*;

fn host(transport: Transport, change: impl Fn(&mut Limits)) -> Host {
    let mut config = config(transport, HOST);
    change(&mut config.limits);
    Host::new(config)
}

fn tcp() -> Flow {
    flow(Transport::Tcp, 1, CALLER)
}

fn dropped(host: &Host, reason: DropReason) -> u64 {
    host.endpoint.counters().dropped.get(&reason).copied().unwrap_or(0)
}

#[test]
fn beyond_the_transactions_there_is_503_without_one() {
    let mut host = host(Transport::Udp, |limits| limits.transactions = 10);
    let way = flow(Transport::Udp, 0, CALLER);
    let statuses: Vec<u16> =
        (0..12).map(|n| host.status(way, &request("OPTIONS", &format!("o{n}"), "", 1, "", ""))).collect();
    assert_eq!(statuses, [[200; 10].as_slice(), &[503, 503]].concat());
    assert_eq!(host.endpoint.transaction_count(), 10);
    let refusal = host.ask(way, &invite("late", 1, ""));
    assert_eq!((status_of(&refusal), header(&refusal, "Retry-After")), (503, "5"));
    // A retransmission of a known one is still answered, and Timer J makes room.
    assert_eq!(host.status(way, &request("OPTIONS", "o0", "", 1, "", "")), 200);
    host.run_for(Duration::from_secs(33));
    assert_eq!(host.status(way, &request("OPTIONS", "again", "", 1, "", "")), 200);
}

#[test]
fn a_request_of_ours_beyond_the_transactions_fails_at_once() {
    let mut host = host(Transport::Tcp, |limits| limits.transactions = 1);
    let (dialog, _) = host.call(tcp(), &invite("a", 1, ""));
    host.replies.clear();
    host.command(Command::InfoDigit { dialog, digit: '1', duration_ms: 100 });
    assert!(host.replies.is_empty());
    assert!(matches!(host.event(), Event::Ended { ending: Ending::Gone { status: 503 }, .. }));
    assert_eq!((host.endpoint.transaction_count(), host.endpoint.dialog_count()), (1, 0));
}

#[test]
fn a_call_can_be_hung_up_from_both_ends_when_the_transactions_are_full() {
    let mut host = host(Transport::Tcp, |limits| limits.transactions = 2);
    let texts = [invite("a", 1, ""), invite("b", 1, "").replace("z9hG4bK", "z9hG4bKb")];
    let calls: Vec<_> = texts.iter().map(|text| host.call(tcp(), text)).collect();
    assert_eq!(host.status(tcp(), &in_dialog(&texts[0], "BYE", &calls[0].1, 1, "")), 500, "stale all the same");
    assert_eq!(host.status(tcp(), &in_dialog(&texts[0], "BYE", &calls[0].1, 2, "")), 200);
    assert!(matches!(host.event(), Event::Ended { ending: Ending::PeerBye { .. }, .. }));
    host.replies.clear();
    host.command(Command::Bye { dialog: calls[1].0, reason: None });
    assert!(host.reply().1.starts_with("BYE "));
    assert_eq!(host.endpoint.transaction_count(), 3);
}

#[test]
fn beyond_the_dialogs_there_is_503_with_retry_after() {
    let mut host = host(Transport::Tcp, |limits| limits.dialogs = 2);
    for n in 0..2 {
        host.hear(tcp(), &invite(&format!("i{n}"), 1, ""));
        assert!(matches!(host.event(), Event::Invite { .. }));
    }
    let refusal = host.ask(tcp(), &invite("i3", 1, ""));
    assert_eq!((status_of(&refusal), header(&refusal, "Retry-After")), (503, "5"));
    assert_eq!(host.endpoint.dialog_count(), 2);
    let out = OutgoingInvite {
        dialog: DialogId::outgoing(1),
        uri: "sip:a@b".into(),
        from: "<sip:c@d>".into(),
        flow: tcp(),
        sdp: Vec::new(),
        headers: Vec::new(),
    };
    host.command(Command::Invite(Box::new(out)));
    assert!(matches!(host.event(), Event::Ended { ending: Ending::Refused { status: 503, .. }, .. }));
}

#[test]
fn one_dialog_holds_so_many_transactions_and_no_more() {
    let mut host = host(Transport::Udp, |limits| limits.transactions_per_dialog = 5);
    let way = flow(Transport::Udp, 0, CALLER);
    let text = invite("busy", 1, "");
    let (_, tag) = host.call(way, &text);
    // The INVITE's own is one of them.
    let statuses: Vec<u16> =
        (2..8).map(|cseq| host.status(way, &in_dialog(&text, "OPTIONS", &tag, cseq, ""))).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 500, 500]);
    assert_eq!(host.status(way, &in_dialog(&text, "BYE", &tag, 9, "")), 200, "which makes room");
    // Others are not harmed.
    assert_eq!(host.status(way, &request("OPTIONS", "other", "", 1, "", "")), 200);
}

#[test]
fn so_many_digits_wait_in_a_dialog_and_no_more() {
    let mut host = host(Transport::Tcp, |limits| limits.waiting_per_dialog = 3);
    let (dialog, _) = host.call(tcp(), &invite("digits", 1, ""));
    for _ in 0..6 {
        host.command(Command::InfoDigit { dialog, digit: '1', duration_ms: 100 });
    }
    assert_eq!(dropped(&host, DropReason::TooManyWaiting), 2, "one on its way, three waiting");
}

#[test]
fn full_outputs_stop_reading_and_sending() {
    let mut config = config(Transport::Udp, HOST);
    config.limits.outputs = 4;
    let mut endpoint = Endpoint::new(config, 1);
    let now = std::time::Instant::now();
    let way = flow(Transport::Udp, 0, CALLER);
    for n in 0..10 {
        let text = request("OPTIONS", &format!("o{n}"), "", 1, "", "");
        endpoint.handle(Input::Message { flow: way, bytes: text.as_bytes() }, now);
    }
    let count = |endpoint: &Endpoint, reason| endpoint.counters().dropped.get(&reason).copied().unwrap_or(0);
    assert_eq!(count(&endpoint, DropReason::OutputsFullIn), 6);
    assert_eq!(endpoint.transaction_count(), 4);
    let mut outputs = 0;
    while endpoint.poll_output().is_some() {
        outputs += 1;
    }
    assert_eq!(outputs, 4);

    // Timers that fire while nobody takes the outputs add no more.
    let refused: Vec<String> =
        (0..8).map(|n| request("INVITE", &format!("r{n}"), "", 1, "Require: no\r\n", "")).collect();
    for text in &refused {
        endpoint.handle(Input::Message { flow: way, bytes: text.as_bytes() }, now);
        endpoint.poll_output();
    }
    for second in 1..20 {
        endpoint.handle_timeout(now + Duration::from_secs(second));
    }
    assert!(count(&endpoint, DropReason::OutputsFullOut) > 0);
    let left = std::iter::from_fn(|| endpoint.poll_output()).count();
    assert_eq!(left, 4);
}

#[test]
fn the_oldest_connection_is_forgotten_beyond_the_bound() {
    let mut host = host(Transport::Tcp, |limits| limits.connections = 3);
    for n in 1..=50 {
        let way = flow(Transport::Tcp, n, &format!("192.0.2.{n}:5060"));
        assert_eq!(host.status(way, &request("OPTIONS", &format!("o{n}"), "", 1, "", "")), 200);
        assert!(host.endpoint.connection_count() <= 3);
    }
}

#[test]
fn so_many_connections_are_asked_for_and_no_more() {
    let mut host = host(Transport::Tcp, |limits| limits.connecting = 2);
    let dialogs: Vec<DialogId> =
        (0..4).map(|n| host.call(tcp(), &invite(&format!("c{n}"), 1, ""))).map(|(dialog, _)| dialog).collect();
    host.input(Input::Closed { connection: ConnectionId(1) });
    for dialog in dialogs {
        host.command(Command::Bye { dialog, reason: None });
    }
    assert_eq!(host.connects.len(), 2);
    assert_eq!(host.endpoint.dialog_count(), 2, "the others ended here");
    // A connection that neither comes nor fails is given up.
    host.run_for(Duration::from_secs(33));
    assert_eq!((host.endpoint.dialog_count(), host.endpoint.timer_count()), (0, 0));
}

#[test]
fn thousands_of_calls_leave_nothing_and_take_little_time() {
    let mut host = host(Transport::Tcp, |_| {});
    let begun = std::time::Instant::now();
    for n in 0..5_000 {
        let text = invite(&format!("call{n}"), 1, "");
        let (_, tag) = host.call(tcp(), &text.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{n}x")));
        let bye = in_dialog(&text, "BYE", &tag, 2, "").replace("z9hG4bK", &format!("z9hG4bK{n}"));
        assert_eq!(host.status(tcp(), &bye), 200);
        host.events.clear();
        host.run_for(Duration::from_millis(1));
    }
    // Far from a measurement: a quadratic endpoint would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    println!("5000 calls in {:?}", begun.elapsed());
    host.run_for(Duration::from_secs(40));
    let endpoint = &host.endpoint;
    assert_eq!((endpoint.transaction_count(), endpoint.dialog_count(), endpoint.timer_count()), (0, 0, 0));
}
