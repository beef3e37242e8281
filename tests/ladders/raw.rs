//! A caller that is a script: messages as text, so that they can be as odd as a trunk's.

use crate::world::{OFFER, World};

/// The trunk's INVITE as its guide prints it for TCP, `more` headers added.
pub fn tcp_invite(more: &str) -> String {
    invite("sip:192.0.2.9:443;transport=tls;lr", OFFER, more)
}

pub fn invite(record_route: &str, sdp: &str, more: &str) -> String {
    format!(
        "INVITE sip:+911234567890@198.51.100.1:5070;transport=tcp SIP/2.0\r\n\
         Record-Route: {record_route}\r\n\
         Via: SIP/2.0/TCP 192.0.2.9:443;branch=z9hG4bK2414\r\n\
         From: \"+918888888888\" <sip:+918888888888@trunk.example>;tag=as2aefddf2\r\n\
         To: <sip:+911234567890@198.51.100.1>\r\n\
         Call-ID: 0f6c2a5e@pstn.trunk.example\r\n\
         CSeq: 102 INVITE\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
         X-Exotel-CallSid: c1\r\n\
         P-Asserted-Identity: <sip:+918888888888@trunk.example>\r\n\
         Contact: <sip:+918888888888@203.0.113.7:5060;transport=tls>\r\n\
         {more}Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\
         Max-Forwards: 67\r\n\r\n{sdp}",
        sdp.len()
    )
}

pub struct Caller {
    to: String,
    contact: String,
    /// The 200, whole.
    pub accepted: String,
    branches: u32,
}

impl Caller {
    /// Sends the INVITE and waits for the 200.
    pub fn invite(world: &mut World, invite: &str) -> Caller {
        world.raw = true;
        world.send_raw(invite.to_owned());
        let mut caller = Caller { to: String::new(), contact: String::new(), accepted: String::new(), branches: 0 };
        let accepted = caller.receive(world, "SIP/2.0 200");
        caller.to = header(&accepted, "To");
        caller.contact = header(&accepted, "Contact").trim_matches(['<', '>']).to_owned();
        caller.accepted = accepted;
        caller
    }

    pub fn acknowledge(&mut self, world: &mut World) {
        self.request(world, "ACK", 102, "");
    }

    /// The next message that starts so; others are passed over.
    #[track_caller]
    pub fn receive(&mut self, world: &mut World, start: &str) -> String {
        for _ in 0..10_000 {
            if let Some(at) = world.inbox.iter().position(|text| text.starts_with(start)) {
                return world.inbox.remove(at).expect("it is there");
            }
            world.run_ms(1);
        }
        panic!("no {start} within 10 s")
    }

    /// A request within the dialog.
    pub fn request(&mut self, world: &mut World, method: &str, cseq: u32, sdp: &str) {
        self.branches += 1;
        let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let (to, uri, branch) = (&self.to, &self.contact, self.branches);
        let text = format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/TCP 192.0.2.9:443;branch=z9hG4bKcaller{branch}\r\n\
             From: \"+918888888888\" <sip:+918888888888@trunk.example>;tag=as2aefddf2\r\n\
             To: {to}\r\n\
             Call-ID: 0f6c2a5e@pstn.trunk.example\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:+918888888888@203.0.113.7:5060;transport=tls>\r\n\
             Max-Forwards: 67\r\n{content}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        world.send_raw(text);
    }

    /// A NOTIFY of what came of the host's REFER.
    pub fn notify(&mut self, world: &mut World, cseq: u32, state: &str, fragment: &str) {
        self.branches += 1;
        let (to, uri, branch) = (&self.to, &self.contact, self.branches);
        world.send_raw(format!(
            "NOTIFY {uri} SIP/2.0\r\n\
             Via: SIP/2.0/TCP 192.0.2.9:443;branch=z9hG4bKcaller{branch}\r\n\
             From: \"+918888888888\" <sip:+918888888888@trunk.example>;tag=as2aefddf2\r\n\
             To: {to}\r\n\
             Call-ID: 0f6c2a5e@pstn.trunk.example\r\n\
             CSeq: {cseq} NOTIFY\r\n\
             Contact: <sip:+918888888888@203.0.113.7:5060;transport=tls>\r\n\
             Event: refer\r\n\
             Subscription-State: {state}\r\n\
             Content-Type: message/sipfrag;version=2.0\r\n\
             Content-Length: {}\r\n\r\n{fragment}",
            fragment.len()
        ));
    }

    /// The ACK of a refusal of a re-INVITE: of the same transaction.
    pub fn acknowledge_refusal(&mut self, world: &mut World, refusal: &str) {
        let cseq = header(refusal, "CSeq").replace("INVITE", "ACK");
        let text = format!(
            "ACK {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n",
            self.contact,
            header(refusal, "Via"),
            header(refusal, "From"),
            header(refusal, "To"),
            header(refusal, "Call-ID"),
        );
        world.send_raw(text);
    }

    /// Answers a request of the host's.
    pub fn respond(&mut self, world: &mut World, request: &str, status: &str, sdp: &str) {
        let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .map(|name| format!("{name}: {}\r\n", header(request, name)))
            .collect();
        let content = if sdp.is_empty() {
            String::new()
        } else {
            "Contact: <sip:+918888888888@203.0.113.7:5060;transport=tls>\r\nContent-Type: application/sdp\r\n"
                .to_owned()
        };
        world.send_raw(format!("SIP/2.0 {status}\r\n{copied}{content}Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
    }
}

/// The value of the first header of that name.
#[track_caller]
pub fn header(message: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    let line = message.lines().find(|line| line.starts_with(&prefix));
    line.unwrap_or_else(|| panic!("no {name} in\n{message}"))[prefix.len()..].to_owned()
}
