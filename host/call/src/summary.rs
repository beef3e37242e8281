//! The record of one call: a first CDR, one line of JSON.
//!
//! Written for every INVITE that reached the calls, refused ones included. Numbers, names, addresses and digits are personal:
//! [`Summary::redacted`] is what goes into a log unless the operator asked for more.

use std::time::Duration;

use serde::Serialize;

use crate::cause::{By, Cause};
use crate::door::LateAnswers;
use crate::identity::Verdict;

/// Units are in the names; absent where there was none.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The host's own name of the call, as in its log lines.
    pub call: String,
    pub sip_call_id: String,
    pub trunk: String,
    pub transport: &'static str,
    pub peer: String,
    pub tenant: Option<String>,
    pub route: Option<String>,
    pub plugin: Option<String>,
    pub plugin_digest: Option<String>,
    pub generation: Option<u64>,
    /// The request whose second leg it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<String>,

    /// From and To as they stood in the INVITE.
    pub from: String,
    pub to: String,
    /// User part of the request-URI.
    pub called: String,
    /// Every value of P-Asserted-Identity, as it stood in the INVITE.
    pub asserted: Vec<String>,
    pub privacy: Option<String>,
    pub identity: Verdict,
    /// X- headers of a trusted trunk.
    pub extra_headers: Vec<(String, String)>,

    pub started_unix_ms: u64,
    /// From the INVITE to our 200.
    pub answered_after_ms: Option<u64>,
    /// From the INVITE to ACK or first packet.
    pub established_after_ms: Option<u64>,
    /// From the INVITE to the end of the dialog.
    pub ended_after_ms: u64,
    /// From our 200 to the end.
    pub talked_ms: u64,

    /// The final answer to the INVITE; none if the caller gave up before it.
    pub status: Option<u16>,
    pub ended_by: By,
    pub cause: Cause,
    /// For people: the bot's refusal, the trap, the peer's Reason.
    pub why: String,
    /// The route's fall-back took the bot's place.
    pub fallback: bool,

    pub codec: Option<&'static str>,
    pub srtp: bool,
    pub media: Option<MediaRecord>,
    pub bot: Option<BotRecord>,
    /// Keys sent by SIP INFO and received by it.
    pub info_digits_sent: u32,
    pub info_digits_received: u32,
    /// What the bot asked the caller's side to call in its stead, however that ended.
    pub transfers: u32,
    pub notes: Vec<(String, String)>,
    /// Notes, headers and digits that were over a bound, or could not be sent as they were.
    pub dropped: u32,
}

/// What the leg counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MediaRecord {
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    pub packets_late: u64,
    pub packets_dropped: u64,
    pub jitter_ms: f64,
    pub digits_sent: u64,
    pub digits_received: u64,
    pub source_moves: u64,
}

/// What the bot's side counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BotRecord {
    pub frames: u64,
    pub events: u64,
    pub guest_us_per_frame: f64,
    pub guest_us_max: u64,
    pub late_answers: LateAnswers,
    pub underruns: u64,
    pub overruns: u64,
    pub wrong_lengths: u64,
    pub restarts: u64,
    pub moves: u64,
    pub cpu_quota_breaches: u64,
    pub barge_ins: BargeIns,
}

/// Times that the caller cut the bot off, and the one after which the bot was heard longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BargeIns {
    pub count: u64,
    pub worst: Option<BargeInTimes>,
}

impl BargeIns {
    pub fn note(&mut self, times: BargeInTimes) {
        self.count += 1;
        self.worst = self.worst.into_iter().chain([times]).max_by_key(|times| times.stop_ms);
    }
}

/// From the first packet with the caller's voice in to the last packet with the bot's sound out, and what that was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BargeInTimes {
    /// All of it.
    pub stop_ms: u32,
    /// What packets waited to be played in order.
    pub jitter_buffer_ms: u32,
    /// Until the voice was known for one.
    pub detector_ms: u32,
    /// What the bot's policy waited.
    pub policy_ms: u32,
    /// What a bot has from a frame to the packet that leaves after it.
    pub budget_ms: u32,
    /// The packet less that the last one with sound left before, and more if the host was late.
    pub rest_ms: i32,
}

impl BargeInTimes {
    pub fn new(jitter_buffer_ms: u32, detector_ms: u32, policy_ms: u32, budget_ms: u32, rest_ms: i32) -> Self {
        let stop_ms = (jitter_buffer_ms + detector_ms + policy_ms + budget_ms).saturating_add_signed(rest_ms);
        Self { stop_ms, jitter_buffer_ms, detector_ms, policy_ms, budget_ms, rest_ms }
    }
}

const HIDDEN: &str = "hidden";

impl Summary {
    /// The same without personal data: who called whom, from where, and what the bot noted of them. Notes keep their keys.
    pub fn redacted(&self) -> Summary {
        let hide = |text: &String| if text.is_empty() { String::new() } else { HIDDEN.to_owned() };
        let hide_value = |(key, value): &(String, String)| (key.clone(), hide(value));
        Summary {
            sip_call_id: self.sip_call_id.split('@').next().unwrap_or("").to_owned(),
            peer: hide(&self.peer),
            from: hide(&self.from),
            to: hide(&self.to),
            called: hide(&self.called),
            asserted: self.asserted.iter().map(hide).collect(),
            extra_headers: self.extra_headers.iter().map(hide_value).collect(),
            notes: self.notes.iter().map(hide_value).collect(),
            why: mask_numbers(&self.why),
            ..self.clone()
        }
    }

    /// One line, no line break in it. Cost: one allocation per call's end.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self)
            .expect("strings, numbers and enums only: nothing in a summary can fail to serialise")
    }
}

/// Free text may quote a number or an address: every run of digits, dots and separators with four digits or more is hidden.
pub fn mask_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.:()".contains(c))).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let digits = run.chars().filter(char::is_ascii_digit).count();
        out.push_str(if digits >= 4 { HIDDEN } else { run });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whole milliseconds, for a record.
pub(crate) fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// Microseconds of guest time per frame, 0 without frames.
pub(crate) fn us_per_frame(time: Duration, frames: u64) -> f64 {
    if frames == 0 { 0.0 } else { (time.as_secs_f64() * 1e6 / frames as f64 * 10.0).round() / 10.0 }
}
