//! What happens within an established call: offers, digits, session timers, connections that come and go.

mod pair;

use std::time::Duration;

use pair::*;
use sip::*;

const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

fn end_call(mut pair: Pair, caller: DialogId) {
    pair.bye(End::Uac, caller);
    pair.finish();
}

#[test]
fn a_hold_is_offered_accepted_and_acknowledged() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let (caller, host) = pair.connect();
        pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: HOLD.into() });
        pair.settle();
        match pair.uas.event() {
            Event::Offer { sdp: Some(sdp), .. } => assert_eq!(sdp, HOLD.as_bytes()),
            other => panic!("{other:?}"),
        }
        pair.lose(End::Uac, "ACK", 1);
        pair.command(End::Uas, Command::AcceptOffer { dialog: host, sdp: ANSWER.into() });
        pair.run_for(Duration::from_secs(3));
        assert!(matches!(pair.uac.event(), Event::OfferAnswered { sdp, .. } if sdp == ANSWER.as_bytes()));
        assert_eq!(pair.uac.count_sent("ACK"), 3, "one for the call, two for the hold");
        assert!(pair.uas.events.is_empty() && pair.uac.events.is_empty());
        end_call(pair, caller);
    }
}

#[test]
fn a_refused_offer_leaves_the_call_as_it_was() {
    let mut pair = Pair::new(Transport::Udp);
    let (caller, host) = pair.connect();
    pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: HOLD.into() });
    pair.settle();
    assert!(matches!(pair.uas.event(), Event::Offer { .. }));
    let rejection = Rejection { status: 488, phrase: None, reason: None, retry_after_s: None };
    pair.command(End::Uas, Command::RejectOffer { dialog: host, rejection });
    pair.settle();
    assert!(matches!(pair.uac.event(), Event::OfferRejected { status: 488, .. }));
    assert_eq!((pair.uac.endpoint.dialog_count(), pair.uas.endpoint.dialog_count()), (1, 1));
    end_call(pair, caller);
}

#[test]
fn a_reinvite_without_an_offer_gets_ours_and_answers_in_the_ack() {
    let mut pair = Pair::new(Transport::Tcp);
    let (caller, host) = pair.connect();
    pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: Vec::new() });
    pair.settle();
    assert!(matches!(pair.uas.event(), Event::Offer { sdp: None, .. }));
    pair.command(End::Uas, Command::AcceptOffer { dialog: host, sdp: ANSWER.into() });
    pair.settle();
    assert!(matches!(pair.uac.event(), Event::OfferAnswered { sdp, .. } if sdp == ANSWER.as_bytes()));
    pair.command(End::Uac, Command::Acknowledge { dialog: caller, sdp: HOLD.into() });
    pair.settle();
    assert!(matches!(pair.uas.event(), Event::OfferAnswered { sdp, .. } if sdp == HOLD.as_bytes()));
    end_call(pair, caller);
}

/// Found by the simulation: the repeated 200 was taken for the answer to the second offer.
#[test]
fn a_repeated_200_is_no_answer_to_the_next_offer() {
    let mut pair = Pair::new(Transport::Udp);
    let (caller, host) = pair.connect();
    pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: HOLD.into() });
    pair.settle();
    assert!(matches!(pair.uas.event(), Event::Offer { .. }));
    pair.lose(End::Uac, "ACK", 1);
    pair.command(End::Uas, Command::AcceptOffer { dialog: host, sdp: HOLD.into() });
    pair.settle();
    assert!(matches!(pair.uac.event(), Event::OfferAnswered { sdp, .. } if sdp == HOLD.as_bytes()));
    pair.lose(End::Uac, "INVITE", 1);
    pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: OFFER.into() });
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.uas.count_sent("SIP/2.0 200"), 3, "the first offer's was repeated");
    assert!(pair.uac.events.is_empty(), "{:?}", pair.uac.events);
    assert!(matches!(pair.uas.event(), Event::Offer { .. }));
    pair.command(End::Uas, Command::AcceptOffer { dialog: host, sdp: ANSWER.into() });
    pair.settle();
    assert!(matches!(pair.uac.event(), Event::OfferAnswered { sdp, .. } if sdp == ANSWER.as_bytes()));
    end_call(pair, caller);
}

