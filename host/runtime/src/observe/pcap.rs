//! One capture file per call, SIP and decrypted RTP, on demand: `pcap.enabled`, or SIGUSR2 for calls that begin from then on.
//! Files are written by a thread of their own behind a bounded queue; what does not fit is dropped and counted. Keys are blanked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media::sdp::redact_crypto;

use super::pcap_file::{file_header, record};
use super::{Counter, Metrics};
use crate::config::Pcap;

/// Packets that wait for the writer: a second of 80 calls.
const PACKETS_QUEUED_MAX: usize = 8192;
const FILES_OPEN_MAX: usize = 512;
/// What was captured is in the file after so long.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The switch and the way to the writer; clones share both.
#[derive(Clone)]
pub struct Captures {
    on: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    writer: SyncSender<Job>,
    dropped: Counter,
}

/// The capture of one call. Clones write to the same file; the last one dropped closes it.
#[derive(Clone)]
pub struct Capture(Arc<Open>);

struct Open {
    file: u64,
    captures: Captures,
}

enum Job {
    Open { file: u64, name: String },
    Packet { file: u64, at: SystemTime, from: SocketAddr, to: SocketAddr, bytes: Box<[u8]> },
    Close { file: u64 },
}

impl Captures {
    /// Starts the writer. It ends with the last `Captures` and `Capture`.
    pub fn start(config: &Pcap, metrics: &Metrics) -> std::io::Result<Self> {
        let (writer, jobs) = sync_channel(PACKETS_QUEUED_MAX);
        let files = Files {
            dir: config.dir.clone(),
            file_bytes_max: u64::from(config.file_mb_max) << 20,
            total_bytes_left: u64::from(config.total_mb_max) << 20,
            open: HashMap::new(),
            failed: metrics.counter("patchbay_pcap_errors_total", "Captures that could not be written.", &[]),
            cut: metrics.counter("patchbay_pcap_cut_total", "Packets beyond the bound of a capture or of all.", &[]),
        };
        std::thread::Builder::new().name("pcap".into()).spawn(move || files.run(jobs))?;
        Ok(Self {
            on: Arc::new(AtomicBool::new(config.enabled)),
            next: Arc::default(),
            writer,
            dropped: metrics.counter("patchbay_pcap_dropped_total", "Packets that found the queue full.", &[]),
        })
    }

    /// Returns whether it is on now.
    pub fn toggle(&self) -> bool {
        !self.on.fetch_xor(true, Ordering::Relaxed)
    }

    pub fn are_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins the capture of a call, if captures are on. `call` becomes part of the file's name.
    pub fn open(&self, call: &str) -> Option<Capture> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        let file = self.next.fetch_add(1, Ordering::Relaxed);
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }
        };
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let call: String = call.chars().take(64).map(safe).collect();
        let job = Job::Open { file, name: format!("{seconds}-{file}-{call}.pcap") };
        self.queue(job).then(|| Capture(Arc::new(Open { file, captures: self.clone() })))
    }

    fn queue(&self, job: Job) -> bool {
        let queued = self.writer.try_send(job).is_ok();
        if !queued {
            self.dropped.add(1);
        }
        queued
    }
}

impl Capture {
    /// One SIP message, its keys blanked, and its media told as they are in the file: decrypted.
    pub fn sip(&self, at: SystemTime, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        let mut bytes = redact_crypto(message).into_owned();
        tell_as_decrypted(&mut bytes);
        self.packet(at, from, to, bytes.into());
    }

    /// One RTP or RTCP packet, decrypted. Cost: one allocation and copy; never waits.
    pub fn rtp(&self, at: SystemTime, from: SocketAddr, to: SocketAddr, packet: &[u8]) {
        self.packet(at, from, to, packet.into());
    }

