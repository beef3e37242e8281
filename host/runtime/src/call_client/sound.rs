//! The caller's ears and mouth: one leg on a thread of its own, playing a recording and keeping what it hears.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc as commands;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::{DigitTiming, JitterBounds, Leg, LegEvent, LegParams, LegStats, Negotiated, SoundSource};
use tokio::sync::mpsc;

use crate::rtp_ports::PortPair;

/// Divides every ptime.
const STEP: Duration = Duration::from_millis(10);
const STEPS_PER_FRAME: u64 = 2;
/// What is kept of what is heard: an hour.
const RECORDING_SAMPLES_MAX: usize = 3600 * 8000;
const DATAGRAM_BYTES_MAX: usize = 2048;

pub enum SoundCommand {
    Renegotiate(Box<Negotiated>),
    Press { id: u64, keys: String },
    Stop,
}

#[derive(Debug)]
pub enum SoundEvent {
    Leg(LegEvent),
    /// The recording has left.
    Played,
}

/// What was heard and counted.
pub struct Heard {
    pub samples: Vec<i16>,
    pub stats: LegStats,
}

pub struct Sound {
    commands: commands::Sender<SoundCommand>,
    thread: JoinHandle<Heard>,
}

impl Sound {
    /// Begins to send and to listen at once.
    pub fn start(
        negotiated: Negotiated,
        ports: PortPair,
        play: Vec<i16>,
        seed: [u8; 8],
        events: mpsc::UnboundedSender<SoundEvent>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = commands::channel();
        let seed = u64::from_ne_bytes(seed);
        let params = LegParams {
            negotiated,
            ssrc: (seed >> 32) as u32,
            first_sequence: (seed & 0x7fff) as u16,
            first_timestamp: (seed >> 15) as u32,
            cname: format!("{seed:016x}"),
            media_networks: vec![
                ipnet::IpNet::from(ipnet::Ipv4Net::default()),
                ipnet::IpNet::from(ipnet::Ipv6Net::default()),
            ],
            sdp_address_allowed: true,
            jitter: JitterBounds::default(),
            media_timeout: Duration::from_secs(30),
            digits: DigitTiming::default(),
            seed,
        };
        let thread = std::thread::Builder::new()
            .name("sound".into())
            .spawn(move || run(params, &ports, Play { samples: play, at: 0 }, &receiver, &events))?;
        Ok(Self { commands: sender, thread })
    }

    pub fn command(&self, command: SoundCommand) {
        // The thread ends before its sender only by a panic, which `stop` reports.
        let _ = self.commands.send(command);
    }

    pub fn stop(self) -> anyhow::Result<Heard> {
        self.command(SoundCommand::Stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("the sound thread failed"))
    }
}

/// What the caller says; silence when it is over.
struct Play {
    samples: Vec<i16>,
    at: usize,
}

impl Play {
    fn is_over(&self) -> bool {
        self.at >= self.samples.len()
    }
}

impl SoundSource for Play {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        let rest = &self.samples[self.at.min(self.samples.len())..];
        let taken = rest.len().min(frame.len());
        frame[..taken].copy_from_slice(&rest[..taken]);
        frame[taken..].fill(0);
        self.at += taken;
        taken > 0
    }
}

fn run(
    params: LegParams,
    ports: &PortPair,
    mut play: Play,
    commands: &commands::Receiver<SoundCommand>,
    events: &mpsc::UnboundedSender<SoundEvent>,
) -> Heard {
    let epoch = Instant::now();
    let mut leg = Leg::new(params, epoch);
    let mut samples = Vec::new();
    let mut packet = Vec::with_capacity(DATAGRAM_BYTES_MAX);
    let mut played = false;
    for step in 1u64.. {
        let due = epoch + STEP * step as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut stop = false;
        while let Ok(command) = commands.try_recv() {
            match command {
                SoundCommand::Renegotiate(negotiated) => leg.renegotiate(*negotiated, due),
                SoundCommand::Press { id, keys } => {
                    if leg.send_digits(id, &keys).is_err() {
                        let _ = events.send(SoundEvent::Leg(LegEvent::DigitsCancelled { id }));
                    }
                }
                SoundCommand::Stop => stop = true,
            }
        }
        receive(&ports.rtp, |datagram, from, now| {
            leg.receive_rtp(datagram, from, now);
        });
        receive(&ports.rtcp, |datagram, from, now| leg.receive_rtcp(datagram, from, now));
        if step.is_multiple_of(STEPS_PER_FRAME) {
            let mut frame = [0; 160];
            leg.take_frame(due, &mut frame);
            if samples.len() < RECORDING_SAMPLES_MAX {
                samples.extend_from_slice(&frame);
            }
        }
        while let Some(to) = leg.send(due, &mut play, &mut packet) {
            let _ = ports.rtp.send_to(&packet, to);
        }
        let report = if stop { leg.bye_rtcp(due, &mut packet) } else { leg.poll_rtcp(due, &mut packet) };
        if let Some(to) = report {
            let _ = ports.rtcp.send_to(&packet, to);
        }
        while let Some(event) = leg.poll_event() {
            let _ = events.send(SoundEvent::Leg(event));
        }
        if !played && play.is_over() {
            played = true;
            let _ = events.send(SoundEvent::Played);
        }
        if stop {
            break;
        }
    }
    Heard { samples, stats: leg.stats() }
}

fn receive(socket: &UdpSocket, mut take: impl FnMut(&mut [u8], SocketAddr, Instant)) {
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    while let Ok((len, from)) = socket.recv_from(&mut datagram) {
        take(&mut datagram[..len], from, Instant::now());
    }
}

/// Shape: 8 kHz, mono, 16 bit.
pub fn write_wav(path: &std::path::Path, samples: &[i16]) -> anyhow::Result<()> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(path, spec)?;
    for sample in samples {
        wav.write_sample(*sample)?;
    }
    Ok(wav.finalize()?)
}