#[test]
fn offers_that_cross_get_491_and_both_go_through_in_the_end() {
    for seed in 0..20 {
        let mut pair = Pair::seeded(Transport::Udp, seed, |_| {});
        let (caller, host) = pair.connect();
        pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: HOLD.into() });
        pair.command(End::Uas, Command::Reinvite { dialog: host, sdp: ANSWER.into() });
        pair.settle();
        assert_eq!((pair.uac.count_sent("SIP/2.0 491"), pair.uas.count_sent("SIP/2.0 491")), (1, 1));
        let mut answered = [0, 0];
        for _ in 0..100 {
            pair.run_for(Duration::from_millis(100));
            for (index, (end, dialog)) in [(End::Uac, caller), (End::Uas, host)].into_iter().enumerate() {
                match pair.side(end).events.pop_front() {
                    Some(Event::Offer { .. }) => pair.command(end, Command::AcceptOffer { dialog, sdp: ANSWER.into() }),
                    Some(Event::OfferAnswered { .. }) => answered[index] += 1,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
            }
        }
        assert_eq!(answered, [1, 1], "seed {seed}");
        end_call(pair, caller);
    }
}

#[test]
fn a_second_offer_of_ours_is_not_sent_while_one_is_open() {
    let mut pair = Pair::new(Transport::Tcp);
    let (caller, _) = pair.connect();
    for _ in 0..2 {
        pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: HOLD.into() });
    }
    assert!(matches!(pair.uac.event(), Event::OfferRejected { status: 491, .. }));
    assert_eq!(pair.uac.count_sent("INVITE"), 2);
    end_call(pair, caller);
}

#[test]
fn digits_go_by_info_one_after_the_other_in_order() {
    let mut pair = Pair::new(Transport::Udp);
    let (caller, host) = pair.connect();
    pair.lose(End::Uac, "INFO", 1);
    for digit in "12#A".chars() {
        pair.command(End::Uac, Command::InfoDigit { dialog: caller, digit, duration_ms: 120 });
    }
    assert_eq!(pair.uac.count_sent("INFO"), 1, "the next one waits for the answer");
    pair.command(End::Uas, Command::InfoDigit { dialog: host, digit: '9', duration_ms: 160 });
    pair.run_for(Duration::from_secs(5));
    for expected in "12#A".chars() {
        assert!(matches!(pair.uas.event(), Event::InfoDigit { digit, duration_ms: 120, .. } if digit == expected));
    }
    assert!(matches!(pair.uac.event(), Event::InfoDigit { digit: '9', duration_ms: 160, .. }));
    end_call(pair, caller);
}

#[test]
fn a_session_that_the_peer_does_not_refresh_ends_with_bye() {
    let mut pair = Pair::new(Transport::Udp);
    let headers = [("Supported", "timer"), ("Session-Expires", "90;refresher=uac")];
    pair.connect_with(&headers);
    assert!(header(pair.uas.last_text("SIP/2.0 200"), "Require").contains("timer"));
    pair.silence();
    pair.run_for(Duration::from_secs(59));
    assert!(pair.uas.events.is_empty());
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.uas.ending(), Ending::SessionExpired);
    assert!(pair.uas.count_sent("BYE") > 0);
    // The caller is the refresher and got no answer to its UPDATE.
    pair.finish();
    assert!(matches!(pair.uac.ending(), Ending::SessionExpired | Ending::Gone { .. }));
}

#[test]
fn a_session_is_refreshed_by_update_from_whoever_is_the_refresher() {
    for (refresher, end) in [("uac", End::Uac), ("uas", End::Uas)] {
        let mut pair = Pair::new(Transport::Tcp);
        let (caller, _) = pair.connect_with(&[("Session-Expires", &format!("90;refresher={refresher}"))]);
        pair.run_for(Duration::from_secs(300));
        assert_eq!(pair.side(end).count_sent("UPDATE"), 6, "every 45 s");
        assert!(pair.uas.events.is_empty() && pair.uac.events.is_empty());
        end_call(pair, caller);
    }
}

