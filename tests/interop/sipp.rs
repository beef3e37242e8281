//! sipp as a caller: a list of steps becomes a scenario.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::host::Transport;
use crate::rtp_file::RtpFile;
use crate::running::Running;
use crate::stage::{Stage, free_ports};

const CALL_SECONDS_MAX: u64 = 40;
const MESSAGE_MS_MAX: u64 = 20_000;

#[derive(Clone)]
pub enum Step<'a> {
    Invite,
    /// And in the same segment an ACK of an answer that nobody gave yet.
    InviteAndAck,
    /// 100 or 180 may come before the 200.
    AwaitAnswer,
    Ack,
    /// ACK and re-INVITE in one segment, then the re-INVITE's 200 and its ACK.
    AckAndReinvite,
    /// Begins to play the recording; the next step does not wait for its end.
    Play(&'a RtpFile),
    /// sipp's own digits: payload type 96, on an SSRC of their own.
    PlayKeys(&'a str),
    Pause {
        ms: u64,
    },
    Bye,
    /// The BYE in one segment with the ACK; its answer is not waited for.
    AckAndBye,
    AwaitBye,
}

pub struct Dial<'a> {
    pub bot: &'a str,
    pub transport: Transport,
    /// Payload type of telephone-event.
    pub event: u8,
}

/// A call that goes on.
pub struct Sipp {
    process: Running,
    folder: PathBuf,
}

impl Dial<'_> {
    pub fn run(&self, stage: &Stage, name: &str, steps: &[Step]) -> Result<()> {
        self.start(stage, name, steps)?.finish()
    }

    /// `name` is that of a folder within the test's.
    pub fn start(&self, stage: &Stage, name: &str, steps: &[Step]) -> Result<Sipp> {
        let folder = stage.folder.join(name);
        fs::create_dir_all(&folder)?;
        let ports = free_ports(4)?;
        let (sip, rtp) = (ports, ports + 2);
        let script = Script { dial: self, rtp, cseq: 1, text: String::new(), recordings: Vec::new() };
        let (text, recordings) = script.write(steps)?;
        fs::write(folder.join("scenario.xml"), text)?;
        for (at, recording) in recordings.iter().enumerate() {
            recording.write(&folder.join(recording_name(at)))?;
        }
        let mut command = Command::new("sipp");
        command.current_dir(&folder);
        command.args(["-sf", "scenario.xml", "-m", "1", "-nostdin", "-s", self.bot]);
        command.args(["-t", if self.transport == Transport::Udp { "u1" } else { "t1" }]);
        command.args(["-i", "127.0.0.1", "-p", &sip.to_string(), "-mi", "127.0.0.1", "-mp", &rtp.to_string()]);
        command.args(["-timeout", &CALL_SECONDS_MAX.to_string(), "-timeout_error"]);
        command.args(["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]);
        command.arg(stage.host.address(self.transport).to_string());
        Ok(Sipp { process: Running::start(command, &folder.join("sipp.log"))?, folder })
    }
}

impl Sipp {
    /// Errors: the call did not go by the scenario.
    pub fn finish(mut self) -> Result<()> {
        let status = self.process.wait(Duration::from_secs(CALL_SECONDS_MAX + 10))?;
        if !status.success() {
            let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            bail!("sipp: {status}, in {}\n{}\n{}", self.folder.display(), read("errors.log"), read("messages.log"));
        }
        Ok(())
    }
}

fn recording_name(at: usize) -> String {
    format!("recording-{at}.pcap")
}

/// A scenario while it is written.
struct Script<'a> {
    dial: &'a Dial<'a>,
    rtp: u16,
    cseq: u32,
    text: String,
    recordings: Vec<&'a RtpFile>,
}

