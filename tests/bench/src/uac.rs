//! The callers' signalling: INVITE, ACK and BYE of all calls over a few connections. Our own, because an answer is all it wants:
//! whatever else happens to a call ends the measurement, unless the measurement is about that.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sip::message::{HeaderName, Message, Request, Response};

use crate::connection::{self, Connection};
use crate::leg::{Leg, Ports};
use crate::sdp::{self, Key};

/// Connections, as a trunk opens them, and not one for each call.
const CONNECTIONS: usize = 8;
/// No answer for so long ends the measurement.
const PATIENCE: Duration = Duration::from_secs(10);

/// Directions of a call's sound. Source: RFC 4566 6.
const SOUNDING: &str = "sendrecv";
const ON_HOLD: &str = "inactive";

enum State {
    /// The INVITE is out.
    Calling {
        since: Instant,
        target: String,
        /// None: nobody listens to this call.
        leg: Option<Box<Leg>>,
    },
    Up {
        to: String,
        target: String,
    },
    Ending,
    Over,
}

/// What became of a call that was not ended by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    Refused { number: usize, status: u16, phrase: String },
    EndedByHost { number: usize },
}

pub struct Uac {
    connections: Vec<Connection>,
    secure: bool,
    /// With each call's number in place of a star.
    bot: String,
    /// Tells the calls of one UAC from those of another: the host part of Call-ID.
    name: String,
    host: SocketAddr,
    calls: Vec<State>,
    pub ports: Ports,
    /// Where the sound of calls goes that nobody listens to.
    sink: UdpSocket,
    /// Calls that the host refuses or ends are noted in `lost`; without this they end the measurement.
    pub tolerant: bool,
    pub lost: Vec<Lost>,
    /// From INVITE to 200, of each call in order. Units: ns.
    pub setups: Vec<i64>,
}

impl Uac {
    /// `certificate`: TLS and SRTP, trusting only this.
    pub fn connect(host: SocketAddr, certificate: Option<&Path>, bot: &str) -> Result<Uac> {
        let tls = certificate.map(connection::tls).transpose()?;
        let connections = (0..CONNECTIONS).map(|_| Connection::open(host, tls.as_ref())).collect::<Result<_>>()?;
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let name = format!("bench-{}", sink.local_addr()?.port());
        Ok(Uac {
            connections,
            secure: tls.is_some(),
            bot: bot.to_owned(),
            name,
            host,
            calls: Vec::new(),
            ports: Ports::new(),
            sink,
            tolerant: false,
            lost: Vec::new(),
            setups: Vec::new(),
        })
    }

    /// Places further calls until there are `calls` of them, at most `in_flight` at a time; legs that are up go to `up`.
    pub fn place(&mut self, calls: usize, in_flight: usize, up: &mut dyn FnMut(Leg) -> Result<()>) -> Result<()> {
        let mut last_answer = Instant::now();
        loop {
            let open = self.calling();
            let answered = self.calls.len() - open;
            while self.calls.len() < calls && self.calls.len() < answered + in_flight {
                let leg = Leg::bind(self.calls.len(), &mut self.ports)?;
                let called = self.bot.replace('*', &self.calls.len().to_string());
                self.invite(&called, Some(Box::new(leg)), SOUNDING)?;
            }
            if answered == calls {
                return Ok(());
            }
            self.exchange(Duration::from_millis(100), up)?;
            if self.calling() != open {
                last_answer = Instant::now();
            }
            ensure!(last_answer.elapsed() < PATIENCE, "{answered} of {calls} calls were answered, and then none");
        }
    }

    /// Places one call that nobody listens to; its number.
    pub fn dial(&mut self, called: &str) -> Result<usize> {
        self.invite(called, None, SOUNDING)?;
        Ok(self.calls.len() - 1)
    }

    /// Places so many calls that are on hold from the beginning. How many are up.
    pub fn hold(&mut self, calls: usize, in_flight: usize) -> Result<usize> {
        let first = self.calls.len();
        let deadline = Instant::now() + PATIENCE + Duration::from_millis(10) * calls as u32;
        while self.calls.len() < first + calls || self.calling() > 0 {
            while self.calls.len() < first + calls && self.calling() < in_flight {
                self.invite(&self.bot.clone(), None, ON_HOLD)?;
            }
            self.exchange(Duration::from_millis(100), &mut |_| Ok(()))?;
            ensure!(Instant::now() < deadline, "calls on hold are not answered");
        }
        Ok((first..self.calls.len()).filter(|number| self.is_up(*number)).count())
    }

