//! What must hold of every packet that a leg sends, read from the bytes before encryption by nobody but this file, and of
//! every press: reported once if a packet of it was accepted, and never twice.

use std::collections::BTreeSet;
use std::time::Instant;

use media::Negotiated;

use crate::sim::ms;

/// Names one press of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PressTag {
    pub number: u64,
    pub key: char,
}

/// The grid of departures, computed apart from the leg's own.
struct Grid {
    next: Instant,
    ptime_ms: u64,
}

struct Begin {
    ssrc: u32,
    timestamp: u32,
    slot: Instant,
}

struct Press {
    tag: PressTag,
    timestamp: u32,
    duration: u16,
    ends: u32,
}

struct Packet {
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

/// All that one leg has sent.
#[derive(Default)]
pub struct Stream {
    grid: Option<Grid>,
    begin: Option<Begin>,
    last_sequence: Option<u16>,
    /// The next audio packet has no marker: it goes on where one left in the slot before.
    goes_on: bool,
    press: Option<Press>,
    presses: u64,
    pub packets: u64,
}

fn read(bytes: &[u8]) -> Result<Packet, String> {
    if bytes.len() < 12 || bytes[0] != 0x80 {
        return Err(format!("sent no plain RTP header: {:02x?}", &bytes[..bytes.len().min(12)]));
    }
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok(Packet {
        marker: bytes[1] & 0x80 != 0,
        payload_type: bytes[1] & 0x7f,
        sequence: word(0) as u16,
        timestamp: word(4),
        ssrc: word(8),
    })
}

fn samples(from: Instant, to: Instant) -> u32 {
    ((to - from).as_millis() as u64 * 8) as u32
}

impl Stream {
    /// The ptime that holds from the next slot on.
    pub fn set_ptime(&mut self, ptime_ms: u32) {
        if let Some(grid) = &mut self.grid {
            grid.ptime_ms = u64::from(ptime_ms);
        }
    }

    pub fn next_slot(&self) -> Option<Instant> {
        self.grid.as_ref().map(|grid| grid.next)
    }

    /// The slot that is sent in at `now`, and whether slots before it were missed.
    fn slot(&mut self, now: Instant, ptime_ms: u32) -> (Instant, bool) {
        let grid = self.grid.get_or_insert(Grid { next: now, ptime_ms: u64::from(ptime_ms) });
        let missed = (now - grid.next).as_millis() as u64 / grid.ptime_ms;
        let slot = grid.next + ms(missed * grid.ptime_ms);
        grid.next = slot + ms(grid.ptime_ms);
        (slot, missed > 0)
    }

    /// A send phase is over. `plain`: the packet that left. `open`: whether one had to.
    pub fn sent(
        &mut self,
        now: Instant,
        negotiated: &Negotiated,
        plain: Option<&[u8]>,
        open: bool,
    ) -> Result<Option<PressTag>, String> {
        let (slot, missed) = self.slot(now, negotiated.send_ptime_ms);
        self.goes_on &= !missed;
        let Some(plain) = plain else {
            // A press under way is over: after a hold it would be heard as another.
            (self.goes_on, self.press) = (false, None);
            return if open { Err("nothing left in a slot in which a packet is due".into()) } else { Ok(None) };
        };
        if !open {
            return Err("a packet left though direction or hold forbids it".into());
        }
        let packet = read(plain)?;
        self.packets += 1;
        let first = self.begin.is_none();
        let begin = self.begin.get_or_insert(Begin { ssrc: packet.ssrc, timestamp: packet.timestamp, slot });
        if begin.ssrc != packet.ssrc {
            return Err(format!("SSRC {:08x} became {:08x}", begin.ssrc, packet.ssrc));
        }
        let at = begin.timestamp.wrapping_add(samples(begin.slot, slot));
        if let Some(last) = self.last_sequence
            && packet.sequence != last.wrapping_add(1)
        {
            return Err(format!("sequence {} after {last}", packet.sequence));
        }
        if first && packet.sequence >= 1 << 15 {
            return Err(format!("first sequence {} is not below 2^15", packet.sequence));
        }
        self.last_sequence = Some(packet.sequence);
        if negotiated.telephone_event.is_some_and(|pt| pt.0 == packet.payload_type) {
            return self.event(&packet, &plain[12..], at).map(Some);
        }
        self.audio(&packet, plain.len() - 12, at, negotiated)?;
        Ok(None)
    }

