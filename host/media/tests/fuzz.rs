//! Every reader of the wire, fed by a seeded mutator: good packets spoilt, and the byte patterns that are known to
//! panic in the crates underneath. `PATCHBAY_FUZZ_ROUNDS` for more.

use media::fuzzing::{SRTP_KEY, fuzz_jitter_buffer, fuzz_rtcp, fuzz_rtp, fuzz_srtp, fuzz_telephone_event};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};

fn rounds() -> u64 {
    std::env::var("PATCHBAY_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// One to four changes: bits, interesting bytes, cuts, growth, a piece copied elsewhere.
fn mutate(seed: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..random.random_range(1..=4) {
        if out.is_empty() {
            out.push(random.random());
        }
        let at = random.random_range(0..out.len());
        match random.random_range(0..6) {
            0 => out[at] ^= 1 << random.random_range(0..8),
            1 => out[at] = *[0, 1, 0x7f, 0x80, 0x90, 0xbf, 0xc8, 0xcd, 0xfe, 0xff].choose(random).unwrap(),
            2 => out.truncate(at),
            3 => {
                let mut more = vec![0; random.random_range(1..40)];
                random.fill_bytes(&mut more);
                out.splice(at..at, more);
            }
            4 => {
                let piece = out[at..].to_vec();
                let to = random.random_range(0..out.len());
                out.splice(to..to, piece.into_iter().take(16));
            }
            _ => drop(out.splice(at.., std::iter::empty())),
        }
        out.truncate(2048);
    }
    out
}

fn drive(name: &str, target: fn(&[u8]), corpus: &[Vec<u8>]) {
    drive_for(rounds(), name, target, corpus);
}

fn drive_for(rounds: u64, name: &str, target: fn(&[u8]), corpus: &[Vec<u8>]) {
    corpus.iter().for_each(|seed| target(seed));
    for seed in 0..rounds {
        let mut random = SmallRng::seed_from_u64(seed);
        let start = corpus.choose(&mut random).unwrap();
        let bytes = mutate(start, &mut random);
        let survived = std::panic::catch_unwind(|| target(&bytes)).is_ok();
        assert!(survived, "{name}: seed {seed} panicked on {bytes:02x?}");
    }
}

fn rtp_corpus() -> Vec<Vec<u8>> {
    let body = "0008123400001000deadbeef";
    let plain = |first: &str, rest: &str| hex(&format!("{first}{}{rest}", &body[2..]));
    vec![
        plain("80", &"d5".repeat(160)),
        plain("82", &format!("{}{}", "01020304".repeat(2), "d5".repeat(20))),
        plain("a0", &format!("{}00000004", "d5".repeat(20))),
        // RFC 8285 extensions whose elements are longer than they are: a panic in the rtp crate's reader.
        plain("90", "bede00011f000000"),
        plain("90", "100000010aff0000"),
        plain("90", "10000001000000ff"),
        vec![],
    ]
}

fn rtcp_corpus() -> Vec<Vec<u8>> {
    let report = format!("81c8000c{}{}", "00000001".repeat(6), "00000002".repeat(6));
    let receiver = format!("81c90007{}", "00000001".repeat(7));
    let description = "81ca0003000000010102616200000000";
    vec![
        hex(&report),
        hex(&format!("{receiver}{description}81cb000100000001")),
        hex("80c9000100000001"),
        // Panics in the rtcp crate, alone and behind a good report.
        hex("81cd000100000000"),
        hex("84ce000100000000"),
        hex("80c900010000000181cd000100000000"),
        hex("80c900010000000184ce000100000000"),
        vec![],
    ]
}

/// What a peer with the fuzzing key would send.
fn sealed(packets: Vec<Vec<u8>>, rtcp: bool) -> Vec<Vec<u8>> {
    use webrtc_srtp::{context::Context, protection_profile::ProtectionProfile};
    let (key, salt) = SRTP_KEY.split_at(16);
    let seal = |packet: Vec<u8>| {
        let mut context = Context::new(key, salt, ProtectionProfile::Aes128CmHmacSha1_80, None, None).unwrap();
        let sealed = if rtcp { context.encrypt_rtcp(&packet) } else { context.encrypt_rtp(&packet) };
        sealed.map(|bytes| bytes.to_vec())
    };
    packets.into_iter().filter_map(|packet| seal(packet).ok()).collect()
}

#[test]
fn no_rtp_header_breaks_its_reader() {
    drive("rtp", fuzz_rtp, &rtp_corpus());
}

#[test]
fn no_rtcp_compound_breaks_its_reader() {
    drive("rtcp", fuzz_rtcp, &rtcp_corpus());
}

#[test]
fn no_srtp_packet_breaks_its_reader() {
    // All lengths at which decrypt_rtcp of webrtc-srtp panics (4, 7, 8, 11, 12, 13), and their neighbours.
    let mut corpus: Vec<Vec<u8>> = (0..40).map(|length| vec![0x80; length]).collect();
    corpus.extend((0..40).map(|length| [&[0x80, 200, 0, 1][..], &[0; 36]].concat()[..length].to_vec()));
    corpus.extend(rtp_corpus());
    corpus.extend(rtcp_corpus());
    corpus.extend(sealed(vec![rtp_corpus().swap_remove(0)], false));
    corpus.extend(sealed(rtcp_corpus().into_iter().take(3).collect(), true));
    drive("srtp", fuzz_srtp, &corpus);
}

#[test]
fn no_series_of_telephone_events_breaks_its_reader() {
    let press: Vec<u8> = (1..8).flat_map(|n| [1, 0, 20, 1, 5, u8::from(n > 4) << 7 | 10, n, 160]).collect();
    let stepping: Vec<u8> = (1..20).flat_map(|n| [1, 2, 20, 1, 5, 10, n, 160]).collect();
    // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
    let target = |bytes: &[u8]| fuzz_telephone_event(bytes, std::time::Instant::now());
    drive("telephone_event", target, &[press, stepping, vec![1, 0, 0, 0, 16], vec![]]);
}

#[test]
fn no_series_of_timestamps_breaks_the_jitter_buffer() {
    let steady: Vec<u8> = [[20, 40, 20, 1]; 40].concat();
    let jumpy: Vec<u8> =
        (0..60_u8).flat_map(|n| [n.wrapping_mul(37), n.wrapping_mul(91), 20, n.wrapping_mul(13)]).collect();
    let burst: Vec<u8> = [[20, 40, 0, 0]; 60].concat();
    drive_for(rounds() / 10, "jitter_buffer", fuzz_jitter_buffer, &[steady, jumpy, burst, vec![]]);
}

/// The reason for our own RTP reader, and for the guards before rtcp and webrtc-srtp (docs/decisions/rtp-reader.md). When
/// this fails, a crate was mended: decide anew.
#[test]
fn the_crates_still_panic_on_what_we_keep_from_them() {
    use webrtc_srtp::{context::Context, protection_profile::ProtectionProfile};
    use webrtc_util::marshal::Unmarshal;
    let panics = |read: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err();
    let lying_extension = &rtp_corpus()[3];
    assert!(panics(&|| drop(rtp::header::Header::unmarshal(&mut lying_extension.as_slice()))));
    for pattern in ["81cd000100000000", "84ce000100000000"] {
        let bytes = hex(pattern);
        assert!(panics(&|| drop(rtcp::packet::unmarshal(&mut bytes.as_slice()))), "{pattern}");
    }
    let (key, salt) = SRTP_KEY.split_at(16);
    for length in [4, 7, 8, 11, 12, 13] {
        let bytes = &[0x80, 200, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0][..length];
        let short = || {
            let mut context = Context::new(key, salt, ProtectionProfile::Aes128CmHmacSha1_80, None, None).unwrap();
            drop(context.decrypt_rtcp(bytes));
        };
        assert!(panics(&short), "{length} bytes");
    }
}
