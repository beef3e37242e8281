//! Any input in any order, thousands of times: the books balance after each step, and in the end nothing is left.

use std::collections::{BTreeSet, HashMap};

use call::{Accept, BotAct, BotStats, CallId, Cause, Input, Milestone, Output, Ports, StartFailure, Tenant};
use media::LegEvent;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::{Command, DialogId, Ending, Event};

use crate::scene::*;

/// What the edge holds of one call, by the outputs alone.
#[derive(Debug, Default)]
struct Held {
    ports: i32,
    legs: i32,
    bots: i32,
    legs_opened: u32,
    bots_started: u32,
    /// Final answers to the INVITE.
    finals: u32,
    summaries: u32,
    /// The edge gave a leg or a bot up by itself, so that nobody will ask for it to be closed.
    given_up: bool,
}

impl Held {
    fn note(&mut self, output: &Output) {
        let record_written = self.summaries > 0;
        match output {
            Output::FreePorts { .. } => self.ports -= 1,
            Output::OpenLeg { .. } => (self.legs, self.legs_opened) = (self.legs + 1, self.legs_opened + 1),
            Output::CloseLeg { .. } => self.legs -= 1,
            Output::StartBot { .. } => (self.bots, self.bots_started) = (self.bots + 1, self.bots_started + 1),
            Output::CloseBot { .. } => self.bots -= 1,
            Output::Sip(Command::Answer { .. } | Command::Reject { .. }) => self.finals += 1,
            Output::Summary(_) => self.summaries += 1,
            _ => return,
        }
        // Ports that come too late are given back even then.
        assert!(!record_written || matches!(output, Output::FreePorts { .. }), "{output:?} after the record");
        assert!(self.finals <= 1 && self.legs_opened <= 1 && self.bots_started <= 1 && self.summaries <= 1, "{self:?}");
    }
}

fn call_of(output: &Output) -> Option<CallId> {
    match output {
        Output::OpenPorts { call, .. }
        | Output::FreePorts { call }
        | Output::OpenLeg { call, .. }
        | Output::CloseLeg { call }
        | Output::StartBot { call, .. }
        | Output::CloseBot { call }
        | Output::Sip(Command::Answer { dialog: call, .. } | Command::Reject { dialog: call, .. }) => Some(*call),
        Output::Summary(summary) => Some(DialogId(summary.call.trim_start_matches('c').parse().expect("a number"))),
        _ => None,
    }
}

fn random_input(rng: &mut StdRng, call: CallId) -> Input {
    let sdp = if rng.random() { OFFER.to_owned() } else { OFFER.replace("sendrecv", "inactive") };
    match rng.random_range(0..41) {
        0..=2 => {
            let called = [MENU, RINGING, NO_FALLBACK, "echo", "+91999"][rng.random_range(0..5)];
            let body = [OFFER, OFFER, "", "v=0\r\nnonsense"][rng.random_range(0..4)];
            Input::Sip(Event::Invite {
                dialog: call,
                flow: flow(rng.random_range(0..2)),
                request: request(called, "", body),
            })
        }
        3 => Input::BotStarted { call, result: Ok(Accept { ring: rng.random(), frames: true }) },
        4 => Input::BotStarted { call, result: Err(StartFailure::Faulted { why: "x".into() }) },
        5 => {
            Input::BotStarted { call, result: Err(StartFailure::Refused { status: rng.random(), reason: "x".into() }) }
        }
        6 => Input::Bot { call, act: BotAct::Answer },
        7 => Input::Bot { call, act: BotAct::Hangup },
        8 => Input::Bot { call, act: BotAct::Done },
        9 => Input::Bot { call, act: BotAct::SendDigits { id: 1, keys: "12,".into() } },
        10 => Input::BotFaulted { call, why: "x".into() },
        11 => Input::FallbackPlayed { call },
        12 => Input::BotEnded { call, stats: Box::<BotStats>::default() },
        13 => Input::LegClosed { call, stats: Box::default() },
        14 => Input::Leg { call, event: LegEvent::FirstPacket },
        15 => Input::Leg { call, event: LegEvent::MediaTimeout },
        16 => Input::Sip(Event::Acknowledged { dialog: call, sdp: rng.random::<bool>().then(|| sdp.into()) }),
        17 => Input::Sip(Event::Offer { dialog: call, sdp: rng.random::<bool>().then(|| sdp.into()) }),
        18 => Input::Sip(Event::OfferAnswered { dialog: call, sdp: sdp.into() }),
        19 => Input::Sip(Event::Ended { dialog: call, ending: Ending::PeerBye { reason: None } }),
        20 => Input::Sip(Event::InfoDigit { dialog: call, digit: '1', duration_ms: 100 }),
        21 => Input::Hangup { call },
        22 => Input::Overload(rng.random_range(0..10) == 0),
        23 => Input::Replaced { call },
        24 => Input::GuestCpu { tenant: "acme".into(), over: rng.random_range(0..4) == 0 },
        25 => {
            let bound = |rng: &mut StdRng| rng.random::<bool>().then(|| rng.random_range(0..6));
            let (max_calls, calls_per_second) = (bound(rng), bound(rng));
            Input::Tenants(vec![Tenant { name: "acme".into(), max_calls, calls_per_second }])
        }
        26 => Input::PortsExhausted { call },
        27 => Input::Bot { call, act: BotAct::Hold { id: 2 } },
        28 => Input::Bot { call, act: BotAct::Resume { id: 3 } },
        29 => {
            let target = ["sip:agent@x", "tel:+91", "nonsense"][rng.random_range(0..3)].into();
            Input::Bot { call, act: BotAct::Transfer { id: 4, target, headers: Vec::new() } }
        }
        30 => Input::Bot { call, act: BotAct::HangupWith { status: rng.random(), reason: "x".into() } },
        31 => Input::Bot { call, act: BotAct::AnswerHeaders(vec![("X-A".into(), "1".into())]) },
        32 => Input::Bot { call, act: BotAct::ByeHeaders(vec![("From".into(), "1".into())]) },
        33 => Input::Sip(Event::OfferRejected { dialog: call, status: 491 }),
        34 => Input::Sip(Event::OfferWithdrawn { dialog: call }),
        35 => Input::Sip(Event::ReferProgress { dialog: call, status: 180, phrase: "Ringing".into() }),
        _ => {
            let status = [200, 200, 408][rng.random_range(0..3)];
            Input::Sip(Event::ReferEnded { dialog: call, status, phrase: "x".into() })
        }
    }
}