    /// Waits for the answer to one call; whether it is up.
    pub fn await_answer(&mut self, number: usize) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.calls[number], State::Calling { .. }) {
            ensure!(Instant::now() < deadline, "no answer to {}", self.call_id(number));
            self.exchange(Duration::from_millis(100), &mut |_| Ok(()))?;
        }
        Ok(self.is_up(number))
    }

    pub fn is_up(&self, number: usize) -> bool {
        matches!(self.calls[number], State::Up { .. })
    }

    /// It is not over yet.
    pub fn is_live(&self, number: usize) -> bool {
        !matches!(self.calls[number], State::Over)
    }

    /// As it stands in the host's summary.
    pub fn call_id(&self, number: usize) -> String {
        format!("{number}@{}", self.name)
    }

    fn calling(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call, State::Calling { .. })).count()
    }

    /// Answers what the host asks for meanwhile. Errors: a call ended.
    pub fn wait_until(&mut self, moment: Instant) -> Result<()> {
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.exchange(left, &mut |_| Ok(()))?;
        }
    }

    /// Ends all calls that are up.
    pub fn hang_up(&mut self, in_flight: usize) -> Result<()> {
        let mut next = 0;
        let deadline = Instant::now() + PATIENCE + Duration::from_millis(5) * self.calls.len() as u32;
        loop {
            let mut ending = self.calls.iter().filter(|call| matches!(call, State::Ending)).count();
            while ending < in_flight && next < self.calls.len() {
                if self.is_up(next) {
                    self.bye(next)?;
                    ending += 1;
                }
                next += 1;
            }
            if self.calls.iter().all(|call| matches!(call, State::Over)) {
                return Ok(());
            }
            self.exchange(Duration::from_millis(100), &mut |_| Ok(()))?;
            ensure!(Instant::now() < deadline, "the host does not answer BYE");
        }
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "tls" } else { "tcp" }
    }

    fn invite(&mut self, called: &str, leg: Option<Box<Leg>>, direction: &str) -> Result<()> {
        let number = self.calls.len();
        let port = leg.as_ref().map_or(self.sink.local_addr()?.port(), |leg| leg.port());
        let body = sdp::offer(number, port, self.secure.then(|| key(number)).as_ref(), direction);
        let local = self.connections[number % CONNECTIONS].local()?;
        let target = format!("sip:{called}@{};transport={}", self.host, self.scheme());
        let to = format!("<sip:{called}@{}>", self.host);
        let more =
            format!("Contact: <sip:{number}@{local};transport={}>\r\nContent-Type: application/sdp\r\n", self.scheme());
        let message = self.request("INVITE", 1, "1", number, &target, &to, &more, &body)?;
        self.calls.push(State::Calling { since: Instant::now(), target, leg });
        self.connections[number % CONNECTIONS].send(message.as_bytes())
    }

    /// Ends one call that is up.
    pub fn bye(&mut self, number: usize) -> Result<()> {
        let State::Up { to, target } = std::mem::replace(&mut self.calls[number], State::Ending) else {
            bail!("call {number} is not up");
        };
        let message = self.request("BYE", 2, "bye", number, &target, &to, "", "")?;
        self.connections[number % CONNECTIONS].send(message.as_bytes())
    }

    #[allow(clippy::too_many_arguments)]
    fn request(
        &self,
        method: &str,
        cseq: u32,
        branch: &str,
        number: usize,
        target: &str,
        to: &str,
        more: &str,
        body: &str,
    ) -> Result<String> {
        let local = self.connections[number % CONNECTIONS].local()?;
        let via = self.scheme().to_uppercase();
        let call_id = self.call_id(number);
        Ok(format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{via} {local};branch=z9hG4bK-{number}-{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:+4930{number:06}@{local}>;tag=caller-{number}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Waits for the host to say something, at most so long, and takes it.
    pub fn exchange(&mut self, wait: Duration, up: &mut dyn FnMut(Leg) -> Result<()>) -> Result<()> {
        let watched = self.connections.iter().map(|connection| libc::pollfd {
            fd: connection.descriptor(),
            events: libc::POLLIN | if connection.wants_write() { libc::POLLOUT } else { 0 },
            revents: 0,
        });
        let mut watched: Vec<_> = watched.collect();
        let wait_ms = wait.as_millis() as i32 + 1;
        // SAFETY: the array is ours and as long as we say.
        unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, wait_ms) };
        let ready = watched.iter().enumerate().filter(|(_, watched)| watched.revents != 0);
        for (index, _) in ready {
            let mut messages = Vec::new();
            self.connections[index].flush()?;
            self.connections[index].receive(&mut messages)?;
            for message in messages {
                match message {
                    Message::Response(response) => self.take_response(&response, up)?,
                    Message::Request(request) => self.take_request(index, &request)?,
                }
            }
        }
        Ok(())
    }

    /// The number of a call of ours.
    fn number(&self, call_id: &str) -> Result<usize> {
        let number = call_id.split('@').next().and_then(|number| number.parse::<usize>().ok());
        number.filter(|number| *number < self.calls.len()).context("a message about no call of ours")
    }

    fn take_response(&mut self, response: &Response, up: &mut dyn FnMut(Leg) -> Result<()>) -> Result<()> {
        if response.status() < 200 {
            return Ok(());
        }
        let number = self.number(response.call_id())?;
        match std::mem::replace(&mut self.calls[number], State::Over) {
            State::Calling { target, .. } if response.status() >= 300 => self.refused(number, &target, response),
            State::Calling { since, leg, .. } => {
                self.setups.push(since.elapsed().as_nanos() as i64);
                self.establish(number, leg, response, up)
            }
            State::Ending => Ok(()),
            // A 200 that was sent again before our ACK arrived; an answer to the BYE that crossed the host's.
            state => {
                self.calls[number] = state;
                Ok(())
            }
        }
    }

    /// Source: RFC 3261 17.1.1.3, the ACK of the same transaction.
    fn refused(&mut self, number: usize, target: &str, response: &Response) -> Result<()> {
        let (status, phrase) = (response.status(), response.phrase().into_owned());
        ensure!(self.tolerant, "call {number}: {status} {phrase}");
        let to = response.headers().get_text(HeaderName::To).context("no To")?.into_owned();
        let message = self.request("ACK", 1, "1", number, target, &to, "", "")?;
        self.connections[number % CONNECTIONS].send(message.as_bytes())?;
        self.lost.push(Lost::Refused { number, status, phrase });
        Ok(())
    }

    fn establish(
        &mut self,
        number: usize,
        leg: Option<Box<Leg>>,
        response: &Response,
        up: &mut dyn FnMut(Leg) -> Result<()>,
    ) -> Result<()> {
        let text = |name| response.headers().get_text(name).map(|text| text.into_owned());
        let to = text(HeaderName::To).context("no To")?;
        let contact = text(HeaderName::Contact).context("no Contact")?;
        let target = contact.split(['<', '>']).nth(1).unwrap_or(&contact).to_owned();
        let message = self.request("ACK", 1, "ack", number, &target, &to, "", "")?;
        self.connections[number % CONNECTIONS].send(message.as_bytes())?;
        self.calls[number] = State::Up { to, target };
        let answer = sdp::read_answer(response.body())?;
        ensure!(answer.key.is_some() == self.secure, "call {number}: SRTP was not answered as it was offered");
        let Some(mut leg) = leg else { return Ok(()) };
        let ours = key(number);
        leg.connect(answer.rtp_port, answer.key.as_ref().map(|theirs| (&ours, theirs)))?;
        up(*leg)
    }

    fn take_request(&mut self, connection: usize, request: &Request) -> Result<()> {
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for (name, value) in request.headers().iter() {
            if ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|known| known.eq_ignore_ascii_case(name)) {
                answer += &format!("{name}: {}\r\n", String::from_utf8_lossy(value));
            }
        }
        self.connections[connection].send((answer + "Content-Length: 0\r\n\r\n").as_bytes())?;
        if request.method().as_str() == "BYE" {
            ensure!(self.tolerant, "the host ended call {}", request.call_id());
            let number = self.number(request.call_id())?;
            if let State::Up { .. } = std::mem::replace(&mut self.calls[number], State::Over) {
                self.lost.push(Lost::EndedByHost { number });
            }
        }
        Ok(())
    }
}

/// A key of its own for each call; nobody is kept from guessing it.
fn key(number: usize) -> Key {
    std::array::from_fn(|at| (at as u8).wrapping_mul(29) ^ (number >> (at % 3 * 8)) as u8)
}
