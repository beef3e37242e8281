//! Offer and answer (RFC 3264) for one audio stream, as pure functions.
//!
//!     answer(their offer, local, previous, fresh)  -> Session     what goes into the 200, and what the leg needs
//!     offer(local, previous, fresh)                -> Offer       INVITE of our own, 200 to an INVITE without SDP
//!     accept_answer(our offer, their answer)       -> Session
//!
//! A [`Session`] is what both sides agreed to. It is never changed: each function makes a new one, so a refused re-INVITE
//! leaves the one before as it was.

use super::description::{Connection, Description, Media, Profile, RtpLine};
use super::payloads::{self, Format, TELEPHONE_EVENT, static_number};
use super::peer_side::PeerSide;
use super::redact::redact_crypto;
use super::sdes::{CryptoLine, Protection, protection};
use super::write::{Audio, Origin, Stream, write};
use crate::{Direction, LocalMedia, Negotiated, PayloadType, Srtp, SrtpKey, SrtpPolicy, SrtpSuite};

/// What must be new, drawn by the caller beforehand and used only where the session has none yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    pub session_id: u64,
    pub key: SrtpKey,
}

impl Fresh {
    /// `rng` must be fit for keys.
    pub fn draw(rng: &mut impl rand::CryptoRng) -> Fresh {
        let mut key = [0; 30];
        rng.fill_bytes(&mut key);
        // 31 bits: there are readers that keep the id in an int.
        Fresh { session_id: u64::from(rng.next_u32() >> 1), key: SrtpKey(key) }
    }
}

/// Both sides' agreement: what the next offer or answer builds on.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Our description as last sent. With our key in it: for the wire only.
    pub sdp: Vec<u8>,
    pub negotiated: Negotiated,
    origin: Origin,
    streams: Vec<Stream>,
}

/// An offer of ours that waits for its answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// With our key in it: for the wire only.
    pub sdp: Vec<u8>,
    origin: Origin,
    streams: Vec<Stream>,
    local: LocalMedia,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sdp = redact_crypto(&self.sdp);
        f.debug_struct("Session")
            .field("sdp", &String::from_utf8_lossy(&sdp))
            .field("negotiated", &self.negotiated)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sdp = redact_crypto(&self.sdp);
        f.debug_struct("Offer").field("sdp", &String::from_utf8_lossy(&sdp)).finish_non_exhaustive()
    }
}

/// Why there is no session. For an offer it goes into the response; after an answer the call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Refusal {
    /// The SIP status.
    pub status: u16,
    pub reason: &'static str,
}

impl Refusal {
    const fn not_acceptable(reason: &'static str) -> Refusal {
        Refusal { status: 488, reason }
    }
    pub const NO_AUDIO: Refusal = Refusal::not_acceptable("no audio offered");
    pub const TRANSPORT: Refusal = Refusal::not_acceptable("audio only over a transport that we do not speak");
    pub const NO_CODEC: Refusal = Refusal::not_acceptable("no codec in common");
    pub const ADDRESS_FAMILY: Refusal = Refusal::not_acceptable("address family differs from ours");
    pub const NOT_ENCRYPTED: Refusal = Refusal::not_acceptable("SRTP is required here");
    pub const ENCRYPTED: Refusal = Refusal::not_acceptable("SRTP is off here");
    pub const NO_USABLE_CRYPTO: Refusal = Refusal::not_acceptable("no a=crypto line that we can use");
    pub const BROKEN_ANSWER: Refusal = Refusal::not_acceptable("the answer does not fit the offer");
}

/// Answers an offer, the first one or any later one.
///
/// One audio m-line is taken: the first that we can speak, under `Prefer` the first that we can speak with SRTP if there is
/// one. All others get port 0. An answer with the same content as what we sent last is the same bytes; any change
/// raises the version in o=. Our SRTP key stays as long as suite and tag do.
/// Errors: the reason for the first audio m-line, if there is none that we can speak.
/// Source: RFC 3264 6 and 8.
pub fn answer(
    offer: &Description,
    local: &LocalMedia,
    previous: Option<&Session>,
    fresh: &Fresh,
) -> Result<Session, Refusal> {
    let (index, taken) = choose(offer, local)?;
    let srtp = taken.crypto.map(|theirs| {
        let before = previous.and_then(|session| session.negotiated.srtp.as_ref());
        let kept = before.filter(|srtp| srtp.suite == theirs.suite && srtp.tag == theirs.tag);
        Srtp {
            suite: theirs.suite,
            tag: theirs.tag,
            ours: kept.map_or(&fresh.key, |srtp| &srtp.ours).clone(),
            theirs: theirs.key.clone(),
        }
    });
    let peer = PeerSide::read(offer, taken.media, local, true);
    let negotiated = peer.negotiated(taken.payload_type, &taken.formats, srtp)?;

    let mut payloads = vec![(negotiated.payload_type, Format::Audio(negotiated.codec))];
    payloads.extend(negotiated.telephone_event.map(|pt| (pt, Format::TelephoneEvent)));
    let mut streams: Vec<Stream> = offer.media.iter().map(|m| Stream::Declined(m.line.clone())).collect();
    streams[index] = Stream::Audio(Audio {
        profile: taken.line.profile,
        payloads,
        direction: negotiated.direction,
        rtcp_mux: negotiated.rtcp_mux,
        crypto: negotiated.srtp.as_ref().map(our_line),
    });
    let (sdp, origin) = describe(local, previous, fresh, &streams);
    Ok(Session { sdp, negotiated, origin, streams })
}

