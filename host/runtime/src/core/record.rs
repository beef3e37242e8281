//! What the core writes down: about six log lines a call, its summary, and the host's metrics.

use call::{By, Milestone, Summary};

use crate::observe::{Counter, Gauge, Histogram, Metrics, PersonalAddress};

/// Of guest time per frame and of the time to answer. Units: microseconds.
const FRAME_BOUNDS_US: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];
const SETUP_BOUNDS_US: &[u64] =
    &[500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

pub struct Record {
    metrics: Metrics,
    personal: bool,
    pub calls_active: Gauge,
    pub draining: Gauge,
    pub rtp_ports_free: Gauge,
    packets_sent: Counter,
    packets_received: Counter,
    packets_lost: Counter,
    digits_received: Counter,
    setup: Histogram,
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
            packets_sent: metrics.counter(
                "patchbay_rtp_packets_sent_total",
                "RTP packets sent, counted when their call ends.",
                &[],
            ),
            packets_received: metrics.counter(
                "patchbay_rtp_packets_received_total",
                "RTP packets accepted, counted when their call ends.",
                &[],
            ),
            packets_lost: metrics.counter(
                "patchbay_rtp_packets_lost_total",
                "RTP packets that never came, counted when their call ends.",
                &[],
            ),
            digits_received: metrics.counter("patchbay_digits_received_total", "Keys pressed by callers.", &[]),
            setup: metrics.histogram("patchbay_setup_seconds", "From INVITE to 200.", &[], SETUP_BOUNDS_US),
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

    pub fn shows_personal(&self) -> bool {
        self.personal
    }

    fn text(&self, why: &str) -> String {
        if self.personal { why.to_owned() } else { call::mask_numbers(why) }
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
        if let Some(media) = &summary.media {
            self.packets_sent.add(media.packets_sent);
            self.packets_received.add(media.packets_received);
            self.packets_lost.add(media.packets_lost);
            self.digits_received.add(media.digits_received);
        }
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
