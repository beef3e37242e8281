//! The callers' signalling: INVITE, ACK and BYE of all calls over a few connections. Our own, because an answer is all it wants:
//! whatever else happens to a call ends the measurement.

use std::net::SocketAddr;
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

enum State {
    /// The INVITE is out.
    Calling {
        since: Instant,
        leg: Box<Leg>,
    },
    Up {
        to: String,
        target: String,
    },
    Ending,
    Over,
}

pub struct Uac {
    connections: Vec<Connection>,
    secure: bool,
    bot: String,
    host: SocketAddr,
    calls: Vec<State>,
    ports: Ports,
    /// From INVITE to 200, of each call in order. Units: ns.
    pub setups: Vec<i64>,
}

impl Uac {
    /// `certificate`: TLS and SRTP, trusting only this.
    pub fn connect(host: SocketAddr, certificate: Option<&Path>, bot: &str) -> Result<Uac> {
        let tls = certificate.map(connection::tls).transpose()?;
        let connections = (0..CONNECTIONS).map(|_| Connection::open(host, tls.as_ref())).collect::<Result<_>>()?;
        let (secure, bot) = (tls.is_some(), bot.to_owned());
        Ok(Uac { connections, secure, bot, host, calls: Vec::new(), ports: Ports::new(), setups: Vec::new() })
    }

    /// Places further calls until there are `calls` of them, at most `in_flight` at a time; legs that are up go to `up`.
    pub fn place(&mut self, calls: usize, in_flight: usize, up: &mut dyn FnMut(Leg) -> Result<()>) -> Result<()> {
        let mut last_answer = Instant::now();
        loop {
            let answered = self.setups.len();
            while self.calls.len() < calls && self.calls.len() < answered + in_flight {
                self.invite()?;
            }
            if answered == calls {
                return Ok(());
            }
            self.exchange(Duration::from_millis(100), up)?;
            if self.setups.len() > answered {
                last_answer = Instant::now();
            }
            ensure!(last_answer.elapsed() < PATIENCE, "{answered} of {calls} calls were answered, and then none");
        }
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

    /// Ends all calls.
    pub fn hang_up(&mut self, in_flight: usize) -> Result<()> {
        let mut next = 0;
        let deadline = Instant::now() + PATIENCE + Duration::from_millis(5) * self.calls.len() as u32;
        loop {
            let ending = self.calls.iter().filter(|call| matches!(call, State::Ending)).count();
            for _ in ending..in_flight.min(ending + self.calls.len() - next) {
                self.bye(next)?;
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

    fn invite(&mut self) -> Result<()> {
        let number = self.calls.len();
        let leg = Box::new(Leg::bind(number, &mut self.ports)?);
        let body = sdp::offer(number, leg.port(), self.secure.then(|| key(number)).as_ref());
        let local = self.connections[number % CONNECTIONS].local()?;
        let target = format!("sip:{}@{};transport={}", self.bot, self.host, self.scheme());
        let to = format!("<sip:{}@{}>", self.bot, self.host);
        let more =
            format!("Contact: <sip:{number}@{local};transport={}>\r\nContent-Type: application/sdp\r\n", self.scheme());
        let message = self.request("INVITE", 1, "1", number, &target, &to, &more, &body)?;
        self.calls.push(State::Calling { since: Instant::now(), leg });
        self.connections[number % CONNECTIONS].send(message.as_bytes())
    }

    fn bye(&mut self, number: usize) -> Result<()> {
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
        Ok(format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{via} {local};branch=z9hG4bK-{number}-{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:+4930{number:06}@{local}>;tag=caller-{number}\r\nTo: {to}\r\nCall-ID: {number}@bench\r\n\
             CSeq: {cseq} {method}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Waits for the host to say something, at most so long, and takes it.
    fn exchange(&mut self, wait: Duration, up: &mut dyn FnMut(Leg) -> Result<()>) -> Result<()> {
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

    fn take_response(&mut self, response: &Response, up: &mut dyn FnMut(Leg) -> Result<()>) -> Result<()> {
        if response.status() < 200 {
            return Ok(());
        }
        let number = response.call_id().split('@').next().and_then(|number| number.parse::<usize>().ok());
        let number = number.filter(|number| *number < self.calls.len()).context("a response to nobody")?;
        ensure!(response.status() < 300, "call {number}: {} {}", response.status(), response.phrase());
        match std::mem::replace(&mut self.calls[number], State::Over) {
            State::Calling { since, leg } => {
                self.setups.push(since.elapsed().as_nanos() as i64);
                self.establish(number, *leg, response, up)
            }
            State::Ending => Ok(()),
            // A 200 that was sent again before our ACK arrived.
            state => {
                self.calls[number] = state;
                Ok(())
            }
        }
    }

    fn establish(
        &mut self,
        number: usize,
        mut leg: Leg,
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
        let ours = key(number);
        leg.connect(answer.rtp_port, answer.key.as_ref().map(|theirs| (&ours, theirs)))?;
        up(leg)
    }

    fn take_request(&mut self, connection: usize, request: &Request) -> Result<()> {
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for (name, value) in request.headers().iter() {
            if ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|known| known.eq_ignore_ascii_case(name)) {
                answer += &format!("{name}: {}\r\n", String::from_utf8_lossy(value));
            }
        }
        self.connections[connection].send((answer + "Content-Length: 0\r\n\r\n").as_bytes())?;
        let method = request.method().as_str();
        ensure!(method != "BYE", "the host ended call {}", request.call_id());
        Ok(())
    }
}

/// A key of its own for each call; nobody is kept from guessing it.
fn key(number: usize) -> Key {
    std::array::from_fn(|at| (at as u8).wrapping_mul(29) ^ (number >> (at % 3 * 8)) as u8)
}
