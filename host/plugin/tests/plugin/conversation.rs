//! What a bot can do beyond telephony: each import within its bounds, and each outcome at its handler.

use crate::bots::{ECHO, RESULT, Source};
use crate::phone::{answered, load};
use plugin::{
    ChatEvent, ChatToolCall, ControlEvent, Event, FrameKind, Header, HostError, HttpEvent, Outcome, SpeechEvent,
    StoreEvent, VoiceEvent, WebSocketEvent,
};

const PAIRS: [&str; 7] = ["http", "websocket", "store", "voice", "speech", "chat", "control"];

/// The handlers, each of which logs its pair, the case and the id (or the sample).
fn handlers() -> String {
    let params = [
        ("http", "(param $id i64) (param $case i32) (param i32 i32 i32 i32 i32 i32)"),
        ("websocket", "(param $id i64) (param $case i32) (param i32 i32 i32 i32)"),
        ("store", "(param $id i64) (param $case i32) (param i32 i32 i32 i32)"),
        ("voice", "(param $case i32) (param $id i64) (param i32 i32)"),
        ("speech", "(param $id i64) (param $case i32) (param i64 i32 i32 i64 i64 i32)"),
        ("chat", "(param $id i64) (param $case i32) (param i32 i32 i32 i32 i32 i32)"),
        ("control", "(param $id i64) (param $case i32) (param i32 i32 i32)"),
    ];
    let handler = |(pair, params): &(&str, &str)| {
        let index = PAIRS.iter().position(|other| other == pair).unwrap();
        format!(
            r#"(func (export "patchbay:bot/{pair}-handler@0.1.0#on-{pair}") {params}
                (call $log (i32.const 1) (i32.add (i32.const 2048) (local.get $case)) (i32.const 1)
                    (i32.wrap_i64 (local.get $id)) (i32.const {}) (i32.const 1)))"#,
            2058 + index
        )
    };
    let handlers: String = params.iter().map(handler).collect();
    format!(r#"(data (i32.const 2048) "0123456789hwsvpck") {handlers}"#)
}

const LOG: &str = r#"(import "patchbay:bot/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#;

fn outcomes() -> Vec<(Outcome, &'static str)> {
    let text = || "text".to_owned();
    let failed = || HostError { code: "tls", message: text() };
    let header = Header { name: text(), value: text() };
    let call = ChatToolCall { id: text(), name: text(), arguments: text() };
    let transcript =
        SpeechEvent::Transcript { text: text(), is_final: true, from_sample: 1, to_sample: 2, engine_ms: 3 };
    vec![
        (Outcome::Http(HttpEvent::Head { status: 200, headers: vec![header] }), "0:7 h"),
        (Outcome::Http(HttpEvent::Body(vec![1])), "1:7 h"),
        (Outcome::Http(HttpEvent::Message { event: text(), data: text(), id: text() }), "2:7 h"),
        (Outcome::Http(HttpEvent::Done), "3:7 h"),
        (Outcome::Http(HttpEvent::Failed(failed())), "4:7 h"),
        (Outcome::WebSocket(WebSocketEvent::Opened(text())), "0:7 w"),
        (Outcome::WebSocket(WebSocketEvent::Text(text())), "1:7 w"),
        (Outcome::WebSocket(WebSocketEvent::Binary(vec![1])), "2:7 w"),
        (Outcome::WebSocket(WebSocketEvent::Closed { code: 1000, reason: text() }), "3:7 w"),
        (Outcome::WebSocket(WebSocketEvent::Failed(failed())), "4:7 w"),
        (Outcome::Store(StoreEvent::Value(Some(vec![1]))), "0:7 s"),
        (Outcome::Store(StoreEvent::Stored), "1:7 s"),
        (Outcome::Store(StoreEvent::Swapped(true)), "2:7 s"),
        (Outcome::Store(StoreEvent::Keys(vec![text()])), "3:7 s"),
        (Outcome::Store(StoreEvent::Failed(failed())), "4:7 s"),
        (Outcome::Speech(SpeechEvent::UtteranceStarted { sample: 5 }), "0:7 p"),
        (Outcome::Speech(SpeechEvent::UtteranceStopped { sample: 5 }), "1:7 p"),
        (Outcome::Speech(transcript), "2:7 p"),
        (Outcome::Speech(SpeechEvent::Speaking { after_ms: 5 }), "3:7 p"),
        (Outcome::Speech(SpeechEvent::UtterancePlayed { to_the_end: true }), "4:7 p"),
        (Outcome::Speech(SpeechEvent::Failed(failed())), "5:7 p"),
        (Outcome::Chat(ChatEvent::Text(text())), "0:7 c"),
        (Outcome::Chat(ChatEvent::ToolCall(call)), "1:7 c"),
        (Outcome::Chat(ChatEvent::Done(text())), "2:7 c"),
        (Outcome::Chat(ChatEvent::Failed(failed())), "3:7 c"),
        (Outcome::Control(ControlEvent::Progress { status: 180, reason: text() }), "0:7 k"),
        (Outcome::Control(ControlEvent::Done), "1:7 k"),
        (Outcome::Control(ControlEvent::Failed { status: 408, reason: text() }), "2:7 k"),
    ]
}

