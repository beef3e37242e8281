//! The host's RTP/RTCP port pairs: even port for RTP, the next for RTCP (RFC 3550 11).
//! The pair released longest ago goes first, and never before it has rested: late packets of a call that is over must not reach the next.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Other programs may sit on some ports of the range: so many are tried before the range counts as used up.
const BIND_TRIES_MAX: usize = 32;
/// Room for 200 ms of the shortest ptime and a burst, not for a flood.
const RECEIVE_BUFFER_BYTES: usize = 128 * 1024;

/// Two bound sockets, non-blocking.
#[derive(Debug)]
pub struct PortPair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub rtp_port: u16,
}

/// Which ports are free, and since when.
#[derive(Debug)]
pub struct RtpPorts {
    free: VecDeque<(u16, Option<Instant>)>,
    rest: Duration,
    taken: usize,
}

impl RtpPorts {
    pub fn new(range: RangeInclusive<u16>, rest: Duration) -> Self {
        let first_even = range.start().saturating_add(range.start() % 2);
        let free = (first_even..=*range.end())
            .step_by(2)
            .filter(|port| *port != 0 && *port < *range.end())
            .map(|port| (port, None))
            .collect();
        Self { free, rest, taken: 0 }
    }

    pub fn taken(&self) -> usize {
        self.taken
    }

    pub fn pairs(&self) -> usize {
        self.free.len() + self.taken
    }

    /// Binds the next rested pair on `address`. None: every pair is in use or resting.
    pub fn open(&mut self, address: IpAddr, now: Instant) -> Option<PortPair> {
        for _ in 0..BIND_TRIES_MAX {
            let port = self.take(now)?;
            match bind_pair(address, port) {
                Ok(pair) => return Some(pair),
                Err(_) => self.release(port, now),
            }
        }
        None
    }

    fn take(&mut self, now: Instant) -> Option<u16> {
        let (port, released) = *self.free.front()?;
        if released.is_some_and(|released| now.saturating_duration_since(released) < self.rest) {
            return None;
        }
        self.free.pop_front();
        self.taken += 1;
        Some(port)
    }

    /// Gives a pair back; its sockets are closed by now.
    pub fn release(&mut self, port: u16, now: Instant) {
        self.taken = self.taken.saturating_sub(1);
        self.free.push_back((port, Some(now)));
    }
}

fn bind_pair(address: IpAddr, port: u16) -> io::Result<PortPair> {
    Ok(PortPair {
        rtp: bind(SocketAddr::new(address, port))?,
        rtcp: bind(SocketAddr::new(address, port + 1))?,
        rtp_port: port,
    })
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // A smaller buffer than asked for is no reason to refuse a call.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(2);

    #[test]
    fn pairs_begin_at_even_ports_and_stay_within_the_range() {
        let mut ports = RtpPorts::new(10001..=10006, REST);
        let now = Instant::now();
        assert_eq!(ports.pairs(), 2);
        assert_eq!([ports.take(now), ports.take(now), ports.take(now)], [Some(10002), Some(10004), None]);
    }

    #[test]
    fn a_released_pair_rests_before_it_is_used_again() {
        let mut ports = RtpPorts::new(10000..=10001, REST);
        let now = Instant::now();
        let port = ports.take(now).unwrap();
        ports.release(port, now);
        assert_eq!(ports.take(now + REST - Duration::from_millis(1)), None);
        assert_eq!(ports.take(now + REST), Some(port));
    }

    #[test]
    fn the_pair_released_longest_ago_goes_first() {
        let mut ports = RtpPorts::new(10000..=10005, REST);
        let now = Instant::now();
        let [first, second, third] = [ports.take(now), ports.take(now), ports.take(now)].map(Option::unwrap);
        ports.release(third, now);
        ports.release(first, now + Duration::from_millis(1));
        ports.release(second, now + Duration::from_millis(2));
        let later = now + 2 * REST;
        assert_eq!([ports.take(later), ports.take(later), ports.take(later)], [Some(third), Some(first), Some(second)]);
    }

    #[test]
    fn a_port_that_another_program_holds_is_stepped_over() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let (mut ports, squatter) = (41000..41100u16)
            .step_by(4)
            .find_map(|port| Some((RtpPorts::new(port..=port + 3, REST), UdpSocket::bind((loopback, port)).ok()?)))
            .unwrap();
        let pair = ports.open(loopback, Instant::now()).unwrap();
        assert_eq!(pair.rtp_port, squatter.local_addr().unwrap().port() + 2);
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.rtp_port + 1);
    }
}
