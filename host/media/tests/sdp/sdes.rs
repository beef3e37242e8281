use media::sdp::sdes::{CryptoLine, Offered, POLICY, Protection, protection};
use media::sdp::{Refusal, Session, answer as answer_to};
use media::{SrtpKey, SrtpPolicy, SrtpSuite};

use crate::{KEY_A, KEY_B, answer, answer_under, fresh, lines, local, offer_of, read, text};

const SUITE_80: &str = "AES_CM_128_HMAC_SHA1_80";
const SUITE_32: &str = "AES_CM_128_HMAC_SHA1_32";

fn offer(profile: &str, crypto: &str) -> String {
    offer_of(&format!("m=audio 40000 {profile} 8 0\n{crypto}"))
}

fn usable() -> String {
    format!("a=crypto:3 {SUITE_80} inline:{KEY_A}\n")
}

fn unusable() -> String {
    format!("a=crypto:1 AEAD_AES_128_GCM inline:{KEY_A}\n")
}

fn is_srtp(profile: &str, result: Result<Session, Refusal>) {
    let session = result.expect("answered");
    let srtp = session.negotiated.srtp.as_ref().expect("SRTP");
    assert_eq!((srtp.tag, srtp.suite), (3, SrtpSuite::AesCm128HmacSha1_80));
    assert_eq!(lines(&session, "m="), [format!("m=audio 12000 {profile} 8")]);
    let key = &lines(&session, "a=crypto:")[0];
    assert_eq!(*key, format!("a=crypto:3 {SUITE_80} inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"));
}

fn is_plain(profile: &str, result: Result<Session, Refusal>) {
    let session = result.expect("answered");
    assert_eq!(session.negotiated.srtp, None);
    assert_eq!(lines(&session, "m="), [format!("m=audio 12000 {profile} 8")]);
    assert!(!text(&session).contains("crypto"));
}

fn is_refused(why: Refusal, result: Result<Session, Refusal>) {
    assert_eq!(result, Err(why));
    assert_eq!(why.status, 488);
}

// The policy table, one test a cell.

#[test]
fn savp_with_usable_crypto_under_require_is_srtp() {
    is_srtp("RTP/SAVP", answer_under(SrtpPolicy::Require, &offer("RTP/SAVP", &usable())));
}

#[test]
fn savp_with_usable_crypto_under_prefer_is_srtp() {
    is_srtp("RTP/SAVP", answer_under(SrtpPolicy::Prefer, &offer("RTP/SAVP", &usable())));
}

#[test]
fn savp_with_usable_crypto_under_off_is_488() {
    is_refused(Refusal::ENCRYPTED, answer_under(SrtpPolicy::Off, &offer("RTP/SAVP", &usable())));
}

#[test]
fn avp_with_crypto_under_require_is_srtp_on_avp() {
    is_srtp("RTP/AVP", answer_under(SrtpPolicy::Require, &offer("RTP/AVP", &usable())));
}

#[test]
fn avp_with_crypto_under_prefer_is_srtp_on_avp() {
    is_srtp("RTP/AVP", answer_under(SrtpPolicy::Prefer, &offer("RTP/AVP", &usable())));
}

#[test]
fn avp_with_crypto_under_off_is_plain() {
    is_plain("RTP/AVP", answer_under(SrtpPolicy::Off, &offer("RTP/AVP", &usable())));
}

#[test]
fn avp_under_require_is_488() {
    for crypto in [String::new(), unusable()] {
        is_refused(Refusal::NOT_ENCRYPTED, answer_under(SrtpPolicy::Require, &offer("RTP/AVP", &crypto)));
    }
}

#[test]
fn avp_under_prefer_is_plain() {
    for crypto in [String::new(), unusable()] {
        is_plain("RTP/AVP", answer_under(SrtpPolicy::Prefer, &offer("RTP/AVP", &crypto)));
    }
}

#[test]
fn avp_under_off_is_plain() {
    is_plain("RTP/AVP", answer_under(SrtpPolicy::Off, &offer("RTP/AVP", "")));
}

#[test]
fn savp_without_usable_crypto_under_require_is_488() {
    for crypto in [String::new(), unusable()] {
        is_refused(Refusal::NO_USABLE_CRYPTO, answer_under(SrtpPolicy::Require, &offer("RTP/SAVP", &crypto)));
    }
}

