//! The reader on torture messages for each section of RFC 4475 and RFC 5118.

mod torture;

use std::net::SocketAddr;

use sip::message::{Contact, HeaderName};
use sip::{Message, Request, Uri};

/// What the typed access says to one of the table's keys.
fn say(message: &Message, key: &str) -> Option<Vec<u8>> {
    let text = |text: Option<String>| Some(text.unwrap_or_default().into_bytes());
    let headers = match message {
        Message::Request(request) => request.headers(),
        Message::Response(response) => response.headers(),
    };
    match (message, key) {
        (_, "vias") => text(Some(headers.values(HeaderName::Via).count().to_string())),
        (Message::Response(response), "status") => text(Some(response.status().to_string())),
        (Message::Response(response), "phrase") => text(Some(response.phrase().into_owned())),
        (Message::Response(response), "cseq") => {
            text(Some(format!("{} {}", response.cseq().number, response.cseq().method)))
        }
        (Message::Response(response), "via.host") => text(Some(response.via().host().into())),
        (Message::Request(request), key) => say_request(request, key),
        (Message::Response(_), _) => None,
    }
}

fn say_request(request: &Request, key: &str) -> Option<Vec<u8>> {
    if let Some(name) = key.strip_prefix("header ") {
        return request.headers().get(name).map(<[u8]>::to_vec);
    }
    let text = match key {
        "method" => request.method().to_string(),
        "uri" => request.uri().to_string(),
        "from.display" => request.from().display()?.into_owned(),
        "from.tag" => request.from_tag()?.into(),
        "from.uri" => request.from().uri().to_string(),
        "to.display" => request.to().display()?.into_owned(),
        "to.tag" => request.to_tag()?.into(),
        "to.uri" => request.to().uri().to_string(),
        "cseq" => format!("{} {}", request.cseq().number, request.cseq().method),
        "call-id" => request.call_id().into(),
        "max-forwards" => request.max_forwards()?.to_string(),
        "via.transport" => request.via().transport().into(),
        "via.host" => request.via().host().into(),
        "via.branch" => request.via().branch()?.into(),
        "via.received" => request.via().received()?.to_string(),
        "contact.uri" => match request.contact()? {
            Contact::All => "*".into(),
            Contact::Address(contact) => contact.uri().to_string(),
        },
        "routes" => request.routes().count().to_string(),
        "record-routes" => request.record_routes().count().to_string(),
        "require" => request.tokens(HeaderName::Require).collect::<Vec<_>>().join(" "),
        "content-type" => request.content_type()?,
        "body" => return Some(request.body().to_vec()),
        key => say_uri(request.uri(), key.strip_prefix("uri.")?)?,
    };
    Some(text.into_bytes())
}

fn say_uri(uri: &Uri, key: &str) -> Option<String> {
    Some(match key {
        "user" => uri.user_unescaped()?.into_owned(),
        "password" => uri.password()?.into(),
        "host" => uri.host()?.into(),
        "ip" => uri.host_ip()?.to_string(),
        "port" => uri.port().map(|port| port.to_string()).unwrap_or_default(),
        "params" => uri.params().into(),
        _ => return None,
    })
}

#[test]
fn every_torture_message_is_read_or_refused_as_its_rfc_says() {
    let cases = torture::cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for case in &cases {
        let read = Message::parse(&case.bytes);
        let became = match &read {
            Ok(Message::Request(_)) => "request".to_owned(),
            Ok(Message::Response(_)) => "response".to_owned(),
            Err(error) => error.refusal.as_ref().map_or("drop".into(), |refusal| refusal.status().to_string()),
        };
        assert_eq!(became, case.reader, "{}: {read:?}", case.title);
        let Ok(message) = read else {
            // What the reader refuses, the UAS answers so.
            let answered = if case.reader == "drop" { "none" } else { &case.reader };
            assert_eq!(case.uas, answered, "{}", case.title);
            continue;
        };
        for (key, expected) in &case.says {
            let said = say(&message, key).map(|said| said.escape_ascii().to_string());
            assert_eq!(said, Some(expected.escape_ascii().to_string()), "{}: {key}", case.title);
        }
    }
}

#[test]
fn every_section_of_both_rfcs_has_a_message() {
    let cases = torture::cases();
    let sections = [("3.1.1", 13), ("3.1.2", 19), ("3.2", 1), ("3.3", 15), ("3.4", 1), ("4", 10)];
    for (chapter, count) in sections {
        for number in 1..=count {
            let start = format!("{chapter}.{number} ");
            assert!(cases.iter().any(|case| case.title.starts_with(&start)), "no case for {start}");
        }
    }
}

#[test]
fn every_refused_torture_message_gets_an_answer_with_what_could_be_read() {
    let source: SocketAddr = "192.0.2.77:5099".parse().unwrap();
    for case in torture::cases() {
        let Err(error) = Message::parse(&case.bytes) else { continue };
        let Some(refusal) = error.refusal else { continue };
        let answer = refusal.to_bytes(source, "ours");
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with(&format!("SIP/2.0 {} ", refusal.status())), "{}", case.title);
        assert!(text.ends_with("Content-Length: 0\r\n\r\n"), "{}", case.title);
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let sent = refusal.headers.contains(name);
            assert_eq!(text.contains(&format!("\r\n{name}: ")), sent, "{}: {name}", case.title);
        }
        // Where a readable request was refused for what it asked, the answer is a response that any client reads.
        if case.reader == "416" {
            let read = Message::parse(&answer);
            assert!(
                matches!(&read, Ok(Message::Response(response))
                    if response.to_tag() == Some("ours") && response.via().received() == Some(source.ip())),
                "{}: {read:?}",
                case.title
            );
        }
    }
}
