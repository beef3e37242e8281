//! What went over the wire, as lines that a person reads: one per message, oldest first.
//!
//! ```text
//! 0.000  uac -> host  INVITE  offer PCMA, PCMU, telephone-event 96
//! 0.012  uac <- host  200     answer PCMA, telephone-event 96
//! 0.015  uac -> host  ACK
//! 0.020  uac <= host  RTP pt=8 seq+1 ts+160 M
//! ```
//!
//! No numbers, names or keys are in it, so that a ladder may be shown to anybody.

use std::collections::VecDeque;
use std::time::Instant;

use media::PayloadType;
use media::sdp::{self, Connection, Description, Level, Media};
use sip::{Message, Request, Response};

/// Which way a message went, seen from the left-hand party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `->`, from the left to the right.
    Out,
    /// `<-`.
    In,
}

/// How many INVITEs and UPDATEs are remembered, to tell an answer from an offer.
const OFFERS: usize = 32;

/// Writes the lines of one ladder. Keeps which requests carried an offer, since an answer looks the same.
#[derive(Debug)]
pub struct Ladder {
    begin: Instant,
    left: String,
    right: String,
    /// Direction and CSeq of requests that carried a description.
    offered: VecDeque<(Direction, u32)>,
}

impl Ladder {
    pub fn new(begin: Instant, left: &str, right: &str) -> Self {
        Ladder { begin, left: left.to_owned(), right: right.to_owned(), offered: VecDeque::new() }
    }

    /// One SIP message, whole. What cannot be read is a line too.
    pub fn message(&mut self, now: Instant, direction: Direction, bytes: &[u8]) -> String {
        let arrow = if direction == Direction::Out { "->" } else { "<-" };
        let text = match Message::parse(bytes) {
            Ok(Message::Request(request)) => self.request(direction, &request),
            Ok(Message::Response(response)) => self.response(direction, &response),
            Err(_) => format!("(unreadable, {} bytes)", bytes.len()),
        };
        self.line(now, arrow, &text)
    }

    /// Something of the media plane, or about the connection, in the words of whoever saw it.
    pub fn note(&mut self, now: Instant, direction: Direction, text: &str) -> String {
        self.line(now, if direction == Direction::Out { "=>" } else { "<=" }, text)
    }

    fn line(&self, now: Instant, arrow: &str, text: &str) -> String {
        let s = now.saturating_duration_since(self.begin).as_secs_f64();
        format!("{s:.3}  {} {arrow} {}  {text}", self.left, self.right).trim_end().to_owned()
    }

    fn request(&mut self, direction: Direction, request: &Request) -> String {
        let method = request.method().to_string();
        let body = sip::session_of(request).map(describe);
        // An ACK can only answer; any other request with a description offers.
        let role = if method == "ACK" { "answer" } else { "offer" };
        if body.is_some() && role == "offer" {
            self.offered.push_front((direction, request.cseq().number));
            self.offered.truncate(OFFERS);
        }
        let reason = request.reason().map(|reason| format!("reason {}", reason.text));
        let fragment = (method == "NOTIFY").then(|| sip::Sipfrag::read(request.body())).flatten();
        let fragment = fragment.map(|fragment| format!("sipfrag {}", fragment.status));
        // Those of an INVITE are the trunk's, the same in each.
        let own = (method != "INVITE").then(|| own_headers(request.headers())).flatten();
        line_of(&method, [body.map(|body| format!("{role} {body}")), fragment, reason, own])
    }

    fn response(&mut self, direction: Direction, response: &Response) -> String {
        let asked = if direction == Direction::Out { Direction::In } else { Direction::Out };
        let answers = self.offered.contains(&(asked, response.cseq().number));
        let role = if answers { "answer" } else { "offer" };
        let body = sip::session_of_response(response).map(|body| format!("{role} {}", describe(body)));
        let retry = response.headers().get_text("Retry-After").map(|s| format!("retry-after {s}"));
        let reason = response.reason().map(|reason| format!("reason {}", reason.text));
        // Two hundreds of one dialog are told apart by what they answer.
        let method = response.cseq().method.to_string();
        let of = (method != "INVITE").then(|| format!("({method})"));
        line_of(&response.status().to_string(), [of, body, retry, reason, own_headers(response.headers())])
    }
}

/// Names of the headers that are in no RFC; their values may be personal.
fn own_headers(headers: &sip::message::Headers) -> Option<String> {
    let is_own = |name: &&str| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
    let names: Vec<&str> = headers.iter().map(|(name, _)| name).filter(is_own).collect();
    (!names.is_empty()).then(|| format!("with {}", names.join(", ")))
}

fn line_of<const N: usize>(what: &str, details: [Option<String>; N]) -> String {
    let details: Vec<String> = details.into_iter().flatten().collect();
    format!("{what:<7} {}", details.join("  "))
}