fn run(seed: u64) -> BTreeSet<Cause> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scene = Scene::new(settings());
    let mut held: HashMap<CallId, Held> = HashMap::new();
    let mut invited = 0;
    for _ in 0..400 {
        let call = DialogId(rng.random_range(invited.max(4) - 4..=invited));
        let mut input = random_input(&mut rng, call);
        match &mut input {
            Input::Sip(Event::Invite { dialog, .. }) => {
                invited += 1;
                *dialog = DialogId(invited);
            }
            Input::LegClosed { call, .. } | Input::BotEnded { call, .. } => {
                held.entry(*call).or_default().given_up = true
            }
            _ => {}
        }
        let invited_now = matches!(&input, Input::Sip(Event::Invite { .. }));
        scene.input(input);
        look(&mut scene, &mut held, &mut rng);
        // By chance alone hardly any call would come to talk.
        if invited_now && rng.random() {
            let call = DialogId(invited);
            let ring = rng.random_range(0..4) == 0;
            scene.input(Input::BotStarted { call, result: Ok(Accept { ring, frames: true }) });
            if ring && rng.random() {
                scene.wait_ms(61_000);
            }
            scene.sip(Event::Acknowledged { dialog: call, sdp: Some(OFFER.into()) });
            look(&mut scene, &mut held, &mut rng);
        }
        scene.wait_ms([0, 0, 0, 5, 250, 4000][rng.random_range(0..6)]);
        look(&mut scene, &mut held, &mut rng);
    }
    scene.wait_ms(5 * 3_600_000);
    look(&mut scene, &mut held, &mut rng);
    scene.nothing_left(invited as usize);
    let count = |what: fn(&Milestone) -> bool| scene.milestones.iter().filter(|milestone| what(milestone)).count();
    assert_eq!(count(|m| matches!(m, Milestone::Received { .. })), count(|m| matches!(m, Milestone::Over { .. })));
    for (call, held) in held.iter().filter(|(call, _)| call.0 > 0) {
        assert_eq!((held.ports, held.summaries), (0, 1), "{call:?}");
        assert!(held.given_up || (held.legs, held.bots) == (0, 0), "{call:?} {held:?}");
    }
    scene.summaries.iter().map(|summary| summary.cause).collect()
}

/// Enters what went out into the books. Ports are opened for whoever asked, sometimes too late.
fn look(scene: &mut Scene, held: &mut HashMap<CallId, Held>, rng: &mut StdRng) {
    while !scene.last.is_empty() {
        for output in std::mem::take(&mut scene.last) {
            let Some(call) = call_of(&output) else { continue };
            held.entry(call).or_default().note(&output);
            if let Output::OpenPorts { .. } = output {
                scene.wait_ms(rng.random_range(0..3) * 1500);
                held.entry(call).or_default().ports += 1;
                let ports = Ports { advertised: [198, 51, 100, 1].into(), rtp: 10000, rtcp: 10001 };
                scene.input(Input::PortsOpened { call, ports });
            }
        }
    }
}

#[test]
fn any_input_in_any_order_leaves_nothing_behind() {
    let mut causes = BTreeSet::new();
    for seed in 0..600 {
        let run = std::panic::AssertUnwindSafe(|| run(seed));
        causes.extend(std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("seed {seed}")));
    }
    // It got everywhere that these inputs lead to, and not only to refusals.
    use Cause::*;
    for cause in [
        Bye,
        Transferred,
        NoRoute,
        Quota,
        Overload,
        NoPorts,
        Media,
        BotRefused,
        BotFault,
        BotTimeout,
        NotAnswered,
        MediaTimeout,
        Replaced,
        TooLong,
    ] {
        assert!(causes.contains(&cause), "{cause:?} was never seen in {causes:?}");
    }
}
