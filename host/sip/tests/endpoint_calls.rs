//! Calls from INVITE to BYE between two endpoints, in virtual time. After each both ends hold nothing.

mod pair;

use std::time::Duration;

use pair::*;
use sip::*;

const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

#[test]
fn a_call_is_answered_and_the_caller_hangs_up() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let (caller, _) = pair.connect();
        pair.bye(End::Uac, caller);
        pair.finish();
        assert_eq!(pair.uac.ending(), Ending::OurBye);
        assert_eq!(pair.uas.ending(), Ending::PeerBye { reason: None });
        assert_eq!(pair.uas.count_sent("SIP/2.0 100"), 1);
        assert_eq!(pair.uas.count_sent("SIP/2.0 200"), 2);
        assert!(pair.uac.events.is_empty() && pair.uas.events.is_empty());
    }
}

#[test]
fn the_host_hangs_up_and_says_why() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let (_, host) = pair.connect();
        let reason = Reason { protocol: "Q.850".into(), cause: Some(16), text: "a \"normal\"\r\nend".into() };
        pair.command(End::Uas, Command::Bye { dialog: host, reason: Some(reason) });
        pair.finish();
        assert_eq!(header(pair.uas.last_text("BYE"), "Reason"), "Q.850;cause=16;text=\"a \\\"normal\\\"  end\"");
        assert_eq!(pair.uas.ending(), Ending::OurBye);
        assert!(matches!(pair.uac.ending(), Ending::PeerBye { reason: Some(Reason { cause: Some(16), .. }) }));
    }
}

#[test]
fn trying_is_sent_at_once_and_nothing_else_until_the_answer() {
    let mut pair = Pair::new(Transport::Udp);
    pair.invite(OFFER, &[]);
    let host = pair.offered();
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.uas.sent.len(), 1);
    assert_eq!(pair.uas.sent[0].1, "SIP/2.0 100 Trying");
    assert_eq!(pair.uac.sent.len(), 1, "the 100 stops retransmission");
    pair.command(End::Uas, Command::Bye { dialog: host, reason: None });
    pair.finish();
    assert_eq!(pair.uas.ending(), Ending::Rejected { status: 480 });
}

#[test]
fn a_lost_200_is_sent_again_until_its_ack() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        pair.lose(End::Uas, "SIP/2.0 200", 4);
        let caller = pair.invite(OFFER, &[]);
        let host = pair.offered();
        pair.answer(host);
        let answered = pair.now;
        pair.run_for(Duration::from_secs(12));
        let sent: Vec<u128> = pair
            .uas
            .sent
            .iter()
            .filter(|(_, line)| line.starts_with("SIP/2.0 200"))
            .map(|(at, _)| (*at - answered).as_millis())
            .collect();
        assert_eq!(sent, [0, 500, 1500, 3500, 7500], "T1 doubling to T2");
        assert!(matches!(pair.uas.event(), Event::Acknowledged { .. }));
        pair.bye(End::Uac, caller);
        pair.finish();
    }
}

#[test]
fn a_lost_ack_is_sent_again_and_told_once() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        pair.lose(End::Uac, "ACK", 2);
        let caller = pair.invite(OFFER, &[]);
        let host = pair.offered();
        pair.answer(host);
        pair.run_for(Duration::from_secs(5));
        assert_eq!(pair.uac.count_sent("ACK"), 3);
        assert!(matches!(pair.uas.event(), Event::Acknowledged { .. }));
        assert!(pair.uas.events.is_empty());
        pair.bye(End::Uac, caller);
        pair.finish();
    }
}

#[test]
fn a_200_that_is_never_acknowledged_ends_the_call_with_bye() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        pair.lose(End::Uac, "ACK", 1000);
        pair.invite(OFFER, &[]);
        let host = pair.offered();
        pair.answer(host);
        // A BYE that is asked for meanwhile waits (RFC 3261 15).
        pair.bye(End::Uas, host);
        pair.run_for(Duration::from_secs(31));
        assert_eq!(pair.uas.count_sent("BYE"), 0);
        pair.run_for(Duration::from_secs(2));
        assert_eq!(pair.uas.count_sent("BYE"), 1);
        assert_eq!(pair.uas.ending(), Ending::NoAck);
        pair.finish();
        assert!(matches!(pair.uac.event(), Event::Accepted { .. }));
        assert!(matches!(pair.uac.ending(), Ending::PeerBye { .. }));
    }
}

#[test]
fn a_bye_asked_for_before_the_ack_goes_out_at_the_ack() {
    let mut pair = Pair::new(Transport::Tcp);
    pair.invite(OFFER, &[]);
    let host = pair.offered();
    pair.answer(host);
    pair.bye(End::Uas, host);
    assert_eq!(pair.uas.count_sent("BYE"), 0);
    pair.finish();
    assert!(matches!(pair.uas.event(), Event::Acknowledged { .. }));
    assert_eq!(pair.uas.ending(), Ending::OurBye);
}

