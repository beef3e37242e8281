//! `patchbay serve`: brings the planes up one after the other, says so on stdout, and hands over to the core.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use plugin::{Engine, Registry, Reloaded};
use rand::TryRngCore;
use tokio::sync::{mpsc, oneshot};

use crate::admin::{Phase, Readiness};
use crate::bot_folder::{BotFile, BotFolder, FolderBounds};
use crate::bots::Bots;
use crate::config::Config;
use crate::core::{Core, Record, Request, Witness};
use crate::drain::{Signal, Signals};
use crate::media_shard::{MediaShard, ShardCounters};
use crate::observe::{Captures, Metrics, SipTrace};
use crate::rtp_ports::RtpPorts;
use crate::said::say;
use crate::signalling::{Bounds, Signalling};
use crate::{admin, core, descriptors, wiring};

/// Guests look at the epoch; one tick is how long a bot may stay before its worker's place is given to another.
const EPOCH: Duration = Duration::from_millis(1);
const REQUESTS_WAITING_MAX: usize = 16;

/// Runs the host until it has drained.
pub async fn serve(config: Config, metrics: Metrics) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    descriptors::raise_limit(config.limits.calls);
    let readiness = Readiness::default();

    let engine = Engine::new(plugin_limits(&config)).map_err(|error| anyhow::anyhow!("wasmtime: {error:#}"))?;
    let ticking = EpochTicker::start(&engine)?;
    let registry = Arc::new(Registry::default());
    let bounds = FolderBounds { bots_max: config.limits.bots, bytes_max: config.limits.bot_mb << 20 };
    let mut folder = BotFolder::watch(&config.bots, bounds).map_err(anyhow::Error::msg).context("bots")?;
    let mut bots = BotNames::default();
    for file in std::mem::take(&mut folder.present) {
        bots.take(&engine, &registry, file);
    }

    let trace = SipTrace::new(config.sip_trace);
    let signalling = Signalling::bind(&config, Bounds::from(&config.limits), &metrics, trace.clone())?;
    let bound: Vec<_> = signalling.listeners.iter().map(|listener| listener.local).collect();
    let prompts = wiring::prompts(&config)?;
    let threads = media_threads();
    let (bot_plane, bot_events) = Bots::start(threads, prompts).context("bot workers")?;
    let (shard_sender, shard_events) = mpsc::unbounded_channel();
    let budget = Duration::from_millis(config.bot_budget_ms.into());
    let counters = ShardCounters {
        late_phases: metrics.counter(
            "patchbay_media_phases_late_total",
            "Phases of the tick that a media thread began late.",
            &[],
        ),
        skipped_phases: metrics.counter(
            "patchbay_media_phases_skipped_total",
            "Phases of the tick that were skipped after a stall.",
            &[],
        ),
        broken_legs: metrics.counter(
            "patchbay_media_legs_broken_total",
            "Legs given up because the host itself failed in them.",
            &[],
        ),
    };
    let shards = bot_plane.lanes().iter().enumerate();
    let shards = shards.map(|(number, lane)| {
        MediaShard::start(number, Arc::clone(lane), budget, counters.clone(), shard_sender.clone())
    });
    let shards = shards.collect::<Result<Vec<_>, _>>().context("media threads")?;
    let captures = Captures::start(&config.pcap, &metrics).context("captures")?;
    let witness = Witness::new(captures, bound.clone());
    let (requests, requested) = mpsc::channel(REQUESTS_WAITING_MAX);
    let core = Core {
        endpoint: sip::Endpoint::new(
            wiring::endpoint_config(&config, &signalling.listeners),
            u64::from_ne_bytes(entropy()?),
        ),
        calls: call::Calls::new(wiring::settings(&config, &bots.all())?, entropy()?, core::wall_clock()),
        edge: signalling.edge,
        trace,
        bots: bot_plane,
        shards,
        ports: RtpPorts::new(
            config.rtp.ports.first..=config.rtp.ports.last,
            Duration::from_millis(config.rtp.rest_ms.into()),
        ),
        pairs: HashMap::new(),
        registry: Arc::clone(&registry),
        witness,
        record: Record::new(&metrics, config.log.personal),
        addresses: wiring::media_addresses(&signalling.listeners),
        rtp: config.rtp.clone(),
        jitter: config.jitter,
        seats: HashMap::new(),
        edge_events: signalling.events,
        bot_events,
        shard_events,
        requests: requested,
    };

    if let Some(listen) = config.admin.listen {
        let address = admin::serve(listen, metrics.clone(), readiness.clone())
            .await
            .with_context(|| format!("admin {listen}"))?;
        say(format_args!("listening http://{address}"));
    }
    for (listener, address) in config.listeners.iter().zip(&bound) {
        say(format_args!("listening {}://{address}", crate::config::scheme(listener.listen.transport)));
    }
    say(format_args!("ready bots={}", registry.names().join(",")));
    readiness.set(Phase::Ready);

    let mut running = tokio::spawn(core.run());
    let reloading = tokio::spawn(reload_bots(folder, bots, engine, registry, requests.clone(), config.clone()));
    loop {
        tokio::select! {
            ended = &mut running => {
                ended.context("the signalling task")?;
                break;
            }
            signal = signals.next() => {
                let request = match signal {
                    Signal::EndNow => break,
                    Signal::Drain => {
                        readiness.set(Phase::Draining);
                        Request::Drain { limit: Duration::from_secs(config.drain_seconds) }
                    }
                    Signal::ToggleSipTrace => Request::ToggleSipTrace,
                    Signal::TogglePcap => Request::TogglePcap,
                };
                let _ = requests.send(request).await;
            }
        }
    }
    reloading.abort();
    ticking.stop();
    Ok(())
}

