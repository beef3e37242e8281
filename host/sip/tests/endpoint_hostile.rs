//! Seeded nonsense: mutated messages, commands out of place and connections that come and go. Nothing panics, every
//! bound holds, and when all is over nothing is left.

mod pair;

use std::time::Duration;

use pair::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::*;

fn mutate(rng: &mut StdRng, text: &mut Vec<u8>) {
    const PIECES: [&[u8]; 12] = [
        b"\r\n",
        b";",
        b",",
        b"<",
        b"\"",
        b";tag=x",
        b"z9hG4bK",
        b"4294967296",
        b"-1",
        b"\0\xff",
        b"Require: x\r\n",
        b"CANCEL",
    ];
    for _ in 0..rng.random_range(0..4) {
        if text.is_empty() {
            return;
        }
        let at = rng.random_range(0..text.len());
        match rng.random_range(0..4) {
            0 => text[at] = rng.random(),
            1 => drop(text.remove(at)),
            2 => text.truncate(at),
            _ => drop(text.splice(at..at, PIECES[rng.random_range(0..PIECES.len())].iter().copied())),
        }
    }
}

/// A dialog as its peer knows it: Call-ID, our tag, CSeq of the INVITE.
type Known = (String, String, u32);

fn message(rng: &mut StdRng, known: &[Known]) -> Vec<u8> {
    const METHODS: [&str; 11] =
        ["INVITE", "INVITE", "ACK", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "ODD"];
    let method = METHODS[rng.random_range(0..METHODS.len())];
    let body = if rng.random_bool(0.5) { OFFER } else { "" };
    let kind = ["application/sdp", "application/sdp", "application/dtmf", "multipart/mixed;boundary=x"]
        [rng.random_range(0..4)];
    let extra = format!(
        "Content-Type: {kind}\r\nSupported: timer\r\nSession-Expires: {};refresher=uas\r\n",
        rng.random_range(80..200)
    );
    if known.is_empty() || rng.random_bool(0.3) {
        let call_id = format!("c{}", rng.random_range(0..40));
        return request(method, &call_id, "", rng.random_range(1..5), &extra, body).into_bytes();
    }
    let (call_id, tag, cseq) = &known[rng.random_range(0..known.len())];
    let cseq = if method == "ACK" { *cseq } else { cseq + rng.random_range(0..20) };
    request(method, call_id, tag, cseq, &extra, body).into_bytes()
}

/// A response to one of ours, or what is left of one.
fn response(rng: &mut StdRng, ours: &str) -> Vec<u8> {
    let status = [100, 180, 200, 302, 404, 408, 422, 481, 486, 491, 500, 603][rng.random_range(0..12)];
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let tag = if name == "To" && !header(ours, "To").contains("tag=") { ";tag=peer" } else { "" };
        text.push_str(&format!("{name}: {}{tag}\r\n", header(ours, name)));
    }
    text.push_str("Contact: <sip:peer@192.0.2.1>\r\nSession-Expires: 90;refresher=uac\r\nMin-SE: 100\r\n\r\n");
    text.into_bytes()
}

fn command(rng: &mut StdRng, dialog: DialogId) -> Command {
    let rejection = Rejection { status: rng.random_range(0..800), phrase: None, reason: None, retry_after_s: Some(1) };
    match rng.random_range(0..11) {
        0..=2 => Command::Answer { dialog, sdp: ANSWER.into(), headers: vec![("Via".into(), "x\r\nY: z".into())] },
        3 => Command::Ring { dialog },
        4 => Command::Reject { dialog, rejection },
        5 => Command::AcceptOffer { dialog, sdp: ANSWER.into() },
        6 => Command::RejectOffer { dialog, rejection },
        7 => Command::Bye { dialog, reason: None },
        8 => Command::InfoDigit { dialog, digit: 'x', duration_ms: 1 },
        9 => Command::InfoDigit { dialog, digit: '1', duration_ms: 1 },
        _ => Command::Reinvite { dialog, sdp: HOLD.into() },
    }
}

