//! What must hold whatever the bytes are. Driven by a seeded mutator in tests/fuzz_sdp.rs, and by cargo-fuzz by hand.

use std::net::Ipv4Addr;

use base64::Engine;

use super::{Description, Fresh, Session, accept_answer, answer, offer, read, redact_crypto};
use crate::{Codec, LocalMedia, SrtpKey, SrtpPolicy};

/// Reads `data` as an offer, answers it under each policy, takes it as an answer to an offer of ours, and asserts that what
/// we wrote reads back as what we negotiated. Panics on a defect of ours only.
pub fn fuzz_sdp(data: &[u8]) {
    assert_eq!(redact_crypto(data).len(), data.len());
    let Ok(description) = read(data) else { return };
    for srtp in [SrtpPolicy::Require, SrtpPolicy::Prefer, SrtpPolicy::Off] {
        let local = LocalMedia {
            address: Ipv4Addr::new(192, 0, 2, 1).into(),
            rtp_port: 10_000,
            rtcp_port: 10_001,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            srtp,
            holds: false,
        };
        if let Ok(session) = answer(&description, &local, None, &fresh(1)) {
            check_answer(&description, &local, &session);
        }
        let ours = offer(&local, None, &fresh(3));
        if let Ok(session) = accept_answer(&ours, &description) {
            assert_eq!(session.negotiated.srtp.is_some(), session.negotiated.srtp.as_ref().is_some_and(|s| s.tag == 1));
            assert!(srtp != SrtpPolicy::Require || session.negotiated.srtp.is_some());
            check_silence(&session);
        }
    }
}

fn fresh(seed: u8) -> Fresh {
    Fresh { session_id: u64::from(seed), key: SrtpKey([seed; 30]) }
}

fn check_answer(theirs: &Description, local: &LocalMedia, session: &Session) {
    let ours = read(&session.sdp).expect("we can read what we wrote");
    assert_eq!(ours.media.len(), theirs.media.len());
    for (ours, theirs) in ours.media.iter().zip(&theirs.media) {
        assert!(ours.line.media.eq_ignore_ascii_case(&theirs.line.media));
        assert!(ours.line.proto.eq_ignore_ascii_case(&theirs.line.proto));
    }
    let taken: Vec<_> = ours.media.iter().filter(|m| m.rtp.as_ref().is_some_and(|line| line.port != 0)).collect();
    let [media] = taken[..] else { panic!("{} streams taken", taken.len()) };
    let negotiated = &session.negotiated;
    assert_eq!(ours.connection(media), Some(super::Connection::Ip(local.address)));
    let payloads = media.rtp.as_ref().map(|line| line.payloads.as_slice()).unwrap_or_default();
    let wanted: Vec<_> = [negotiated.payload_type].into_iter().chain(negotiated.telephone_event).collect();
    assert_eq!(payloads, wanted);
    assert_eq!(media.level.direction, Some(negotiated.direction));
    assert_eq!(media.level.rtcp_mux, negotiated.rtcp_mux);
    let keys: Vec<_> = media.level.crypto.iter().map(|line| (line.tag, line.suite, &line.key)).collect();
    let ours_in_it: Vec<_> = negotiated.srtp.iter().map(|srtp| (srtp.tag, srtp.suite, &srtp.ours)).collect();
    assert_eq!(keys, ours_in_it);
    check_silence(session);

    // Asked again, the answer is the same; offered again, it keeps its m-lines.
    let again = answer(theirs, local, Some(session), &fresh(2));
    assert_eq!(again.as_ref(), Ok(session));
    let offered = offer(local, Some(session), &fresh(2));
    let offered = read(&offered.sdp).expect("we can read what we wrote");
    assert_eq!(offered.media.len(), theirs.media.len());
}

/// No key in anything that may be logged.
fn check_silence(session: &Session) {
    let Some(srtp) = &session.negotiated.srtp else {
        return;
    };
    let base64 = |key: &SrtpKey| base64::engine::general_purpose::STANDARD.encode(key.0);
    let sent = redact_crypto(&session.sdp);
    assert!(!format!("{session:?}{}", String::from_utf8_lossy(&sent)).contains(&base64(&srtp.ours)));
    // Theirs may stand anywhere in an offer made to confuse, and so in the m-lines that we repeat.
    assert!(!format!("{:?}", session.negotiated).contains(&base64(&srtp.theirs)));
}
