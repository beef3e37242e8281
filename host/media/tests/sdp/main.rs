//! Session descriptions: what peers write, and what we make of it. No clock, no socket.

mod answer;
mod limits;
mod offer;
mod peers;
mod redact;
mod sdes;
mod trunk;

use media::sdp::{Description, Fresh, Refusal, Session};
use media::{Codec, LocalMedia, SrtpKey, SrtpPolicy};

pub const KEY_A: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
pub const KEY_B: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

pub fn local(srtp: SrtpPolicy) -> LocalMedia {
    LocalMedia {
        address: "198.51.100.7".parse().unwrap(),
        rtp_port: 12000,
        rtcp_port: 12001,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp,
        holds: false,
    }
}

/// The key is `seed` thirty times, so that tests can tell whose it is.
pub fn fresh(seed: u8) -> Fresh {
    Fresh { session_id: u64::from(seed) * 1000, key: SrtpKey([seed; 30]) }
}

pub fn read(text: &str) -> Description {
    media::sdp::read(text.as_bytes()).expect("readable")
}

/// A tidy offer with these m-lines and attributes.
pub fn offer_of(media: &str) -> String {
    let head = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n";
    format!("{head}{media}").replace('\n', "\r\n")
}

pub fn answer_under(policy: SrtpPolicy, offer: &str) -> Result<Session, Refusal> {
    media::sdp::answer(&read(offer), &local(policy), None, &fresh(1))
}

pub fn answer(offer: &str) -> Session {
    answer_under(SrtpPolicy::Prefer, offer).expect("answered")
}

pub fn text(session: &Session) -> String {
    String::from_utf8(session.sdp.clone()).expect("what we write is ASCII")
}

/// The lines of the answer that begin so.
pub fn lines(session: &Session, prefix: &str) -> Vec<String> {
    let all = text(session);
    all.split("\r\n").filter(|l| l.starts_with(prefix)).map(str::to_owned).collect()
}