/// Offers a session, or the session that there is once more with all that we can do.
///
/// A first offer has one audio m-line with our codecs at their static numbers and telephone-event at 101: RTP/SAVP with a key
/// under `Require`, RTP/AVP with a key under `Prefer` (a peer that knows none passes over it), RTP/AVP under `Off`.
/// A later one keeps the m-lines, payload numbers, profile and key of `previous`, and asks for both directions, or is sendonly where
/// `local.holds`: it is how a peer that sends a re-INVITE without SDP comes back from hold, and how we put one on hold.
/// Source: RFC 3264 5 and 8.
pub fn offer(local: &LocalMedia, previous: Option<&Session>, fresh: &Fresh) -> Offer {
    let mut payloads: Vec<(PayloadType, Format)> = Vec::new();
    for &codec in &local.codecs {
        let named = |session: &Session| session.negotiated.receive.iter().find(|(_, c)| *c == codec).map(|(pt, _)| *pt);
        payloads.push((previous.and_then(named).unwrap_or(static_number(codec)), Format::Audio(codec)));
    }
    let event = match previous {
        // A number that the peer may already use for something else is not taken for events.
        Some(session) => session.negotiated.telephone_event,
        None => Some(TELEPHONE_EVENT),
    };
    payloads.extend(event.map(|pt| (pt, Format::TelephoneEvent)));

    let mut streams = match previous {
        Some(session) => session.streams.clone(),
        None => vec![Stream::Audio(first_audio(local.srtp, fresh))],
    };
    for stream in &mut streams {
        if let Stream::Audio(audio) = stream {
            audio.payloads = payloads.clone();
            audio.direction = if local.holds { Direction::SendOnly } else { Direction::SendRecv };
        }
    }
    let (sdp, origin) = describe(local, previous, fresh, &streams);
    Offer { sdp, origin, streams, local: local.clone() }
}

fn first_audio(policy: SrtpPolicy, fresh: &Fresh) -> Audio {
    let (profile, suite) = match policy {
        SrtpPolicy::Require => (Profile::Savp, Some(SrtpSuite::AesCm128HmacSha1_80)),
        SrtpPolicy::Prefer => (Profile::Avp, Some(SrtpSuite::AesCm128HmacSha1_80)),
        SrtpPolicy::Off => (Profile::Avp, None),
    };
    let crypto = suite.map(|suite| CryptoLine { tag: 1, suite, key: fresh.key.clone() });
    Audio { profile, payloads: Vec::new(), direction: Direction::SendRecv, rtcp_mux: false, crypto }
}

/// Takes the peer's answer to an offer of ours.
/// Errors: [`Refusal`]; its status means nothing here, the call is to be ended. SAVP is never answered by less.
pub fn accept_answer(offer: &Offer, answer: &Description) -> Result<Session, Refusal> {
    let (index, ours) = audio_of(&offer.streams).ok_or(Refusal::BROKEN_ANSWER)?;
    let media = answer.media.get(index).ok_or(Refusal::BROKEN_ANSWER)?;
    let line = speakable(media)?;
    same_family(answer, media, &offer.local)?;
    let srtp = answered_srtp(ours, line.profile, &media.level.crypto, offer.local.srtp)?;

    // Its numbers by its own rtpmap lines; where it left them out, by ours.
    let mut formats = payloads::formats(line, &media.level);
    for &(pt, format) in &ours.payloads {
        if line.payloads.contains(&pt) && !formats.iter().any(|(known, _)| *known == pt) {
            formats.push((pt, format));
        }
    }
    let wanted = |codec| offer.local.codecs.contains(&codec);
    let first = payloads::audio(&formats).into_iter().find(|(_, codec)| wanted(*codec));
    let (payload_type, _) = first.ok_or(Refusal::NO_CODEC)?;
    let peer = PeerSide::read(answer, media, &offer.local, ours.rtcp_mux);
    let mut negotiated = peer.negotiated(payload_type, &formats, srtp)?;
    // What we offered may come in, whatever of it the answer repeated.
    for pair in payloads::audio(&ours.payloads) {
        if !negotiated.receive.iter().any(|(pt, _)| *pt == pair.0) {
            negotiated.receive.push(pair);
        }
    }

    let mut streams = offer.streams.clone();
    streams[index] = Stream::Audio(Audio {
        profile: line.profile,
        rtcp_mux: negotiated.rtcp_mux,
        crypto: negotiated.srtp.as_ref().map(our_line),
        ..ours.clone()
    });
    Ok(Session { sdp: offer.sdp.clone(), negotiated, origin: offer.origin, streams })
}

