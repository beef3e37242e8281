//! The trunk's media of one call: RTP or SRTP from an address of its own, which is not that of its signalling.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rand::Rng;
use webrtc_srtp::context::Context as SrtpContext;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::sdp::{Answer, Key};

const PCMA: u8 = 8;
const HEADER_BYTES: usize = 12;
const SAMPLES: usize = 160;
const PTIME: Duration = Duration::from_millis(20);

pub struct Media {
    rtp: UdpSocket,
    /// Bound, so that the host's reports arrive somewhere.
    _rtcp: UdpSocket,
    pub address: SocketAddr,
    ours: Option<SrtpContext>,
    theirs: Option<SrtpContext>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    said: HashSet<Vec<u8>>,
    /// Packets of the host.
    pub heard: u64,
    /// Those that brought back what was said.
    pub echoed: u64,
}

impl Media {
    /// Binds a pair of ports, even and odd. Errors: there is none.
    pub fn bind(address: Ipv4Addr) -> Result<Media> {
        let mut rng = rand::rng();
        let pair = (0..200).find_map(|_| {
            let port = rng.random_range(16_500..32_000_u16) / 2 * 2;
            Some((UdpSocket::bind((address, port)).ok()?, UdpSocket::bind((address, port + 1)).ok()?))
        });
        let (rtp, rtcp) = pair.context("no free pair of ports")?;
        let mut media = Media {
            address: rtp.local_addr()?,
            rtp,
            _rtcp: rtcp,
            ours: None,
            theirs: None,
            ssrc: 0,
            sequence: 0,
            timestamp: 0,
            said: HashSet::new(),
            heard: 0,
            echoed: 0,
        };
        media.bridge();
        Ok(media)
    }

    /// The other side is known. `key`: ours.
    pub fn connect(&mut self, answer: &Answer, key: Option<&Key>) -> Result<()> {
        self.rtp.connect(answer.rtp)?;
        (self.ours, self.theirs) = (key.map(context).transpose()?, answer.key.as_ref().map(context).transpose()?);
        Ok(())
    }

    /// Another source speaks from here on, as when the trunk puts two callers together: another SSRC, sequence and timestamp.
    pub fn bridge(&mut self) {
        let mut rng = rand::rng();
        (self.ssrc, self.sequence, self.timestamp) = (rng.random(), rng.random::<u16>() & 0x7fff, rng.random());
    }

    /// Listens, and says nothing, until so many packets have come.
    pub fn listen(&mut self, packets: u64, limit: Duration) -> Result<()> {
        let (before, until) = (self.heard, Instant::now() + limit);
        while self.heard - before < packets {
            ensure!(Instant::now() < until, "{} packets came, not {packets}", self.heard - before);
            self.receive(Instant::now() + PTIME)?;
        }
        Ok(())
    }

    /// Speaks until so many more frames came back as they were said.
    pub fn speak_until_echoed(&mut self, frames: u64, limit: Duration) -> Result<()> {
        let (before, until) = (self.echoed, Instant::now() + limit);
        self.said.clear();
        let mut due = Instant::now();
        while self.echoed - before < frames {
            ensure!(due < until, "{} frames came back, not {frames}; {} packets", self.echoed - before, self.heard);
            self.say()?;
            due = (due + PTIME).max(Instant::now());
            self.receive(due)?;
        }
        Ok(())
    }

    /// A frame that is like no other.
    fn say(&mut self) -> Result<()> {
        let mut packet = vec![0; HEADER_BYTES + SAMPLES];
        rand::rng().fill(&mut packet[HEADER_BYTES..]);
        packet[..2].copy_from_slice(&[0x80, PCMA]);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.said.insert(packet[HEADER_BYTES..].to_vec());
        (self.sequence, self.timestamp) = (self.sequence.wrapping_add(1), self.timestamp.wrapping_add(SAMPLES as u32));
        // What the socket does not take is lost, as on any network.
        let _ = match &mut self.ours {
            None => self.rtp.send(&packet),
            Some(srtp) => self.rtp.send(&srtp.encrypt_rtp(&packet).map_err(|error| anyhow!("SRTP: {error}"))?),
        };
        Ok(())
    }

    /// Takes what comes until then.
    fn receive(&mut self, until: Instant) -> Result<()> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.rtp.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut datagram = [0; 2048];
            let Ok(length) = self.rtp.recv(&mut datagram) else { continue };
            let packet = match &mut self.theirs {
                None => datagram[..length].to_vec(),
                // What does not decrypt is not the host's.
                Some(srtp) => match srtp.decrypt_rtp(&datagram[..length]) {
                    Ok(packet) => packet.to_vec(),
                    Err(_) => continue,
                },
            };
            ensure!(packet.len() >= HEADER_BYTES && packet[0] >> 6 == 2, "the host sent what is no RTP");
            self.heard += 1;
            if self.said.remove(&packet[HEADER_BYTES..]) {
                self.echoed += 1;
            }
        }
    }
}

fn context(key: &Key) -> Result<SrtpContext> {
    let (master, salt) = key.split_at(16);
    SrtpContext::new(master, salt, ProtectionProfile::Aes128CmHmacSha1_80, None, None)
        .map_err(|error| anyhow!("SRTP: {error}"))
}
