//! The media description of one call: which offer stands, what was agreed, what waits for an answer. All of RFC 3264 is in [`media::sdp`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use media::sdp::{self, Description, Fresh, Offer};
use media::{LocalMedia, Negotiated};
use rand::CryptoRng;

use crate::door::{Cause, Ports};
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
    /// Ours, that waits for its answer.
    offered: Option<Offer>,
    fresh: Fresh,
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
        let local = LocalMedia { address, rtp_port: 0, rtcp_port: 0, codecs: trunk.codecs.clone(), srtp: trunk.srtp };
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
        let offer = sdp::offer(&self.local, self.agreed.as_ref(), &self.fresh);
        self.offered.insert(offer).sdp.clone()
    }

    /// Takes the answer to our offer. On error the session stays as it was, if there was one.
    pub fn take_answer(&mut self, answer: &[u8]) -> Result<&Negotiated, Unusable> {
        let offer = self.offered.take().ok_or(Unusable { status: 488, why: "an answer without an offer".into() })?;
        let session = sdp::accept_answer(&offer, &read(answer)?)?;
        Ok(&self.agreed.insert(session).negotiated)
    }

    /// Our offer was refused: the session stays as it was.
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