#[test]
fn a_refusal_ends_at_its_ack_and_carries_its_reason() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        pair.invite(OFFER, &[]);
        let host = pair.offered();
        let reason = Reason { protocol: "SIP".into(), cause: Some(486), text: "quota".into() };
        let rejection = Rejection {
            status: 486,
            phrase: Some("Busy\r\nX: y".into()),
            reason: Some(reason),
            retry_after_s: Some(7),
        };
        pair.command(End::Uas, Command::Reject { dialog: host, rejection });
        assert!(pair.uas.events.is_empty(), "not before the ACK");
        pair.settle();
        assert_eq!(pair.uas.ending(), Ending::Rejected { status: 486 });
        let text = pair.uas.last_text("SIP/2.0 486").to_owned();
        assert_eq!(header(&text, "Reason"), "SIP;cause=486;text=\"quota\"");
        assert_eq!((header(&text, "Retry-After"), header(&text, "X")), ("7", ""));
        assert!(matches!(pair.uac.ending(), Ending::Refused { status: 486, .. }));
        pair.finish();
    }
}

#[test]
fn a_refusal_whose_ack_is_lost_is_sent_again_over_udp_only() {
    for (transport, sent) in [(Transport::Udp, 11), (Transport::Tcp, 1)] {
        let mut pair = Pair::new(transport);
        pair.invite(OFFER, &[]);
        let host = pair.offered();
        pair.silence();
        let rejection = Rejection { status: 404, phrase: None, reason: None, retry_after_s: None };
        pair.command(End::Uas, Command::Reject { dialog: host, rejection });
        pair.run_for(Duration::from_secs(33));
        // At 0, 0.5, 1.5, 3.5, then every 4 s until Timer H.
        assert_eq!(pair.uas.count_sent("SIP/2.0 404"), sent);
        assert_eq!(pair.uas.ending(), Ending::Rejected { status: 404 });
        pair.finish();
    }
}

#[test]
fn a_cancel_before_the_answer_gets_200_and_the_invite_487() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let caller = pair.invite(OFFER, &[]);
        // Asked for before any provisional response: it waits for one (RFC 3261 9.1).
        pair.command(End::Uac, Command::Cancel { dialog: caller });
        assert_eq!(pair.uac.count_sent("CANCEL"), 0);
        let host = pair.offered();
        assert_eq!(pair.uas.ending(), Ending::Cancelled);
        // What comes too late does nothing.
        pair.answer(host);
        pair.finish();
        assert!(matches!(pair.uac.ending(), Ending::Refused { status: 487, .. }));
        assert_eq!((pair.uas.count_sent("SIP/2.0 200"), pair.uas.count_sent("SIP/2.0 487")), (1, 1));
        assert_eq!(pair.uac.count_sent("ACK"), 1);
    }
}

#[test]
fn a_cancel_that_crosses_the_200_leaves_a_call_that_ends_with_bye() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let caller = pair.invite(OFFER, &[]);
        let host = pair.offered();
        pair.answer(host);
        pair.command(End::Uac, Command::Cancel { dialog: caller });
        pair.finish();
        assert_eq!(pair.uas.count_sent("SIP/2.0 487"), 0);
        assert_eq!(pair.uas.count_sent("SIP/2.0 200"), 3, "INVITE, CANCEL and BYE");
        assert!(matches!(pair.uas.event(), Event::Acknowledged { .. }));
        assert!(matches!(pair.uas.ending(), Ending::PeerBye { .. }));
        assert_eq!(pair.uac.ending(), Ending::OurBye);
    }
}

#[test]
fn byes_that_cross_end_the_call_once_on_each_side() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let (caller, host) = pair.connect();
        pair.bye(End::Uac, caller);
        pair.bye(End::Uas, host);
        pair.finish();
        assert_eq!(pair.uac.ending(), Ending::OurBye);
        assert_eq!(pair.uas.ending(), Ending::OurBye);
        assert!(pair.uac.events.is_empty() && pair.uas.events.is_empty());
        assert_eq!((pair.uac.count_sent("SIP/2.0 200"), pair.uas.count_sent("SIP/2.0 200")), (1, 2));
    }
}

#[test]
fn a_bye_without_answer_frees_everything_by_timer_f() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        let (_, host) = pair.connect();
        pair.silence();
        pair.bye(End::Uas, host);
        pair.run_for(Duration::from_millis(31_900));
        assert_eq!(pair.uas.endpoint.dialog_count(), 1);
        pair.run_for(Duration::from_millis(200));
        assert_eq!(pair.uas.ending(), Ending::OurBye);
        let endpoint = &pair.uas.endpoint;
        assert_eq!((endpoint.dialog_count(), endpoint.transaction_count(), endpoint.timer_count()), (0, 0, 0));
        assert_eq!(pair.uas.count_sent("BYE"), if transport == Transport::Udp { 11 } else { 1 });
    }
}

