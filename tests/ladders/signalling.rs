//! What a bot asks of its call's signalling.

use call::{BotAct, BotEvent, By, Cause, ControlEvent};
use sip::{Command, Event, Transport};

use crate::raw::{self, Caller, header};
use crate::world::*;

const ANSWER_TO_HOLD: &str = "v=0\r\no=root 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 37456 RTP/AVP 8 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 telephone-event/8000\r\na=recvonly\r\n";

fn control(id: u64, event: ControlEvent) -> BotEvent {
    BotEvent::Control { id, event }
}

fn progress(status: u16, reason: &str) -> ControlEvent {
    ControlEvent::Progress { status, reason: reason.into() }
}

fn failed(status: u16, reason: &str) -> ControlEvent {
    ControlEvent::Failed { status, reason: reason.into() }
}

/// A call up to where the bot has handed its caller over. Returns the REFER.
fn transferring(world: &mut World) -> (Caller, String) {
    let mut caller = Caller::invite(world, &raw::tcp_invite(""));
    caller.acknowledge(world);
    world.run_ms(1000);
    let headers = vec![("X-Topic".to_owned(), "billing".to_owned())];
    world.bot_acts(BotAct::Transfer { id: 7, target: "sip:agent@trunk.example".into(), headers });
    let refer = caller.receive(world, "REFER");
    assert_eq!(header(&refer, "Refer-To"), "<sip:agent@trunk.example>");
    assert_eq!(header(&refer, "Referred-By"), "<sip:+911234567890@198.51.100.1>");
    assert_eq!(header(&refer, "X-Topic"), "billing");
    (caller, refer)
}