    fn audio(&mut self, packet: &Packet, length: usize, at: u32, negotiated: &Negotiated) -> Result<(), String> {
        if packet.payload_type != negotiated.payload_type.0 {
            return Err(format!("payload type {} was not negotiated", packet.payload_type));
        }
        if packet.timestamp != at {
            let off = packet.timestamp.wrapping_sub(at) as i32;
            return Err(format!("audio timestamp is {off} samples off start + 8 x ms elapsed"));
        }
        if length != negotiated.send_ptime_ms as usize * 8 {
            return Err(format!("{length} samples in a packet of {} ms", negotiated.send_ptime_ms));
        }
        if packet.marker == self.goes_on {
            return Err(format!("marker is {} where sound goes on: {}", packet.marker, self.goes_on));
        }
        self.goes_on = true;
        if let Some(press) = self.press.take()
            && press.ends != 3
        {
            return Err(format!("a press ended with {} end packets", press.ends));
        }
        Ok(())
    }

    fn event(&mut self, packet: &Packet, payload: &[u8], at: u32) -> Result<PressTag, String> {
        let &[event, flags, d0, d1] = payload else {
            return Err(format!("a telephone-event of {} bytes", payload.len()));
        };
        let (end, duration) = (flags & 0x80 != 0, u16::from_be_bytes([d0, d1]));
        let key = *b"0123456789*#ABCD".get(usize::from(event)).ok_or(format!("event {event}"))? as char;
        let goes_on = self.press.as_ref().is_some_and(|press| press.ends < 3);
        if !goes_on {
            if packet.timestamp != at {
                return Err(format!("a press began at {} where its slot is {at}", packet.timestamp));
            }
            let tag = PressTag { number: self.presses, key };
            self.presses += 1;
            self.press = Some(Press { tag, timestamp: at, duration: 0, ends: 0 });
        }
        let Some(press) = &mut self.press else { return Err("no press".into()) };
        if press.timestamp != packet.timestamp || press.tag.key != key {
            return Err(format!("packets of one press have timestamps {} and {}", press.timestamp, packet.timestamp));
        }
        if packet.marker == goes_on {
            return Err(format!("marker is {} within a press", packet.marker));
        }
        if duration < press.duration || (press.ends > 0 && (!end || duration != press.duration)) {
            return Err(format!("duration {duration} (end {end}) after {} in one press", press.duration));
        }
        press.duration = duration;
        press.ends += u32::from(end);
        Ok(press.tag)
    }

    /// An offer that takes telephone-event away cuts a press short.
    pub fn events_taken_away(&mut self) {
        self.press = None;
    }
}

/// The presses that one leg hears of the other.
#[derive(Default)]
pub struct Presses {
    seen: BTreeSet<u64>,
    expected: Vec<char>,
    reported: Vec<char>,
}

impl Presses {
    /// A packet of this press was accepted.
    pub fn accepted(&mut self, tag: PressTag) {
        if self.seen.insert(tag.number) {
            self.expected.push(tag.key);
        }
    }

    pub fn reported(&mut self, key: char) {
        self.reported.push(key);
    }

    /// Each press once, in the order in which their first packets came.
    pub fn check(&self) -> Result<(), String> {
        if self.expected == self.reported {
            return Ok(());
        }
        Err(format!("presses {:?} were reported as {:?}", self.expected, self.reported))
    }

    pub fn count(&self) -> usize {
        self.reported.len()
    }
}
