//! `patchbay serve`: brings the planes up one after the other, says so on stdout, and hands over to the core.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use plugin::Engine;
use rand::TryRngCore;
use store::Pairs;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::admin::{Phase, Readiness};
use crate::bots::{Bots, Lane, PHASES};
use crate::capacity::Room;
use crate::config::{Certificate, Config};
use crate::core::{Core, HeadRoom, Record, Request, Sample, Witness};
use crate::drain::{Signal, Signals};
use crate::hosting::Hosting;
use crate::media_shard::{MediaShard, ShardCounters, ShardEvent};
use crate::observe::{Captures, Metrics, SipTrace};
use crate::outbound::Desk;
use crate::rtp_ports::RtpPorts;
use crate::said::say;
use crate::services::{Reach, host_services};
use crate::signalling::{Bounds, Signalling};
use crate::tenancy::Tenancy;
use crate::tls::TlsServer;
use crate::{admin, core, wiring};

const REQUESTS_WAITING_MAX: usize = 16;

/// Runs the host until it has drained.
pub async fn serve(config: Config, metrics: Metrics) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let limits = plugin_limits(&config);
    Room::allowed().suffice_for(config.limits.calls, limits.reserved_bytes()).map_err(anyhow::Error::msg)?;
    let readiness = Readiness::default();

    // Bots and tenants first: whoever is called must be there when the first call comes.
    let engine = Engine::new(limits).map_err(|error| anyhow::anyhow!("wasmtime: {error:#}"))?;
    let ticking = EpochTicker::start(&engine)?;
    let reach = Reach::new(&config, Handle::current(), &metrics)?;
    let counted = reach.clone();
    metrics.before_each_look(move |metrics| counted.count(metrics));
    let (opened, reached) = (config.clone(), reach.clone());
    let open = move || Tenancy::open(&opened, &engine, reached);
    let tenancy = tokio::task::spawn_blocking(open).await.context("tenants")??;
    let store = tenancy.store().map(|store| store as Arc<dyn Pairs>);
    let services = host_services(&reach, store, &Handle::current());
    let shared = Arc::clone(&tenancy.shared);

    let trace = SipTrace::new(config.sip_trace);
    let signalling = Signalling::bind(&config, Bounds::from(&config.limits), &metrics, trace.clone())?;
    let bound: Vec<_> = signalling.listeners.iter().map(|listener| listener.local).collect();
    let prompts = wiring::prompts(&config)?;
    let (bot_plane, bot_events) = Bots::start(media_threads(), prompts, Arc::new(services)).context("bot workers")?;
    let shard_counters = shard_counters(&metrics);
    let (shards, shard_events) = start_shards(&bot_plane, &config, &shard_counters)?;
    let head_room = head_room(shards.len());
    let captures = Captures::start(&config.pcap, &metrics).context("captures")?;
    let (requests, requested) = mpsc::channel(REQUESTS_WAITING_MAX);
    let desk = Desk::new(&config, requests.clone()).map_err(anyhow::Error::msg).context("trunks.outbound")?;
    let (canaries, canaries_failed) = mpsc::unbounded_channel();
    let (quotas, allowances) = {
        let picture = shared.picture();
        (picture.quotas(), picture.allowances())
    };
    let core = Core {
        endpoint: sip::Endpoint::new(
            wiring::endpoint_config(&config, &signalling.listeners),
            u64::from_ne_bytes(entropy()?),
        ),
        calls: call::Calls::new(wiring::settings(&config, shared.routing(), quotas), entropy()?, core::wall_clock()),
        edge: signalling.edge,
        trace,
        bots: bot_plane,
        shards,
        shard_counters,
        head_room,
        ports: RtpPorts::new(
            config.rtp.ports.first..=config.rtp.ports.last,
            Duration::from_millis(config.rtp.rest_ms.into()),
        ),
        pairs: HashMap::new(),
        registry: Arc::clone(&shared.registry),
        allowances,
        tails: shared.tails.clone(),
        canaries,
        outbound: Arc::clone(&desk),
        witness: Witness::new(captures, bound.clone()),
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

    // From here on what changes in folders and in the store reaches the core.
    shared.connect(requests.clone());
    let hosting = tenancy.follow(canaries_failed).context("following tenants")?;
    let hosting = hosting.map(|hosting| hosting.with_outbound(Arc::clone(&desk)));
    let _certificates = start_admin(&config, &metrics, &readiness, hosting).await?;
    let _of_callbacks = start_callbacks(&config, &metrics, &desk).await?;
    for (listener, address) in config.listeners.iter().zip(&bound) {
        say(format_args!("listening {}://{address}", crate::config::scheme(listener.listen.transport)));
    }
    say(format_args!("ready bots={}", shared.registry.names().join(",")));
    readiness.set(Phase::Ready);

    let mut running = tokio::spawn(core.run());
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
    ticking.stop();
    Ok(())
}