fn voices() -> [(VoiceEvent, &'static str); 5] {
    let barged_in = VoiceEvent::BargedIn { played_ms: 11, dropped_marks: vec!["m".to_owned()] };
    [
        (VoiceEvent::SpeechStarted { sample: 9 }, "0:9 v"),
        (VoiceEvent::SpeechStopped { sample: 10 }, "1:10 v"),
        (VoiceEvent::Paused, "2:0 v"),
        (VoiceEvent::Resumed, "3:0 v"),
        (barged_in, "4:11 v"),
    ]
}

#[test]
fn every_outcome_arrives_at_its_handler_as_what_it_is() {
    let items = handlers();
    let source = Source { imports: LOG, items: &items, handlers: &PAIRS, ..ECHO };
    let (mut bot, journal) = answered(&load(&source.component()));
    for (outcome, expected) in outcomes() {
        assert_eq!(bot.on_event(Event::Outcome { id: 7, outcome: Box::new(outcome) }), Ok(()));
        assert_eq!(journal.take(), [format!("log Info {expected}")]);
    }
    for (event, expected) in voices() {
        assert_eq!(bot.on_event(Event::Voice(event)), Ok(()));
        assert_eq!(journal.take(), [format!("log Info {expected}")]);
    }
}

#[test]
fn a_bot_with_handlers_passes_its_dry_run() {
    let items = handlers();
    let source = Source { imports: LOG, items: &items, handlers: &PAIRS, ..ECHO };
    assert_eq!(load(&source.component()).try_out(), Ok(()));
}

#[test]
fn a_bot_without_handlers_is_not_entered_for_outcomes() {
    let (mut bot, _) = answered(&load(&Source { on_event: "unreachable", ..ECHO }.component()));
    for (outcome, _) in outcomes() {
        assert_eq!(bot.on_event(Event::Outcome { id: 7, outcome: Box::new(outcome) }), Ok(()));
    }
    for (event, _) in voices() {
        assert_eq!(bot.on_event(Event::Voice(event)), Ok(()));
    }
}

/// Where the arguments of imports lie.
const ARGUMENTS: u32 = 2 << 16;
/// Where nothing but zeroes lies, which is text too.
const ZEROES: u32 = 3 << 16;

/// One argument as it is written in WIT, more or less.
#[derive(Clone, Copy)]
enum Arg<'a> {
    Text(&'a str),
    /// So many bytes of zeroes.
    Long(u32),
    Number(i64),
    Wide(i64),
    Headers(&'a [(&'a str, &'a str)]),
    /// So many headers `X-A: b`.
    ManyHeaders(usize),
    /// A list of records of so many zero bytes.
    Records(u32),
}

/// Lays arguments out in memory and says them as WebAssembly text.
#[derive(Default)]
struct Layout {
    data: Vec<u8>,
    values: String,
    types: String,
}

impl Layout {
    fn push(&mut self, ty: &str, value: i64) {
        self.types += &format!(" {ty}");
        self.values += &format!(" ({ty}.const {value})");
    }

    fn store(&mut self, bytes: &[u8]) -> u32 {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let at = ARGUMENTS + self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        at
    }

    fn list(&mut self, at: u32, count: usize) {
        self.push("i32", at.into());
        self.push("i32", count as i64);
    }

    fn headers(&mut self, headers: &[(&str, &str)]) {
        let mut records = Vec::new();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            records.extend(self.store(text.as_bytes()).to_le_bytes());
            records.extend((text.len() as u32).to_le_bytes());
        }
        let at = self.store(&records);
        self.list(at, headers.len());
    }

    fn arg(&mut self, arg: Arg<'_>) {
        match arg {
            Arg::Text(text) => {
                let at = self.store(text.as_bytes());
                self.list(at, text.len());
            }
            Arg::Long(bytes) => self.list(ZEROES, bytes as usize),
            Arg::Number(value) => self.push("i32", value),
            Arg::Wide(value) => self.push("i64", value),
            Arg::Headers(headers) => self.headers(headers),
            Arg::ManyHeaders(count) => self.headers(&vec![("X-A", "b"); count]),
            Arg::Records(count) => self.list(ZEROES, count as usize),
        }
    }
}

/// What the port saw of one call of an import, or the code that it answered with instead. `id`: whether it returns one.
fn asked(function: &str, args: &[Arg<'_>], id: bool, handled: bool) -> Result<String, String> {
    let mut layout = Layout::default();
    args.iter().for_each(|arg| layout.arg(*arg));
    layout.push("i32", RESULT.into());
    let Layout { data, values, types } = layout;
    let data: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let (interface, name) = function.split_once('.').unwrap();
    let imports = format!(r#"{LOG} (import "patchbay:bot/{interface}@0.1.0" "{name}" (func $asked (param{types})))"#);
    let mut items = format!(r#"(data (i32.const {ARGUMENTS}) "{data}")"#);
    if handled {
        items += &handlers();
    }
    // The code is kept where nothing overwrites it: its length, then its text.
    let at = RESULT + if id { 8 } else { 4 };
    let on_event = format!(
        "(call $asked {values})
         (if (i32.load8_u (i32.const {RESULT})) (then
            (i32.store (i32.const 2080) (i32.load offset=4 (i32.const {at})))
            (memory.copy (i32.const 2084) (i32.load (i32.const {at})) (i32.load offset=4 (i32.const {at})))))"
    );
    let on_frame = "(memory.copy (local.get $samples) (i32.const 2080) (i32.const 36))";
    let pairs = if handled { &PAIRS[..] } else { &[] };
    let source =
        Source { imports: &imports, items: &items, on_event: &on_event, on_frame, pages: 40, handlers: pairs, ..ECHO };
    let (mut bot, journal) = answered(&load(&source.component()));
    bot.on_event(Event::Hold).unwrap_or_else(|fault| panic!("{function}: {fault}"));
    let seen = journal.take();
    let mut answer = [0; 160];
    bot.on_frame(0, &[0; 160], FrameKind::Audio, &mut answer).unwrap();
    let bytes: Vec<u8> = answer.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let code = String::from_utf8_lossy(&bytes[4..4 + usize::from(bytes[0])]).into_owned();
    if code.is_empty() { Ok(seen.join(",")) } else { Err(format!("{code}{}", seen.join(","))) }
}

use Arg::{Headers, Long, ManyHeaders, Number, Records, Text, Wide};

const NONE: Arg<'static> = Headers(&[]);
const URL: Arg<'static> = Text("https://a/");
const WSS: Arg<'static> = Text("wss://a/");
const EMPTY: Arg<'static> = Text("");
const SIP: Arg<'static> = Text("sip:a@b");

/// `http.send` but for the arguments that a case is about.
fn send<'a>(method: &'a str, url: Arg<'a>, headers: Arg<'a>) -> Result<String, String> {
    asked("http.send", &[Text(method), url, headers, EMPTY, Number(0), Number(0)], true, true)
}

fn refused(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

fn begun(pair: &str, bytes: usize) -> Result<String, String> {
    Ok(format!("begin {pair} {bytes} bytes"))
}

#[test]
fn a_request_has_a_known_method_a_url_and_headers_of_its_own() {
    assert_eq!(send("GET", URL, NONE), begun("http", 10));
    assert_eq!(send("DELETE", Text("HTTP://a"), Headers(&[("accept", "a\tb")])), begun("http", 17));
    for method in ["get", "CONNECT", "", "GET "] {
        assert_eq!(send(method, URL, NONE), refused("bad-request"), "{method}");
    }
    for url in ["", "ftp://a", "https:/a", "//a", "https://a b", "https://a\r\nb"] {
        assert_eq!(send("GET", Text(url), NONE), refused("bad-request"), "{url:?}");
    }
    assert_eq!(send("GET", Long(8193), NONE), refused("too-long"));
    let long = "x".repeat(8193);
    let bad = [
        ("", "v"),
        ("a b", "v"),
        ("a:", "v"),
        ("a\r\nb", "v"),
        ("a", "v\r\nb: c"),
        ("a", "v\0"),
        ("Host", "a"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Upgrade", "x"),
        ("Sec-WebSocket-Key", "x"),
    ];
    for header in bad {
        assert_eq!(send("GET", URL, Headers(&[header])), refused("bad-request"), "{header:?}");
    }
    for header in [(&long[..129], "v"), ("a", &long[..])] {
        assert_eq!(send("GET", URL, Headers(&[header])), refused("too-long"));
    }
    assert_eq!(send("GET", URL, ManyHeaders(64)), begun("http", 10 + 64 * 4));
    assert_eq!(send("GET", URL, ManyHeaders(65)), refused("too-long"));
}

#[test]
fn a_websocket_has_a_url_headers_and_subprotocols() {
    let open = |url, headers, subprotocols| asked("websocket.open", &[url, headers, subprotocols], true, true);
    // A list of texts lies in memory as half as many headers do.
    assert_eq!(open(WSS, NONE, Records(0)), begun("websocket", 8));
    assert_eq!(open(URL, NONE, Records(0)), refused("bad-request"));
    assert_eq!(open(WSS, Headers(&[("Host", "a")]), Records(0)), refused("bad-request"));
    assert_eq!(open(WSS, NONE, Records(1)), refused("bad-request"), "an empty one");
    assert_eq!(open(WSS, NONE, Records(17)), refused("bad-request"));
}

#[test]
fn what_is_sent_over_a_websocket_reaches_the_port() {
    let sent = |name, arg| asked(name, &[Wide(5), arg], false, true);
    assert_eq!(sent("websocket.send-text", Text("hi")), Ok(r#"proceed 5 Text("hi")"#.to_owned()));
    assert_eq!(sent("websocket.send-binary", Text("a")), Ok("proceed 5 Binary([97])".to_owned()));
}

#[test]
fn keys_have_1_to_256_bytes_and_values_64_kib() {
    let get = |key| asked("store.get", &[key], true, true);
    assert_eq!(
        (get(Long(256)), get(Long(257)), get(EMPTY)),
        (begun("store", 256), refused("too-long"), refused("bad-key"))
    );
    let put = |key, value| asked("store.put", &[key, value, Wide(0)], true, true);
    assert_eq!(put(Long(1), Long(65_536)), begun("store", 65_537));
    assert_eq!((put(Long(1), Long(65_537)), put(Long(257), EMPTY)), (refused("too-long"), refused("too-long")));
    assert_eq!(put(EMPTY, EMPTY), refused("bad-key"));
    let swap = |key, expected, value| asked("store.swap", &[key, Number(1), expected, value], true, true);
    assert_eq!(swap(Long(1), Long(65_536), Long(65_536)), begun("store", 131_073));
    for (expected, value) in [(65_537, 0), (0, 65_537)] {
        assert_eq!(swap(Long(1), Long(expected), Long(value)), refused("too-long"));
    }
    assert_eq!((swap(EMPTY, EMPTY, EMPTY), swap(Long(257), EMPTY, EMPTY)), (refused("bad-key"), refused("too-long")));
    let delete = |key| asked("store.delete", &[key], true, true);
    assert_eq!(
        (delete(Long(257)), delete(EMPTY), delete(Long(1))),
        (refused("too-long"), refused("bad-key"), begun("store", 1))
    );
    let list = |prefix, after| asked("store.list", &[prefix, after], true, true);
    assert_eq!(list(EMPTY, EMPTY), begun("store", 0));
    assert_eq!((list(Long(257), EMPTY), list(EMPTY, Long(257))), (refused("too-long"), refused("too-long")));
}

#[test]
fn voice_is_watched_by_rules_within_their_ranges() {
    let watch = |rules: [i64; 5]| asked("voice.watch", &rules.map(Number), false, true);
    let expected =
        "watch Some(VoiceRules { strictness: 3, start_ms: 20, hang_over_ms: 5000, barge_in: ClearAfter { ms: 0 } })";
    assert_eq!(watch([3, 20, 5000, 1, 0]), Ok(expected.to_owned()));
    assert!(watch([0, 1000, 100, 2, 10_000]).is_ok());
    assert!(watch([0, 1000, 100, 0, 0]).is_ok());
    let beyond = [
        [4, 60, 500, 0, 0],
        [1, 19, 500, 0, 0],
        [1, 1001, 500, 0, 0],
        [1, 60, 99, 0, 0],
        [1, 60, 5001, 0, 0],
        [1, 60, 500, 1, 10_001],
        [1, 60, 500, 2, 10_001],
    ];
    for rules in beyond {
        assert_eq!(watch(rules), refused("out-of-range"), "{rules:?}");
    }
}

#[test]
fn what_is_said_and_listened_to_is_bounded() {
    let say = |text, voice, language| asked("speech.say", &[text, voice, language], true, true);
    assert_eq!(say(Long(4096), Long(128), Long(128)), begun("speech", 4352));
    for (text, voice, language) in [(4097, 0, 0), (0, 129, 0), (0, 0, 129)] {
        assert_eq!(say(Long(text), Long(voice), Long(language)), refused("too-long"));
    }
    let listen = |language: u32, hint: u32, end: i64, max: i64| {
        asked("speech.listen", &[Long(language), Long(hint), Number(end), Number(max)], true, true)
    };
    assert_eq!(listen(128, 1024, 0, 0), begun("speech", 1152));
    assert_eq!(listen(0, 0, 5000, 60_000), begun("speech", 0));
    assert_eq!((listen(129, 0, 0, 0), listen(0, 1025, 0, 0)), (refused("too-long"), refused("too-long")));
    for (end, max) in [(99, 0), (5001, 0), (0, 999), (0, 60_001)] {
        assert_eq!(listen(0, 0, end, max), refused("out-of-range"), "{end} {max}");
    }
}

#[test]
fn a_question_has_messages_that_fit_together_and_256_kib() {
    let ask = |model, messages, tools| {
        asked("chat.ask", &[model, messages, tools, Number(0), Number(0), Number(0)], true, true)
    };
    // A record of zeroes is an empty message of the system's, or a tool without a name.
    assert!(ask(EMPTY, Records(1), Records(0)).is_ok());
    assert!(ask(EMPTY, Records(512), Records(0)).is_ok());
    assert_eq!(ask(EMPTY, Records(513), Records(0)), refused("too-long"));
    assert_eq!(ask(EMPTY, Records(1), Records(65)), refused("too-long"));
    assert_eq!(ask(Long(257 << 10), Records(1), Records(0)), refused("too-long"));
    assert_eq!(ask(EMPTY, Records(0), Records(0)), refused("bad-request"));
    assert_eq!(ask(EMPTY, Records(1), Records(1)), refused("bad-request"));
}

#[test]
fn headers_of_our_own_are_x_headers_of_one_line() {
    for name in ["answer-headers", "bye-headers"] {
        let function = format!("control.{name}");
        fn given(function: &str, headers: Arg<'_>) -> Result<String, String> {
            asked(function, &[headers], false, true)
        }
        assert_eq!(given(&function, ManyHeaders(16)), Ok(format!("{name} 16")));
        assert_eq!(given(&function, ManyHeaders(17)), refused("too-many"));
        for bad in [("Via", "v"), ("X-A B", "v"), ("X-A", "v\r\nVia: w"), ("", "v"), ("X", "v")] {
            assert_eq!(given(&function, Headers(&[bad])), refused("bad-header"), "{bad:?}");
        }
        let long = format!("X-{}", "a".repeat(511));
        assert_eq!(given(&function, Headers(&[(&long[..64], &long[..512])])), Ok(format!("{name} 1")));
        assert_eq!(given(&function, Headers(&[(&long[..65], "v")])), refused("too-long"));
        assert_eq!(given(&function, Headers(&[("x-a", &long[..513])])), refused("too-long"));
    }
}

#[test]
fn a_hangup_gives_a_status_that_refuses_and_a_short_reason() {
    let hangup = |status, reason| asked("control.hangup-with", &[Number(status), reason, Number(1)], false, true);
    assert_eq!(hangup(400, Text("a\r\nb")), Ok("hangup 400 ab true".to_owned()));
    assert_eq!(hangup(699, Long(128)), Ok("hangup 699  true".to_owned()));
    assert_eq!((hangup(399, EMPTY), hangup(700, EMPTY)), (refused("out-of-range"), refused("out-of-range")));
    assert_eq!(hangup(486, Long(129)), refused("too-long"));
}

#[test]
fn a_transfer_goes_to_a_sip_or_tel_uri() {
    let transfer = |target, headers| asked("control.transfer", &[target, headers], true, true);
    assert_eq!(transfer(SIP, NONE), begun("control", 7));
    assert_eq!(transfer(Text("TEL:+49"), Headers(&[("X-A", "b")])), begun("control", 11));
    for target in ["", "sip:", "http://a", "sip:a b", "sip:a>", "sip:a\r\nVia: b", "sip:\"a", "sip:ä"] {
        assert_eq!(transfer(Text(target), NONE), refused("bad-uri"), "{target:?}");
    }
    for target in [
        "sip:a@b?Replaces=x",
        "sip:a@b;transport=tcp?X-A=1",
        "sip:a@b;method=BYE",
        "sip:a@b;lr;METHOD=BYE",
        "sip:a@b;method",
    ] {
        assert_eq!(transfer(Text(target), NONE), refused("bad-uri"), "{target:?}");
    }
    assert_eq!(transfer(Text("sip:a@b;methodical=1"), NONE), begun("control", 20));
    assert_eq!(transfer(Long(513), NONE), refused("too-long"));
    assert_eq!(transfer(SIP, Headers(&[("Via", "v")])), refused("bad-header"));
    for name in ["control.hold", "control.resume"] {
        assert_eq!(asked(name, &[], true, true), begun("control", 0));
    }
}

#[test]
fn without_its_handler_an_import_answers_not_there_and_the_port_sees_nothing() {
    let http = [Text("GET"), URL, NONE, EMPTY, Number(0), Number(0)];
    let cases: [(&str, &[Arg<'_>], bool); 14] = [
        ("http.send", &http, true),
        ("websocket.open", &[WSS, NONE, Records(0)], true),
        ("websocket.send-text", &[Wide(1), EMPTY], false),
        ("store.get", &[Long(1)], true),
        ("store.put", &[Long(1), EMPTY, Wide(0)], true),
        ("store.swap", &[Long(1), Number(0), EMPTY, EMPTY], true),
        ("store.delete", &[Long(1)], true),
        ("store.list", &[EMPTY, EMPTY], true),
        ("voice.watch", &[Number(1), Number(60), Number(500), Number(0), Number(0)], false),
        ("speech.say", &[EMPTY, EMPTY, EMPTY], true),
        ("speech.listen", &[EMPTY, EMPTY, Number(0), Number(0)], true),
        ("chat.ask", &[EMPTY, Records(1), Records(0), Number(0), Number(0), Number(0)], true),
        ("control.transfer", &[SIP, NONE], true),
        ("control.hold", &[], true),
    ];
    for (function, args, id) in cases {
        assert_eq!(asked(function, args, id, false), refused("not-there"), "{function}");
    }
    assert_eq!(
        asked("control.bye-headers", &[NONE], false, false),
        Ok("bye-headers 0".to_owned()),
        "nothing comes of it"
    );
}
