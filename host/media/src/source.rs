//! Where the caller's RTP comes from: learnt from what arrives (symmetric RTP, RFC 4961), because behind a NAT the SDP
//! address is not it.
//!
//! ```text
//!              first acceptable packet           five in sequence
//!   Unlearnt ---------------------------> Learning --------------> Settled
//!      ^                                     ^                        | silent for 2 s, and
//!      |  an offer with another address      +------------------------+ an acceptable packet from elsewhere
//!      +---------------------------------------------------------------
//! ```
//!
//! Acceptable: from the media networks, a negotiated payload type, authenticated if SRTP. The caller asks
//! [`Source::admits`] before decrypting and tells [`Source::heard`] after.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::DropReason;

const SETTLED_AFTER: u8 = 5;
const SILENT_AFTER: Duration = Duration::from_secs(2);
/// Sources that may compete while we learn; the first of them is the one we listen and send to.
const CANDIDATES_MAX: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    next_sequence: u16,
    in_sequence: u8,
    last_heard: Instant,
}

#[derive(Debug)]
enum State {
    Unlearnt,
    Learning,
    Settled { address: SocketAddr, last_heard: Instant },
}

#[derive(Debug)]
pub struct Source {
    networks: Vec<IpNet>,
    /// The SDP address is acceptable, though outside `networks`.
    sdp_allowed: bool,
    sdp: Option<SocketAddr>,
    state: State,
    candidates: Vec<Candidate>,
    /// After an offer that moved: the old source. Until then its last packets, still under way, are heard while no other
    /// source is, but it is not learnt again.
    left: Option<(SocketAddr, Instant)>,
}

/// We listen and send to another address from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: Option<SocketAddr>,
    pub to: SocketAddr,
}

impl Source {
    pub fn new(networks: Vec<IpNet>, sdp_allowed: bool, sdp: Option<SocketAddr>) -> Self {
        let candidates = Vec::with_capacity(CANDIDATES_MAX);
        Source { networks, sdp_allowed, sdp, state: State::Unlearnt, candidates, left: None }
    }

    /// A new offer. An unchanged address, or none (hold by c=0.0.0.0), disturbs nothing.
    pub fn offered(&mut self, sdp: Option<SocketAddr>, now: Instant) {
        let Some(sdp) = sdp else { return };
        if self.sdp.replace(sdp) == Some(sdp) {
            return;
        }
        if let Some(old) = self.learnt().filter(|&old| old != sdp) {
            self.left = Some((old, now + SILENT_AFTER));
        }
        self.state = State::Unlearnt;
        self.candidates.clear();
    }

