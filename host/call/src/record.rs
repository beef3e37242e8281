//! What is known of a call from its INVITE on, and how that becomes its record.

use std::sync::Arc;
use std::time::Instant;

use media::{Codec, LegStats};
use sip::{Flow, HeaderName, Request, Transport};

use crate::call::{Call, End};
use crate::control::Calls;
use crate::door::{BotStats, CallId, Milestone, Output};
use crate::identity::Identity;
use crate::routing::{Route, called_number, called_uri};
use crate::second_leg::Origin;
use crate::settings::{Limits, Trunk};
use crate::summary::{BotRecord, MediaRecord, Summary, ms, us_per_frame};

/// What the INVITE said, and what happened since.
#[derive(Debug)]
pub(crate) struct Facts {
    pub sip_call_id: String,
    pub flow: Flow,
    pub trunk: String,
    pub to: String,
    pub called: String,
    /// The request-URI as routes see it.
    pub uri: String,
    pub identity: Identity,
    /// The trunk's own name of the call, if it is trusted: of several legs it is the same.
    pub call_sid: Option<String>,
    pub origin: Option<Origin>,
    /// What the bot may read, bounded.
    pub headers: Arc<[(String, String)]>,
    pub started: Instant,
    pub started_unix_ms: u64,
    pub answered: Option<Instant>,
    pub established: Option<Instant>,
    /// The final answer to the INVITE.
    pub status: Option<u16>,
    pub notes: Vec<(String, String)>,
    pub info_digits_sent: u32,
    pub info_digits_received: u32,
    pub transfers: u32,
    pub dropped: u32,
    pub codec: Option<Codec>,
    pub srtp: bool,
    pub fallback: bool,
    pub leg: Option<LegStats>,
    pub bot: Option<BotStats>,
}

impl Facts {
    pub fn read(request: &Request, flow: Flow, trunk: &Trunk, limits: &Limits, now: Instant, unix_ms: u64) -> Facts {
        let headers = request.headers();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let asserted = headers.values(HeaderName::PAssertedIdentity).filter(|_| trunk.trusted);
        let (kept, dropped) = kept_headers(request, trunk.trusted, limits);
        Facts {
            sip_call_id: request.call_id().to_owned(),
            flow,
            trunk: trunk.name.clone(),
            to: text(request.to().as_bytes()),
            called: called_number(&request.uri().number().unwrap_or_default()),
            uri: called_uri(request.uri()),
            identity: Identity::read(request.from().as_bytes(), asserted, headers.get(HeaderName::Privacy)),
            call_sid: call_sid(request).filter(|_| trunk.trusted),
            origin: None,
            headers: kept.into(),
            started: now,
            started_unix_ms: unix_ms,
            answered: None,
            established: None,
            status: None,
            notes: Vec::new(),
            info_digits_sent: 0,
            info_digits_received: 0,
            transfers: 0,
            dropped,
            codec: None,
            srtp: false,
            fallback: false,
            leg: None,
            bot: None,
        }
    }

    /// Takes a note: the second under a key replaces the first; what is over a bound is counted and dropped.
    pub fn note(&mut self, key: String, value: String, limits: &Limits) {
        if key.len() > limits.note_key_bytes || value.len() > limits.note_value_bytes {
            self.dropped += 1;
            return;
        }
        let known = self.notes.iter().position(|(known, _)| *known == key);
        match known {
            Some(at) => self.notes[at].1 = value,
            None if self.notes.len() < limits.notes => self.notes.push((key, value)),
            None => self.dropped += 1,
        }
    }
}

/// Headers for the bot, in order, within the bounds, and how many were left out. A trunk that is not trusted has its
/// P-Asserted-Identity and X- headers removed: anybody can write those.
fn kept_headers(request: &Request, trusted: bool, limits: &Limits) -> (Vec<(String, String)>, u32) {
    let (mut kept, mut bytes, mut dropped) = (Vec::new(), 0, 0);
    for (name, value) in request.headers().iter() {
        let claims = name == HeaderName::PAssertedIdentity.as_str() || is_extra(name);
        if claims && !trusted {
            continue;
        }
        bytes += name.len() + value.len();
        if kept.len() >= limits.headers || bytes > limits.header_bytes {
            dropped += 1;
            continue;
        }
        kept.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    }
    (kept, dropped)
}

/// Longer ones are no names.
const CALL_SID_BYTES_MAX: usize = 128;

