//! What a seed comes to: who calls, over what network, what each party will do.

use call::StartFailure;
use media::{SrtpKey, SrtpSuite};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sip::Transport;

use crate::bot::BotDo;
use crate::description::{Crypto, Desk, Hold};

/// Everything that happens in one run, but for the network's dice.
#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub callers: Vec<CallerPlan>,
    pub edge: EdgePlan,
    /// In ms from the start.
    pub host_acts: Vec<(u64, HostAct)>,
}

#[derive(Clone, Debug)]
pub struct CallerPlan {
    pub transport: Transport,
    /// 0: SRTP preferred, 1: required, 2: off.
    pub trunk: u16,
    pub dials_at_ms: u64,
    pub called: &'static str,
    pub late_offer: bool,
    pub session_expires: Option<&'static str>,
    pub desk: Desk,
    /// After the INVITE.
    pub cancels_at_ms: Option<u64>,
    /// After the INVITE: it is gone without a word, answered or not.
    pub vanishes_at_ms: Option<u64>,
    /// After the 200 was seen; each act has its own distance from that.
    pub acts: Vec<(u64, Act)>,
    pub network: Profile,
    /// Its packets come from another address than the one in its SDP.
    pub natted: bool,
    /// It never sends a packet.
    pub mute: bool,
    pub key_gap_ms: u32,
    /// The host can open a connection to it.
    pub reachable: bool,
    pub refer: ReferPlan,
    pub bot: BotPlan,
}

/// What comes of a REFER of the host's.
#[derive(Clone, Debug)]
pub struct ReferPlan {
    /// None: it is never answered.
    pub answer: Option<u16>,
    /// After it came: what the NOTIFYs say, and whether one says that it is the last.
    pub notifies: Vec<(u64, u16, bool)>,
}

#[derive(Clone, Debug)]
pub enum Act {
    Hold(Hold),
    Resume,
    /// The same description once more.
    Again,
    /// Another port.
    Move,
    /// The other codec first, or no telephone-event.
    Codecs(Vec<u8>, Option<u8>),
    Ptime(u32),
    Rekey(u8),
    Listen,
    /// An offer that the host cannot take.
    Unusable,
    /// A re-INVITE without a description.
    AskForOffer,
    /// UPDATE with a description. The caller sends no further request: the endpoint does not know of it.
    Update(Hold),
    Keys(String),
    InfoKeys(String),
    Bye,
    /// It is gone without a word.
    Vanish,
    /// It sends no more RTP.
    Mute,
}

/// What the path between one caller and the host does to packets.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub delay_ms: u64,
    pub jitter_ms: u64,
    pub sip_lost_permille: u32,
    pub rtp_lost_permille: u32,
    pub copied_permille: u32,
    /// From the start: the connection is cut, and so long no new one comes up.
    pub cuts: Vec<(u64, u64)>,
    /// From the start: no RTP passes for so long.
    pub gaps: Vec<(u64, u64)>,
    /// Somebody else sends to the host's port as well.
    pub intruder: bool,
}

impl CallerPlan {
    /// Nothing is done to its RTP, and it offers nothing after the first time.
    pub fn is_undisturbed(&self) -> bool {
        let Profile { jitter_ms, rtp_lost_permille, copied_permille, ref gaps, intruder, .. } = self.network;
        let offers = |(_, act): &(u64, Act)| !matches!(act, Act::Keys(_) | Act::InfoKeys(_) | Act::Bye | Act::Vanish);
        let clean = (jitter_ms, rtp_lost_permille, copied_permille) == (0, 0, 0) && gaps.is_empty() && !intruder;
        let holds = self.bot.acts.iter().any(|(_, act)| *act == BotDo::Hold);
        clean
            && !holds
            && !self.mute
            && self.cancels_at_ms.or(self.vanishes_at_ms).is_none()
            && !self.acts.iter().any(offers)
    }
}

#[derive(Clone, Debug)]
pub struct BotPlan {
    pub start_ms: u64,
    pub start: Result<call::Accept, StartFailure>,
    /// It answers each frame with what it heard.
    pub echoes: bool,
    /// After `answered`; but for `Answer`, which counts from the start.
    pub acts: Vec<(u64, BotDo)>,
    /// Hangs up at `*`.
    pub obeys_star: bool,
    /// After `hangup`; None: never.
    pub done_ms: Option<u64>,
    pub fallback_ms: Option<u64>,
}

