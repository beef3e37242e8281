//! From the wish that a build be active to the 200 of the first call that it answers; and from an upload's first byte to that, on a
//! machine that has other things to do.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::build::{at_least, numbered};
use super::{Hosting, Stage};
use crate::api::Live;
use crate::figures::{hundredths, share};
use crate::host::Host;
use crate::uac::Uac;

const ACTIVATIONS: usize = 50;
const BUILDS: u32 = 4;
const TENANT: &str = "acme";
/// A bot in Rust, of so many bytes: the shipped one that is larger has more code than that, the test's own is filled up.
const UPLOAD_BYTES: usize = 150 << 10;
const UPLOADED: [&str; 2] = ["dtmf-menu", "misbehave"];
const UPLOADS_OF_EACH: u32 = 3;
/// Threads that spin meanwhile.
const SPINNING: usize = 2;

pub fn measure(stage: &Stage, _hosting: &Hosting) -> Result<Value> {
    let host = stage.start()?;
    host.api.create_tenant(TENANT)?;
    let mut callers = Callers::new(&host)?;
    let activations = activations(stage, &host, &mut callers)?;
    let uploads = uploads(stage, &host, &mut callers)?;
    callers.verify(&host)?;
    let of = |values: &[f64], part| share(values, part).map(hundredths);
    Ok(json!({
        "activation_ms_p50": of(&activations, 0.5),
        "activation_ms_p99": of(&activations, 0.99),
        "upload_to_active_ms": of(&uploads, 1.0),
        "upload_to_active_ms_p50": of(&uploads, 0.5),
    }))
}

fn activations(stage: &Stage, host: &Host, callers: &mut Callers) -> Result<Vec<f64>> {
    let component = stage.bot("echo")?;
    let digests: Vec<String> = (0..BUILDS)
        .map(|number| host.api.upload(TENANT, "echo", &numbered(&component, number), number == 0))
        .collect::<Result<_>>()?;
    host.api.route(TENANT, "echo", "echo", &json!({}))?;
    // The first call of all opens connections.
    callers.call("echo", &digests[0])?;
    let mut took_ms = Vec::new();
    for number in 1..=ACTIVATIONS {
        let digest = &digests[number % digests.len()];
        let began = Instant::now();
        host.api.activate(TENANT, "echo", digest, Live::Drain)?;
        callers.call("echo", digest)?;
        took_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took_ms)
}

/// The worst of both bots counts.
fn uploads(stage: &Stage, host: &Host, callers: &mut Callers) -> Result<Vec<f64>> {
    let _busy = Busy::begin();
    let mut took_ms = Vec::new();
    for name in UPLOADED {
        let component = stage.bot(name)?;
        for number in 0..=UPLOADS_OF_EACH {
            let build = at_least(&component, UPLOAD_BYTES, number);
            let began = Instant::now();
            let digest = host.api.upload(TENANT, name, &build, true)?;
            if number == 0 {
                // Not measured: without a plugin there is no route to it.
                host.api.route(TENANT, name, name, &json!({ "conduct": "good" }))?;
                continue;
            }
            callers.call(name, &digest)?;
            took_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(took_ms)
}

/// One call after the other, and which build should have answered each.
struct Callers {
    uac: Uac,
    expected: Vec<(String, String)>,
}

impl Callers {
    fn new(host: &Host) -> Result<Callers> {
        Ok(Callers { uac: Uac::connect(host.sip, None, "")?, expected: Vec::new() })
    }

    /// Returns with the 200; the call ends by itself.
    fn call(&mut self, called: &str, digest: &str) -> Result<()> {
        let number = self.uac.dial(called)?;
        ensure!(self.uac.await_answer(number)?, "a call to {called} was not answered");
        self.expected.push((self.uac.call_id(number), digest.to_owned()));
        self.uac.bye(number)
    }

    /// Each call was answered by the build that was active.
    fn verify(&mut self, host: &Host) -> Result<()> {
        self.uac.hang_up(1)?;
        let summaries = host.summaries(self.expected.len())?;
        for (call, digest) in &self.expected {
            let summary = summaries.iter().find(|summary| summary["sip_call_id"] == call.as_str());
            let answered = summary.and_then(|summary| summary["plugin_digest"].as_str());
            let answered = answered.with_context(|| format!("no summary of {call}"))?;
            ensure!(answered == digest, "{call} was answered by {answered}, and {digest} was active");
        }
        Ok(())
    }
}

/// Threads that leave nothing over, until this is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn begin() -> Busy {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..SPINNING {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let mut number = 1_u64;
                while !over.load(Ordering::Relaxed) {
                    (0..1000).for_each(|_| number = black_box(number.wrapping_mul(0x5851_f42d_4c95_7f2d)));
                }
            });
        }
        Busy(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
