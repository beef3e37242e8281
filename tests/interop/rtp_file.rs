//! A capture file with the RTP of a caller, for sipp to play: voice and keys (RFC 4733) in one stream, as telephones and
//! gateways send them, or the keys on an SSRC of their own. Source: the libpcap file format 2.4; RFC 3550, 4733.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::sound::a_law;

const PCMA: u8 = 8;
const PACKET_SAMPLES: u32 = 160;
const PACKET_US: u64 = 20_000;
/// A key is held for 8 packets, 160 ms.
const KEY_PACKETS: u32 = 8;
const END_PACKETS: u32 = 3;
const KEYS: &str = "0123456789*#ABCD";

/// What is played to sipp's peer: sipp itself sets addresses and ports.
pub struct RtpFile {
    /// When each packet is sent, and the packet.
    packets: Vec<(u64, Vec<u8>)>,
    at_us: u64,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
}

impl RtpFile {
    pub fn new(ssrc: u32) -> RtpFile {
        // Close to both wraps, so that they are passed.
        RtpFile { packets: Vec::new(), at_us: 0, ssrc, sequence: 65_500, timestamp: u32::MAX - 16_000, marker: true }
    }

    /// Another stream beside this one: their packets mixed, as their times say.
    pub fn beside(mut self, other: RtpFile) -> RtpFile {
        self.packets.extend(other.packets);
        self.packets.sort_by_key(|&(at_us, _)| at_us);
        self
    }

    /// PCMA, a packet every 20 ms; a rest that fills no packet is left out.
    pub fn say(mut self, samples: &[i16]) -> RtpFile {
        for frame in samples.chunks_exact(PACKET_SAMPLES as usize) {
            let marker = std::mem::take(&mut self.marker);
            self.packet(PCMA, marker, self.timestamp, &a_law(frame));
            self.tick();
        }
        self
    }

    pub fn say_nothing(self, ms: usize) -> RtpFile {
        self.say(&crate::sound::silence(ms))
    }

    /// Nothing is sent, as a telephone does that suppresses silence.
    pub fn pause(mut self, ms: u32) -> RtpFile {
        self.at_us += u64::from(ms) * 1000;
        self.timestamp = self.timestamp.wrapping_add(ms * 8);
        self.marker = true;
        self
    }

    /// Each key for 160 ms, then 80 ms of silence. Errors: not a key of a telephone.
    pub fn press(self, payload_type: u8, keys: &str) -> Result<RtpFile> {
        keys.chars().try_fold(self, |file, key| Ok(file.press_one(payload_type, key)?.say_nothing(80)))
    }

    /// The same, but nothing is sent between the keys: for a stream of keys alone.
    pub fn press_alone(self, payload_type: u8, keys: &str) -> Result<RtpFile> {
        keys.chars().try_fold(self, |file, key| Ok(file.press_one(payload_type, key)?.pause(80)))
    }

    fn press_one(mut self, payload_type: u8, key: char) -> Result<RtpFile> {
        let event = KEYS.find(key).with_context(|| format!("{key} is not a key"))? as u8;
        let start = self.timestamp;
        for packet in 1..=KEY_PACKETS {
            self.event(payload_type, packet == 1, start, [event, 10], packet);
            self.tick();
        }
        // All copies of the end say the same, and take no time of their own.
        for _ in 0..END_PACKETS {
            self.event(payload_type, false, start, [event, 0x80 | 10], KEY_PACKETS);
        }
        self.marker = true;
        Ok(self)
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = Vec::new();
        file.extend(0xa1b2_c3d4_u32.to_le_bytes());
        file.extend([2, 0, 4, 0]);
        file.extend([0; 8]);
        file.extend(65_535_u32.to_le_bytes());
        file.extend(1_u32.to_le_bytes()); // LINKTYPE_ETHERNET
        self.packets.iter().for_each(|(at_us, rtp)| record(&mut file, *at_us, rtp));
        fs::write(path, file).with_context(|| path.display().to_string())
    }

    fn tick(&mut self) {
        self.at_us += PACKET_US;
        self.timestamp = self.timestamp.wrapping_add(PACKET_SAMPLES);
    }

    fn event(&mut self, payload_type: u8, marker: bool, start: u32, head: [u8; 2], packets: u32) {
        let duration = ((packets * PACKET_SAMPLES) as u16).to_be_bytes();
        self.packet(payload_type, marker, start, &[head, duration].concat());
    }

    fn packet(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let mut rtp = vec![0x80, payload_type | (u8::from(marker) << 7)];
        rtp.extend(self.sequence.to_be_bytes());
        rtp.extend(timestamp.to_be_bytes());
        rtp.extend(self.ssrc.to_be_bytes());
        rtp.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets.push((self.at_us, rtp));
    }
}

/// In UDP, IPv4 and Ethernet. Addresses, ports and checksums are set by who plays it.
fn record(file: &mut Vec<u8>, at_us: u64, rtp: &[u8]) {
    let udp_bytes = (8 + rtp.len()) as u16;
    let ip_bytes = 20 + udp_bytes;
    let frame_bytes = 14 + u32::from(ip_bytes);
    for word in [(at_us / 1_000_000) as u32, (at_us % 1_000_000) as u32, frame_bytes, frame_bytes] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0; 12]);
    file.extend([0x08, 0x00]);
    file.extend([0x45, 0]);
    file.extend(ip_bytes.to_be_bytes());
    file.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    for word in [4_000_u16, 4_000, udp_bytes, 0] {
        file.extend(word.to_be_bytes());
    }
    file.extend(rtp);
}
