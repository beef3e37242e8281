use std::time::Duration;

use super::*;

const CUSTOMER: &str = "+919999999999";
const OURS: &str = "+918888888888";

struct Desk {
    outbound: Outbound,
    limits: Limits,
    now: Instant,
}

fn desk() -> Desk {
    // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
    Desk { outbound: Outbound::default(), limits: Limits::default(), now: Instant::now() }
}

fn leg(call: u64, call_sid: Option<&str>) -> SecondLeg {
    SecondLeg {
        call: sip::DialogId(call),
        trunk: "exotel".into(),
        tenant: "acme".into(),
        call_sid: call_sid.map(str::to_owned),
        caller: CUSTOMER.into(),
        called: OURS.into(),
    }
}

impl Desk {
    fn dial(&mut self, id: &str) -> &mut Self {
        self.dial_from(id, "acme", CUSTOMER, OURS)
    }

    fn dial_from(&mut self, id: &str, tenant: &str, to: &str, from: &str) -> &mut Self {
        let dial = Dial {
            id: id.into(),
            tenant: tenant.into(),
            trunk: "exotel".into(),
            to: to.into(),
            from: from.into(),
            context: [("who".to_owned(), id.to_owned())].into(),
        };
        self.input(OutboundInput::Dialled(Box::new(dial)))
    }

    fn answered(&mut self, id: &str, call_sid: Option<&str>) -> &mut Self {
        self.input(OutboundInput::Answered { id: id.into(), call_sid: call_sid.map(str::to_owned) })
    }

    fn over(&mut self, id: &str) -> &mut Self {
        self.input(OutboundInput::Over { id: id.into() })
    }

    fn input(&mut self, input: OutboundInput) -> &mut Self {
        self.outbound.handle(input, &self.limits, self.now);
        self
    }

    fn arrive(&mut self, leg: SecondLeg) -> String {
        match self.outbound.arrive(leg, &self.limits, self.now) {
            Arrival::Wait { until } => format!("waits {} ms", (until - self.now).as_millis()),
            Arrival::Decided(verdict) => word(&verdict),
        }
    }

    fn give_up(&mut self, call: u64) -> String {
        word(&self.outbound.give_up(sip::DialogId(call)))
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self.outbound.handle_timeout(self.now);
        self
    }

    fn outcomes(&mut self) -> Vec<String> {
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.outbound.poll_outcome() {
            outcomes.push(match outcome {
                Outcome::Decided { call, verdict } => format!("{}: {}", call.0, word(&verdict)),
                Outcome::Expired { id } => format!("{id} expired"),
            });
        }
        outcomes
    }
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Unrelated => "unrelated".into(),
        Verdict::Ambiguous => "ambiguous".into(),
        Verdict::Matched { dial, by } => {
            assert_eq!(dial.context[0].1, dial.id, "the context of this request");
            format!("{} by {by:?}", dial.id)
        }
    }
}

#[test]
fn the_trunks_name_of_the_call_decides_whatever_the_numbers() {
    let mut desk = desk();
    desk.dial("a").dial("b").answered("a", Some("s-a")).answered("b", Some("s-b"));
    assert_eq!(desk.arrive(SecondLeg { caller: String::new(), ..leg(1, Some("s-b")) }), "b by CallSid");
    assert_eq!(desk.arrive(SecondLeg { called: "+911".into(), ..leg(2, Some("s-a")) }), "a by CallSid");
}

#[test]
fn an_invite_before_the_apis_answer_waits_half_a_second_for_it() {
    let mut desk = desk();
    desk.dial("a").dial("b");
    assert_eq!(desk.arrive(leg(1, Some("s-b"))), "waits 500 ms");
    desk.answered("a", Some("s-a"));
    assert_eq!(desk.outcomes(), Vec::<String>::new(), "b's answer is still out");
    desk.answered("b", Some("s-b"));
    assert_eq!(desk.outcomes(), ["1: b by CallSid"]);
}

#[test]
fn without_an_answer_the_numbers_decide_if_one_request_alone_fits() {
    let mut desk = desk();
    desk.dial("a");
    assert_eq!(desk.arrive(leg(1, Some("s-a"))), "waits 500 ms");
    assert_eq!(desk.give_up(1), "a by Numbers");
    desk.answered("a", Some("s-a"));
    assert_eq!(desk.arrive(leg(2, Some("s-a"))), "a by CallSid", "the trunk tries again");
    assert_eq!(desk.wait(120).outcomes(), Vec::<String>::new(), "it had its second leg");
}

#[test]
fn several_that_fit_are_ambiguous_and_stay_so() {
    let mut desk = desk();
    desk.dial("a").dial("b").answered("a", None).answered("b", None);
    assert_eq!(desk.arrive(leg(1, Some("s-1"))), "ambiguous");
    desk.over("a");
    assert_eq!(desk.arrive(leg(2, None)), "ambiguous", "the first call may have been b's");
}

#[test]
fn two_invites_that_want_one_request_get_none_and_its_name_still_finds_it() {
    let mut desk = desk();
    desk.dial("a");
    for call in [1, 2] {
        assert_eq!(desk.arrive(leg(call, Some(&format!("s-{call}")))), "waits 500 ms");
    }
    assert_eq!(desk.give_up(1), "ambiguous");
    assert_eq!(desk.give_up(2), "ambiguous", "though it is alone now");
    desk.answered("a", Some("s-3"));
    assert_eq!(desk.arrive(leg(3, Some("s-3"))), "a by CallSid");

    desk.dial("b");
    for call in [4, 5] {
        assert_eq!(desk.arrive(leg(call, Some(&format!("s-{call}")))), "waits 500 ms");
    }
    desk.answered("b", None);
    assert_eq!(desk.outcomes(), ["4: ambiguous", "5: ambiguous"]);
}

