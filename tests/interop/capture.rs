//! Packets as others see them: captured by dumpcap, read by tshark.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::host::{Host, Transport};
use crate::running::{Running, run, until};
use crate::sound::from_a_law;

const TIME_MAX: Duration = Duration::from_secs(30);
/// What was sent is in dumpcap's hands after so long.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// What sipp's `play_dtmf` sends with, leaving out sequence numbers itself.
const SIPPS_OWN_SSRC: u32 = 0x0102_0305;
const KEYS: &str = "0123456789*#ABCD";

/// A capture that goes on.
pub struct Capture {
    dumpcap: Running,
    file: PathBuf,
}

impl Capture {
    /// Of the host's own ports on loopback, SIP and RTP. Returns when it has begun.
    pub fn start(folder: &Path, host: &Host) -> Result<Capture> {
        let file = folder.join("wire.pcapng");
        let mut filter = format!("udp portrange {}-{}", host.rtp_ports.start(), host.rtp_ports.end());
        for transport in [Transport::Tcp, Transport::Tls] {
            write!(filter, " or tcp port {}", host.address(transport).port())?;
        }
        write!(filter, " or udp port {}", host.address(Transport::Udp).port())?;
        let mut command = Command::new("dumpcap");
        command.args(["-i", "lo", "-B", "16", "-f", &filter, "-w"]).arg(&file);
        let dumpcap = Running::start(command, &folder.join("dumpcap.log"))?;
        // It names the file once it captures.
        until(TIME_MAX, || dumpcap.output().contains("File: ").then_some(())).with_context(|| dumpcap.output())?;
        Ok(Capture { dumpcap, file })
    }

    pub fn finish(mut self, host: &Host) -> Result<Trace> {
        thread::sleep(SETTLED_AFTER);
        self.dumpcap.signal(libc::SIGINT);
        self.dumpcap.wait(TIME_MAX)?;
        let said = self.dumpcap.output();
        // "Packets received/dropped on interface 'Loopback: lo': 1234/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)"
        let dropped = said.split_once("': ").and_then(|(_, counts)| counts.split(['/', ' ']).nth(1));
        ensure!(dropped == Some("0"), "the capture itself lost packets: {said}");
        let mut decode = vec![
            format!("tcp.port=={},sip", host.address(Transport::Tcp).port()),
            format!("udp.port=={},sip", host.address(Transport::Udp).port()),
            format!("tcp.port=={},tls", host.address(Transport::Tls).port()),
        ];
        // Even ports; RTCP is on the odd ones. What SDP says in the clear comes before this.
        decode.extend(host.rtp_ports.clone().step_by(2).map(|port| format!("udp.port=={port},rtp")));
        Ok(Trace { file: self.file, decode })
    }
}

/// The host's own captures, one per call, in the order of their calls. SIP in them is one message per UDP packet.
pub fn own_captures(host: &Host) -> Result<Vec<Trace>> {
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&host.captures)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // seconds-number-call.pcap
        let number = name.split('-').nth(1).and_then(|number| number.parse().ok());
        files.push((number.with_context(|| format!("a capture named {name}"))?, path));
    }
    files.sort();
    let sip = [Transport::Tcp, Transport::Tls, Transport::Udp].map(|transport| host.address(transport).port());
    let decode: Vec<String> = sip.iter().map(|port| format!("udp.port=={port},sip")).collect();
    Ok(files.into_iter().map(|(_, file)| Trace { file, decode: decode.clone() }).collect())
}

/// A finished capture.
pub struct Trace {
    pub file: PathBuf,
    /// What tshark cannot know by itself.
    decode: Vec<String>,
}

/// One RTP stream by tshark's analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub from: u16,
    pub to: u16,
    pub ssrc: u32,
    pub packets: u64,
    pub lost: i64,
}

impl Trace {
    /// All RTP streams, RTCP left out. Errors: tshark says something else than it used to.
    pub fn streams(&self) -> Result<Vec<Stream>> {
        let table = self.tshark(&["-q", "-z", "rtp,streams"])?;
        let mut streams = Vec::new();
        for line in table.lines().filter(|line| line.contains("0x")) {
            streams.push(stream(line).with_context(|| format!("unreadable: {line}"))?);
        }
        Ok(streams)
    }

