//! The caller's media of one call: a packet each tick, with the number of its frame in it twice, and a look for what came back.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use webrtc_srtp::context::Context as SrtpContext;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::conversation::Talker;
use crate::sdp::Key;
use crate::tally::{Clock, Heard, Returned, Sample};

const HEADER_BYTES: usize = 12;
const PACKET_BYTES: usize = HEADER_BYTES + 160;
/// Where in the packet the leg's number, the frame's index and the index again, inverted, are. Behind the first 5 ms, which a
/// host that concealed a loss may blend with what it made up: the frame after a lost one is not lost.
const MARK: usize = HEADER_BYTES + 100;
const PCMA: u8 = 8;
const SAMPLES_PER_FRAME: u32 = 160;
/// Below the ephemeral ports, above those of the host.
const FIRST_PORT: u16 = 20_002;
const LAST_PORT: u16 = 32_766;
/// A second packet is looked for so often: it is only there if this side or the other was held up.
const DRAIN_EVERY_FRAMES: u32 = 25;
const DRAINED_MAX: usize = 64;

struct Srtp {
    ours: SrtpContext,
    theirs: SrtpContext,
}

/// Even ports for RTP, the next for RTCP.
pub struct Ports(std::iter::StepBy<std::ops::RangeInclusive<u16>>);

impl Ports {
    pub fn new() -> Ports {
        Ports((FIRST_PORT..=LAST_PORT).step_by(2))
    }

    /// One pair in eight at most, and twice as many as are needed at least, so that whoever else looks for ports there finds some soon.
    pub fn sparse(legs: usize) -> Ports {
        let pairs = usize::from(LAST_PORT - FIRST_PORT) / 2;
        Ports((FIRST_PORT..=LAST_PORT).step_by(2 * (pairs / 2 / legs.max(1)).clamp(1, 8)))
    }

    fn next(&mut self) -> Option<(UdpSocket, UdpSocket)> {
        let bind = |port: u16| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
            socket.set_nonblocking(true).map(|()| socket)
        };
        self.0.find_map(|port| bind(port).ok().zip(bind(port + 1).ok()))
    }
}

pub struct Leg {
    number: u32,
    port: u16,
    rtp: UdpSocket,
    /// Bound, so that the host's reports arrive somewhere.
    _rtcp: UdpSocket,
    packet: [u8; PACKET_BYTES],
    next_index: u32,
    srtp: Option<Box<Srtp>>,
    pub sample: Option<Box<Sample>>,
    pub returned: Returned,
    pub heard: Heard,
    /// Says what is sent instead of numbered frames, and listens. Only of a leg whose packets are timed.
    pub talker: Option<Box<Talker>>,
}

impl Leg {
    /// Takes the next pair of ports that nobody has. Errors: there is none left.
    pub fn bind(number: usize, ports: &mut Ports) -> Result<Leg> {
        let (rtp, rtcp) = ports.next().context("no ports are left for so many calls")?;
        let port = rtp.local_addr()?.port();
        let number = number as u32;
        // Sound with every code in it, so that an echo that is not bit for bit is no echo.
        let mut packet: [u8; PACKET_BYTES] = std::array::from_fn(|at| (at as u8).wrapping_mul(37) ^ number as u8);
        packet[..2].copy_from_slice(&[0x80, PCMA]);
        packet[8..12].copy_from_slice(&(0x1000_0000 + number).to_be_bytes());
        packet[MARK..MARK + 4].copy_from_slice(&number.to_be_bytes());
        Ok(Leg {
            number,
            port,
            rtp,
            _rtcp: rtcp,
            packet,
            next_index: 0,
            srtp: None,
            sample: None,
            returned: Returned::default(),
            heard: Heard::default(),
            talker: None,
        })
    }

    /// Of its call.
    pub fn number(&self) -> usize {
        self.number as usize
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Packets that it sent.
    pub fn sent(&self) -> u32 {
        self.next_index
    }

    /// The other side is known. `keys`: ours and theirs.
    pub fn connect(&mut self, port: u16, keys: Option<(&Key, &Key)>) -> Result<()> {
        self.rtp.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let context = |key: &Key| {
            let (master, salt) = key.split_at(16);
            SrtpContext::new(master, salt, ProtectionProfile::Aes128CmHmacSha1_80, None, None)
                .map_err(|error| anyhow!("SRTP: {error}"))
        };
        if let Some((ours, theirs)) = keys {
            self.srtp = Some(Box::new(Srtp { ours: context(ours)?, theirs: context(theirs)? }));
        }
        Ok(())
    }

    /// From now on the kernel says when each packet came.
    pub fn make_sample(&mut self) -> Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the option's value is an int of ours, given with its size.
        let set = unsafe {
            let value = (&raw const on).cast();
            libc::setsockopt(
                self.rtp.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPNS,
                value,
                size_of_val(&on) as u32,
            )
        };
        ensure!(set == 0, "SO_TIMESTAMPNS: {}", std::io::Error::last_os_error());
        self.sample = Some(Box::default());
        Ok(())
    }

