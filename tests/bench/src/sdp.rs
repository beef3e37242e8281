//! The offer, as a trunk writes it, and what is needed of the answer.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Master key and salt. Source: RFC 4568 6.2, AES_CM_128_HMAC_SHA1_80.
pub type Key = [u8; 30];

pub struct Answer {
    pub rtp_port: u16,
    pub key: Option<Key>,
}

/// `direction`: `sendrecv`, or `inactive` for a call on hold from the beginning.
pub fn offer(number: usize, rtp_port: u16, key: Option<&Key>, direction: &str) -> String {
    let (profile, crypto) = match key {
        None => ("AVP", String::new()),
        Some(key) => ("SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", STANDARD.encode(key))),
    };
    format!(
        "v=0\r\no=- {number} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {rtp_port} RTP/{profile} 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na={direction}\r\n{crypto}"
    )
}

pub fn read_answer(body: &[u8]) -> Result<Answer> {
    let text = std::str::from_utf8(body)?;
    let value = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let port = value("m=audio ").and_then(|media| media.split(' ').next()).context("the answer has no m=audio")?;
    let rtp_port = port.parse::<u16>().context("the answer's port")?;
    let inline = value("a=crypto:").and_then(|crypto| crypto.split("inline:").nth(1));
    let key = match inline {
        None => None,
        Some(inline) => {
            let encoded = inline.split(['|', ' ']).next().unwrap_or("");
            let decoded = STANDARD.decode(encoded).context("the answer's key")?;
            Some(Key::try_from(decoded.as_slice()).context("the answer's key is of another length")?)
        }
    };
    Ok(Answer { rtp_port, key })
}