/// How slow the edge is. Now and then slower than the calls wait.
#[derive(Clone, Debug)]
pub struct EdgePlan {
    pub ports_ms: u64,
    pub leg_close_ms: u64,
    pub bot_close_ms: u64,
    pub port_pairs: usize,
    /// In each 1000 receive phases: the media thread loses so many ms.
    pub stalls_permille: u32,
    pub tenant_calls: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub enum HostAct {
    Drain,
    Overload(bool),
    HangUp(usize),
    /// The media plane gives a leg up, unasked.
    GiveUpLeg(usize),
}

struct Dice(SmallRng);

impl Dice {
    fn one_in(&mut self, n: u32) -> bool {
        self.0.random_range(0..n) == 0
    }

    fn from(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())].clone()
    }
}

impl Scenario {
    pub fn of(seed: u64) -> Scenario {
        let mut dice = Dice(SmallRng::seed_from_u64(seed));
        let callers = if dice.one_in(3) { dice.from(2..=4) } else { 1 };
        let edge = EdgePlan {
            ports_ms: if dice.one_in(25) { dice.from(1500..=2600) } else { dice.from(0..=5) },
            leg_close_ms: if dice.one_in(20) { dice.from(4000..=7000) } else { dice.from(0..=30) },
            bot_close_ms: if dice.one_in(20) { dice.from(4000..=7000) } else { dice.from(0..=60) },
            port_pairs: if dice.one_in(15) { dice.from(0..=1) as usize } else { 8 },
            stalls_permille: if dice.one_in(3) { dice.from(1..=15) as u32 } else { 0 },
            tenant_calls: dice.one_in(8).then_some(1),
        };
        let mut callers: Vec<CallerPlan> = (0..callers as usize).map(|index| caller(&mut dice, index)).collect();
        // Dice of their own, so that what a seed was before stays what it was.
        let mut dice_of_control = Dice(SmallRng::seed_from_u64(seed ^ 0xc0_4720));
        callers.iter_mut().for_each(|caller| control(&mut dice_of_control, caller));
        let mut host_acts = Vec::new();
        if dice.one_in(20) {
            host_acts.push((dice.from(0..=15_000), HostAct::Drain));
        }
        if dice.one_in(25) {
            let at = dice.from(0..=1000);
            host_acts.extend([(at, HostAct::Overload(true)), (at + 1000, HostAct::Overload(false))]);
        }
        if dice.one_in(20) {
            host_acts.push((dice.from(0..=12_000), HostAct::HangUp(0)));
        }
        if dice.one_in(40) {
            host_acts.push((dice.from(1000..=8000), HostAct::GiveUpLeg(0)));
        }
        Scenario { seed, callers, edge, host_acts }
    }
}

fn caller(dice: &mut Dice, index: usize) -> CallerPlan {
    let transport = dice.pick(&[Transport::Udp, Transport::Udp, Transport::Tcp, Transport::Tls]);
    let desk = desk(dice, index);
    let trunk = match (&desk.crypto, desk.secure) {
        _ if dice.one_in(20) => dice.pick(&[1, 2]),
        (Some(_), true) => dice.pick(&[0, 1]),
        _ => dice.pick(&[0, 2, 0]),
    };
    let expires = if dice.one_in(12) { Some(dice.pick(&["90;refresher=uas", "90;refresher=uac", "90"])) } else { None };
    let (mut acts, update) = acts(dice, desk.events, expires.is_some());
    let mut bot = bot(dice);
    // Somebody must hang up before the longest call is over, most of the time.
    let ends_at = acts.last().map_or(0, |(at, _)| *at) + dice.from(200..=4000);
    if update || dice.one_in(3) {
        bot.acts.push((ends_at, BotDo::HangUp { after_playout: dice.one_in(2) }));
    } else if expires.is_some() && dice.one_in(2) {
        // Its silence is no media time-out, so that the session is what runs out.
        acts.extend([(ends_at, Act::Hold(Hold::Inactive)), (ends_at + 1000, Act::Vanish)]);
    } else if !dice.one_in(12) {
        acts.push((ends_at, if dice.one_in(8) { Act::Vanish } else { Act::Bye }));
    }
    CallerPlan {
        transport,
        trunk,
        dials_at_ms: if index == 0 { 0 } else { dice.from(0..=3000) },
        called: if dice.one_in(25) { "nobody" } else { dice.pick(&["+911", "+911", "+912"]) },
        late_offer: dice.one_in(8),
        session_expires: expires,
        desk,
        cancels_at_ms: dice.one_in(12).then(|| dice.from(0..=2500)),
        vanishes_at_ms: dice.one_in(20).then(|| dice.from(0..=400)),
        acts,
        network: profile(dice, transport),
        natted: dice.one_in(4),
        mute: dice.one_in(20),
        key_gap_ms: dice.from(50..=300) as u32,
        reachable: !dice.one_in(4),
        refer: ReferPlan { answer: None, notifies: Vec::new() },
        bot,
    }
}

