//! The testing checklist of the trunk's guide, row by row, and TLS with SRTP.

use crate::placed::{Ask, KEYS_PRESSED, Placed, Transport};

pub struct Row {
    component: &'static str,
    /// In the guide's words.
    verify: &'static str,
    pub holds: bool,
    /// Of each call.
    figures: Vec<String>,
}

/// Every row is about all calls that can show it; a call that was not placed fails its rows.
pub fn rows(calls: &[Placed]) -> Vec<Row> {
    let echoes = Group::of(calls, 3, |call| call.ask == Ask::Echo);
    let menus = Group::of(calls, 2, |call| call.ask == Ask::Menu);
    let all = Group::of(calls, 5, |_| true);
    let secure = Group::of(calls, 2, |call| call.transport == Transport::Tls);
    let row = |component, verify, (holds, figures)| Row { component, verify, holds, figures };
    vec![
        row(
            "INVITE Reception",
            "Bot receives Exotel INVITE",
            all.judge(
                |call| call.report.status == 200,
                |call| format!("200 after {:.1} ms", call.report.setup_ms.unwrap_or_default()),
            ),
        ),
        row(
            "SDP Parsing",
            "Correct codec/media negotiation",
            all.judge(
                |call| {
                    let is_secure = call.transport == Transport::Tls;
                    call.report.codec.as_deref() == Some("PCMA") && call.report.srtp == is_secure
                },
                |call| if call.report.srtp { "PCMA, SRTP" } else { "PCMA, RTP" }.into(),
            ),
        ),
        row(
            "RTP Inbound",
            "Audio from caller reaches bot",
            echoes.judge(
                |call| call.counted("/media/packets_lost") == 0 && call.counted("/bot/frames") > 0 && call.was_heard(),
                |call| {
                    let (received, frames) = (call.counted("/media/packets_received"), call.counted("/bot/frames"));
                    format!("{received} of {} packets, {frames} frames to the bot", call.report.packets_sent)
                },
            ),
        ),
        row(
            "RTP Outbound",
            "Bot sends TTS response",
            echoes.judge(|call| call.report.packets_lost == 0 && call.was_heard(), voice),
        ),
        row(
            "DTMF Processing",
            "Keypress inputs via RFC2833 parsed correctly",
            menus.judge(
                |call| call.counted("/media/digits_received") == KEYS_PRESSED && call.was_heard(),
                |call| {
                    let (keys, heard) = (call.counted("/media/digits_received"), call.heard.iter());
                    let prompts = heard.filter(|(_, likeness)| likeness.is_the_same()).count();
                    format!("{keys} of {KEYS_PRESSED} keys, {prompts} of {} prompts heard", call.heard.len())
                },
            ),
        ),
        row(
            "BYE Handling",
            "Call cleanly terminated by the caller",
            echoes.judge(|call| ended(call, "caller"), ending),
        ),
        row("BYE Handling", "Call cleanly terminated by the bot", menus.judge(|call| ended(call, "bot"), ending)),
        row(
            "TLS + SRTP",
            "Certificate verified, media encrypted both ways",
            secure.judge(
                |call| call.report.srtp && call.summary["srtp"] == true && call.was_heard(),
                |call| format!("{} packets received, {} lost", call.report.packets_received, call.report.packets_lost),
            ),
        ),
    ]
}

fn voice(call: &Placed) -> String {
    let likeness = &call.heard[0].1;
    format!("{:.0} % of the voice back, after {} ms", likeness.found * 100.0, likeness.delay_ms)
}

/// Both sides agree on who ended it, and that it was a BYE.
fn ended(call: &Placed, by: &str) -> bool {
    let seen_by_caller = if by == "caller" { "caller" } else { "callee" };
    call.report.ended_by == seen_by_caller && call.summary["ended_by"] == by && call.summary["cause"] == "bye"
}

fn ending(call: &Placed) -> String {
    format!("BYE after {:.1} s", call.report.seconds)
}

/// Calls that a row is about.
struct Group<'a> {
    calls: Vec<&'a Placed>,
    wanted: usize,
}

impl<'a> Group<'a> {
    fn of(calls: &'a [Placed], wanted: usize, is_in: impl Fn(&Placed) -> bool) -> Group<'a> {
        Group { calls: calls.iter().filter(|call| is_in(call)).collect(), wanted }
    }

    /// Whether all are there and hold, and a figure of each.
    fn judge(&self, holds: impl Fn(&Placed) -> bool, figure: impl Fn(&Placed) -> String) -> (bool, Vec<String>) {
        let all_hold = self.calls.len() == self.wanted && self.calls.iter().all(|call| holds(call));
        let figures = self.calls.iter().map(|call| format!("{}  {}", call.transport.scheme(), figure(call)));
        (all_hold, figures.collect())
    }
}

/// A line for each row, and below it the figure of each call.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let verdict = if row.holds { "ok" } else { "FAILED" };
        text.push_str(&format!("{verdict:<6} {:<17} {}\n", row.component, row.verify));
        row.figures.iter().for_each(|figure| text.push_str(&format!("{:<27}{figure}\n", "")));
    }
    text
}