#[test]
fn an_invite_without_answer_ends_with_408() {
    let mut pair = Pair::new(Transport::Udp);
    pair.silence();
    pair.invite(OFFER, &[]);
    pair.finish();
    assert!(matches!(pair.uac.ending(), Ending::Refused { status: 408, .. }));
    // At 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s.
    assert_eq!(pair.uac.count_sent("INVITE"), 7);
    assert_eq!(pair.elapsed().as_secs(), 32);
}

#[test]
fn a_ring_reaches_the_caller_and_is_repeated_each_minute() {
    let mut pair = Pair::new(Transport::Tcp);
    pair.invite(OFFER, &[]);
    let host = pair.offered();
    pair.command(End::Uas, Command::Ring { dialog: host });
    pair.run_for(Duration::from_secs(125));
    assert_eq!(pair.uas.count_sent("SIP/2.0 180"), 3);
    assert!(matches!(pair.uac.event(), Event::Ringing { status: 180, .. }));
    pair.bye(End::Uas, host);
    pair.finish();
}

#[test]
fn no_ring_goes_to_a_caller_who_requires_100rel() {
    let mut pair = Pair::new(Transport::Tcp);
    pair.invite(OFFER, &[("Require", "100rel")]);
    let host = pair.offered();
    pair.command(End::Uas, Command::Ring { dialog: host });
    pair.answer(host);
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.uas.count_sent("SIP/2.0 180"), pair.uas.count_sent("SIP/2.0 200")), (0, 1));
    pair.bye(End::Uas, host);
    pair.finish();
}

#[test]
fn a_call_that_nobody_answers_is_refused_in_the_end() {
    for (expires, status, seconds) in [(None, 480, 180), (Some("20"), 487, 20)] {
        let mut pair = Pair::new(Transport::Tcp);
        let headers: Vec<_> = expires.iter().map(|seconds| ("Expires", *seconds)).collect();
        pair.invite(OFFER, &headers);
        pair.offered();
        pair.run_for(Duration::from_secs(seconds - 1));
        assert!(pair.uas.events.is_empty());
        pair.run_for(Duration::from_secs(2));
        assert_eq!(pair.uas.ending(), Ending::Rejected { status });
        pair.finish();
    }
}

#[test]
fn an_invite_without_an_offer_gets_ours_in_the_200_and_answers_in_the_ack() {
    for transport in TRANSPORTS {
        let mut pair = Pair::new(transport);
        pair.lose(End::Uac, "ACK", 1);
        let caller = pair.invite("", &[]);
        let host = pair.offered();
        pair.answer(host);
        pair.settle();
        let Event::Accepted { response, .. } = pair.uac.event() else { panic!("not accepted") };
        assert_eq!(session_of_response(&response), Some(ANSWER.as_bytes()));
        assert_eq!(pair.uac.count_sent("ACK"), 0, "the answer is not known yet");
        pair.command(End::Uac, Command::Acknowledge { dialog: caller, sdp: OFFER.into() });
        pair.run_for(Duration::from_secs(2));
        match pair.uas.event() {
            Event::Acknowledged { sdp: Some(sdp), .. } => assert_eq!(sdp, OFFER.as_bytes()),
            other => panic!("{other:?}"),
        }
        pair.bye(End::Uac, caller);
        pair.finish();
    }
}

#[test]
fn calls_over_a_lossy_network_end_and_leave_nothing() {
    for seed in 0..200 {
        let mut pair = Pair::seeded(Transport::Udp, seed, |_| {});
        pair.loss_percent = 25;
        let caller = pair.invite(OFFER, &[]);
        pair.run_for(Duration::from_secs(4));
        let invited = pair.uas.events.pop_front();
        if let Some(Event::Invite { dialog, .. }) = invited {
            pair.answer(dialog);
            pair.run_for(Duration::from_secs(20));
            pair.command(End::Uac, Command::Reinvite { dialog: caller, sdp: HOLD.into() });
            pair.run_for(Duration::from_secs(2));
            pair.command(End::Uas, Command::AcceptOffer { dialog, sdp: ANSWER.into() });
            pair.run_for(Duration::from_secs(5));
            pair.bye(if seed % 2 == 0 { End::Uas } else { End::Uac }, if seed % 2 == 0 { dialog } else { caller });
        } else {
            pair.command(End::Uac, Command::Cancel { dialog: caller });
        }
        pair.run_for(Duration::from_secs(40));
        // Whatever was lost, a BYE in the end clears the other side too.
        for (end, dialog) in [
            (End::Uac, Some(caller)),
            (
                End::Uas,
                match invited {
                    Some(Event::Invite { dialog, .. }) => Some(dialog),
                    _ => None,
                },
            ),
        ] {
            if let Some(dialog) = dialog {
                pair.bye(end, dialog);
            }
        }
        pair.finish();
        let endings = |side: &Side| side.events.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        assert_eq!(endings(&pair.uac), 1, "seed {seed}: {:?}", pair.uac.events);
        assert!(endings(&pair.uas) <= 1, "seed {seed}");
    }
}