    fn packet(&self, at: SystemTime, from: SocketAddr, to: SocketAddr, bytes: Box<[u8]>) {
        self.0.captures.queue(Job::Packet { file: self.0.file, at, from, to, bytes });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Lost to a full queue, the file stays open until FILES_OPEN_MAX pushes it out.
        self.captures.queue(Job::Close { file: self.file });
    }
}

/// RTP/SAVP becomes RTP/AVP, or Wireshark would take the decrypted RTP for ciphertext. Lengths stay, so that Content-Length
/// stays true: the blanked key after it gets one byte more. Without a key there is no SRTP to speak of, and nothing changes.
/// What blanks a key must be base64 there, or the message would be malformed.
fn tell_as_decrypted(message: &mut Vec<u8>) {
    let find = |message: &[u8], from: usize, what: &[u8]| {
        message[from..].windows(what.len()).position(|window| window == what).map(|at| from + at + what.len())
    };
    let mut from = 0;
    while let Some(profile) = find(message, from, b"RTP/SAVP") {
        let Some(key) = find(message, profile, b"inline:") else { break };
        message.insert(key, b'x');
        message.remove(profile - b"SAVP".len());
        from = profile;
    }
    let mut from = 0;
    while let Some(key) = find(message, from, b"inline:") {
        message[key..].iter_mut().take_while(|byte| matches!(**byte, b'*' | b'x')).for_each(|byte| *byte = b'x');
        from = key;
    }
}

/// The writer's side.
struct Files {
    dir: PathBuf,
    file_bytes_max: u64,
    total_bytes_left: u64,
    open: HashMap<u64, OpenFile>,
    failed: Counter,
    cut: Counter,
}

struct OpenFile {
    out: BufWriter<File>,
    bytes_left: u64,
}

impl Files {
    fn run(mut self, jobs: Receiver<Job>) {
        let mut flush_at = Instant::now() + FLUSH_EVERY;
        loop {
            match jobs.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
                Ok(Job::Open { file, name }) => self.open(file, &name),
                Ok(Job::Packet { file, at, from, to, bytes }) => self.write(file, &record(at, from, to, &bytes)),
                Ok(Job::Close { file }) => self.close(file),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= flush_at {
                flush_at = Instant::now() + FLUSH_EVERY;
                self.open.values_mut().for_each(|file| drop(file.out.flush()));
            }
        }
    }

    fn open(&mut self, file: u64, name: &str) {
        if self.open.len() >= FILES_OPEN_MAX {
            // The oldest: most likely a call whose end found the queue full.
            let oldest = self.open.keys().min().copied();
            oldest.into_iter().for_each(|oldest| self.close(oldest));
        }
        let path = self.dir.join(name);
        match std::fs::create_dir_all(&self.dir).and_then(|()| File::create_new(&path)) {
            Ok(out) => {
                self.open.insert(file, OpenFile { out: BufWriter::new(out), bytes_left: self.file_bytes_max });
                self.write(file, &file_header());
            }
            Err(error) => {
                self.failed.add(1);
                tracing::warn!(path = %path.display(), %error, "cannot write a capture");
            }
        }
    }

    fn write(&mut self, file: u64, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(&file) else {
            return;
        };
        let length = bytes.len() as u64;
        if length > open.bytes_left || length > self.total_bytes_left {
            self.cut.add(1);
            return;
        }
        open.bytes_left -= length;
        self.total_bytes_left -= length;
        if open.out.write_all(bytes).is_err() {
            self.failed.add(1);
            self.open.remove(&file);
        }
    }