    /// What goes to or comes from these ports has been sent whole: at least one stream, and nothing lost of any.
    pub fn expect_no_loss(&self) -> Result<Vec<Stream>> {
        let streams = self.streams()?;
        ensure!(!streams.is_empty(), "no RTP in {}", self.file.display());
        let lossy: Vec<&Stream> =
            streams.iter().filter(|stream| stream.lost != 0 && stream.ssrc != SIPPS_OWN_SSRC).collect();
        ensure!(lossy.is_empty(), "RTP was lost in {}: {lossy:?}", self.file.display());
        Ok(streams)
    }

    /// Errors: packets that tshark's dissectors cannot read to their end.
    pub fn expect_well_formed(&self) -> Result<()> {
        let bad = self.tshark(&["-Y", "_ws.malformed"])?;
        ensure!(bad.trim().is_empty(), "malformed packets in {}:\n{bad}", self.file.display());
        Ok(())
    }

    /// The keys pressed (RFC 4733) by sender's port, each once, in their order.
    pub fn keys(&self) -> Result<BTreeMap<u16, String>> {
        let fields = ["udp.srcport", "rtp.ssrc", "rtp.timestamp", "rtpevent.event_id", "rtpevent.end_of_event"];
        let mut seen = HashSet::new();
        let mut keys: BTreeMap<u16, String> = BTreeMap::new();
        for row in self.fields("rtpevent", &fields)? {
            let [from, ssrc, timestamp, event, end] = row.try_into().ok().context("another number of fields")?;
            if (end == "1" || end == "True") && seen.insert((from.clone(), ssrc, timestamp)) {
                let key = KEYS.chars().nth(event.parse()?).with_context(|| format!("event {event}"))?;
                keys.entry(from.parse()?).or_default().push(key);
            }
        }
        Ok(keys)
    }

    /// What the host sent as PCMA, in the order of sending, in all streams from its RTP ports.
    pub fn sound_from(&self, ports: &std::ops::RangeInclusive<u16>) -> Result<Vec<i16>> {
        let filter = format!("rtp.p_type == 8 && udp.srcport >= {} && udp.srcport <= {}", ports.start(), ports.end());
        let mut sound = Vec::new();
        for row in self.fields(&filter, &["rtp.payload"])? {
            let hex = row.concat().replace(':', "");
            let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap_or("?"), 16);
            let payload: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>()?;
            sound.extend(from_a_law(&payload));
        }
        Ok(sound)
    }

    fn fields(&self, filter: &str, names: &[&str]) -> Result<Vec<Vec<String>>> {
        let mut arguments = vec!["-Y", filter, "-T", "fields", "-E", "separator=|"];
        names.iter().for_each(|name| arguments.extend(["-e", name]));
        let table = self.tshark(&arguments)?;
        Ok(table.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
    }

    fn tshark(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("tshark");
        command.arg("-n").arg("-r").arg(&self.file);
        for decode in &self.decode {
            command.args(["-d", decode]);
        }
        command.args(arguments);
        let log = self.file.with_extension("tshark.log");
        run(command, &log, TIME_MAX)
    }
}

/// start end src-ip port dst-ip port ssrc payload packets lost (percent) ...
fn stream(line: &str) -> Option<Stream> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ssrc = words.iter().position(|word| word.starts_with("0x"))?;
    let before = |back: usize| words.get(ssrc.checked_sub(back)?);
    // The payload's name may be several words; what is lost comes before the first percentage.
    let percent = words.iter().position(|word| word.starts_with('('))?;
    Some(Stream {
        from: before(3)?.parse().ok()?,
        to: before(1)?.parse().ok()?,
        ssrc: u32::from_str_radix(words[ssrc].trim_start_matches("0x"), 16).ok()?,
        packets: words.get(percent - 2)?.parse().ok()?,
        lost: words.get(percent - 1)?.parse().ok()?,
    })
}