#[test]
fn a_request_that_the_trunk_names_otherwise_is_another_call() {
    let mut desk = desk();
    desk.dial("a").answered("a", Some("s-a"));
    assert_eq!(desk.arrive(leg(1, Some("s-other"))), "unrelated", "the customer calls in meanwhile");
    assert_eq!(desk.arrive(leg(2, Some("s-a"))), "a by CallSid");
}

#[test]
fn an_invite_without_a_name_goes_by_the_numbers_at_once() {
    let mut desk = desk();
    desk.dial("a").dial_from("b", "acme", "+917777777777", OURS);
    assert_eq!(desk.arrive(leg(1, None)), "a by Numbers");
    assert_eq!(desk.arrive(leg(2, None)), "unrelated", "a has its second leg, b is somebody else");
    let withheld = SecondLeg { caller: String::new(), ..leg(3, None) };
    assert_eq!(desk.arrive(withheld), "unrelated");
}

#[test]
fn a_request_is_found_by_its_own_trunk_and_tenant_alone() {
    let mut desk = desk();
    desk.dial_from("a", "rival", CUSTOMER, OURS).answered("a", Some("s-a"));
    assert_eq!(desk.arrive(leg(1, Some("s-a"))), "unrelated");
    assert_eq!(desk.arrive(leg(2, None)), "unrelated");
    let elsewhere = SecondLeg { tenant: "rival".into(), trunk: "other".into(), ..leg(3, Some("s-a")) };
    assert_eq!(desk.arrive(elsewhere), "unrelated");
    let own = SecondLeg { tenant: "rival".into(), ..leg(4, Some("s-a")) };
    assert_eq!(desk.arrive(own), "a by CallSid");
    desk.dial_from("b", "rival", CUSTOMER, OURS);
    assert_eq!(desk.arrive(leg(5, Some("s-5"))), "unrelated", "it does not wait for another tenant's answer");
}

#[test]
fn what_is_over_is_not_found_and_whoever_waited_for_it_goes_on() {
    let mut desk = desk();
    desk.dial("a");
    assert_eq!(desk.arrive(leg(1, Some("s-1"))), "waits 500 ms");
    desk.over("a");
    assert_eq!(desk.outcomes(), ["1: unrelated"]);
    assert_eq!(desk.arrive(leg(2, None)), "unrelated");
    assert!(desk.outbound.is_idle() && desk.outbound.poll_timeout().is_none());
}

#[test]
fn a_request_waits_two_minutes_for_its_second_leg() {
    let mut desk = desk();
    desk.dial("a");
    assert_eq!(desk.outbound.poll_timeout(), Some(desk.now + Duration::from_secs(120)));
    assert_eq!(desk.arrive(leg(1, Some("s-1"))), "waits 500 ms");
    assert_eq!(desk.wait(119).outcomes(), Vec::<String>::new());
    assert_eq!(desk.wait(1).outcomes(), ["a expired", "1: unrelated"]);
    assert!(desk.outbound.is_idle());
}

#[test]
fn so_many_requests_are_remembered_and_beyond_them_the_oldest_is_forgotten() {
    let mut desk = desk();
    desk.limits.outbound_pending = 2;
    desk.dial("a").dial("b").dial("c");
    assert_eq!(desk.outcomes(), ["a expired"]);
    desk.answered("a", Some("s-a")).answered("b", Some("s-b")).answered("c", Some("s-c"));
    assert_eq!(desk.arrive(leg(1, Some("s-a"))), "unrelated");
    assert_eq!(desk.arrive(leg(2, Some("s-b"))), "b by CallSid");
}

#[test]
fn a_call_that_ended_while_it_waited_is_not_spoken_of_again() {
    let mut desk = desk();
    desk.dial("a");
    desk.arrive(leg(1, Some("s-a")));
    desk.outbound.leave(sip::DialogId(1));
    desk.answered("a", Some("s-a"));
    assert_eq!(desk.outcomes(), Vec::<String>::new());
    assert_eq!(desk.arrive(leg(2, Some("s-a"))), "a by CallSid", "the request is still there for the next");
}

#[test]
fn fifty_requests_to_one_number_find_their_own_legs_in_any_order() {
    let mut desk = desk();
    let ids: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
    for id in &ids {
        desk.dial(id);
    }
    // Every third INVITE is faster than its answer.
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        assert_eq!(desk.arrive(leg(n as u64, Some(&format!("s-{id}")))), "waits 500 ms");
    }
    for id in ids.iter().rev() {
        desk.answered(id, Some(&format!("s-{id}")));
    }
    let mut found = desk.outcomes();
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
        found.push(format!("{n}: {}", desk.arrive(leg(n as u64, Some(&format!("s-{id}"))))));
    }
    found.sort();
    let mut expected: Vec<String> = (0..50).map(|n| format!("{n}: r{n} by CallSid")).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn numbers_are_the_same_with_and_without_their_country_code() {
    for (one, other, same) in [
        ("+919999999999", "+919999999999", true),
        ("+919999999999", "919999999999", true),
        ("+919999999999", "09999999999", true),
        ("9999999999", "00919999999999", true),
        ("+919999999999", "+919999999998", false),
        ("+919999999999", "999999999", false),
        ("100", "100", true),
        ("1100", "100", false),
        ("bot", "bot", true),
        ("bot", "Bot", false),
        ("", "", false),
        ("0", "00", false),
        ("0", "0", true),
    ] {
        assert_eq!(same_number(one, other), same, "{one} {other}");
        assert_eq!(same_number(other, one), same, "{other} {one}");
    }
}
