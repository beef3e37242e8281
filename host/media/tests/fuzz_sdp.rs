//! Drives the fuzz function for descriptions with seeded mutations of offers, so that CI needs no fuzzer. A failing seed is printed.

use media::sdp::fuzzing::fuzz_sdp;
use media::sdp::{Fresh, answer, read};
use media::{Codec, LocalMedia, SrtpPolicy};
use rand::rngs::{SmallRng, StdRng};
use rand::{Rng, SeedableRng};

const OFFERS: [&str; 3] = [
    "v=0\r\no=root 16 16 IN IP4 192.0.2.61\r\nc=IN IP4 192.0.2.61\r\nt=0 0\r\nm=audio 37456 RTP/SAVP 8 0 96\r\n\
     a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=sendrecv\r\n\
     a=rtcp:37457 IN IP4 192.0.2.5\r\na=ptime:20\r\na=maxptime:150\r\n\
     a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31 WSH=64\r\n",
    "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=sendonly\nm=audio 4000/2 RTP/AVPF 0 101 13\nc=IN IP4 0.0.0.0\n\
     a=rtpmap:101 telephone-event/8000\na=rtcp-mux\na=inactive\nm=video 5000 RTP/SAVPF 96\nc=IN IP4 host.example\n\
     m=image 6000 udptl t38\nm=audio 0 RTP/AVP 8\n",
    "v=0\no=- 1 2 IN IP6 2001:db8::1\ns=-\nc=IN IP6 ::1\nt=0 0\nm=audio 4000 RTP/AVP 97\na=rtpmap:97 pcmu/8000/1\n\
     a=ptime:30.0\na=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR\n",
];

const TOKENS: [&str; 20] = [
    "\r\n",
    "\n",
    "m=audio 9 RTP/AVP 8\r\n",
    "m=",
    "a=",
    "c=IN IP4 ",
    "0.0.0.0",
    "RTP/SAVP",
    "RTP/AVP",
    "inline:",
    "|2^20",
    "|1:4",
    ";",
    "99999999999999999999",
    "-1",
    " ",
    "\u{e9}",
    "a=crypto:1 ",
    "a=recvonly\r\n",
    "/",
];

fn mutate(rng: &mut SmallRng) -> Vec<u8> {
    let mut bytes = OFFERS[rng.random_range(0..OFFERS.len())].as_bytes().to_vec();
    for _ in 0..rng.random_range(0..8) {
        let at = rng.random_range(0..=bytes.len());
        let until = (at + rng.random_range(0..30)).min(bytes.len());
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 => drop(bytes.drain(at..until)),
            2 => drop(bytes.splice(at..at, TOKENS[rng.random_range(0..TOKENS.len())].bytes())),
            3 => drop(bytes.splice(at..until, TOKENS[rng.random_range(0..TOKENS.len())].bytes())),
            4 => {
                let piece = bytes[at..until].to_vec();
                let to = rng.random_range(0..=bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            _ => bytes.extend_from_slice(OFFERS[rng.random_range(0..OFFERS.len())].as_bytes()),
        }
    }
    bytes
}

#[test]
fn any_bytes_keep_the_invariants() {
    let first: u64 = std::env::var("PATCHBAY_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in first..first + 20_000 {
        let bytes = mutate(&mut SmallRng::seed_from_u64(seed));
        if std::panic::catch_unwind(|| fuzz_sdp(&bytes)).is_err() {
            panic!("PATCHBAY_FUZZ_SEED={seed} fails with {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn unmutated_offers_keep_the_invariants() {
    OFFERS.iter().for_each(|offer| fuzz_sdp(offer.as_bytes()));
}

#[test]
fn mutations_still_reach_the_answer() {
    let local = LocalMedia {
        address: "192.0.2.1".parse().unwrap(),
        rtp_port: 10_000,
        rtcp_port: 10_001,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp: SrtpPolicy::Prefer,
        holds: false,
    };
    let fresh = Fresh::draw(&mut StdRng::seed_from_u64(1));
    let answered = |seed: &u64| {
        let offer = read(&mutate(&mut SmallRng::seed_from_u64(*seed)));
        offer.is_ok_and(|offer| answer(&offer, &local, None, &fresh).is_ok())
    };
    let reached = (0..1000).filter(answered).count();
    assert!((250..950).contains(&reached), "{reached} of 1000 are answered, {fresh:?}");
}
