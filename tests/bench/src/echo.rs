//! The floor: as many sockets as calls would have, and nothing else. Each tick a leg's RTP socket is read once and what was read
//! goes back; its RTCP socket is read now and then, as anyone would who has RTP and RTCP to serve.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};

use crate::phases::{PHASES, Phases};

/// RTCP comes every 5 s or so.
const RTCP_EVERY_TICKS: u64 = 250;

struct Leg {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    peer: Option<SocketAddr>,
}

/// Runs until it is stopped.
pub fn run(legs: usize, first_port: u16) -> Result<()> {
    let bound = (0..legs).map(|number| {
        let port = first_port as usize + 2 * number;
        Ok(Leg { rtp: bind(port)?, rtcp: bind(port + 1)?, peer: None })
    });
    let mut legs = bound.collect::<Result<Vec<_>>>()?;
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

fn bind(port: usize) -> Result<UdpSocket> {
    let port = u16::try_from(port).context("too many legs for the ports there are")?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("UDP port {port}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
