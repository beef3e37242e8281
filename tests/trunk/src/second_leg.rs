//! One call of the trunk to the host, step by step: whoever drives it decides what comes when.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::Rng;
use rustls::ClientConfig;

use crate::connection::Connection;
use crate::media::Media;
use crate::message::Message;
use crate::sdp::{self, Key};
use crate::spelling::Spelling;

/// Where the trunk's media comes from, unless a plan says otherwise.
pub const MEDIA: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

#[derive(Clone)]
pub struct Plan {
    pub host: SocketAddr,
    /// TLS and SRTP.
    pub tls: Option<Arc<ClientConfig>>,
    pub called: String,
    pub customer: String,
    /// X-Exotel-CallSid; None: the header is not there.
    pub call_sid: Option<String>,
    pub spelling: Spelling,
    pub media: Ipv4Addr,
}

pub struct SecondLeg {
    plan: Plan,
    connection: Connection,
    pub media: Media,
    key: Option<Key>,
    record_route: String,
    call_id: String,
    branch: String,
    /// As in the host's answer.
    to: String,
    target: String,
    cseq: u32,
    /// The host's BYE came, and was answered.
    pub ended_by_host: bool,
}

impl SecondLeg {
    /// Sends the INVITE.
    pub fn invite(plan: Plan) -> Result<SecondLeg> {
        let connection = Connection::open(plan.host, plan.tls.as_ref())?;
        let media = Media::bind(plan.media)?;
        let mut rng = rand::rng();
        let key = plan.tls.as_ref().map(|_| rng.random());
        let route_transport = if plan.spelling.route_transport_matches { plan.transport() } else { "tls" };
        let route = format!("sip:{}:443;transport={route_transport};lr", connection.local.ip());
        let mut leg = SecondLeg {
            record_route: if plan.spelling.bracketed { format!("<{route}>") } else { route },
            call_id: format!("{:032x}@pstn.mum1.exotel.com", rng.random::<u128>()),
            branch: format!("z9hG4bK{:016x}", rng.random::<u64>()),
            to: format!("<sip:{}@{}>", plan.called, plan.host.ip()),
            target: format!("sip:{}@{};transport={}", plan.called, plan.host, plan.transport()),
            cseq: 102,
            ended_by_host: false,
            plan,
            connection,
            media,
            key,
        };
        let text = leg.invite_text();
        leg.connection.send(&text)?;
        Ok(leg)
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    fn invite_text(&self) -> String {
        let Plan { customer, called, call_sid, spelling, .. } = &self.plan;
        let body = sdp::offer(self.media.address, self.key.as_ref(), *spelling);
        let other = if self.plan.tls.is_some() { "tcp" } else { "tls" };
        let contact = if spelling.contact_transport_matches { self.plan.transport() } else { other };
        let call_sid = call_sid.as_ref().map(|sid| format!("X-Exotel-CallSid: {sid}\r\n")).unwrap_or_default();
        let local = self.connection.local;
        format!(
            "INVITE {} SIP/2.0\r\nRecord-Route: {}\r\n{}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 102 INVITE\r\n\
             Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
             Supported: replaces\r\nX-Exotel-LegSid: leg-{}\r\n{call_sid}X-Exotel-TrunkSid: trmum1\r\n\
             P-Asserted-Identity: <sip:{customer}@exotelt.pstn.exotel.com>\r\nP-Early-Media: supported\r\n\
             Contact: <sip:{customer}@{local};transport={contact}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\nMax-Forwards: 67\r\n\r\n{body}",
            self.target,
            self.record_route,
            self.via(&self.branch),
            self.from(),
            format_args!("<sip:{called}@{}>", self.plan.host.ip()),
            self.call_id,
            &self.branch[7..],
            body.len(),
        )
    }

    fn via(&self, branch: &str) -> String {
        format!(
            "Via: SIP/2.0/{} {}:443;branch={branch}",
            self.plan.transport().to_uppercase(),
            self.connection.local.ip()
        )
    }

    fn from(&self) -> String {
        let customer = &self.plan.customer;
        format!("\"{customer}\" <sip:{customer}@exotelt.pstn.exotel.com>;tag=as{}", &self.branch[7..])
    }

    fn request(&self, method: &str, cseq: u32, branch: &str) -> String {
        format!(
            "{method} {} SIP/2.0\r\n{}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.target,
            self.via(branch),
            self.from(),
            self.to,
            self.call_id
        )
    }

    /// The final answer to the INVITE; a refusal is acknowledged.
    pub fn answer(&mut self, limit: Duration) -> Result<Message> {
        let answer = self.response_to("INVITE", limit)?;
        self.to = answer.header("To").context("no To")?.to_owned();
        if answer.status() != Some(200) {
            let ack = self.request("ACK", 102, &self.branch);
            self.connection.send(&ack)?;
        }
        Ok(answer)
    }

    /// The 200, which must be as the trunk needs it. Nothing is acknowledged yet. Errors: it is not.
    pub fn accepted(&mut self, limit: Duration) -> Result<()> {
        let answer = self.answer(limit)?;
        ensure!(answer.status() == Some(200), "{}", answer.start);
        let routes: Vec<&str> = answer.values("Record-Route").collect();
        ensure!(routes == [self.record_route.as_str()], "Record-Route is not as it was: {routes:?}");
        let contact = answer.header("Contact").context("no Contact")?;
        self.target = contact.split(['<', '>']).nth(1).unwrap_or(contact).to_owned();
        let answer = sdp::read_answer(&answer.body, self.key.is_some(), self.plan.spelling)?;
        self.media.connect(&answer, self.key.as_ref())
    }

    pub fn acknowledge(&mut self) -> Result<()> {
        let ack = self.request("ACK", 102, &format!("{}ack", self.branch));
        self.connection.send(&ack)
    }

    /// All of it, up to where both sides talk.
    pub fn establish(plan: Plan, limit: Duration) -> Result<SecondLeg> {
        let mut leg = SecondLeg::invite(plan)?;
        leg.accepted(limit)?;
        leg.acknowledge()?;
        Ok(leg)
    }

    pub fn cancel(&mut self) -> Result<()> {
        let cancel = self.request("CANCEL", 102, &self.branch);
        self.connection.send(&cancel)
    }

    /// Sends it, and waits for nothing.
    pub fn bye(&mut self) -> Result<()> {
        self.cseq += 1;
        let bye = self.request("BYE", self.cseq, &format!("{}bye{}", self.branch, self.cseq));
        self.connection.send(&bye)
    }

    /// The status of the host's answer.
    pub fn answer_to_bye(&mut self, limit: Duration) -> Result<u16> {
        self.response_to("BYE", limit)?.status().context("no status")
    }

    pub fn hang_up(&mut self, limit: Duration) -> Result<()> {
        self.bye()?;
        let status = self.answer_to_bye(limit)?;
        ensure!(status == 200, "BYE was answered {status}");
        Ok(())
    }

    /// Waits for the host to hang up, by this connection.
    pub fn await_bye(&mut self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while !self.ended_by_host {
            let message = self.connection.receive(until).context("no BYE")?;
            self.take(&message)?;
        }
        Ok(())
    }

    fn response_to(&mut self, method: &str, limit: Duration) -> Result<Message> {
        let until = Instant::now() + limit;
        loop {
            let message = self.connection.receive(until).with_context(|| format!("no answer to {method}"))?;
            match message.status() {
                Some(200..) if message.method() == method => return Ok(message),
                Some(_) => {}
                None => self.take(&message)?,
            }
        }
    }

    /// A request of the host.
    fn take(&mut self, request: &Message) -> Result<()> {
        if request.status().is_some() || request.method() == "ACK" {
            return Ok(());
        }
        if request.header("Call-ID") != Some(&self.call_id) {
            bail!("a request of no call of ours: {}", request.start);
        }
        if request.method() == "BYE" {
            self.ended_by_host = true;
            let route = request.header("Route").context("a BYE without Route")?;
            ensure!(route == format!("<{}>", self.record_route.trim_matches(['<', '>'])), "another Route: {route}");
        }
        self.connection.send(&request.answer("200 OK"))
    }
}

impl Plan {
    fn transport(&self) -> &'static str {
        if self.tls.is_some() { "tls" } else { "tcp" }
    }
}
