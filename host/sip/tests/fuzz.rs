//! The fuzz functions under a seeded mutator: the same messages every run, and `SIP_FUZZ_SEED=n` for others.
//! `SIP_FUZZ_ROUNDS` sets how many (default 20000 per function).

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const SEEDS: &[&str] = &[
    "INVITE sip:+912200000001@198.51.100.7:5061;transport=tls SIP/2.0\r\nRecord-Route: sip:192.0.2.5:443;transport=tls;lr\r\n\
     Via: SIP/2.0/TLS 192.0.2.5:443;branch=z9hG4bK2414aa;rport, SIP/2.0/UDP [2001:db8::9]:5060;received=192.0.2.1\r\n\
     From: \"A \\\" B, <c>\" <sip:+91@x.example>;tag=as2\r\nt: <tel:+91-22(00);phone-context=x>\r\ni: a@b\r\nCSeq: 102 INVITE\r\n\
     Contact : <sip:a%40b;u=1@[::1]:5061?x=y>;q=1\r\nP-Asserted-Identity: <sip:a@b>, <tel:+12>\r\nSession-Expires: 1800;refresher=uac\r\n\
     Reason: Q.850;cause=16;text=\"x, y\"\r\nSubject: one\r\n two\r\nContent-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\n",
    "SIP/2.0 200 OK\r\nv: SIP/2.0/TCP h;branch=z9hG4bKx\r\nf: <sip:a@b>;tag=1\r\nt: sip:c@d;tag=2\r\ni: q\r\nCSeq: 1 BYE\r\nl: 0\r\n\r\n",
    "OPTIONS sip:[::ffff:192.0.2.1] SIP/2.0\r\nVia: SIP / 2.0 / UDP h : 5060 ;branch=z9hG4bKx\r\nFrom: A <sip:a@b>\r\nTo: B <sip:c@d>\r\n\
     Call-ID: z\r\nCSeq: 7 OPTIONS\r\nRoute: <sip:p;lr>,<sip:q;lr>\r\nContact: *\r\nMax-Forwards: 0\r\n\r\n",
];

/// Pieces that a reader stumbles over, if over anything.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r\n ",
    b"\r",
    b"\n",
    b"\0",
    b"\xff",
    b"\"",
    b"\\",
    b"<",
    b">",
    b",",
    b";",
    b";;",
    b":",
    b"@",
    b"%",
    b"%00",
    b"[",
    b"]",
    b"::",
    b" ",
    b"\t",
    b"*",
    b"4294967296",
    b"-1",
    b"18446744073709551616",
    b"Content-Length: 9\r\n",
    b"l: 1\r\n",
    b"To: x\r\n",
    b"\r\n\r\n",
    b"SIP/2.0",
    b"SIP/3.0",
    b"ACK ",
    b";tag=",
    b";branch=z9hG4bK",
    b";rport=",
    b"sip:",
    b"tel:",
    b"z9hG4bK",
];

fn mutate(rng: &mut SmallRng, seeds: &[&str]) -> Vec<u8> {
    let mut data = seeds[rng.random_range(0..seeds.len())].as_bytes().to_vec();
    if rng.random_ratio(1, 8) {
        data.extend_from_slice(seeds[rng.random_range(0..seeds.len())].as_bytes());
    }
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=data.len());
        let end = (at + rng.random_range(0..12)).min(data.len());
        let piece = PIECES[rng.random_range(0..PIECES.len())];
        match rng.random_range(0..5) {
            0 => data.splice(at..at, piece.iter().copied()).for_each(drop),
            1 => data.splice(at..end, piece.iter().copied()).for_each(drop),
            2 => data.drain(at..end).for_each(drop),
            3 => data[at..end].fill(rng.random()),
            _ => {
                let copy = data[at..end].to_vec();
                let to = rng.random_range(0..=data.len());
                data.splice(to..to, copy).for_each(drop);
            }
        }
    }
    data
}

fn run(check: fn(&[u8])) {
    run_on(SEEDS, check);
}

fn run_on(seeds: &[&str], check: fn(&[u8])) {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let seed: u64 = number("SIP_FUZZ_SEED", 1);
    for round in 0..number("SIP_FUZZ_ROUNDS", 20_000) {
        let data = mutate(&mut SmallRng::seed_from_u64(seed.wrapping_mul(1 << 32) + round), seeds);
        if std::panic::catch_unwind(|| check(&data)).is_err() {
            panic!("seed {seed}, round {round}: {}", data.escape_ascii());
        }
    }
}

#[test]
fn no_mutated_message_breaks_the_message_reader() {
    run(sip::fuzzing::fuzz_message);
}

#[test]
fn no_mutated_body_of_a_notify_breaks_its_reader() {
    run_on(&["SIP/2.0 100 Trying\r\n", "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP h\r\n"], sip::fuzzing::fuzz_sipfrag);
}

#[test]
fn no_mutated_target_of_a_transfer_says_more_than_whom_to_call() {
    run_on(&["sip:agent@192.0.2.9:5061;transport=tls", "tel:+91-22;ext=1"], sip::fuzzing::fuzz_refer_target);
}

#[test]
fn no_mutated_stream_breaks_the_stream_reader() {
    run(sip::fuzzing::fuzz_stream);
}

#[test]
fn the_mutator_makes_messages_on_both_sides_of_the_line() {
    for seed in SEEDS {
        let read = sip::Message::parse(seed.as_bytes());
        assert!(read.is_ok(), "{seed} gives {read:?}");
    }
    let mut rng = SmallRng::seed_from_u64(1);
    let read = (0..2000).filter(|_| sip::Message::parse(&mutate(&mut rng, SEEDS)).is_ok()).count();
    assert!((200..1800).contains(&read), "{read} of 2000 can be read");
}
