//! What the core writes down: about six log lines a call, its summary, and the host's metrics.

use call::{BargeInTimes, By, Milestone, Summary};
use media::{DropReason, LegStats};

use crate::observe::{Gauge, Histogram, Metrics, PersonalAddress};

/// Of guest time per frame and of the time to answer. Units: microseconds.
const FRAME_BOUNDS_US: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];
const SETUP_BOUNDS_US: &[u64] =
    &[500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];
const BARGE_IN_BOUNDS_US: &[u64] =
    &[60_000, 80_000, 100_000, 120_000, 140_000, 160_000, 200_000, 250_000, 300_000, 500_000, 1_000_000, 2_000_000];

pub struct Record {
    metrics: Metrics,
    personal: bool,
    pub calls_active: Gauge,
    pub draining: Gauge,
    pub rtp_ports_free: Gauge,
    pub head_room: Gauge,
    overloaded: Gauge,
    setup: Histogram,
    barge_in: Histogram,
}

impl Record {
    pub fn new(metrics: &Metrics, personal: bool) -> Self {
        Self {
            personal,
            calls_active: metrics.gauge(
                "patchbay_calls_active",
                "Calls that exist, those included that are being set up or ended.",
                &[],
            ),
            draining: metrics.gauge("patchbay_draining", "1 while the host takes no new calls.", &[]),
            rtp_ports_free: metrics.gauge("patchbay_rtp_port_pairs_free", "RTP port pairs not in use by a call.", &[]),
            head_room: metrics.gauge(
                "patchbay_head_room_percent",
                "What is left of the processors; 0 while phases of media threads are late by the host's own work.",
                &[],
            ),
            overloaded: metrics.gauge(
                "patchbay_overloaded",
                "1 while new calls get 503, so that live ones do not suffer.",
                &[],
            ),
            setup: metrics.histogram("patchbay_setup_seconds", "From INVITE to 200.", &[], SETUP_BOUNDS_US),
            barge_in: metrics.histogram(
                "patchbay_barge_in_stop_seconds",
                "From the first packet with the caller's voice in to the last packet with the bot's sound out.",
                &[],
                BARGE_IN_BOUNDS_US,
            ),
            metrics: metrics.clone(),
        }
    }

    /// One line of a call's story, within its span.
    pub fn milestone(&self, span: &tracing::Span, milestone: &Milestone) {
        let _entered = span.enter();
        match milestone {
            Milestone::Received { transport, .. } => tracing::info!(?transport, "INVITE received"),
            Milestone::Routed { route, tenant, plugin } => tracing::info!(route, tenant, plugin, "routed"),
            Milestone::Refused { status, cause, why } => {
                tracing::info!(status, cause = cause.as_str(), why = self.text(why), "refused")
            }
            Milestone::SecondLeg { request, how } => {
                tracing::info!(request, how, "second leg of a call that was asked for")
            }
            Milestone::BotStarted { ring, after } => {
                tracing::debug!(ring, after_us = after.as_micros() as u64, "bot started")
            }
            Milestone::Fallback { cause, why } => {
                self.metrics
                    .counter(
                        "patchbay_plugin_faults_total",
                        "Bots that trapped, took too long or could not start.",
                        &[("cause", cause.as_str())],
                    )
                    .add(1);
                tracing::warn!(cause = cause.as_str(), why = self.text(why), "the bot failed; fall-back");
            }
            Milestone::Answered { after, codec, srtp } => {
                self.setup.observe(*after);
                tracing::info!(after_us = after.as_micros() as u64, codec = ?codec, srtp, "answered");
            }
            Milestone::Established { after } => tracing::info!(after_ms = after.as_millis() as u64, "established"),
            Milestone::Held => tracing::info!("on hold"),
            Milestone::Resumed => tracing::info!("resumed"),
            Milestone::HeldByBot => tracing::info!("the bot put the caller on hold"),
            Milestone::ResumedByBot => tracing::info!("the bot took the caller back"),
            Milestone::Transferring => tracing::info!("the bot hands the caller over"),
            Milestone::TransferFailed { status, why } => {
                tracing::info!(status, why = self.text(why), "transfer failed; the call stays with the bot")
            }
            Milestone::OfferRefused { why } => tracing::info!(why, "offer refused; the session stays as it was"),
            Milestone::SourceMoved { from, to } => {
                tracing::info!(from = from.map(|from| PersonalAddress(from).to_string()), to = %PersonalAddress(*to), "RTP source moved")
            }
            Milestone::HungUp { by, cause, why } => {
                tracing::info!(by = by.as_str(), cause = cause.as_str(), why = self.text(why), "hung up")
            }
            Milestone::Overdue { what } => tracing::error!(what, "a part of the host did not answer in time"),
            Milestone::Over { lasted } => {
                tracing::debug!(lasted_ms = lasted.as_millis() as u64, "all of the call is free")
            }
        }
    }

    /// The caller cut a bot off.
    pub fn barge_in(&self, span: Option<&tracing::Span>, times: BargeInTimes) {
        let _entered = span.map(tracing::Span::enter);
        tracing::debug!(stop_ms = times.stop_ms, "the caller cut the bot off");
        self.barge_in.observe(std::time::Duration::from_millis(times.stop_ms.into()));
    }

    pub fn overload(&self, overloaded: bool) {
        self.overloaded.set(overloaded.into());
        if overloaded {
            tracing::warn!("overloaded: new calls get 503 until the host is calm again");
        } else {
            tracing::info!("no longer overloaded");
        }
    }