#[test]
fn a_lost_connection_does_not_end_the_call_and_bye_comes_over_a_new_one() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut pair = Pair::new(transport);
        let (caller, _) = pair.connect();
        assert!(pair.uas.endpoint.flow_carries_dialogs(ConnectionId(1)));
        pair.cut();
        assert!(!pair.uas.endpoint.flow_carries_dialogs(ConnectionId(1)));
        pair.run_for(Duration::from_secs(60));
        assert_eq!(pair.uas.endpoint.dialog_count(), 1);
        // The caller finds its way by the host's Contact, the only route there is.
        pair.bye(End::Uac, caller);
        pair.finish();
        assert_eq!((pair.connects[0].host.as_str(), pair.connects[0].port), ("198.51.100.1", Some(5070)));
        assert!(matches!(pair.uas.ending(), Ending::PeerBye { .. }));
    }
}

#[test]
fn our_bye_after_a_lost_connection_takes_another_live_one_of_the_peer() {
    let mut pair = Pair::new(Transport::Tcp);
    let (_, host) = pair.connect();
    pair.cut();
    // Another of the trunk's connections, known by an OPTIONS that came over it.
    let connection = pair.new_connection();
    let flow = flow(Transport::Tcp, connection, CALLER);
    let options = request("OPTIONS", "ping", "", 1, "", "");
    pair.uas.endpoint.handle(Input::Message { flow, bytes: options.as_bytes() }, pair.now);
    pair.bye(End::Uas, host);
    pair.finish();
    assert!(pair.connects.is_empty());
    assert_eq!(pair.uas.ending(), Ending::OurBye);
    assert!(matches!(pair.uac.events.pop_back(), Some(Event::Ended { ending: Ending::PeerBye { .. }, .. })));
}

#[test]
fn our_bye_after_a_lost_connection_opens_one_and_that_carries_the_dialog_then() {
    let mut pair = Pair::new(Transport::Tls);
    let (_, host) = pair.connect();
    pair.cut();
    pair.command(End::Uas, Command::InfoDigit { dialog: host, digit: '1', duration_ms: 100 });
    assert_eq!(pair.connects.len(), 1);
    assert_eq!(pair.connects[0].transport, Transport::Tls);
    pair.settle();
    assert!(pair.uas.endpoint.flow_carries_dialogs(ConnectionId(2)));
    assert!(matches!(pair.uac.event(), Event::InfoDigit { .. }));
    pair.bye(End::Uas, host);
    pair.finish();
    assert_eq!(pair.connects.len(), 1, "the new connection serves the BYE too");
}

#[test]
fn a_bye_that_finds_no_way_ends_the_call_here() {
    let mut pair = Pair::new(Transport::Tcp);
    let (caller, host) = pair.connect();
    pair.cut();
    pair.connects_succeed = false;
    pair.bye(End::Uas, host);
    assert_eq!(pair.uas.ending(), Ending::OurBye);
    assert_eq!(pair.uas.endpoint.dialog_count(), 0);
    pair.bye(End::Uac, caller);
    pair.finish();
}

#[test]
fn a_bye_on_a_connection_that_breaks_before_its_answer_goes_again() {
    let mut pair = Pair::new(Transport::Tcp);
    let (_, host) = pair.connect();
    pair.bye(End::Uas, host);
    pair.cut();
    pair.finish();
    assert_eq!(pair.connects.len(), 1);
    assert_eq!(pair.uas.count_sent("BYE"), 2);
    assert_eq!(pair.uas.ending(), Ending::OurBye);
    assert!(matches!(pair.uac.ending(), Ending::PeerBye { .. }));
}

#[test]
fn an_answer_whose_connection_broke_finds_the_caller_again() {
    let mut pair = Pair::new(Transport::Tcp);
    let caller = pair.invite(OFFER, &[]);
    let host = pair.offered();
    pair.run_for(Duration::from_secs(1));
    // Only our side of the connection is known to be gone; the caller has no timer that would send again.
    pair.uas.endpoint.handle(Input::Closed { connection: ConnectionId(1) }, pair.now);
    pair.answer(host);
    pair.settle();
    let target = &pair.connects[0];
    assert_eq!((target.host.as_str(), target.port, target.transport), ("192.0.2.1", Some(5060), Transport::Tcp));
    assert!(matches!(pair.uac.event(), Event::Accepted { .. }));
    end_call(pair, caller);
}
