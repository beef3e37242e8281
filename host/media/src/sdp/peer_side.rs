//! What the peer wants for its side of the stream: where packets go, which way they flow, how long they are.

use std::net::{IpAddr, SocketAddr};

use super::Refusal;
use super::description::{Connection, Description, Media};
use super::payloads::{self, Format};
use crate::{Direction, LocalMedia, Negotiated, PayloadType, Srtp};

pub(super) struct PeerSide {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    rtcp_mux: bool,
    sends: bool,
    receives: bool,
    send_ptime_ms: u32,
    we_hold: bool,
}

impl PeerSide {
    /// `may_mux`: an answer may take up rtcp-mux only if it was offered (RFC 5761 5.1.1).
    pub(super) fn read(description: &Description, media: &Media, local: &LocalMedia, may_mux: bool) -> PeerSide {
        let (session, level) = (&description.session, &media.level);
        let port = media.rtp.as_ref().map_or(0, |line| line.port);
        let rtcp_mux = level.rtcp_mux && may_mux;
        let address = match description.connection(media) {
            Some(Connection::Ip(ip)) => Some(ip.to_canonical()),
            Some(Connection::Name) | None => None,
        };
        // RFC 3264 8.4: hold as it was before the direction attributes.
        let nowhere = address.is_some_and(|ip| ip.is_unspecified());
        let direction = level.direction.or(session.direction).unwrap_or(Direction::SendRecv);
        let rtp = destination(address, port);
        let rtcp = match level.rtcp {
            _ if rtcp_mux => rtp,
            Some((port, other)) => {
                let other = other
                    .map(|ip| ip.to_canonical())
                    .filter(|ip| ip.is_ipv4() == local.address.to_canonical().is_ipv4());
                destination(other.or(address), port)
            }
            None => port.checked_add(1).and_then(|port| destination(address, port)),
        };
        PeerSide {
            rtp,
            rtcp,
            rtcp_mux,
            sends: matches!(direction, Direction::SendRecv | Direction::SendOnly),
            receives: matches!(direction, Direction::SendRecv | Direction::RecvOnly) && !nowhere,
            send_ptime_ms: send_ptime_ms(level.ptime.or(session.ptime), level.maxptime.or(session.maxptime)),
            we_hold: local.holds,
        }
    }

    pub(super) fn negotiated(
        self,
        payload_type: PayloadType,
        formats: &[(PayloadType, Format)],
        srtp: Option<Srtp>,
    ) -> Result<Negotiated, Refusal> {
        let receive = payloads::audio(formats);
        let codec = receive.iter().find(|(pt, _)| *pt == payload_type).ok_or(Refusal::NO_CODEC)?.1;
        Ok(Negotiated {
            codec,
            payload_type,
            receive,
            telephone_event: payloads::first(formats, Format::TelephoneEvent),
            comfort_noise: payloads::first(formats, Format::ComfortNoise),
            remote_rtp: self.rtp,
            remote_rtcp: self.rtcp,
            rtcp_mux: self.rtcp_mux,
            direction: match (self.receives, self.sends && !self.we_hold) {
                (true, true) => Direction::SendRecv,
                (true, false) => Direction::SendOnly,
                (false, true) => Direction::RecvOnly,
                (false, false) => Direction::Inactive,
            },
            held: !self.receives,
            send_ptime_ms: self.send_ptime_ms,
            srtp,
        })
    }
}

/// Where packets can be sent to; not the address of a hold, nor one that reaches more than the peer.
fn destination(address: Option<IpAddr>, port: u16) -> Option<SocketAddr> {
    let single = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    address.filter(single).filter(|_| port != 0).map(|ip| SocketAddr::new(ip, port))
}

/// The first of what the peer asks for, our own 20 ms and 10 ms that we can send and that is within its maxptime; else 20.
/// Source: RFC 8866 6.4; a maxptime below 10 ms leaves us nothing that fits.
fn send_ptime_ms(ptime: Option<u64>, maxptime: Option<u64>) -> u32 {
    const SENDABLE: [u32; 5] = [10, 20, 30, 40, 60];
    let asked = ptime.and_then(|ms| u32::try_from(ms).ok());
    let fits = |ms: &u32| SENDABLE.contains(ms) && u64::from(*ms) <= maxptime.unwrap_or(u64::MAX);
    asked.into_iter().chain([20, 10]).find(fits).unwrap_or(20)
}
