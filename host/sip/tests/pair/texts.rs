//! Messages as a peer writes them, and what is read out of ours.

use super::OFFER;

pub fn status_of(text: &str) -> u16 {
    text.split(' ').nth(1).expect("a status").parse().expect("a status")
}

/// The first header of that name; empty if there is none.
pub fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.split("\r\n");
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

pub fn headers<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

/// A request as a peer would write it. `extra`: header lines, each with its CRLF.
pub fn request(method: &str, call_id: &str, to_tag: &str, cseq: u32, extra: &str, body: &str) -> String {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "{method} sip:+911234@198.51.100.1:5070 SIP/2.0\r\n\
         Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-{call_id}-{cseq}-{method}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:+910000@192.0.2.1>;tag=peer\r\nTo: <sip:+911234@198.51.100.1>{to_tag}\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:+910000@192.0.2.1:5060>\r\n{extra}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn invite(call_id: &str, cseq: u32, extra: &str) -> String {
    request("INVITE", call_id, "", cseq, &format!("Content-Type: application/sdp\r\n{extra}"), OFFER)
}

/// A request in the dialog that an INVITE of any shape made.
pub fn in_dialog(invite: &str, method: &str, tag: &str, cseq: u32, extra: &str) -> String {
    format!(
        "{method} sip:198.51.100.1:5070 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK-{cseq}-{method}\r\n\
         From: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{extra}Content-Length: 0\r\n\r\n",
        header(invite, "From"),
        header(invite, "To"),
        header(invite, "Call-ID"),
    )
}

/// The trunk's INVITE as its guide prints it, for one transport and one spelling of each oddity.
pub fn trunk_invite(transport: &str, record_route: &str, contact_transport: &str) -> String {
    let sdp = OFFER;
    format!(
        "INVITE sip:+911234@198.51.100.1:5070;transport={lower} SIP/2.0\r\nRecord-Route: {record_route}\r\n\
         Via: SIP/2.0/{transport} 203.0.113.9:443;branch=z9hG4bK2414aa\r\n\
         From: \"+919999\" <sip:+919999@exotelt.pstn.exotel.com>;tag=as2aefddf2\r\nTo: <sip:+911234@198.51.100.1>\r\n\
         Call-ID: 0b6e@pstn.mum1.exotel.com\r\nCSeq: 102 INVITE\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
         Supported: replaces\r\nX-Exotel-LegSid: leg\r\nX-Exotel-CallSid: call\r\nX-Exotel-TrunkSid: trunk\r\n\
         P-Asserted-Identity: <sip:+919999@exotelt.pstn.exotel.com>\r\nP-Early-Media: supported\r\n\
         Contact: <sip:+919999@203.0.113.7:5080;transport={contact_transport}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\nMax-Forwards: 67\r\n\r\n{sdp}",
        sdp.len(),
        lower = transport.to_ascii_lowercase(),
    )
}
