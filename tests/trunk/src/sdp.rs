//! The trunk's offer, and what it needs of the answer.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::spelling::Spelling;

/// Master key and salt. Source: RFC 4568 6.2, AES_CM_128_HMAC_SHA1_80.
pub type Key = [u8; 30];

pub fn offer(media: SocketAddr, key: Option<&Key>, spelling: Spelling) -> String {
    let (address, port, event) = (media.ip(), media.port(), spelling.event_type);
    let session_name = if spelling.session_name { "s=SIP Call\r\n" } else { "" };
    let (profile, crypto) = match key {
        None => ("AVP", String::new()),
        Some(key) => ("SAVP", format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", STANDARD.encode(key))),
    };
    format!(
        "v=0\r\no=root 1683048786 1683048786 IN IP4 {address}\r\n{session_name}c=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/{profile} 8 0 {event}\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\na=sendrecv\r\na=rtcp:{}\r\na=ptime:20\r\n{crypto}",
        port + 1
    )
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub rtp: SocketAddr,
    pub key: Option<Key>,
}

/// Errors: it is not the answer to this offer: another profile, another tag, a codec that was not offered.
pub fn read_answer(body: &[u8], secure: bool, spelling: Spelling) -> Result<Answer> {
    let text = std::str::from_utf8(body)?;
    let value = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let address: IpAddr = value("c=IN IP4 ").context("no c=")?.trim().parse()?;
    let media: Vec<&str> = value("m=audio ").context("no m=audio")?.split_whitespace().collect();
    let profile = if secure { "RTP/SAVP" } else { "RTP/AVP" };
    ensure!(media.get(1) == Some(&profile), "answered by another profile: {media:?}");
    ensure!(media.get(2) == Some(&"8"), "PCMA is offered first: {media:?}");
    ensure!(
        text.contains(&format!("a=rtpmap:{} telephone-event/8000", spelling.event_type)),
        "telephone-event by another number:\n{text}"
    );
    let key = match value("a=crypto:") {
        None => None,
        Some(crypto) => {
            let inline = crypto.strip_prefix("1 AES_CM_128_HMAC_SHA1_80 inline:").context("another tag or suite")?;
            let decoded = STANDARD.decode(inline.split(['|', ' ']).next().unwrap_or_default())?;
            Some(Key::try_from(decoded.as_slice()).context("a key of another length")?)
        }
    };
    ensure!(key.is_some() == secure, "SRTP is not answered as it was offered:\n{text}");
    Ok(Answer { rtp: SocketAddr::new(address, media[0].parse()?), key })
}
