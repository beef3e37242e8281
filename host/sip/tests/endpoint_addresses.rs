//! Where what a UAS sends goes, and where it says that it can be reached: Via, Contact, route sets.

mod pair;

use std::time::Duration;

use pair::*;
use sip::*;

fn tcp() -> Flow {
    flow(Transport::Tcp, 1, CALLER)
}

#[test]
fn a_response_goes_to_where_the_datagram_came_from_even_without_rport() {
    let mut host = Host::on(Transport::Udp);
    let source = flow(Transport::Udp, 0, "203.0.113.50:31234");
    let text = request("OPTIONS", "nat", "", 1, "", "").replace("SIP/2.0/TCP", "SIP/2.0/UDP");
    host.hear(source, &text);
    let (to, reply) = host.reply();
    assert_eq!(to, source);
    assert!(header(&reply, "Via").contains(";received=203.0.113.50"), "{reply}");
    host.hear(
        source,
        &text.replace("branch=", "rport;branch=").replace("-nat-", "-nat2-").replace("Call-ID: nat", "Call-ID: nat2"),
    );
    assert!(header(&host.reply().1, "Via").contains(";rport=31234"));
}

#[test]
fn contact_is_the_address_that_this_peer_can_reach() {
    let mut config = config(Transport::Tcp, HOST);
    let listener = &mut config.listeners[0];
    (listener.local_host, listener.local_port) = (Some("10.0.0.5".into()), 5071);
    listener.localnet = vec![Network { address: "10.0.0.0".parse().unwrap(), prefix: 8 }];
    config.listeners.push(ListenerConfig {
        transport: Transport::Tls,
        advertised_host: "2001:db8::5".into(),
        advertised_port: 443,
        ..config.listeners[0].clone()
    });
    for (remote, listener, transport, contact) in [
        ("192.0.2.1:5060", 0, Transport::Tcp, "<sip:+911234@198.51.100.1:5070;transport=tcp>"),
        ("10.1.2.3:5060", 0, Transport::Tcp, "<sip:+911234@10.0.0.5:5071;transport=tcp>"),
        ("192.0.2.1:5060", 1, Transport::Tls, "<sip:+911234@[2001:db8::5]:443;transport=tls>"),
    ] {
        let mut host = Host::new(config.clone());
        let way = Flow { listener: ListenerId(listener), ..flow(transport, 1, remote) };
        host.hear(way, &invite("contact", 1, ""));
        let Event::Invite { dialog, .. } = host.event() else { panic!() };
        host.command(Command::Answer {
            dialog,
            sdp: ANSWER.into(),
            headers: vec![("Contact".into(), "<sip:evil>".into())],
        });
        assert_eq!(headers(&host.replies.back().unwrap().1, "Contact"), [contact]);
    }
}

#[test]
fn behind_one_name_each_host_is_called_back_at_its_own_address() {
    let hosts = ["198.51.100.1", "198.51.100.2"].map(|own| {
        let mut config = config(Transport::Tcp, HOST);
        config.listeners[0].advertised_host = own.into();
        (own, Host::new(config))
    });
    for (own, mut host) in hosts {
        let text = invite("shared", 1, "").replace("sip:+911234@198.51.100.1:5070", "sip:+911234@bots.example");
        host.hear(tcp(), &text);
        let Event::Invite { dialog, .. } = host.event() else { panic!() };
        host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
        let ok = &host.replies.back().unwrap().1;
        assert_eq!(header(ok, "Contact"), format!("<sip:+911234@{own}:5070;transport=tcp>"));
    }
}

#[test]
fn a_sips_call_gets_a_sips_contact() {
    let mut host = Host::on(Transport::Tls);
    let way = flow(Transport::Tls, 1, CALLER);
    host.hear(way, &invite("sips", 1, "").replacen("INVITE sip:", "INVITE sips:", 1));
    let Event::Invite { dialog, .. } = host.event() else { panic!() };
    host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
    assert_eq!(header(&host.replies.back().unwrap().1, "Contact"), "<sips:+911234@198.51.100.1:5070;transport=tls>");
}

#[test]
fn without_its_connection_the_route_set_is_asked_with_the_transport_of_the_call() {
    let mut host = Host::on(Transport::Tcp);
    let way = flow(Transport::Tcp, 1, "203.0.113.9:443");
    let (dialog, _) = host.call(way, &trunk_invite("TCP", "sip:203.0.113.9:443;transport=tls;lr", "tls"));
    host.input(Input::Closed { connection: ConnectionId(1) });
    host.command(Command::Bye { dialog, reason: None });
    let (_, target) = host.connects.pop().unwrap();
    assert_eq!((target.host.as_str(), target.port, target.transport), ("203.0.113.9", Some(443), Transport::Tcp));
}

#[test]
fn several_record_routes_are_copied_and_followed_in_order() {
    let mut host = Host::on(Transport::Tcp);
    let routes =
        "Record-Route: <sip:p2.example;lr>, \"a, b\" <sip:p1.example;lr;x=1>\r\nRecord-Route: sip:p0.example;lr\r\n";
    let text = invite("routes", 1, routes);
    host.hear(tcp(), &text);
    let Event::Invite { dialog, .. } = host.event() else { panic!() };
    host.replies.clear();
    host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
    let (_, ok) = host.reply();
    assert_eq!(
        headers(&ok, "Record-Route"),
        ["<sip:p2.example;lr>, \"a, b\" <sip:p1.example;lr;x=1>", "sip:p0.example;lr"]
    );
    let tag = header(&ok, "To").split("tag=").nth(1).unwrap().to_owned();
    host.hear(tcp(), &in_dialog(&text, "ACK", &tag, 1, ""));
    host.command(Command::Bye { dialog, reason: None });
    let (_, bye) = host.reply();
    assert_eq!(headers(&bye, "Route"), ["<sip:p2.example;lr>", "<sip:p1.example;lr;x=1>", "<sip:p0.example;lr>"]);
}

#[test]
fn an_answer_without_a_connection_asks_for_one_at_a_time() {
    let mut host = Host::on(Transport::Tcp);
    host.hear(tcp(), &invite("cut", 1, ""));
    let Event::Invite { dialog, .. } = host.event() else { panic!() };
    host.input(Input::Closed { connection: ConnectionId(1) });
    host.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
    host.run_for(Duration::from_secs(10));
    assert_eq!(host.connects.len(), 1);
    let (id, _) = host.connects.pop().unwrap();
    host.input(Input::ConnectFailed { id });
    host.run_for(Duration::from_secs(4));
    assert_eq!(host.connects.len(), 1, "the next repetition of the 200 tries again");
    host.run_for(Duration::from_secs(120));
    assert!(matches!(host.event(), Event::Ended { ending: Ending::NoAck, .. }));
    assert_eq!((host.endpoint.transaction_count(), host.endpoint.timer_count()), (0, 0));
}
