//! The floor: as many sockets as calls would have, and nothing else. Each tick a leg's RTP socket is read once and what was read
//! goes back; its RTCP socket is read now and then, as anyone would who has RTP and RTCP to serve.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Result, ensure};

use crate::phases::{PHASES, Phases};

/// RTCP comes every 5 s or so.
const RTCP_EVERY_TICKS: u64 = 250;

struct Leg {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    peer: Option<SocketAddr>,
}

/// Below the ports of the generator.
const PORTS: std::ops::Range<u16> = 2_000..20_000;

/// Runs until it is stopped. Says which port is the first leg's RTP port; RTCP is on the next, the second leg on the one after that.
pub fn run(legs: usize) -> Result<()> {
    let mut first = PORTS.start;
    let mut legs = loop {
        ensure!(usize::from(first) + 2 * legs <= usize::from(PORTS.end), "no {legs} pairs of ports in a row are free");
        match (0..legs as u16).map(|number| Leg::bind(first + 2 * number)).collect::<Result<Vec<_>, u16>>() {
            Ok(bound) => break bound,
            // Somebody has that one: begin after it.
            Err(taken) => first = taken + 2,
        }
    };
    println!("port {first}");
    println!("ready");
    let mut phases = Phases::new();
    let mut packet = [0; 2048];
    loop {
        let (phase, _) = phases.wait();
        let tick = phase / PHASES;
        let of_phase = legs.iter_mut().enumerate().skip((phase % PHASES) as usize).step_by(PHASES as usize);
        for (number, leg) in of_phase {
            if let Ok((length, peer)) = leg.rtp.recv_from(&mut packet) {
                leg.peer = Some(peer);
                // Lost like any datagram.
                let _ = leg.rtp.send_to(&packet[..length], peer);
            }
            if (tick + number as u64).is_multiple_of(RTCP_EVERY_TICKS) {
                while leg.rtcp.recv_from(&mut packet).is_ok() {}
            }
        }
    }
}

impl Leg {
    /// Errors: the port that is not to be had.
    fn bind(port: u16) -> Result<Leg, u16> {
        let bind = |port: u16| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
            socket.set_nonblocking(true).map(|()| socket)
        };
        let both = bind(port).ok().zip(bind(port + 1).ok());
        both.map(|(rtp, rtcp)| Leg { rtp, rtcp, peer: None }).ok_or(port)
    }
}
