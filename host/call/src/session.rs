//! The media description of one call: which offer stands, what was agreed, what waits for an answer. All of RFC 3264 is in [`media::sdp`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use media::sdp::{self, Description, Fresh, Offer};
use media::{LocalMedia, Negotiated};
use rand::CryptoRng;

use crate::cause::Cause;
use crate::door::Ports;
use crate::settings::Trunk;

/// Why a description is of no use: the refusal's cause, its SIP status and the words for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub status: u16,
    pub why: String,
}

impl Unusable {
    pub const CAUSE: Cause = Cause::Media;
}

impl From<sdp::Refusal> for Unusable {
    fn from(refusal: sdp::Refusal) -> Self {
        Unusable { status: refusal.status, why: refusal.reason.to_owned() }
    }
}

pub(crate) struct Session {
    /// Ours; address and ports are those of the pair once it is open.
    local: LocalMedia,
    /// Of the INVITE; None asks us to offer.
    first_offer: Option<Description>,
    /// What both sides agreed to last.
    agreed: Option<sdp::Session>,
    offered: Option<Offered>,
    fresh: Fresh,
}

/// An offer of ours that waits for its answer.
struct Offered {
    offer: Offer,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The peer sent none.
    Asked,
    /// We put the peer on hold, or take it back.
    Hold { holds: bool },
}

impl Session {
    /// Looks whether the INVITE's offer can be answered at all, so that no port is opened for one that cannot.
    /// `signalled_from` decides about the address family where there is no offer.
    pub fn read(
        body: Option<&[u8]>,
        trunk: &Trunk,
        signalled_from: IpAddr,
        rng: &mut impl CryptoRng,
    ) -> Result<Session, Unusable> {
        let first_offer = body.map(read).transpose()?;
        let peer = first_offer.as_ref().and_then(Description::audio_address).unwrap_or(signalled_from);
        let address = match peer.to_canonical() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let local = LocalMedia {
            address,
            rtp_port: 0,
            rtcp_port: 0,
            codecs: trunk.codecs.clone(),
            srtp: trunk.srtp,
            holds: false,
        };
        let fresh = Fresh::draw(rng);
        if let Some(offer) = &first_offer {
            sdp::answer(offer, &local, None, &fresh)?;
        }
        Ok(Session { local, first_offer, agreed: None, offered: None, fresh })
    }

    pub fn wants_ipv6(&self) -> bool {
        self.local.address.is_ipv6()
    }

    /// The ports are open: what the offer comes to. None: there was no offer, ours will be.
    pub fn open(&mut self, ports: Ports) -> Result<Option<&Negotiated>, Unusable> {
        (self.local.address, self.local.rtp_port, self.local.rtcp_port) = (ports.advertised, ports.rtp, ports.rtcp);
        if let Some(offer) = self.first_offer.take() {
            self.agreed = Some(sdp::answer(&offer, &self.local, None, &self.fresh)?);
        }
        Ok(self.negotiated())
    }

    /// What goes into the 200: our answer, or our offer if there was none to answer.
    pub fn for_answer(&mut self) -> Vec<u8> {
        match &self.agreed {
            Some(session) => session.sdp.clone(),
            None => self.make_offer(),
        }
    }

    /// A description of ours that asks for an answer.
    pub fn make_offer(&mut self) -> Vec<u8> {
        self.offer(Why::Asked)
    }

    /// A description of ours that puts the peer on hold, or takes it back. It is so once it is answered.
    pub fn make_hold(&mut self, holds: bool) -> Vec<u8> {
        self.offer(Why::Hold { holds })
    }

    fn offer(&mut self, why: Why) -> Vec<u8> {
        let holds = if let Why::Hold { holds } = why { holds } else { self.local.holds };
        let local = LocalMedia { holds, ..self.local.clone() };
        let offer = sdp::offer(&local, self.agreed.as_ref(), &self.fresh);
        self.offered.insert(Offered { offer, why }).offer.sdp.clone()
    }

    /// What the offer of ours is for that waits for its answer.
    pub fn offers(&self) -> Option<Why> {
        self.offered.as_ref().map(|offered| offered.why)
    }

    /// The peer is on hold by us.
    pub fn holds(&self) -> bool {
        self.local.holds
    }

    /// Takes the answer to our offer. On error the session stays as it was, if there was one.
    pub fn take_answer(&mut self, answer: &[u8]) -> Result<&Negotiated, Unusable> {
        let offered = self.offered.take().ok_or(Unusable { status: 488, why: "an answer without an offer".into() })?;
        let session = sdp::accept_answer(&offered.offer, &read(answer)?)?;
        if let Why::Hold { holds } = offered.why {
            self.local.holds = holds;
        }
        Ok(&self.agreed.insert(session).negotiated)
    }

    /// Our offer was refused, or another takes its place: the session stays as it was.
    pub fn forget_offer(&mut self) {
        self.offered = None;
    }

    /// Answers a later offer. On error the session stays as it was.
    pub fn take_offer(&mut self, offer: &[u8], fresh: Fresh) -> Result<(Vec<u8>, &Negotiated), Unusable> {
        let session = sdp::answer(&read(offer)?, &self.local, self.agreed.as_ref(), &fresh)?;
        let session = self.agreed.insert(session);
        Ok((session.sdp.clone(), &session.negotiated))
    }

    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.agreed.as_ref().map(|session| &session.negotiated)
    }
}

fn read(body: &[u8]) -> Result<Description, Unusable> {
    sdp::read(body).map_err(|error| Unusable { status: 488, why: error.to_string() })
}
