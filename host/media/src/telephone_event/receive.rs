//! One report for each press, at the first packet of it that is seen.

use std::time::{Duration, Instant};

use super::key_of;
use crate::DropReason;

/// The payload of one packet. Source: RFC 4733 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    pub event: u8,
    pub end: bool,
    /// In samples, since the event's timestamp.
    pub duration: u16,
}

/// Reads a payload. Shape: 4 bytes; what follows them is not looked at. Errors: `BadTelephoneEvent`.
pub fn parse_event(payload: &[u8]) -> Result<EventPacket, DropReason> {
    let &[event, flags, d0, d1, ..] = payload else {
        return Err(DropReason::BadTelephoneEvent);
    };
    Ok(EventPacket { event, end: flags & 0x80 != 0, duration: u16::from_be_bytes([d0, d1]) })
}

/// Presses remembered: three seconds of the fastest dialling.
const PRESSES_MAX: usize = 32;
/// How long a press is known by its timestamp: longer than any network keeps a copy back.
const MEMORY: Duration = Duration::from_secs(3);
/// Within this time a packet of the same event goes on with the press, though its timestamp moved.
const SAME_PRESS: Duration = Duration::from_millis(100);
/// ... if it is in sequence: so many numbers on at most, 100 ms of 10 ms packets.
const IN_SEQUENCE: i16 = 10;
/// An end packet this close behind an end is a copy of it, whatever its timestamp: a new press has packets before its end.
const END_COPIES: i16 = 2;

#[derive(Clone, Copy, Debug)]
struct Press {
    ssrc: u32,
    event: u8,
    timestamp: u32,
    first_sequence: u16,
    last_sequence: u16,
    ended: bool,
    last_heard: Instant,
}

impl Press {
    /// The same press under another timestamp: long presses whose segments restart it (RFC 4733 2.5.1.3), and gateways
    /// that step it with every packet. A reordered packet from between its first and last, or just before, is part of it too.
    fn goes_on_in(&self, ssrc: u32, packet: EventPacket, sequence: u16, now: Instant) -> bool {
        let ahead = sequence.wrapping_sub(self.last_sequence) as i16;
        let inside = sequence.wrapping_sub(self.first_sequence) as i16 >= -IN_SEQUENCE && ahead <= 0;
        let reach = match (self.ended, packet.end) {
            (false, _) => IN_SEQUENCE,
            (true, true) => END_COPIES,
            (true, false) => 0,
        };
        let next = ahead > 0 && ahead <= reach;
        self.ssrc == ssrc
            && self.event == packet.event
            && now.saturating_duration_since(self.last_heard) <= SAME_PRESS
            && (inside || next)
    }
}

/// The presses of one leg, on whatever SSRC they come.
#[derive(Debug)]
pub struct Presses {
    known: Vec<Press>,
}

impl Default for Presses {
    fn default() -> Self {
        Presses { known: Vec::with_capacity(PRESSES_MAX) }
    }
}

impl Presses {
    /// The key, if this packet is the first one seen of its press. Errors: an event that is no key.
    /// Cost: a look through at most 32 presses; no allocation.
    pub fn heard(
        &mut self,
        (ssrc, sequence, timestamp): (u32, u16, u32),
        packet: EventPacket,
        now: Instant,
    ) -> Result<Option<char>, DropReason> {
        let key = key_of(packet.event).ok_or(DropReason::BadTelephoneEvent)?;
        self.known.retain(|press| now.saturating_duration_since(press.last_heard) < MEMORY);
        let same = |press: &Press| press.ssrc == ssrc && press.event == packet.event && press.timestamp == timestamp;
        let known = self.known.iter().rposition(same);
        // Newest first: only the latest press of this key can go on.
        let known =
            known.or_else(|| self.known.iter().rposition(|press| press.goes_on_in(ssrc, packet, sequence, now)));
        if let Some(press) = known.map(|place| &mut self.known[place]) {
            press.last_heard = now;
            press.ended |= packet.end;
            if (sequence.wrapping_sub(press.last_sequence) as i16) > 0 {
                press.last_sequence = sequence;
                press.timestamp = timestamp;
            }
            return Ok(None);
        }
        if self.known.len() == PRESSES_MAX {
            self.known.remove(0);
        }
        self.known.push(Press {
            ssrc,
            event: packet.event,
            timestamp,
            first_sequence: sequence,
            last_sequence: sequence,
            ended: packet.end,
            last_heard: now,
        });
        Ok(Some(key))
    }
}