#[test]
fn savp_without_usable_crypto_under_prefer_is_488() {
    for crypto in [String::new(), unusable()] {
        is_refused(Refusal::NO_USABLE_CRYPTO, answer_under(SrtpPolicy::Prefer, &offer("RTP/SAVP", &crypto)));
    }
}

#[test]
fn savp_without_usable_crypto_under_off_is_488() {
    is_refused(Refusal::NO_USABLE_CRYPTO, answer_under(SrtpPolicy::Off, &offer("RTP/SAVP", &unusable())));
}

#[test]
fn each_offer_is_looked_up_in_its_own_row() {
    for (offered, cells) in POLICY {
        let (secure, crypto) = match offered {
            Offered::SavpUsable => (true, true),
            Offered::AvpUsable => (false, true),
            Offered::Avp => (false, false),
            Offered::SavpUnusable => (true, false),
        };
        let policies = [SrtpPolicy::Require, SrtpPolicy::Prefer, SrtpPolicy::Off];
        assert_eq!(policies.map(|policy| protection(secure, crypto, policy)), cells, "{offered:?}");
        assert!(!secure || !cells.contains(&Protection::Plain), "never from SAVP to plain RTP");
    }
}

#[test]
fn profiles_with_feedback_are_answered_under_their_own_name() {
    is_srtp("RTP/SAVPF", answer_under(SrtpPolicy::Require, &offer("RTP/SAVPF", &usable())));
    is_plain("RTP/AVPF", answer_under(SrtpPolicy::Prefer, &offer("RTP/AVPF", "a=rtcp-fb:* nack\n")));
    let session = answer(&offer("RTP/AVPF", "a=rtcp-fb:* nack\n"));
    assert!(!text(&session).contains("rtcp-fb"));
}

#[test]
fn of_two_streams_prefer_takes_the_one_with_srtp() {
    let both = offer_of(&format!("m=audio 4 RTP/AVP 8\nm=audio 6 RTP/SAVP 8\n{}", usable()));
    let ports = |policy| lines(&answer_under(policy, &both).unwrap(), "m=");
    let secure = ["m=audio 0 RTP/AVP 8", "m=audio 12000 RTP/SAVP 8"];
    assert_eq!(ports(SrtpPolicy::Prefer), secure);
    assert_eq!(ports(SrtpPolicy::Require), secure);
    assert_eq!(ports(SrtpPolicy::Off), ["m=audio 12000 RTP/AVP 8", "m=audio 0 RTP/SAVP 8"]);
}

#[test]
fn first_offered_line_that_we_support_is_taken_with_its_tag() {
    let crypto = format!(
        "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{KEY_A}{KEY_A}\na=crypto:2 {SUITE_80} inline:{KEY_A}|1:4\n\
         a=crypto:7 {SUITE_32} inline:{KEY_B}\na=crypto:8 {SUITE_80} inline:{KEY_A}\n"
    );
    let session = answer(&offer("RTP/SAVP", &crypto));
    let srtp = session.negotiated.srtp.as_ref().unwrap();
    assert_eq!((srtp.tag, srtp.suite), (7, SrtpSuite::AesCm128HmacSha1_32));
    assert_eq!(srtp.theirs.0[..4], *b"=-n@");
    assert!(lines(&session, "a=crypto:")[0].starts_with(&format!("a=crypto:7 {SUITE_32} inline:")));
}

#[test]
fn lines_that_we_can_use() {
    let cases = [
        format!("1 {SUITE_80} inline:{KEY_A}"),
        format!("1 {SUITE_80} inline:{KEY_A}=="),
        format!("1 {SUITE_80} inline:{KEY_A}|2^31"),
        format!("1 {SUITE_80} inline:{KEY_A}|2^48"),
        format!("1 {SUITE_80} inline:{KEY_A}|1048576"),
        format!("1 {SUITE_80} inline:{KEY_A} WSH=64"),
        format!("1 {SUITE_80} inline:{KEY_A} -X=1 wsh=1024"),
        format!("999999999  {SUITE_32}\tINLINE:{KEY_A}"),
        format!("0 aes_cm_128_hmac_sha1_80 inline:{KEY_A}"),
    ];
    for line in cases {
        assert!(CryptoLine::read(&line).is_some(), "{line}");
    }
}