    fn close(&mut self, file: u64) {
        if let Some(mut open) = self.open.remove(&file)
            && open.out.flush().is_err()
        {
            self.failed.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("patchbay-pcap-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    /// The one capture of a folder, once it is `bytes` long.
    fn capture_of(dir: &std::path::Path, bytes: usize) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found = std::fs::read_dir(dir).ok().and_then(|mut entries| entries.next()?.ok());
            let content = found.and_then(|entry| std::fs::read(entry.path()).ok()).unwrap_or_default();
            if content.len() >= bytes || Instant::now() > deadline {
                return content;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    const SIP_BYTES: usize = 16 + 14 + 20 + 8;

    #[test]
    fn packets_that_find_the_queue_full_are_dropped_and_counted_and_nobody_waits() {
        let (writer, waiting) = sync_channel(PACKETS_QUEUED_MAX);
        let dropped = Counter::default();
        let captures = Captures { on: Arc::new(AtomicBool::new(true)), next: Arc::default(), writer, dropped };
        let capture = captures.open("call").unwrap();
        let peer: SocketAddr = "127.0.0.1:5060".parse().unwrap();
        for _ in 0..PACKETS_QUEUED_MAX + 2 {
            capture.rtp(SystemTime::now(), peer, peer, b"packet");
        }
        // The job that opened the file waits too.
        assert_eq!(captures.dropped.get(), 3);
        assert_eq!(waiting.try_iter().count(), 8192);
    }

    #[test]
    fn a_call_is_captured_while_on_and_keys_are_not_in_the_file() {
        let dir = folder("keys");
        let config = Pcap { enabled: false, dir: dir.clone(), file_mb_max: 1, total_mb_max: 1 };
        let captures = Captures::start(&config, &Metrics::default()).unwrap();
        assert!(captures.open("before").is_none(), "captures are off");
        assert!(captures.toggle());
        let capture = captures.open("../evil id").unwrap();
        let (from, to) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let message = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\n";
        capture.sip(UNIX_EPOCH, from, to, message);
        capture.rtp(UNIX_EPOCH, to, from, &[0x80; 172]);
        drop(capture);
        let expect = 24 + SIP_BYTES + message.len() + SIP_BYTES + 172;
        let content = capture_of(&dir, expect);
        assert_eq!(content.len(), expect);
        assert!(!content.windows(8).any(|window| window == b"c2VjcmV0"));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "the call's name stays within the folder");
    }

    #[test]
    fn srtp_is_told_as_the_rtp_that_it_is_in_the_file_and_lengths_stay() {
        let check = |input: &str, expect: &str| {
            let mut bytes = input.as_bytes().to_vec();
            tell_as_decrypted(&mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), expect);
        };
        check(
            "m=audio 1 RTP/SAVP 8\r\na=crypto:1 X inline:**|2^20\r\nm=audio 2 RTP/SAVPF 8\r\na=crypto:1 X inline:xx\r\n",
            "m=audio 1 RTP/AVP 8\r\na=crypto:1 X inline:xxx|2^20\r\nm=audio 2 RTP/AVPF 8\r\na=crypto:1 X inline:xxx\r\n",
        );
        for unchanged in
            ["m=audio 1 RTP/SAVP 8\r\n", "a=crypto:1 X inline:xx\r\nm=audio 1 RTP/SAVP 8\r\n", "RTP/AVP", ""]
        {
            check(unchanged, unchanged);
        }
    }

    #[test]
    fn a_capture_stops_at_its_bound() {
        let dir = folder("bound");
        let config = Pcap { enabled: true, dir: dir.clone(), file_mb_max: 1, total_mb_max: 10 };
        let metrics = Metrics::default();
        let captures = Captures::start(&config, &metrics).unwrap();
        let capture = captures.open("long").unwrap();
        let (from, to) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        for _ in 0..40 {
            capture.rtp(UNIX_EPOCH, from, to, &[0; 60_000]);
        }
        drop(capture);
        let fits = ((1 << 20) - 24) / (SIP_BYTES + 60_000);
        let expect = 24 + fits * (SIP_BYTES + 60_000);
        assert_eq!(capture_of(&dir, expect).len(), expect);
        let cut = metrics.counter("patchbay_pcap_cut_total", "", &[]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while cut.get() < (40 - fits) as u64 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(cut.get(), (40 - fits) as u64);
    }
}
