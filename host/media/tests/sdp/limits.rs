use media::sdp::{
    MAX_BYTES, MAX_CRYPTO_LINES, MAX_FORMATS, MAX_LINE_BYTES, MAX_LINES, MAX_MEDIA, MAX_RTPMAPS, SdpError, read,
};

use crate::{KEY_A, answer, lines, offer_of, text};

const AUDIO: &str = "m=audio 40000 RTP/AVP 8\n";

#[test]
fn bytes_are_bounded() {
    let mut text = offer_of(AUDIO);
    text.push_str(&"\r\n".repeat((MAX_BYTES - text.len()) / 2));
    assert!(read(text.as_bytes()).is_ok());
    text.push_str("\r\n\r\n");
    assert_eq!(read(text.as_bytes()), Err(SdpError::TooLong));
    assert_eq!(SdpError::TooLong.status(), 413);
}

#[test]
fn lines_are_bounded() {
    let offer = offer_of(AUDIO);
    let room = MAX_LINES - offer.lines().count();
    assert!(read(format!("{offer}{}", "a=x\n".repeat(room)).as_bytes()).is_ok());
    let over = read(format!("{offer}{}", "a=x\n".repeat(room + 1)).as_bytes());
    assert_eq!(over, Err(SdpError::TooManyLines));
}

#[test]
fn media_are_bounded() {
    let offer = offer_of(&AUDIO.repeat(MAX_MEDIA));
    assert_eq!(lines(&answer(&offer), "m=").len(), MAX_MEDIA);
    let over = read(offer_of(&AUDIO.repeat(MAX_MEDIA + 1)).as_bytes());
    assert_eq!(over, Err(SdpError::TooManyMedia));
}

#[test]
fn formats_rtpmaps_and_crypto_lines_are_bounded_and_the_rest_ignored() {
    let formats: Vec<String> = (0..1000).map(|n| (n % 200).to_string()).collect();
    let rtpmaps = "a=rtpmap:99 PCMA/8000\n".repeat(MAX_RTPMAPS + 50);
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\n").repeat(MAX_CRYPTO_LINES + 50);
    let offer = offer_of(&format!("m=audio 4 RTP/SAVP {}\n{rtpmaps}{crypto}", formats.join(" ")));
    let media = &read(offer.as_bytes()).unwrap().media[0];
    assert_eq!(media.line.formats.len(), MAX_FORMATS);
    assert_eq!(media.rtp.as_ref().unwrap().payloads.len(), 128);
    assert_eq!(media.level.rtpmaps.len(), MAX_RTPMAPS);
    assert_eq!(media.level.crypto.len(), MAX_CRYPTO_LINES);
    assert!(text(&answer(&offer)).len() < 1000);
}

#[test]
fn overlong_line_is_ignored() {
    let long = format!("c=IN IP4 {}.example\na=inactive{}\n", "x".repeat(MAX_LINE_BYTES), " ".repeat(MAX_LINE_BYTES));
    let session = answer(&offer_of(&format!("{AUDIO}{long}")));
    assert!(session.negotiated.remote_rtp.is_some());
    // White space at the end of a line is no part of it.
    assert!(session.negotiated.held);
}

#[test]
fn what_is_no_description_is_400() {
    for bytes in [&b""[..], b"\r\n", b"<xml/>", b"hello\r\nthere", b"=\nv\nm", b"\0\xff\xfe"] {
        assert_eq!(read(bytes), Err(SdpError::NotSdp));
    }
    assert_eq!(SdpError::NotSdp.status(), 400);
}

#[test]
fn line_ends_may_be_lf_or_cr() {
    let crlf = offer_of("m=audio 40000 RTP/AVP 8 96\na=rtpmap:96 telephone-event/8000\na=sendonly\n");
    let expected = read(crlf.as_bytes());
    for text in [crlf.replace("\r\n", "\n"), crlf.replace("\r\n", "\r"), crlf.trim_end().to_owned()] {
        assert_eq!(read(text.as_bytes()), expected);
    }
}

#[test]
fn one_odd_line_never_refuses_a_call() {
    let expected = answer(&offer_of(AUDIO));
    let odd: [&[u8]; 24] = [
        b"e=a@example.net",
        b"p=+91 1",
        b"u=http://example.net/",
        b"z=0 0",
        b"k=clear:x",
        b"r=1 2 3",
        b"b=RS:zero",
        b"b=AS:64:1",
        b"t=now then",
        b"o=",
        b"v=1",
        b"s=",
        b"i=",
        b"x=unknown",
        b"a=",
        b"a=ptime:20.0",
        b"a=sendonly:now",
        b"a=rtpmap:8",
        b"a=rtpmap:300 PCMU/8000",
        b"a=candidate:1 1 UDP 1 x",
        b"a=fingerprint:sha-256 zz",
        b"a=\xff\xfe\x00",
        b"no equals sign",
        b"\x00",
    ];
    for line in odd {
        for after in ["v=0\r\n", "RTP/AVP 8\r\n"] {
            let offer = offer_of(AUDIO);
            let (head, tail) = offer.split_at(offer.find(after).unwrap() + after.len());
            let bytes = [head.as_bytes(), line, b"\r\n", tail.as_bytes()].concat();
            let description = read(&bytes).unwrap();
            let local = crate::local(media::SrtpPolicy::Prefer);
            let session = media::sdp::answer(&description, &local, None, &crate::fresh(1)).unwrap();
            // a=sendonly:now is read as a=sendonly.
            if !line.starts_with(b"a=sendonly") {
                assert_eq!(session, expected, "{:?}", String::from_utf8_lossy(line));
            }
        }
    }
}

#[test]
fn odd_format_or_port_count_costs_only_itself() {
    let session = answer(&offer_of("m=AUDIO 40000/2 rtp/avp * 8 400 x -1 0\n"));
    assert_eq!(session.negotiated.remote_rtp, Some("192.0.2.9:40000".parse().unwrap()));
    assert_eq!(lines(&session, "m="), ["m=audio 12000 RTP/AVP 8"]);
}

#[test]
fn strange_bytes_of_a_declined_stream_are_not_repeated() {
    let bytes = [offer_of(AUDIO).as_bytes(), b"m=vid\xffeo\x01 5 X\x00Y \xf0\x9f\x98\x80 1\r\n"].concat();
    let description = read(&bytes).unwrap();
    let local = crate::local(media::SrtpPolicy::Prefer);
    let session = media::sdp::answer(&description, &local, None, &crate::fresh(1)).unwrap();
    assert_eq!(lines(&session, "m=")[1], "m=video 0 XY 1");
}