impl<'a> Script<'a> {
    fn write(mut self, steps: &[Step<'a>]) -> Result<(String, Vec<&'a RtpFile>)> {
        self.text.push_str("<?xml version=\"1.0\"?>\n<scenario name=\"interop\">\n");
        steps.iter().try_for_each(|step| self.step(step)).context("a String takes everything")?;
        self.text.push_str("</scenario>\n");
        Ok((self.text, self.recordings))
    }

    fn step(&mut self, step: &Step<'a>) -> std::fmt::Result {
        match step {
            Step::Invite => self.send(&[self.invite()]),
            Step::InviteAndAck => self.send(&[self.invite(), self.early_ack()]),
            Step::AwaitAnswer => {
                self.text.push_str("<recv response=\"100\" optional=\"true\"/>\n");
                self.text.push_str("<recv response=\"180\" optional=\"true\"/>\n");
                self.await_ok(true)
            }
            Step::Ack => self.send(&[self.ack()]),
            Step::AckAndReinvite => {
                let ack = self.ack();
                self.cseq += 1;
                self.send(&[ack, self.reinvite()])?;
                self.text.push_str("<recv response=\"100\" optional=\"true\"/>\n");
                self.await_ok(false)?;
                self.send(&[self.ack()])
            }
            Step::Play(recording) => {
                self.recordings.push(recording);
                let name = recording_name(self.recordings.len() - 1);
                writeln!(self.text, "<nop><action><exec play_pcap_audio=\"{name}\"/></action></nop>")
            }
            Step::PlayKeys(keys) => {
                writeln!(self.text, "<nop><action><exec play_dtmf=\"{keys}\"/></action></nop>")
            }
            Step::Pause { ms } => writeln!(self.text, "<pause milliseconds=\"{ms}\"/>"),
            Step::Bye => {
                self.cseq += 1;
                self.send(&[self.bye("")])?;
                self.await_ok(false)
            }
            Step::AckAndBye => {
                let ack = self.ack();
                self.cseq += 1;
                // Of several messages in one, sipp ends only one with a body as it should be.
                // And of the answers to several it expects only those to the first: the scenario ends here.
                self.send(&[ack, self.bye("bye\n")])
            }
            Step::AwaitBye => {
                writeln!(self.text, "<recv request=\"BYE\" timeout=\"{MESSAGE_MS_MAX}\"/>")?;
                self.send(&[ok_to_last_request()])
            }
        }
    }

    /// Several messages in one write, and so in one segment.
    fn send(&mut self, messages: &[String]) -> std::fmt::Result {
        writeln!(self.text, "<send><![CDATA[\n{}]]></send>", messages.concat())
    }

    fn await_ok(&mut self, begins_dialog: bool) -> std::fmt::Result {
        let routes = if begins_dialog { " rrs=\"true\"" } else { "" };
        writeln!(self.text, "<recv response=\"200\"{routes} timeout=\"{MESSAGE_MS_MAX}\"/>")
    }

    fn invite(&self) -> String {
        let target = format!("sip:{}@[remote_ip]:[remote_port]", self.dial.bot);
        self.request("INVITE", &target, "", &self.offer(1))
    }

    /// With a new offer: the same session, a version on.
    fn reinvite(&self) -> String {
        self.request("INVITE", "[next_url]", "[peer_tag_param]", &self.offer(2))
    }

    fn ack(&self) -> String {
        self.request("ACK", "[next_url]", "[peer_tag_param]", "")
    }

    /// To the INVITE's own target, without the tag of an answer.
    fn early_ack(&self) -> String {
        let target = format!("sip:{}@[remote_ip]:[remote_port]", self.dial.bot);
        // With a body for sipp's sake, as the BYE has it.
        self.request("ACK", &target, "", "ack\n")
    }

    fn bye(&self, body: &str) -> String {
        self.request("BYE", "[next_url]", "[peer_tag_param]", body)
    }

    /// Lengths are counted here: sipp's own `[len]` knows one message only.
    fn request(&self, method: &str, target: &str, to_tag: &str, body: &str) -> String {
        let Dial { bot, transport, .. } = self.dial;
        let transport = transport.name();
        let branch = format!("z9hG4bK-[call_number]-[pid]-{}-{}", self.cseq, if method == "ACK" { "ack" } else { "" });
        let kind = match body {
            "" => "",
            _ if body.starts_with("v=0") => "Content-Type: application/sdp\n",
            _ => "Content-Type: text/plain\n",
        };
        let length = body.len() + body.lines().count();
        // sipp sends recordings from the port that it wrote itself.
        let body = body.replace(&format!("m=audio {} ", self.rtp), "m=audio [media_port] ");
        format!(
            "{method} {target} SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}\n\
             From: \"+911234567890\" <sip:+911234567890@[local_ip]:[local_port]>;tag=[pid]-[call_number]\n\
             To: <sip:{bot}@[remote_ip]:[remote_port]>{to_tag}\n\
             Call-ID: [call_id]\n\
             CSeq: {} {method}\n\
             Contact: <sip:+911234567890@[local_ip]:[local_port];transport={transport}>\n\
             Max-Forwards: 70\n\
             {kind}Content-Length: {length}\n\n{body}",
            self.cseq
        )
    }

    fn offer(&self, version: u32) -> String {
        let (rtp, event) = (self.rtp, self.dial.event);
        format!(
            "v=0\no=caller 1 {version} IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n\
             m=audio {rtp} RTP/AVP 8 {event}\na=rtpmap:8 PCMA/8000\na=rtpmap:{event} telephone-event/8000\n\
             a=fmtp:{event} 0-15\na=ptime:20\n"
        )
    }
}

fn ok_to_last_request() -> String {
    "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
     Contact: <sip:[local_ip]:[local_port];transport=[transport]>\nContent-Length: 0\n\n"
        .to_owned()
}