    /// Where our RTP goes: to the source, to the SDP address until one is learnt.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.learnt().or(self.sdp)
    }

    fn learnt(&self) -> Option<SocketAddr> {
        match self.state {
            State::Unlearnt => None,
            State::Learning => self.candidates.first().map(|first| first.address),
            State::Settled { address, .. } => Some(address),
        }
    }

    pub fn settled(&self) -> bool {
        matches!(self.state, State::Settled { .. })
    }

    /// The networks alone: what RTCP must satisfy before a source is learnt.
    pub fn in_networks(&self, address: IpAddr) -> bool {
        let address = address.to_canonical(); // a socket for both families shows IPv4 mapped
        self.networks.iter().any(|network| network.contains(&address))
            || (self.sdp_allowed && self.sdp.is_some_and(|sdp| sdp.ip() == address))
    }

    /// Whether a packet from there may be looked at. Cost: some comparisons; this comes before any cryptography.
    pub fn admits(&self, from: SocketAddr, now: Instant) -> Result<(), DropReason> {
        match self.state {
            State::Settled { address, .. } if address == from => return Ok(()),
            State::Settled { last_heard, .. } if now.saturating_duration_since(last_heard) < SILENT_AFTER => {
                return Err(DropReason::OtherSource);
            }
            _ => {}
        }
        // To port 0 nothing can be sent back: learnt, it would silence the call.
        if from.port() == 0 || !self.in_networks(from.ip()) {
            return Err(DropReason::ForeignNetwork);
        }
        Ok(())
    }

    /// An acceptable packet. Ok: listen to it. `OtherSource`: it only counts towards learning its address.
    pub fn heard(
        &mut self,
        from: SocketAddr,
        ssrc: u32,
        sequence: u16,
        now: Instant,
    ) -> Result<Option<Move>, DropReason> {
        if let State::Settled { address, last_heard } = &mut self.state {
            if *address == from {
                *last_heard = now;
                return Ok(None);
            }
            // The settled source was silent for long enough, `admits` says: learn again, from this one.
            let old = *address;
            self.state = State::Learning;
            self.candidates.clear();
            self.note(from, ssrc, sequence, now);
            return Ok(Some(Move { from: Some(old), to: from }));
        }
        if self.left.is_some_and(|(old, until)| old == from && now < until) {
            return if self.candidates.is_empty() { Ok(None) } else { Err(DropReason::OtherSource) };
        }
        let before = self.destination();
        self.state = State::Learning;
        // A first candidate that fell silent gives way to the next one that speaks.
        if self.candidates.first().is_some_and(|first| {
            first.address != from && now.saturating_duration_since(first.last_heard) >= SILENT_AFTER
        }) {
            self.candidates.remove(0);
            if let Some(place) = self.candidates.iter().position(|c| c.address == from) {
                self.candidates.swap(0, place);
            } else {
                self.candidates.clear();
            }
        }
        let settled = self.note(from, ssrc, sequence, now);
        if settled {
            self.state = State::Settled { address: from, last_heard: now };
            self.candidates.clear();
            self.left = None;
        }
        let destination = self.destination();
        if destination != Some(from) {
            return Err(DropReason::OtherSource);
        }
        Ok((before != destination).then_some(Move { from: before, to: from }))
    }

    /// Counts packets in sequence. True at the fifth.
    fn note(&mut self, from: SocketAddr, ssrc: u32, sequence: u16, now: Instant) -> bool {
        let next_sequence = sequence.wrapping_add(1);
        if let Some(known) = self.candidates.iter_mut().find(|known| known.address == from) {
            let follows = known.ssrc == ssrc && known.next_sequence == sequence;
            let in_sequence = if follows { known.in_sequence + 1 } else { 1 };
            *known = Candidate { address: from, ssrc, next_sequence, in_sequence, last_heard: now };
            return in_sequence >= SETTLED_AFTER;
        }
        if self.candidates.len() == CANDIDATES_MAX {
            self.candidates.remove(1);
        }
        self.candidates.push(Candidate { address: from, ssrc, next_sequence, in_sequence: 1, last_heard: now });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "10.0.0.1:4000";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn source() -> Source {
        Source::new(vec!["10.0.0.0/8".parse().unwrap()], false, Some(at(SDP)))
    }

    fn settle(source: &mut Source, from: SocketAddr, now: Instant) {
        for sequence in 0..5 {
            let _ = source.heard(from, 1, sequence, now);
        }
        assert!(source.settled());
        assert_eq!(source.destination(), Some(from));
    }

    #[test]
    fn rtp_goes_to_the_sdp_address_until_a_source_is_learnt() {
        // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
        let now = Instant::now();
        let mut source = source();
        assert_eq!(source.destination(), Some(at(SDP)));
        let natted = at("10.9.9.9:1024");
        assert_eq!(source.admits(natted, now), Ok(()));
        assert_eq!(source.heard(natted, 1, 7, now), Ok(Some(Move { from: Some(at(SDP)), to: natted })));
        assert_eq!(source.destination(), Some(natted));
        assert!(!source.settled());
    }

    #[test]
    fn a_source_outside_the_media_networks_is_never_looked_at() {
        let mut source = source();
        let now = Instant::now();
        assert_eq!(source.admits(at("192.0.2.1:4000"), now), Err(DropReason::ForeignNetwork));
        source.sdp_allowed = true;
        source.offered(Some(at("192.0.2.1:9")), now);
        assert_eq!(source.admits(at("192.0.2.1:4000"), now), Ok(()));
    }

    #[test]
    fn a_source_that_nothing_can_be_sent_to_is_not_learnt() {
        assert_eq!(source().admits(at("10.2.2.2:0"), Instant::now()), Err(DropReason::ForeignNetwork));
    }

    #[test]
    fn the_first_with_five_in_sequence_wins_over_the_first_heard() {
        let now = Instant::now();
        let (early, real) = (at("10.1.1.1:5000"), at("10.2.2.2:5000"));
        let mut source = source();
        assert!(source.heard(early, 9, 100, now).is_ok());
        for sequence in 0..4 {
            assert_eq!(source.heard(real, 1, sequence, now), Err(DropReason::OtherSource));
        }
        assert_eq!(source.heard(real, 1, 4, now), Ok(Some(Move { from: Some(early), to: real })));
        assert!(source.settled());
        assert_eq!(source.admits(early, now), Err(DropReason::OtherSource));
    }

    #[test]
    fn packets_out_of_sequence_do_not_settle_a_source() {
        let now = Instant::now();
        let mut source = source();
        for sequence in [0, 2, 4, 6, 8, 10, 12, 14] {
            assert!(source.heard(at(SDP), 1, sequence, now).is_ok());
        }
        assert!(!source.settled());
    }

    #[test]
    fn a_settled_source_keeps_others_out_until_it_was_silent_for_two_seconds() {
        let start = Instant::now();
        let mut source = source();
        settle(&mut source, at(SDP), start);
        let other = at("10.3.3.3:6000");
        let almost = start + Duration::from_millis(1999);
        assert_eq!(source.admits(other, almost), Err(DropReason::OtherSource));
        let silent = start + Duration::from_secs(2);
        assert_eq!(source.admits(other, silent), Ok(()));
        assert_eq!(source.heard(other, 2, 0, silent), Ok(Some(Move { from: Some(at(SDP)), to: other })));
    }

    #[test]
    fn an_offer_with_a_new_address_moves_at_once_and_the_old_source_is_not_learnt_again() {
        let now = Instant::now();
        let mut source = source();
        settle(&mut source, at(SDP), now);
        source.offered(Some(at(SDP)), now);
        assert!(source.settled(), "an unchanged offer disturbs nothing");
        let new = at("10.4.4.4:7000");
        source.offered(Some(new), now);
        assert_eq!(source.destination(), Some(new));
        for sequence in 5..20 {
            assert_eq!(source.heard(at(SDP), 1, sequence, now), Ok(None), "its last packets are heard");
        }
        assert_eq!(source.destination(), Some(new));
        assert_eq!(source.heard(new, 1, 0, now), Ok(None));
        assert_eq!(source.heard(at(SDP), 1, 20, now), Err(DropReason::OtherSource), "but not beside the new one");
        // If nothing comes from the new address, the old source may be learnt after all.
        let mut source = self::source();
        settle(&mut source, at(SDP), now);
        source.offered(Some(new), now);
        let later = now + Duration::from_secs(2);
        assert!(source.heard(at(SDP), 1, 5, later).is_ok_and(|moved| moved.is_some_and(|moved| moved.to == at(SDP))));
    }

    #[test]
    fn hold_by_address_zero_keeps_the_source() {
        let now = Instant::now();
        let mut source = source();
        settle(&mut source, at(SDP), now);
        source.offered(None, now);
        assert!(source.settled());
    }
}