#[test]
fn nonsense_never_panics_exceeds_a_bound_or_stays() {
    let (mut invites, mut acknowledged, mut offers) = (0, 0, 0);
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let transport = [Transport::Udp, Transport::Tcp, Transport::Tls][seed as usize % 3];
        let mut config = config(transport, HOST);
        (config.limits.transactions, config.limits.dialogs, config.limits.connections) = (60, 8, 4);
        let mut host = Host::new(config);
        let (mut known, mut dialogs, mut open) = (Vec::new(), Vec::new(), 0);
        for step in 0..300 {
            let way = flow(transport, rng.random_range(1..8), CALLER);
            match rng.random_range(0..20) {
                0 => host.input(Input::Closed { connection: ConnectionId(rng.random_range(1..8)) }),
                1 => {
                    if let Some((id, _)) = host.connects.pop() {
                        let input =
                            if rng.random() { Input::Connected { id, flow: way } } else { Input::ConnectFailed { id } };
                        host.input(input);
                    }
                }
                2 => host.run_for(Duration::from_millis(rng.random_range(0..9_000))),
                3..=9 if !dialogs.is_empty() => {
                    let dialog = dialogs[rng.random_range(0..dialogs.len())];
                    host.command(command(&mut rng, dialog));
                }
                _ => {
                    let mut bytes = message(&mut rng, &known);
                    if rng.random_bool(0.3) {
                        mutate(&mut rng, &mut bytes);
                    }
                    host.input(Input::Message { flow: way, bytes: &bytes });
                }
            }
            for (_, text) in std::mem::take(&mut host.replies) {
                let (cseq, method) = header(&text, "CSeq").split_once(' ').unwrap_or_default();
                let tag = header(&text, "To").split("tag=").nth(1);
                if let (Some(tag), Ok(cseq), true) =
                    (tag, cseq.parse(), text.starts_with("SIP/2.0 200") && method == "INVITE")
                {
                    known.push((header(&text, "Call-ID").to_owned(), tag.to_owned(), cseq));
                }
                if !text.starts_with("SIP/") && rng.random_bool(0.7) {
                    let mut bytes = response(&mut rng, &text);
                    if rng.random_bool(0.2) {
                        mutate(&mut rng, &mut bytes);
                    }
                    host.input(Input::Message { flow: way, bytes: &bytes });
                }
                assert!(
                    Message::parse(text.as_bytes()).is_ok()
                        || text.starts_with("SIP/2.0 4")
                        || text.starts_with("SIP/2.0 5"),
                    "seed {seed}: we wrote {text}"
                );
            }
            for event in host.events.drain(..) {
                match event {
                    Event::Invite { dialog, .. } => {
                        dialogs.push(dialog);
                        open += 1;
                        invites += 1;
                    }
                    Event::Ended { .. } => open -= 1,
                    Event::Acknowledged { .. } => acknowledged += 1,
                    Event::Offer { .. } | Event::OfferAnswered { .. } => offers += 1,
                    _ => {}
                }
            }
            let endpoint = &host.endpoint;
            assert!(
                endpoint.transaction_count() <= 60 + dialogs.len() && endpoint.connection_count() <= 4,
                "seed {seed} step {step}"
            );
            assert_eq!(endpoint.dialog_count(), open, "seed {seed} step {step}");
        }
        for dialog in dialogs {
            host.command(Command::Bye { dialog, reason: None });
        }
        host.run_for(Duration::from_secs(300));
        let endpoint = &host.endpoint;
        assert_eq!(
            (endpoint.transaction_count(), endpoint.dialog_count(), endpoint.timer_count()),
            (0, 0, 0),
            "seed {seed}"
        );
        open -= host.events.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        assert_eq!(open, 0, "seed {seed}: one Ended for each Invite");
    }
    let reached = (invites, acknowledged, offers);
    assert!(invites > 500 && acknowledged > 100 && offers > 100, "the nonsense is too far from sense: {reached:?}");
}
