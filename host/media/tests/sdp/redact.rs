use std::borrow::Cow;

use media::sdp::redact_crypto;

use crate::KEY_A;

fn redacted(text: &str) -> String {
    let out = redact_crypto(text.as_bytes());
    assert_eq!(out.len(), text.len(), "a Content-Length must still hold");
    String::from_utf8(out.into_owned()).unwrap()
}

#[test]
fn key_is_blanked_and_the_rest_kept() {
    let stars = "*".repeat(KEY_A.len());
    let text = |key: &str| {
        format!(
            "INVITE sip:a@b SIP/2.0\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^31|1:4\r\na=x\r\n"
        )
    };
    assert_eq!(redacted(&text(KEY_A)), text(&stars));
}

#[test]
fn every_spelling_of_a_key_is_blanked() {
    let (first, second) = KEY_A.split_at(13);
    let cases = [
        format!("a=crypto:1 X inline:{KEY_A}"),
        format!("a=crypto:1 X INLINE:{KEY_A}\n"),
        format!("A=CRYPTO:1 X InLine : {KEY_A}\r\n"),
        format!("a=crypto:1 X inline:\r\n {KEY_A}\r\n"),
        format!("a=crypto:1 X inline\r\n\t:{KEY_A}\r\n"),
        format!("a=crypto:1 X inline:{first}\r\n {second}\r\n"),
        format!("a=crypto:1 X inline:{first}\n\t{second}"),
        format!("a=crypto:1 X inline:{first} {second}\r\n"),
        format!("a=crypto:1 X inline:AAAA;inline:{KEY_A}\r\n"),
        format!("a=crypto:1 X inline:AAAA|2^20|1:4;inline:{KEY_A}|2^20|2:4\r\n"),
        format!("inline inline:inline:{KEY_A}\r\n"),
    ];
    for case in cases {
        let out = redacted(&case);
        assert!(!out.contains(first) && !out.contains(second), "{case:?} -> {out:?}");
    }
}

#[test]
fn text_without_a_key_is_not_copied() {
    for text in [&b""[..], b"Content-Disposition: inline\r\n\r\n", b"inline", b"a=crypto:1", b"\xff\x00in"] {
        assert!(matches!(redact_crypto(text), Cow::Borrowed(out) if out == text));
    }
}

#[test]
fn lines_after_the_key_stay() {
    let out = redacted(&format!("a=crypto:1 X inline:{KEY_A}\r\na=ptime:20\r\n"));
    assert!(out.ends_with("\r\na=ptime:20\r\n"));
}