/// Adds what the bot asks of its call's signalling, and what its caller makes of a REFER.
fn control(dice: &mut Dice, caller: &mut CallerPlan) {
    if dice.one_in(3) {
        return;
    }
    let mut at = 0;
    for _ in 0..dice.from(1..=5) {
        at += if dice.one_in(4) { dice.from(0..=50) } else { dice.from(200..=3000) };
        let act = match dice.from(0..=6) {
            0..=2 => BotDo::Hold,
            3..=4 => BotDo::Resume,
            _ => BotDo::Transfer(dice.pick(&["sip:agent@trunk.example", "tel:+911", "sip:a@b?Replaces=x", "agent"])),
        };
        caller.bot.acts.push((at, act));
    }
    caller.refer.answer = dice.pick(&[Some(202), Some(202), Some(202), Some(200), Some(603), Some(481), None]);
    let mut at = 0;
    for _ in 0..dice.from(0..=4) {
        at += dice.from(0..=2500);
        let status = dice.pick(&[100, 180, 180, 183, 200, 486, 603]);
        caller.refer.notifies.push((at, status, status >= 200 || dice.one_in(10)));
    }
}

fn key(dice: &mut Dice) -> SrtpKey {
    let mut key = [0; 30];
    dice.0.fill(&mut key);
    SrtpKey(key)
}

fn desk(dice: &mut Dice, index: usize) -> Desk {
    let suite = dice.pick(&[SrtpSuite::AesCm128HmacSha1_80, SrtpSuite::AesCm128HmacSha1_32]);
    let crypto = dice.one_in(3).then(|| Crypto { tag: dice.pick(&[1, 1, 7]), suite, key: key(dice) });
    Desk {
        address: format!("192.0.2.{}:{}", 10 + index, 20_000 + 2 * dice.from(0..=500)).parse().expect("an address"),
        version: 1,
        codecs: if dice.one_in(30) {
            vec![18]
        } else {
            dice.pick(&[vec![8, 0], vec![0, 8], vec![8], vec![0], vec![18, 0]])
        },
        events: if dice.one_in(4) { None } else { Some(dice.pick(&[96, 101])) },
        ptime_ms: dice.pick(&[None, None, Some(20), Some(10), Some(30), Some(40), Some(60)]),
        packet_ms: dice.pick(&[20, 20, 20, 10, 30, 40, 60]),
        secure: crypto.is_some() && dice.one_in(2),
        crypto,
        hold: Hold::No,
        listens: false,
        video: dice.one_in(6),
        mux: dice.one_in(4),
    }
}

fn keys(dice: &mut Dice, last: &mut char) -> String {
    let mut keys = String::new();
    for _ in 0..dice.from(1..=5) {
        // Equal neighbours in a row are one press to whoever lost the end of the first: the RFC gives no way to tell.
        let others: Vec<char> = "0123456789*ABCD".chars().filter(|key| key != last).collect();
        *last = dice.pick(&others);
        keys.push(*last);
        if dice.one_in(8) {
            keys.push(',');
        }
    }
    keys
}

