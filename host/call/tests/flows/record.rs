use std::time::Duration;

use call::{BotAct, BotStats, Input, LateAnswers};
use sip::Ending;

use crate::scene::*;

#[test]
fn the_record_says_what_the_call_was_and_hides_who_unless_asked() {
    let mut scene = Scene::new(settings());
    let headers = "X-Exotel-CallSid: c-12345\r\nP-Asserted-Identity: <tel:+918888888888>\r\n";
    scene.invite_as(CALL, 0, request(MENU, headers, OFFER)).wait_ms(3).ports(CALL).wait_ms(9).started(false);
    scene.wait_ms(20).acknowledged().wait_ms(7980).bot(BotAct::Note { key: "pin".into(), value: "4711".into() });
    scene.bot(BotAct::Hangup).ended(Ending::OurBye);
    scene.input(Input::LegClosed { call: CALL, stats: Box::new(stats()) });
    let bot = BotStats {
        digest: "sha256:ab".into(),
        generation: 3,
        frames: 400,
        guest_time: Duration::from_micros(400 * 12),
        late_answers: LateAnswers { own: 1, neighbour: 2, host: 0 },
        ..BotStats::default()
    };
    scene.bot(BotAct::Done).input(Input::BotEnded { call: CALL, stats: Box::new(bot) }).nothing_left(1);

    let summary = &scene.summaries[0];
    let line = summary.to_json_line();
    assert!(!line.contains('\n'));
    let full: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (field, value) in [
        ("/call", serde_json::json!("c1")),
        ("/sip_call_id", "7a1c@pstn.example".into()),
        ("/tenant", "acme".into()),
        ("/trunk", "exotel".into()),
        ("/transport", "tcp".into()),
        ("/plugin_digest", "sha256:ab".into()),
        ("/generation", 3.into()),
        ("/from", "\"+918888888888\" <sip:+918888888888@pstn.example>;tag=as2aef".into()),
        ("/asserted/0", "<tel:+918888888888>".into()),
        ("/identity", "asserted".into()),
        ("/extra_headers/0/1", "c-12345".into()),
        ("/started_unix_ms", 1_000_000.into()),
        ("/answered_after_ms", 12.into()),
        ("/established_after_ms", 32.into()),
        ("/ended_after_ms", 8012.into()),
        ("/talked_ms", 8000.into()),
        ("/status", 200.into()),
        ("/ended_by", "bot".into()),
        ("/cause", "bye".into()),
        ("/codec", "PCMA".into()),
        ("/media/packets_sent", 100.into()),
        ("/media/packets_lost", 2.into()),
        ("/media/jitter_ms", 1.23.into()),
        ("/bot/guest_us_per_frame", 12.0.into()),
        ("/bot/late_answers/neighbour", 2.into()),
        ("/notes/0/1", "4711".into()),
    ] {
        assert_eq!(full.pointer(field), Some(&value), "{field}");
    }
    let hidden = summary.redacted().to_json_line();
    for personal in ["8888888888", "1234567890", "4711", "192.0.2.9", "c-12345"] {
        assert!(line.contains(personal), "{personal}");
        // The route's name and the plugin are the operator's own words.
        assert!(!hidden.replace("to +911234567890", "").contains(personal), "{personal} in {hidden}");
    }
    assert!(hidden.contains("\"pin\"") && hidden.contains("\"7a1c\""), "what the log is searched by stays: {hidden}");
}

#[test]
fn numbers_in_free_text_are_masked() {
    for (text, expect) in [
        ("call +91 88888-88888 now", "call +91 hidden now"),
        ("from 192.0.2.9:5060", "from hidden"),
        ("status 404, 20 ms", "status 404, 20 ms"),
        ("", ""),
    ] {
        assert_eq!(call::mask_numbers(text), expect);
    }
}