#[test]
fn a_transfer_is_taken_and_the_other_side_answers() {
    let mut world = World::new(Transport::Tcp);
    let (mut caller, refer) = transferring(&mut world);
    caller.respond(&mut world, &refer, "202 Accepted", "");
    caller.notify(&mut world, 103, "active;expires=60", "SIP/2.0 100 Trying\r\n");
    world.run_ms(2000);
    caller.notify(&mut world, 104, "active;expires=58", "SIP/2.0 180 Ringing\r\n");
    world.run_ms(4000);
    caller.notify(&mut world, 105, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    let bye = caller.receive(&mut world, "BYE");
    caller.respond(&mut world, &bye, "200 OK", "");
    world.finish("transfer-done");
    let told = [progress(100, "Trying"), progress(180, "Ringing"), ControlEvent::Done].map(|event| control(7, event));
    assert_eq!(world.bot_events[1..4], told);
    let hangup = BotEvent::Hangup { by: By::Bot, cause: Cause::Transferred };
    assert_eq!(world.bot_events[4..], [hangup]);
    assert_eq!((world.summaries[0].cause, world.summaries[0].transfers), (Cause::Transferred, 1));
}

#[test]
fn a_transfer_is_refused() {
    let mut world = World::new(Transport::Tcp);
    let (mut caller, refer) = transferring(&mut world);
    caller.respond(&mut world, &refer, "603 Decline", "");
    world.run_ms(1000);
    caller.request(&mut world, "BYE", 103, "");
    world.finish("transfer-refused");
    assert_eq!(world.bot_events[1], control(7, failed(603, "Decline")));
    assert_eq!((world.summaries[0].cause, world.summaries[0].transfers), (Cause::Bye, 1));
}

#[test]
fn the_other_side_of_a_transfer_is_busy_and_the_call_goes_on() {
    let mut world = World::new(Transport::Tcp);
    let (mut caller, refer) = transferring(&mut world);
    // Before its answer, as may be over UDP or two connections.
    caller.notify(&mut world, 103, "active", "SIP/2.0 100 Trying\r\n");
    caller.respond(&mut world, &refer, "202 Accepted", "");
    world.run_ms(1000);
    caller.notify(&mut world, 104, "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n");
    world.run_ms(1000);
    caller.request(&mut world, "BYE", 105, "");
    world.finish("transfer-busy");
    assert_eq!(world.bot_events[1..3], [control(7, progress(100, "Trying")), control(7, failed(486, "Busy Here"))]);
}

#[test]
fn nothing_is_heard_of_a_transfer() {
    let mut world = World::new(Transport::Tcp);
    let (mut caller, refer) = transferring(&mut world);
    caller.respond(&mut world, &refer, "202 Accepted", "");
    world.run_ms(31_000);
    caller.notify(&mut world, 103, "active", "SIP/2.0 100 Trying\r\n");
    caller.receive(&mut world, "SIP/2.0 481");
    caller.request(&mut world, "BYE", 104, "");
    world.finish("transfer-unheard");
    assert_eq!(world.bot_events[1], control(7, failed(408, "Request Timeout")));
}

#[test]
fn a_bot_holds_its_caller_and_takes_it_back() {
    let mut world = World::talking(Transport::Udp, &[]);
    world.caller_events.clear();
    world.bot_acts(BotAct::Hold { id: 1 });
    world.run_ms(10);
    assert!(matches!(world.caller_events.pop_front(), Some(Event::Offer { sdp: Some(_), .. })));
    world.caller(Command::AcceptOffer { dialog: OUTGOING, sdp: ANSWER_TO_HOLD.into() });
    world.run_ms(5000);
    world.bot_acts(BotAct::Resume { id: 2 });
    world.run_ms(10);
    let answer = ANSWER_TO_HOLD.replace("root 1 2", "root 1 3").replace("recvonly", "sendrecv");
    world.caller(Command::AcceptOffer { dialog: OUTGOING, sdp: answer.into() });
    world.run_ms(1000);
    world.bot_acts(BotAct::Hangup);
    world.finish("bot-hold-resume");
    let done = [control(1, ControlEvent::Done), control(2, ControlEvent::Done)];
    assert_eq!(world.bot_events[1..3], done, "a hold of our own is no `hold` of the caller's");
}

/// The caller offers another port just as the bot holds: both get 491, the caller comes again first.
#[test]
fn a_bots_hold_meets_an_offer_of_the_caller() {
    let mut world = World::new(Transport::Tcp);
    let mut caller = Caller::invite(&mut world, &raw::tcp_invite(""));
    caller.acknowledge(&mut world);
    world.run_ms(1000);
    let moved = OFFER.replace("root 1 1", "root 1 2").replace("37456", "37460");
    caller.request(&mut world, "INVITE", 103, &moved);
    world.bot_acts(BotAct::Hold { id: 1 });
    let (hold, refused) = (caller.receive(&mut world, "INVITE"), caller.receive(&mut world, "SIP/2.0 491"));
    caller.acknowledge_refusal(&mut world, &refused);
    caller.respond(&mut world, &hold, "491 Request Pending", "");
    caller.receive(&mut world, "ACK");
    caller.request(&mut world, "INVITE", 104, &moved);
    caller.receive(&mut world, "SIP/2.0 200");
    caller.request(&mut world, "ACK", 104, "");
    let again = caller.receive(&mut world, "INVITE");
    assert!(again.contains("a=sendonly\r\n"), "{again}");
    caller.respond(&mut world, &again, "200 OK", &ANSWER_TO_HOLD.replace("37456", "37460"));
    caller.receive(&mut world, "ACK");
    caller.request(&mut world, "BYE", 105, "");
    world.finish("bot-hold-glare");
    assert_eq!(world.bot_events[1], control(1, ControlEvent::Done));
}

#[test]
fn a_bot_hangs_up_and_says_why() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.bot_acts(BotAct::ByeHeaders(vec![("X-Outcome".into(), "sold".into())]));
    world.bot_acts(BotAct::HangupWith { status: 480, reason: "outside office hours".into() });
    world.finish("bot-hangup-reason");
    assert_eq!((world.summaries[0].cause, world.summaries[0].why.as_str()), (Cause::Bye, "outside office hours"));
}

#[test]
fn a_bot_refuses_a_call_that_rings_and_says_why() {
    let mut world = World::new(Transport::Tcp);
    world.bot = Bot::Rings;
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(1000);
    world.bot_acts(BotAct::HangupWith { status: 603, reason: "not this caller".into() });
    world.finish("bot-refusal-ringing");
    assert_eq!((world.summaries[0].cause, world.summaries[0].status), (Cause::BotRefused, Some(603)));
}

#[test]
fn a_bot_adds_headers_to_the_200() {
    let mut world = World::new(Transport::Tcp);
    world.bot = Bot::Rings;
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(1000);
    let headers = vec![("X-Case".to_owned(), "4711".to_owned()), ("X-Evil\r\nFrom".to_owned(), "x".to_owned())];
    world.bot_acts(BotAct::AnswerHeaders(headers));
    world.bot_acts(BotAct::Answer);
    world.run_ms(1000);
    let accepted = world.caller_events.iter().find_map(|event| match event {
        Event::Accepted { response, .. } => response.headers().get_text("X-Case"),
        _ => None,
    });
    assert_eq!(accepted.as_deref(), Some("4711"));
    world.bot_acts(BotAct::Hangup);
    world.finish("bot-answer-headers");
    assert_eq!(world.summaries[0].dropped, 1);
}
