//! What every test has: its turn, a folder, a host that answers on all transports, and a capture of loopback.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};

use patchbay_tests::repository;

use crate::capture::{self, Capture, Trace};
use crate::certificates::{self, Certificates};
use crate::clients::{self, Client};
use crate::host::{Host, HostPlan, Listeners, Srtp};

/// Calls are in real time: two tests at once would disturb each other.
static TURN: Mutex<()> = Mutex::new(());
/// Below the ephemeral ports, so that nobody's outgoing connection takes one meanwhile.
const PORTS: std::ops::Range<u16> = 21_000..32_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// RTP port pairs of a host: more than a test has calls.
const HOST_RTP_PORTS: u16 = 40;

pub struct Stage {
    // In the order in which they end.
    pub host: Host,
    capture: Option<Capture>,
    pub certificates: Certificates,
    /// Under `Require` all RTP of the test is encrypted, under `Prefer` none.
    srtp: Srtp,
    pub folder: PathBuf,
    /// This host's own copies of the bots.
    pub bots: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// None: it was said that the test is skipped.
    pub fn open(test: &str, clients: &[Client], srtp: Srtp) -> Result<Option<Stage>> {
        Self::with_routes(test, clients, srtp, |_| String::new())
    }

    /// `routes`: TOML, for a host that answers there.
    pub fn with_routes(
        test: &str,
        clients: &[Client],
        srtp: Srtp,
        routes: impl Fn(Listeners) -> String,
    ) -> Result<Option<Stage>> {
        let clients = [clients, &[Client::Tshark]].concat();
        // One test that failed is no reason for the others to.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !clients::all_there(test, &clients)? {
            return Ok(None);
        }
        let folder = interop_folder().join(test);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let bots = folder.join("bots");
        fs::create_dir_all(&bots)?;
        copy_bots(&bots)?;
        let certificates = certificates::make(&folder)?;
        let first = free_ports(HOST_RTP_PORTS)?;
        let rtp_ports = first..=first + HOST_RTP_PORTS - 1;
        let listeners = Listeners { first_port: free_ports(Listeners::COUNT)? };
        let routes = &routes(listeners);
        let plan = HostPlan { certificates: &certificates, listeners, srtp, rtp_ports, routes };
        let host = Host::start(&folder, &plan)?;
        let capture = Some(Capture::start(&folder, &host)?);
        Ok(Some(Stage { host, capture, certificates, srtp, folder, bots, _turn: turn }))
    }

    /// What every test ends with. The host stops cleanly; on the wire and in the host's own captures nothing was lost and nothing
    /// is malformed; and the keys in them are those said, by who pressed them.
    pub fn close(mut self, keys_from_caller: &str, keys_from_host: &str) -> Result<()> {
        let wire = self.wire()?;
        self.host.stop()?;
        let mut traces = vec![capture::own_captures(&self.host)?];
        ensure!(!traces[0].is_empty(), "the host captured nothing");
        // Events in SRTP are of use to the host's own capture only.
        match self.srtp {
            Srtp::Prefer => traces.push(vec![wire]),
            Srtp::Require => {
                wire.expect_no_loss()?;
                let [sent, meant] = [&wire, &traces[0][0]].map(|trace| trace.sound_from(&self.host.rtp_ports));
                let (sent, meant) = (sameness(&sent?), sameness(&meant?));
                ensure!(sent < 0.02 && meant > 0.05, "not encrypted: sameness {sent} on the wire, {meant} in clear");
            }
        }
        for trace in traces {
            let (mut from_caller, mut from_host) = (String::new(), String::new());
            for capture in &trace {
                capture.expect_no_loss()?;
                capture.expect_well_formed()?;
                for (port, pressed) in capture.keys()? {
                    let by = if self.host.rtp_ports.contains(&port) { &mut from_host } else { &mut from_caller };
                    by.push_str(&pressed);
                }
            }
            let pressed = (from_caller.as_str(), from_host.as_str());
            ensure!(pressed == (keys_from_caller, keys_from_host), "other keys, from caller and host: {pressed:?}");
        }
        Ok(())
    }

    /// Ends the capture. Errors: it lost packets itself, so that it says nothing about loss.
    pub fn wire(&mut self) -> Result<Trace> {
        self.capture.take().context("the capture was ended before")?.finish(&self.host)
    }
}

/// Share of the most frequent sample. Speech and silence in A-law have one, ciphertext has none: 1/256.
fn sameness(sound: &[i16]) -> f64 {
    let mut counts = BTreeMap::new();
    sound.iter().for_each(|sample| *counts.entry(sample).or_insert(0_u32) += 1);
    f64::from(counts.into_values().max().unwrap_or(0)) / sound.len().max(1) as f64
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what happened lies in {}", self.folder.display());
        }
    }
}

pub fn interop_folder() -> PathBuf {
    repository().join("target/interop")
}

/// What the environment says, else a place in the repository's target folder.
pub fn built(variable: &str, default: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| repository().join("target").join(default), PathBuf::from);
    path.canonicalize().with_context(|| format!("{} ({variable}) was not built: cargo xtask test", path.display()))
}

/// Two bots as they are shipped, one that presses back each key that it is sent, and one that does what its route says.
fn copy_bots(folder: &Path) -> Result<()> {
    let shipped = built("PATCHBAY_BOTS", "bots")?;
    let test_bots = built("PATCHBAY_TEST_BOTS", "bots-test")?;
    for (from, name) in [
        (shipped.join("echo.wasm"), "echo.wasm"),
        (shipped.join("dtmf-menu.wasm"), "dtmf-menu.wasm"),
        (test_bots.join("misbehave.wasm"), "press-back.wasm"),
        (test_bots.join("control.wasm"), "control.wasm"),
    ] {
        fs::copy(&from, folder.join(name)).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

/// So many in a row, the first of them even, free for UDP and TCP a moment ago and not given out before.
pub fn free_ports(count: u16) -> Result<u16> {
    let count = count.next_multiple_of(2);
    let span = PORTS.end - PORTS.start - count;
    for _ in 0..200 {
        let offset = NEXT_PORT.fetch_add(count, Ordering::Relaxed);
        // Test processes begin at different places.
        let first = PORTS.start + (offset + (std::process::id() as u16 % 500) * 20) % span / 2 * 2;
        let free =
            |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + count).all(free) {
            return Ok(first);
        }
    }
    anyhow::bail!("no {count} free ports in a row from {} to {}", PORTS.start, PORTS.end)
}
