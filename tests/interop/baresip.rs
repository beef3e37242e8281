//! baresip as a caller: a configuration of its own, driven by JSON over TCP.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::host::Transport;
use crate::running::{Running, until};
use crate::sound::{read_wav, write_wav};
use crate::stage::{Stage, free_ports};

const TIME_MAX: Duration = Duration::from_secs(20);

pub struct Baresip {
    process: Running,
    control: TcpStream,
    /// Of the control connection, not read as messages yet.
    received: Vec<u8>,
    /// Read, and waited for by nobody yet.
    events: Vec<Value>,
    folder: PathBuf,
    transport: Transport,
}

pub struct Setup<'a> {
    pub transport: Transport,
    /// Offers RTP/SAVP and nothing else.
    pub srtp: bool,
    /// What it says, once. The call ends with it.
    pub says: &'a [i16],
}

impl Baresip {
    /// Waits until it can be told what to do.
    pub fn start(stage: &Stage, setup: &Setup) -> Result<Baresip> {
        let folder = stage.folder.join("baresip");
        fs::create_dir_all(&folder)?;
        write_wav(&folder.join("says.wav"), setup.says)?;
        // SIP, TLS on the one after, control, and a range for RTP.
        let ports = free_ports(24)?;
        let place = folder.display();
        let modules: String =
            ["g711", "aufile", "aubridge", "sndfile", "srtp"].map(|m| format!("module {m}.so\n")).concat();
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{sip}\nsip_cafile {ca}\n\
             net_interface 127.0.0.1\nrtp_ports {rtp}-{rtp_last}\njitter_buffer_delay 2-6\naudio_buffer 20-160\n\
             audio_source aufile,{place}/says.wav\naudio_player aubridge,ear\naudio_alert aubridge,alert\n\
             ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\nsnd_path {place}\n\
             module_path /usr/lib/baresip/modules\n{modules}module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control}\nringback_disabled yes\n",
            sip = ports,
            ca = stage.certificates.authority.display(),
            rtp = ports + 4,
            rtp_last = ports + 23,
            control = ports + 2,
        );
        fs::write(folder.join("config"), config)?;
        let encryption = if setup.srtp { ";mediaenc=srtp-mand" } else { "" };
        let account = format!(
            "\"+911234567890\" <sip:+911234567890@127.0.0.1;transport={}>;regint=0;audio_codecs=pcma{encryption}\n",
            setup.transport.name()
        );
        fs::write(folder.join("accounts"), account)?;
        fs::write(folder.join("contacts"), "")?;
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&folder).arg("-v");
        let process = Running::start(command, &folder.join("baresip.log"))?;
        let control = until(TIME_MAX, || TcpStream::connect(("127.0.0.1", ports + 2)).ok())
            .with_context(|| format!("baresip does not start:\n{}", process.output()))?;
        control.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Baresip { process, control, received: Vec::new(), events: Vec::new(), folder, transport: setup.transport })
    }

    /// Calls a bot. Returns once the call is established.
    pub fn call(&mut self, stage: &Stage, bot: &str) -> Result<()> {
        // It adds the transport of its account to the URI, which has it already: the request-URI bears it twice.
        self.tell("dial", &stage.host.uri(bot, self.transport))?;
        self.await_event("CALL_ESTABLISHED").map(drop)
    }

    /// One key, held as long as baresip likes.
    pub fn press(&mut self, key: char) -> Result<()> {
        self.tell("sndcode", &key.to_string())
    }

    /// A call that ended by itself: by the host, or at the end of what was to be said. Returns the reason.
    pub fn await_end(&mut self) -> Result<String> {
        let closed = self.await_event("CALL_CLOSED")?;
        Ok(closed["param"].as_str().unwrap_or_default().to_owned())
    }

    pub fn hang_up(&mut self) -> Result<()> {
        self.tell("hangup", "")?;
        self.await_end().map(drop)
    }

    pub fn tell(&mut self, command: &str, parameters: &str) -> Result<()> {
        let text = json!({ "command": command, "params": parameters }).to_string();
        Ok(write!(self.control, "{}:{text},", text.len())?)
    }

    /// Errors: none of that type within 20 s.
    fn await_event(&mut self, kind: &str) -> Result<Value> {
        let deadline = Instant::now() + TIME_MAX;
        loop {
            self.read_events()?;
            if let Some(at) = self.events.iter().position(|event| event["type"] == kind) {
                return Ok(self.events.remove(at));
            }
            let log = || format!("no {kind}: {:?}\n{}", self.events, self.process.output());
            ensure!(Instant::now() < deadline, log());
            // No established call comes of one that is closed.
            ensure!(!self.events.iter().any(|event| event["type"] == "CALL_CLOSED"), log());
        }
    }

    /// Netstrings: length, colon, text, comma. Waits 50 ms at most.
    fn read_events(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        match self.control.read(&mut bytes) {
            Ok(0) => bail!("baresip has gone:\n{}", self.process.output()),
            Ok(count) => self.received.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(colon) = self.received.iter().position(|&byte| byte == b':') {
            let length: usize = std::str::from_utf8(&self.received[..colon])?.trim().parse()?;
            let end = colon + 1 + length;
            if self.received.len() <= end {
                break;
            }
            self.events.push(serde_json::from_slice(&self.received[colon + 1..end])?);
            self.received.drain(..=end);
        }
        Ok(())
    }

    /// Ends it. Returns what it heard in its only call.
    pub fn heard(mut self) -> Result<Vec<i16>> {
        self.tell("quit", "")?;
        self.process.wait(TIME_MAX)?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-dec.wav") {
                return read_wav(&path);
            }
        }
        bail!("baresip recorded nothing:\n{}", self.process.output())
    }
}
