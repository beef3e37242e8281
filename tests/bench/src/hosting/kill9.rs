//! kill -9 at a random moment of an upload and activation: the next host serves the complete old build or the complete new one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::build::numbered;
use super::{Hosting, Stage};
use crate::host::Host;
use crate::uac::Uac;

const RUNS: u32 = 100;
const RUNS_FULL: u32 = 1000;
const TENANT: &str = "acme";
const PLUGIN: &str = "echo";
const SEED: u64 = 9;
/// Versions that are no more needed go, or there would be a thousand.
const VERSIONS_MAX: usize = 8;

pub fn measure(stage: &Stage, hosting: &Hosting) -> Result<Value> {
    let component = stage.bot(PLUGIN)?;
    let mut host = stage.start()?;
    host.api.create_tenant(TENANT)?;
    let mut current = host.api.upload(TENANT, PLUGIN, &component, true)?;
    host.api.route(TENANT, PLUGIN, PLUGIN, &json!({}))?;
    // How long it takes undisturbed is the stretch within which it is killed.
    let began = Instant::now();
    current =
        host.api.upload(TENANT, PLUGIN, &numbered(&component, 0), true).inspect(|new| debug_differs(&current, new))?;
    let whole = began.elapsed() + Duration::from_millis(20);

    let mut rng = rand::rngs::StdRng::seed_from_u64(SEED);
    let runs = if hosting.full { RUNS_FULL } else { RUNS };
    let (mut broken, mut kept_old, mut became_new) = (0, 0, 0);
    for run in 1..=runs {
        let build = numbered(&component, run);
        let at = whole.mul_f64(rng.random_range(0.0..1.1));
        let told = killed(&mut host, build, at)?;
        host = stage.start()?;
        match look(&host, &current, told.as_deref()) {
            Ok(now) if now == current => kept_old += 1,
            Ok(now) => {
                became_new += 1;
                current = now;
            }
            Err(error) => {
                eprintln!("bench: kill9: run {run}, after {} ms: {error:#}", at.as_millis());
                broken += 1;
                current = host.api.current(TENANT, PLUGIN)?;
            }
        }
        tidy(&host, &current)?;
    }
    Ok(
        json!({ "kill9_runs": runs, "kill9_broken": broken, "kill9_kept_old": kept_old, "kill9_became_new": became_new }),
    )
}

fn debug_differs(old: &str, new: &str) {
    debug_assert_ne!(old, new, "another section is another digest");
}

/// The host dies that long after the upload began. The digest, if the host had said yes by then.
fn killed(host: &mut Host, build: Vec<u8>, at: Duration) -> Result<Option<String>> {
    let api = host.api.clone();
    let began = Instant::now();
    let uploading = std::thread::spawn(move || api.upload(TENANT, PLUGIN, &build, true).ok());
    std::thread::sleep(at.saturating_sub(began.elapsed()));
    host.kill()?;
    uploading.join().map_err(|_| anyhow::anyhow!("the upload's thread panicked"))
}

/// The digest that is current: the one before, or the one that was under way; promised, and answering.
fn look(host: &Host, before: &str, told: Option<&str>) -> Result<String> {
    let current = host.api.current(TENANT, PLUGIN)?;
    if let Some(told) = told {
        ensure!(current == told, "the host had said that {told} was active, and it is {current}");
    }
    let versions = host.api.versions(TENANT, PLUGIN)?;
    ensure!(versions.contains(&current), "the current build {current} is no version");
    ensure!(versions.iter().any(|version| version == before), "the build before, {before}, is gone");
    for version in &versions {
        let file = host.data().join("components").join(format!("{version}.wasm"));
        ensure!(file.is_file(), "{} is missing", file.display());
    }
    let is_new = current != before;
    ensure!(!is_new || versions.len() >= 2, "a new build without the old one");
    let answered = answering(host)?;
    ensure!(answered == current, "{answered} answers, and {current} is current");
    no_leftovers(&host.data().join("components"), &versions)?;
    Ok(current)
}

/// The digest of the build that answers a call.
fn answering(host: &Host) -> Result<String> {
    let mut uac = Uac::connect(host.sip, None, PLUGIN)?;
    uac.tolerant = true;
    let number = uac.dial(PLUGIN)?;
    if !uac.await_answer(number)? {
        bail!("a call was refused: {:?}", uac.lost);
    }
    uac.hang_up(1)?;
    let summaries = host.summaries(1)?;
    let digest = summaries[0]["plugin_digest"].as_str().context("a call without a build")?;
    Ok(digest.to_owned())
}

/// What a host that starts finds half written it removes; a whole component that nobody refers to may stay for a while.
fn no_leftovers(folder: &Path, versions: &[String]) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let digest = name.strip_suffix(".wasm");
        let whole = digest.is_some_and(|digest| digest.len() == 64 || versions.iter().any(|version| version == digest));
        ensure!(whole, "{name} was left behind");
    }
    Ok(())
}

/// Refused for versions in use, which is as it should be.
fn tidy(host: &Host, current: &str) -> Result<()> {
    let versions = host.api.versions(TENANT, PLUGIN)?;
    if versions.len() > VERSIONS_MAX {
        for version in versions.iter().filter(|version| *version != current) {
            let _ = host.api.delete_version(TENANT, PLUGIN, version);
        }
    }
    Ok(())
}