/// Returns what keeps the certificates fresh, if there are any.
async fn start_admin(
    config: &Config,
    metrics: &Metrics,
    readiness: &Readiness,
    hosting: Option<Hosting>,
) -> anyhow::Result<Option<TlsServer>> {
    let Some(listen) = config.admin.listen else { return Ok(None) };
    let tls = tls_server(&config.admin.certificates, metrics).context("admin.certificates")?;
    let admin = admin::Admin {
        listen,
        tls: tls.as_ref().map(|tls| Arc::clone(&tls.config)),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        hosting,
        bounds: admin::Bounds::default(),
    };
    let address = admin::serve(admin).await.with_context(|| format!("admin {listen}"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    say(format_args!("listening {scheme}://{address}"));
    Ok(tls)
}

/// As `start_admin`, where trunks call back.
async fn start_callbacks(config: &Config, metrics: &Metrics, desk: &Arc<Desk>) -> anyhow::Result<Option<TlsServer>> {
    let Some(listen) = config.callbacks.listen else { return Ok(None) };
    let tls = tls_server(&config.callbacks.certificates, metrics).context("callbacks.certificates")?;
    let server = tls.as_ref().map(|tls| Arc::clone(&tls.config));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = admin::serve_callbacks(listen, server, Arc::clone(desk), admin::Bounds::default()).await;
    let address = address.with_context(|| format!("callbacks {listen}"))?;
    desk.call_back_at(config.callbacks.url.clone().unwrap_or_else(|| format!("{scheme}://{address}")));
    say(format_args!("callbacks {scheme}://{address}"));
    Ok(tls)
}

fn tls_server(certificates: &[Certificate], metrics: &Metrics) -> anyhow::Result<Option<TlsServer>> {
    let reloads = metrics.counter("patchbay_certificate_reloads_total", "Certificates reloaded.", &[]);
    let load = || TlsServer::new(certificates, reloads).map_err(anyhow::Error::msg);
    (!certificates.is_empty()).then(load).transpose()
}

/// One media thread for each lane of workers.
fn start_shards(
    bots: &Bots,
    config: &Config,
    counters: &ShardCounters,
) -> anyhow::Result<(Vec<MediaShard>, mpsc::UnboundedReceiver<ShardEvent>)> {
    let (sender, events) = mpsc::unbounded_channel();
    let budget = Duration::from_millis(config.bot_budget_ms.into());
    let start = |(number, lane): (usize, &Arc<Lane>)| {
        MediaShard::start(number, Arc::clone(lane), budget, counters.clone(), sender.clone())
    };
    let shards = bots.lanes().iter().enumerate().map(start).collect::<Result<_, _>>();
    Ok((shards.context("media threads")?, events))
}

fn shard_counters(metrics: &Metrics) -> ShardCounters {
    let counter = |name, help| metrics.counter(name, help, &[]);
    ShardCounters {
        late_phases: counter("patchbay_media_phases_late_total", "Phases of the tick that a media thread began late."),
        skipped_phases: counter(
            "patchbay_media_phases_skipped_total",
            "Phases of the tick that were skipped after a stall.",
        ),
        broken_legs: counter(
            "patchbay_media_legs_broken_total",
            "Legs given up because the host itself failed in them.",
        ),
    }
}

fn head_room(media_threads: usize) -> HeadRoom {
    let phases_per_second = (media_threads * PHASES * 50) as f64;
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let now = Sample { at: Instant::now(), phases_late: 0, cpu: core::process_cpu() };
    HeadRoom::new(phases_per_second, processors, now)
}

/// One media thread for every two processors: each also needs a lane of workers.
fn media_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

pub(crate) fn plugin_limits(config: &Config) -> plugin::Limits {
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

/// Passes the engine's epochs, from a thread of its own.
struct EpochTicker {
    stop: Arc<AtomicBool>,
}

impl EpochTicker {
    fn start(engine: &Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, ticker) = (Arc::clone(&stop), engine.ticker()?);
        std::thread::Builder::new().name("epoch".into()).spawn(move || {
            crate::bots::priority::media();
            ticker.run(&stopped)
        })?;
        Ok(Self { stop })
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