#[test]
fn lines_that_are_skipped() {
    let cases = [
        String::new(),
        "1".into(),
        format!("1 {SUITE_80}"),
        format!("x {SUITE_80} inline:{KEY_A}"),
        format!("+1 {SUITE_80} inline:{KEY_A}"),
        format!("1000000000 {SUITE_80} inline:{KEY_A}"),
        format!("1 F8_128_HMAC_SHA1_80 inline:{KEY_A}"),
        format!("1 {SUITE_80} uri:{KEY_A}"),
        format!("1 {SUITE_80} inline:"),
        format!("1 {SUITE_80} inline:{}", &KEY_A[4..]),
        format!("1 {SUITE_80} inline:{KEY_A}AAAA"),
        format!("1 {SUITE_80} inline:{}!", &KEY_A[1..]),
        format!("1 {SUITE_80} inline:{KEY_A}|1:4"),
        format!("1 {SUITE_80} inline:{KEY_A}|2^20|1:4"),
        format!("1 {SUITE_80} inline:{KEY_A}|"),
        format!("1 {SUITE_80} inline:{KEY_A}|2^"),
        format!("1 {SUITE_80} inline:{KEY_A}|2^49"),
        format!("1 {SUITE_80} inline:{KEY_A}|0"),
        format!("1 {SUITE_80} inline:{KEY_A};inline:{KEY_B}"),
        format!("1 {SUITE_80} inline:{KEY_A} UNENCRYPTED_SRTP"),
        format!("1 {SUITE_80} inline:{KEY_A} UNENCRYPTED_SRTCP"),
        format!("1 {SUITE_80} inline:{KEY_A} UNAUTHENTICATED_SRTP"),
        format!("1 {SUITE_80} inline:{KEY_A} KDR=1"),
        format!("1 {SUITE_80} inline:{KEY_A} WSH=64 NEW=1"),
    ];
    for line in cases {
        assert_eq!(CryptoLine::read(&line), None, "{line}");
    }
}

#[test]
fn crypto_of_the_session_or_of_another_stream_is_not_ours() {
    let head = format!("{}m=audio 4 RTP/SAVP 8\n", usable());
    assert_eq!(answer_under(SrtpPolicy::Prefer, &offer_of(&head)), Err(Refusal::NO_USABLE_CRYPTO));
    let other = format!("m=audio 4 RTP/SAVP 8\nm=video 6 RTP/SAVP 96\n{}", usable());
    assert_eq!(answer_under(SrtpPolicy::Prefer, &offer_of(&other)), Err(Refusal::NO_USABLE_CRYPTO));
}

#[test]
fn our_key_stays_on_reinvite_unless_suite_or_tag_changes() {
    let ours = local(SrtpPolicy::Prefer);
    let line = |tag, suite, key| format!("a=crypto:{tag} {suite} inline:{key}\n");
    let first = answer(&offer("RTP/SAVP", &line(1, SUITE_80, KEY_A)));
    let cases = [
        (line(1, SUITE_80, KEY_A), 1),
        // The peer has a new key: its business, ours stays.
        (line(1, SUITE_80, KEY_B), 1),
        (line(2, SUITE_80, KEY_A), 2),
        (line(1, SUITE_32, KEY_A), 2),
    ];
    for (crypto, key) in cases {
        let session = answer_to(&read(&offer("RTP/SAVP", &crypto)), &ours, Some(&first), &fresh(2)).unwrap();
        let srtp = session.negotiated.srtp.unwrap();
        assert_eq!(srtp.ours, SrtpKey([key; 30]), "{crypto}");
        assert_eq!(session.sdp == first.sdp, key == 1, "{crypto}");
        let theirs = CryptoLine::read(crypto.trim_start_matches("a=crypto:")).unwrap().key;
        assert_eq!(srtp.theirs, theirs);
    }
}

#[test]
fn keys_are_in_no_debug_output() {
    let crypto = usable();
    let description = read(&offer("RTP/SAVP", &crypto));
    let session = answer(&offer("RTP/SAVP", &crypto));
    let offer = media::sdp::offer(&local(SrtpPolicy::Require), None, &fresh(1));
    let shown = format!("{description:?} {session:?} {offer:?} {:?}", fresh(1));
    let ours = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    assert!(text(&session).contains(ours), "the wire needs it");
    assert!(!shown.contains(KEY_A) && !shown.contains(ours) && !shown.contains("1, 1, 1"), "{shown}");
}