/// What the caller does, and whether its last act is an UPDATE.
fn acts(dice: &mut Dice, events: Option<u8>, long: bool) -> (Vec<(u64, Act)>, bool) {
    let mut acts = Vec::new();
    let (mut at, mut last) = (0, ' ');
    for _ in 0..dice.from(0..=6) {
        at += if dice.one_in(6) { dice.from(0..=60) } else { dice.from(300..=2500) };
        let act = match dice.from(0..=19) {
            0..=6 if events.is_some() => Act::Keys(keys(dice, &mut last)),
            0..=6 => Act::InfoKeys(keys(dice, &mut last).replace(',', "")),
            7..=8 => Act::Hold(dice.pick(&[Hold::SendOnly, Hold::Inactive, Hold::Zero])),
            9..=11 => Act::Resume,
            12 => Act::Again,
            13 => Act::Move,
            14 => Act::Codecs(dice.pick(&[vec![8, 0], vec![0, 8], vec![0]]), dice.pick(&[events, None, Some(96)])),
            15 => Act::Ptime(dice.pick(&[10, 20, 30, 40, 60])),
            16 => Act::Rekey(dice.from(1..=255) as u8),
            17 => dice.pick(&[Act::Listen, Act::Unusable, Act::Mute]),
            18 => Act::AskForOffer,
            _ => Act::InfoKeys("5".into()),
        };
        acts.push((at, act));
    }
    if long {
        at += dice.from(40_000..=70_000);
        acts.push((at, Act::Again));
    }
    let update = dice.one_in(8);
    if update {
        acts.push((at + dice.from(200..=2000), Act::Update(dice.pick(&[Hold::Inactive, Hold::SendOnly, Hold::No]))));
    }
    (acts, update)
}

fn profile(dice: &mut Dice, transport: Transport) -> Profile {
    let mut profile = Profile { delay_ms: dice.from(1..=80), ..Profile::default() };
    if dice.one_in(3) {
        return profile;
    }
    profile.jitter_ms = dice.from(0..=120);
    profile.sip_lost_permille = dice.pick(&[0, 20, 100, 300]);
    profile.rtp_lost_permille = dice.pick(&[0, 10, 50, 200]);
    profile.copied_permille = dice.pick(&[0, 10, 50]);
    if transport != Transport::Udp && dice.one_in(2) {
        profile.cuts = (0..dice.from(1..=3)).map(|_| (dice.from(0..=12_000), dice.from(0..=3000))).collect();
    }
    profile.intruder = dice.one_in(5);
    if dice.one_in(6) {
        profile.gaps.push((dice.from(500..=8000), dice.from(100..=9000)));
    }
    profile
}

fn bot(dice: &mut Dice) -> BotPlan {
    let rings = dice.one_in(5);
    let start = match dice.from(0..=29) {
        0 => Err(StartFailure::Refused { status: dice.pick(&[486, 603, 200]), reason: "not\r\nnow".into() }),
        1 => Err(StartFailure::NotLoadable { why: "there is no build".into() }),
        2 => Err(StartFailure::Faulted { why: "unreachable".into() }),
        3 => Err(StartFailure::TimedOut),
        _ => Ok(call::Accept { ring: rings, frames: !dice.one_in(3) }),
    };
    let mut acts = Vec::new();
    if rings && !dice.one_in(8) {
        acts.push((dice.from(0..=3000), BotDo::Answer));
    }
    for _ in 0..dice.from(0..=4) {
        let act = match dice.from(0..=9) {
            0..=3 => BotDo::Play { for_ms: dice.from(20..=3000) as u32 },
            4 => BotDo::Clear,
            5..=7 => BotDo::SendDigits(dice.pick(&["12#", "5", "0,9", "*73A", "x", "13579024680"]).into()),
            8 => BotDo::Note,
            _ if dice.one_in(3) => BotDo::Fault,
            _ => BotDo::Note,
        };
        acts.push((dice.from(0..=7000), act));
    }
    BotPlan {
        start_ms: if dice.one_in(25) { dice.from(180..=260) } else { dice.from(0..=30) },
        start,
        echoes: dice.one_in(2),
        acts,
        obeys_star: dice.one_in(2),
        done_ms: if dice.one_in(6) { None } else { Some(dice.from(0..=2000)) },
        fallback_ms: if dice.one_in(10) { None } else { Some(dice.from(0..=2500)) },
    }
}