    /// One tick: what came back is noted, the next frame is sent. `measured`: frames sent now count.
    pub fn tick(&mut self, due: Instant, measured: bool, clock: &Clock) {
        let drained = if self.next_index.is_multiple_of(DRAIN_EVERY_FRAMES) { DRAINED_MAX } else { 1 };
        self.drain(drained, clock);
        self.send(due, measured, clock);
    }

    /// Takes what has come, so many packets at most.
    pub fn drain(&mut self, packets_max: usize, clock: &Clock) {
        for _ in 0..packets_max {
            if !self.receive(clock) {
                break;
            }
        }
    }

    fn send(&mut self, due: Instant, measured: bool, clock: &Clock) {
        let index = self.next_index;
        self.next_index += 1;
        self.packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&index.wrapping_mul(SAMPLES_PER_FRAME).to_be_bytes());
        match &mut self.talker {
            None => {
                self.packet[MARK + 4..MARK + 8].copy_from_slice(&index.to_be_bytes());
                self.packet[MARK + 8..MARK + 12].copy_from_slice(&(!index).to_be_bytes());
            }
            Some(talker) => self.packet[HEADER_BYTES..].copy_from_slice(talker.says(clock.now())),
        }
        if measured {
            self.returned.sent(index);
        }
        if let Some(sample) = &mut self.sample {
            sample.sends(index, clock.now(), clock.of(due), measured);
        }
        // What the socket does not take is lost, and shows as lost.
        let _ = match &mut self.srtp {
            None => self.rtp.send(&self.packet),
            Some(srtp) => match srtp.ours.encrypt_rtp(&self.packet) {
                Ok(sealed) => self.rtp.send(&sealed),
                Err(_) => return,
            },
        };
    }

    /// False: nothing there.
    fn receive(&mut self, clock: &Clock) -> bool {
        let mut datagram = [0; 2048];
        let (length, arrived) = match &self.sample {
            None => match self.rtp.recv(&mut datagram) {
                Ok(length) => (length, None),
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            },
            Some(_) => match receive_stamped(&self.rtp, &mut datagram) {
                Some((length, stamp)) => (length, stamp.map(|stamp| clock.of_wall(stamp))),
                None => return false,
            },
        };
        let opened;
        let packet = match &mut self.srtp {
            None => &datagram[..length],
            Some(srtp) => match srtp.theirs.decrypt_rtp(&datagram[..length]) {
                Ok(plain) => {
                    opened = plain;
                    &opened[..]
                }
                Err(_) => return true,
            },
        };
        if packet.len() != PACKET_BYTES || packet[1] & 0x7f != PCMA {
            return true;
        }
        self.heard.packet(u16::from_be_bytes([packet[2], packet[3]]));
        let number = |at: usize| packet[at..at + 4].iter().fold(0, |all, &byte| all << 8 | u32::from(byte));
        let index = number(MARK + 4);
        let echoed = number(MARK) == self.number && number(MARK + 8) == !index;
        if echoed {
            self.returned.came_back(index);
        }
        if let (Some(talker), Some(arrived)) = (&mut self.talker, arrived) {
            talker.hears(&packet[HEADER_BYTES..], arrived);
        }
        if let (Some(sample), Some(arrived)) = (&mut self.sample, arrived) {
            sample.arrives(number(4), echoed.then_some(index), arrived);
        }
        true
    }
}

/// One datagram, and when the kernel got it, by the wall clock. Source: socket(7), SO_TIMESTAMPNS.
fn receive_stamped(socket: &UdpSocket, datagram: &mut [u8]) -> Option<(usize, Option<Duration>)> {
    // Aligned as the headers in it must be; more than the one timestamp that was asked for.
    let mut control = [0_u64; 16];
    let mut part = libc::iovec { iov_base: datagram.as_mut_ptr().cast(), iov_len: datagram.len() };
    // SAFETY: all pointers are to live memory of the sizes given; the control messages are walked as cmsg(3) says.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        let length = usize::try_from(libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0)).ok()?;
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_TIMESTAMPNS {
                let stamp: libc::timespec = libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned();
                return Some((length, Some(Duration::new(stamp.tv_sec as u64, stamp.tv_nsec as u32))));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        Some((length, None))
    }
}