    /// A tenant's bots are over their CPU quota, or no longer.
    pub fn guest_cpu(&self, tenant: &str, over: bool) {
        let help = "1 while a tenant's bots use more CPU than its quota, and its new calls get 486.";
        self.metrics.gauge("patchbay_tenant_guest_cpu_over", help, &[("tenant", tenant)]).set(over.into());
        if over {
            let help = "Times that a tenant's bots used more CPU than its quota.";
            self.metrics.counter("patchbay_tenant_guest_cpu_breaches_total", help, &[("tenant", tenant)]).add(1);
            tracing::warn!(tenant, "its bots use more CPU than its quota: new calls of this tenant get 486");
        } else {
            tracing::info!(tenant, "its bots are back within their CPU quota");
        }
    }

    pub fn shows_personal(&self) -> bool {
        self.personal
    }

    fn text(&self, why: &str) -> String {
        if self.personal { why.to_owned() } else { call::mask_numbers(why) }
    }

    fn count(&self, name: &'static str, help: &'static str, label: (&str, &str), count: u64) {
        if count > 0 {
            self.metrics.counter(name, help, &[label]).add(count);
        }
    }

    /// What a leg counted, once it is closed. Every loss word is a metric.
    pub fn leg(&self, stats: &LegStats) {
        for (name, help, count) in [
            ("patchbay_rtp_packets_sent_total", "RTP packets sent, counted when their call ends.", stats.packets_sent),
            (
                "patchbay_rtp_packets_received_total",
                "RTP packets accepted, counted when their call ends.",
                stats.packets_received,
            ),
            ("patchbay_rtp_packets_lost_total", "RTP packets that never came.", stats.packets_lost),
            ("patchbay_rtp_packets_late_total", "RTP packets that came after their playout time.", stats.sound.late),
            ("patchbay_rtp_packets_reordered_total", "RTP packets that came out of order.", stats.packets_reordered),
            (
                "patchbay_rtp_source_moves_total",
                "Times that RTP began to come from another address.",
                stats.source_moves,
            ),
            (
                "patchbay_rtp_stream_restarts_total",
                "New SSRCs and jumps that restarted a jitter buffer.",
                stats.stream_restarts,
            ),
            (
                "patchbay_rtp_send_slots_skipped_total",
                "Packets not sent because the host was late for them.",
                stats.send_slots_skipped,
            ),
            ("patchbay_frames_concealed_total", "Frames made up to hide a loss.", stats.sound.frames_concealed),
        ] {
            self.metrics.counter(name, help, &[]).add(count);
        }
        for &reason in DropReason::ALL {
            let help = "RTP and RTCP packets dropped, by reason.";
            self.count("patchbay_rtp_packets_dropped_total", help, ("reason", reason.label()), stats.drops.get(reason));
        }
        let help = "Keys pressed by callers, by how they came.";
        self.count("patchbay_digits_received_total", help, ("by", "telephone-event"), stats.digits_received);
    }

    pub fn summary(&self, summary: &Summary) {
        let result = match summary.status {
            Some(status @ 200..=299) if summary.fallback => (status, "fallback"),
            Some(status @ 200..=299) => (status, "answered"),
            Some(status) => (status, "refused"),
            None if summary.ended_by == By::Caller => (0, "cancelled"),
            None => (0, "failed"),
        };
        self.metrics
            .counter("patchbay_calls_total", "Calls that are over, by how they went.", &[("result", result.1)])
            .add(1);
        let info = u64::from(summary.info_digits_received);
        self.count(
            "patchbay_digits_received_total",
            "Keys pressed by callers, by how they came.",
            ("by", "info"),
            info,
        );
        if let Some(bot) = &summary.bot {
            let tenant = summary.tenant.as_deref().unwrap_or("");
            for (cause, count) in [
                ("own", bot.late_answers.own),
                ("neighbour", bot.late_answers.neighbour),
                ("host", bot.late_answers.host),
            ] {
                let labels = [("tenant", tenant), ("cause", cause)];
                self.metrics
                    .counter("patchbay_frames_late_total", "Answers of bots that came after their send phase.", &labels)
                    .add(count);
            }
            let frames = self.metrics.histogram(
                "patchbay_plugin_frame_seconds",
                "Guest time per frame, the mean of each call.",
                &[("tenant", tenant)],
                FRAME_BOUNDS_US,
            );
            for (name, help, count) in [
                (
                    "patchbay_underruns_total",
                    "Departures with nothing to say for a bot that answers each frame.",
                    bot.underruns,
                ),
                ("patchbay_overruns_total", "Frames that a bot never saw, its ring being full.", bot.overruns),
                ("patchbay_wrong_lengths_total", "Frames of a wrong length, sent as silence.", bot.wrong_lengths),
            ] {
                self.count(name, help, ("tenant", tenant), count);
            }
            if bot.frames > 0 {
                frames.observe(std::time::Duration::from_nanos((bot.guest_us_per_frame * 1000.0) as u64));
            }
        }
        let shown = if self.personal { summary.to_json_line() } else { summary.redacted().to_json_line() };
        tracing::info!(target: "summary", "{shown}");
    }

    /// Copies what the endpoint counted. Called when metrics are asked for or now and then.
    pub fn endpoint(&self, counters: &sip::Counters) {
        let set = |name, help, label: &str, value: &str, count: u64| {
            let counter = self.metrics.counter(name, help, &[(label, value)]);
            counter.add(count.saturating_sub(counter.get()));
        };
        for (method, count) in &counters.requests_received {
            set("patchbay_sip_requests_total", "SIP requests received.", "method", method, *count);
        }
        for (status, count) in &counters.responses_sent {
            set("patchbay_sip_responses_total", "SIP responses sent.", "status", &status.to_string(), *count);
        }
        for (reason, count) in &counters.dropped {
            set(
                "patchbay_sip_dropped_total",
                "SIP messages dropped unanswered.",
                "reason",
                &format!("{reason:?}"),
                *count,
            );
        }
    }
}