/// One media thread for every two processors: each also needs a lane of workers.
fn media_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

fn plugin_limits(config: &Config) -> plugin::Limits {
    plugin::Limits {
        memory_bytes: (config.limits.guest_memory_mb as usize) << 20,
        component_bytes: (config.limits.bot_mb as usize) << 20,
        ..plugin::Limits::default()
    }
}

fn entropy<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).context("the system's random numbers")?;
    Ok(bytes)
}

/// Every bot that has a file, whether its build can run or not: a broken one is 480, an unknown one 404.
#[derive(Default)]
struct BotNames(std::collections::BTreeSet<String>);

impl BotNames {
    /// Loads, tries and activates what is new. True: the set of bots has changed.
    fn take(&mut self, engine: &Engine, registry: &Registry, file: BotFile) -> bool {
        match file {
            BotFile::Changed { name, bytes } => {
                match registry.reload(engine, &name, &bytes) {
                    Ok(Reloaded::Activated { generation }) => {
                        tracing::info!(bot = name, generation, "bot loaded: new calls get it")
                    }
                    Ok(Reloaded::Unchanged { generation }) => tracing::debug!(bot = name, generation, "bot unchanged"),
                    Err(error) => tracing::error!(bot = name, "not loaded: {error}; {}", kept(registry, &name)),
                }
                self.0.insert(name)
            }
            BotFile::Refused { name, error } => {
                tracing::error!(bot = name, "not loaded: {error}; {}", kept(registry, &name));
                self.0.insert(name)
            }
            BotFile::Removed { name } => {
                tracing::info!(bot = name, "bot removed: no new calls");
                registry.withdraw(&name);
                self.0.remove(&name)
            }
        }
    }

    fn all(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

fn kept(registry: &Registry, name: &str) -> &'static str {
    if registry.current(name).is_some() { "the old build stays" } else { "calls to it are refused with 480" }
}

/// A replaced .wasm serves the next call. Compiling happens on a thread of its own, at low priority.
async fn reload_bots(
    mut folder: BotFolder,
    mut bots: BotNames,
    engine: Engine,
    registry: Arc<Registry>,
    requests: mpsc::Sender<Request>,
    config: Config,
) {
    while let Some(file) = folder.next().await {
        let (engine, registry) = (engine.clone(), Arc::clone(&registry));
        let (done, taken) = oneshot::channel();
        let loading = std::thread::Builder::new().name("bot-loader".into()).spawn(move || {
            crate::bots::priority::slow_worker();
            let changed = bots.take(&engine, &registry, file);
            // Nobody listens only while the host ends.
            let _ = done.send((bots, changed));
        });
        let (Ok(_), Ok((names, changed))) = (loading, taken.await) else {
            return tracing::error!("bots are not watched any more: the loader failed");
        };
        bots = names;
        if !changed {
            continue;
        }
        match wiring::routing(&config, &bots.all()) {
            Ok(routing) => drop(requests.send(Request::Routing(Arc::new(routing))).await),
            Err(error) => tracing::error!("routes: {error:#}; the old ones stay"),
        }
    }
}

/// Ticks the engine's epoch from a thread of its own.
struct EpochTicker {
    stop: Arc<AtomicBool>,
}

impl EpochTicker {
    fn start(engine: &Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, engine) = (Arc::clone(&stop), engine.clone());
        std::thread::Builder::new().name("epoch".into()).spawn(move || {
            crate::bots::priority::media();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(EPOCH);
                engine.tick();
            }
        })?;
        Ok(Self { stop })
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