fn call_sid(request: &Request) -> Option<String> {
    let mut headers = request.headers().iter();
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("X-Exotel-CallSid"))?;
    let text = std::str::from_utf8(value).ok()?.trim();
    (!text.is_empty() && text.len() <= CALL_SID_BYTES_MAX).then(|| text.to_owned())
}

fn is_extra(name: &str) -> bool {
    name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
}

pub(crate) fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

pub(crate) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Pcma => "PCMA",
        Codec::Pcmu => "PCMU",
    }
}

/// The name of a call towards bots, logs and the operator.
pub fn call_name(call: CallId) -> String {
    format!("c{}", call.0)
}

/// Puts the record together. `route`: None for a call that was refused before it had one.
pub(crate) fn summary(id: CallId, facts: Facts, route: Option<&Route>, end: End, ended: Instant) -> Summary {
    let since_start = |at: Instant| ms(at.saturating_duration_since(facts.started));
    let build = facts.bot.as_ref().filter(|bot| !bot.digest.is_empty());
    Summary {
        call: call_name(id),
        trunk: facts.trunk,
        transport: transport_name(facts.flow.transport),
        peer: facts.flow.remote.to_string(),
        tenant: route.map(|route| route.tenant.clone()),
        route: route.map(|route| route.name.clone()),
        plugin: route.map(|route| route.plugin.clone()),
        plugin_digest: build.map(|bot| bot.digest.clone()),
        generation: build.map(|bot| bot.generation),
        sip_call_id: facts.sip_call_id,
        outbound: facts.origin.as_ref().and_then(Origin::request).map(str::to_owned),
        from: facts.identity.from,
        to: facts.to,
        called: facts.called,
        asserted: facts.identity.asserted,
        privacy: facts.identity.privacy,
        identity: facts.identity.verdict,
        extra_headers: facts.headers.iter().filter(|(name, _)| is_extra(name)).cloned().collect(),
        started_unix_ms: facts.started_unix_ms,
        answered_after_ms: facts.answered.map(since_start),
        established_after_ms: facts.established.map(since_start),
        ended_after_ms: since_start(ended),
        talked_ms: facts.answered.map_or(0, |at| ms(ended.saturating_duration_since(at))),
        status: facts.status,
        ended_by: end.by,
        cause: end.cause,
        why: end.why,
        fallback: facts.fallback,
        codec: facts.codec.map(codec_name),
        srtp: facts.srtp,
        media: facts.leg.as_ref().map(media_record),
        bot: facts.bot.as_ref().map(bot_record),
        info_digits_sent: facts.info_digits_sent,
        info_digits_received: facts.info_digits_received,
        transfers: facts.transfers,
        notes: facts.notes,
        dropped: facts.dropped,
    }
}

fn bot_record(bot: &BotStats) -> BotRecord {
    BotRecord {
        frames: bot.frames,
        events: bot.events,
        guest_us_per_frame: us_per_frame(bot.guest_time, bot.frames),
        guest_us_max: bot.guest_time_max.as_micros() as u64,
        late_answers: bot.late_answers,
        underruns: bot.underruns,
        overruns: bot.overruns,
        wrong_lengths: bot.wrong_lengths,
        restarts: bot.restarts,
        moves: bot.moves,
        cpu_quota_breaches: bot.cpu_quota_breaches,
        barge_ins: bot.barge_ins,
    }
}

fn media_record(leg: &LegStats) -> MediaRecord {
    MediaRecord {
        packets_sent: leg.packets_sent,
        packets_received: leg.packets_received,
        packets_lost: leg.packets_lost,
        packets_late: leg.sound.late,
        packets_dropped: leg.drops.total(),
        jitter_ms: (leg.jitter_ms * 100.0).round() / 100.0,
        digits_sent: leg.digits_sent,
        digits_received: leg.digits_received,
        source_moves: leg.source_moves,
    }
}

impl Calls {
    /// The last thing said of a call of which nothing is left.
    pub(crate) fn write_summary(&mut self, call: Call) {
        let (end, at) = call.end.unwrap_or_else(|| {
            debug_assert!(false, "a finished call has ended");
            (End::host(crate::Cause::Internal, "no end was noted"), call.facts.started)
        });
        let lasted = at.saturating_duration_since(call.facts.started);
        self.emit(Output::Milestone { call: call.id, milestone: Milestone::Over { lasted } });
        self.emit(Output::Summary(Box::new(summary(call.id, call.facts, Some(&call.route), end, at))));
    }
}