/// One description in a line: `PCMA, telephone-event 96`, then what is not the usual.
fn describe(body: &[u8]) -> String {
    let Ok(description) = sdp::read(body) else { return "(unreadable)".to_owned() };
    let streams: Vec<String> = description.media.iter().map(|media| stream(&description, media)).collect();
    streams.join(" + ")
}

fn stream(description: &Description, media: &Media) -> String {
    let Some(rtp) = media.rtp.as_ref().filter(|rtp| rtp.port != 0) else {
        return format!("no {}", media.line.media);
    };
    let names: Vec<String> = rtp.payloads.iter().map(|pt| payload(&media.level, *pt)).collect();
    let mut text = names.join(", ");
    for line in &media.level.crypto {
        text.push_str(&format!("  {} tag {}", rtp.profile.name(), line.tag));
    }
    let held = matches!(media.level.connection.or(description.session.connection), Some(Connection::Ip(ip)) if ip.is_unspecified());
    if held {
        text.push_str("  0.0.0.0");
    }
    match media.level.direction.or(description.session.direction) {
        None | Some(media::Direction::SendRecv) => {}
        Some(media::Direction::SendOnly) => text.push_str("  sendonly"),
        Some(media::Direction::RecvOnly) => text.push_str("  recvonly"),
        Some(media::Direction::Inactive) => text.push_str("  inactive"),
    }
    text
}

/// The name, and the number where it is a dynamic one. Source: RFC 3551 6.
fn payload(level: &Level, pt: PayloadType) -> String {
    let known = level.rtpmaps.iter().find(|map| map.payload_type == pt).map(|map| map.encoding.as_str());
    let name = known.unwrap_or(match pt.0 {
        0 => "PCMU",
        8 => "PCMA",
        13 => "CN",
        _ => "?",
    });
    if pt.0 < 96 && name != "?" { name.to_owned() } else { format!("{name} {}", pt.0) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 96\r\n\
        a=rtpmap:96 telephone-event/8000\r\n";

    fn message(start: &str, cseq: &str, extra: &str, body: &str) -> Vec<u8> {
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{start}\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\n\
             CSeq: {cseq}\r\n{extra}{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    #[test]
    fn a_call_reads_as_a_ladder() {
        // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
        let begin = Instant::now();
        let mut ladder = Ladder::new(begin, "uac", "host");
        let held = SDP.replace("8 96", "8 96 18") + "a=inactive\r\nm=video 0 RTP/AVP 99\r\n";
        let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
        let secure = SDP.replace("RTP/AVP", "RTP/SAVP") + crypto;
        use Direction::{In, Out};
        let lines = [
            (0, Out, message("INVITE sip:b@h SIP/2.0", "1 INVITE", "", SDP)),
            (0, In, message("SIP/2.0 100 Trying", "1 INVITE", "", "")),
            (12, In, message("SIP/2.0 200 OK", "1 INVITE", "", SDP)),
            (15, Out, message("ACK sip:b@h SIP/2.0", "1 ACK", "", "")),
            (20, Out, message("INVITE sip:b@h SIP/2.0", "2 INVITE", "", "")),
            (21, In, message("SIP/2.0 200 OK", "2 INVITE", "", &secure)),
            (22, Out, message("ACK sip:b@h SIP/2.0", "2 ACK", "", &held)),
            (30, In, message("BYE sip:a@h SIP/2.0", "1 BYE", "Reason: Q.850;cause=102;text=\"media-timeout\"\r\n", "")),
            (31, Out, message("SIP/2.0 200 OK", "1 BYE", "", "")),
            (90_000, In, message("SIP/2.0 503 Service Unavailable", "3 INVITE", "Retry-After: 5\r\n", "")),
            (90_001, In, b"nonsense".to_vec()),
        ];
        let mut text: Vec<String> = lines
            .iter()
            .map(|(ms, direction, bytes)| ladder.message(begin + Duration::from_millis(*ms), *direction, bytes))
            .collect();
        text.push(ladder.note(begin + Duration::from_millis(90_020), In, "RTP pt=8 seq+1 ts+160 M"));
        let expect = "\
0.000  uac -> host  INVITE  offer PCMA, telephone-event 96
0.000  uac <- host  100
0.012  uac <- host  200     answer PCMA, telephone-event 96
0.015  uac -> host  ACK
0.020  uac -> host  INVITE
0.021  uac <- host  200     offer PCMA, telephone-event 96  RTP/SAVP tag 1
0.022  uac -> host  ACK     answer PCMA, telephone-event 96, ? 18  inactive + no video
0.030  uac <- host  BYE     reason media-timeout
0.031  uac -> host  200     (BYE)
90.000  uac <- host  503     retry-after 5
90.001  uac <- host  (unreadable, 8 bytes)
90.020  uac <= host  RTP pt=8 seq+1 ts+160 M";
        assert_eq!(text.join("\n"), expect);
    }
}