fn audio_of(streams: &[Stream]) -> Option<(usize, &Audio)> {
    streams.iter().enumerate().find_map(|(index, stream)| match stream {
        Stream::Audio(audio) => Some((index, audio)),
        Stream::Declined(_) => None,
    })
}

/// The answer's crypto line is the one with our tag and suite: we offered no other.
fn answered_srtp(
    ours: &Audio,
    profile: Profile,
    lines: &[CryptoLine],
    policy: SrtpPolicy,
) -> Result<Option<Srtp>, Refusal> {
    let fits = |ours: &CryptoLine| lines.iter().find(|l| l.tag == ours.tag && l.suite == ours.suite);
    let pair = ours.crypto.as_ref().and_then(|ours| Some((ours, fits(ours)?)));
    if pair.is_none() && (ours.profile.is_secure() || profile.is_secure()) {
        return Err(Refusal::NO_USABLE_CRYPTO);
    }
    match protection(profile.is_secure(), pair.is_some(), policy) {
        Protection::Srtp => Ok(pair.map(|(ours, theirs)| Srtp {
            suite: theirs.suite,
            tag: theirs.tag,
            ours: ours.key.clone(),
            theirs: theirs.key.clone(),
        })),
        Protection::Plain => Ok(None),
        Protection::Refused => Err(Refusal::NOT_ENCRYPTED),
    }
}

/// Our description and its o=. The same content as before is the same bytes; anything else is a version up.
fn describe(local: &LocalMedia, previous: Option<&Session>, fresh: &Fresh, streams: &[Stream]) -> (Vec<u8>, Origin) {
    let Some(previous) = previous else {
        let origin = Origin { session_id: fresh.session_id, version: 1 };
        return (write(local, origin, streams), origin);
    };
    let same = write(local, previous.origin, streams);
    if same == previous.sdp {
        return (same, previous.origin);
    }
    let origin = Origin { version: previous.origin.version.saturating_add(1), ..previous.origin };
    (write(local, origin, streams), origin)
}

fn our_line(srtp: &Srtp) -> CryptoLine {
    CryptoLine { tag: srtp.tag, suite: srtp.suite, key: srtp.ours.clone() }
}

/// An m-line that we can speak, and how.
struct Taken<'a> {
    media: &'a Media,
    line: &'a RtpLine,
    formats: Vec<(PayloadType, Format)>,
    payload_type: PayloadType,
    crypto: Option<&'a CryptoLine>,
}

fn choose<'a>(offer: &'a Description, local: &LocalMedia) -> Result<(usize, Taken<'a>), Refusal> {
    let mut refusal = Refusal::NO_AUDIO;
    let mut chosen: Option<(usize, Taken)> = None;
    for (index, media) in offer.media.iter().enumerate() {
        match take(offer, media, local) {
            Ok(taken) => {
                let better = chosen.as_ref().is_none_or(|(_, c)| c.crypto.is_none() && taken.crypto.is_some());
                if better {
                    chosen = Some((index, taken));
                }
            }
            Err(why) if refusal == Refusal::NO_AUDIO => refusal = why,
            Err(_) => {}
        }
    }
    chosen.ok_or(refusal)
}

fn take<'a>(offer: &'a Description, media: &'a Media, local: &LocalMedia) -> Result<Taken<'a>, Refusal> {
    let line = speakable(media)?;
    let formats = payloads::formats(line, &media.level);
    let number = |codec: &crate::Codec| payloads::first(&formats, Format::Audio(*codec));
    let payload_type = local.codecs.iter().find_map(number).ok_or(Refusal::NO_CODEC)?;
    let usable = media.level.crypto.first();
    let crypto = match protection(line.profile.is_secure(), usable.is_some(), local.srtp) {
        Protection::Srtp => usable,
        Protection::Plain => None,
        Protection::Refused => {
            return Err(match (line.profile.is_secure(), usable) {
                (false, _) => Refusal::NOT_ENCRYPTED,
                (true, Some(_)) => Refusal::ENCRYPTED,
                (true, None) => Refusal::NO_USABLE_CRYPTO,
            });
        }
    };
    same_family(offer, media, local)?;
    Ok(Taken { media, line, formats, payload_type, crypto })
}

/// Our socket cannot reach an address of the other family.
fn same_family(theirs: &Description, media: &Media, local: &LocalMedia) -> Result<(), Refusal> {
    match theirs.connection(media) {
        Some(Connection::Ip(ip)) if ip.to_canonical().is_ipv4() != local.address.to_canonical().is_ipv4() => {
            Err(Refusal::ADDRESS_FAMILY)
        }
        _ => Ok(()),
    }
}

fn speakable(media: &Media) -> Result<&RtpLine, Refusal> {
    match &media.rtp {
        Some(line) if line.port != 0 => Ok(line),
        None if media.line.media.eq_ignore_ascii_case("audio") => Err(Refusal::TRANSPORT),
        _ => Err(Refusal::NO_AUDIO),
    }
}
