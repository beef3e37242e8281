//! Bots that converse, measured from outside: callers who interrupt, take turns, or never stop speaking; a release host; and engines that
//! answer at once, so that what time goes by is the host's.
//!
//! Start reading at one measure: `interruptions`, `turns`, `watching`. `talker` is what a caller does.

mod engines;
mod interruptions;
mod talker;
mod turns;
mod voice;
mod watching;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

pub use self::talker::Talker;

use self::engines::{Engines, LONG, SAMPLE_RATE};
use self::talker::{Frame, Manner};
use crate::host::Host;
use crate::leg::Leg;
use crate::tally::Clock;
use crate::traffic::Traffic;
use crate::uac::Uac;

#[derive(clap::Args)]
pub struct Conversation {
    /// The host's program.
    #[arg(long)]
    host: PathBuf,
    /// Where agent.wasm and watcher.wasm are.
    #[arg(long)]
    bots: Vec<PathBuf>,
    /// For bots and logs; what was in it is removed.
    #[arg(long)]
    folder: PathBuf,
    /// Callers who interrupt the bot, each once.
    #[arg(long, default_value_t = 50)]
    interruptions: usize,
    /// Callers who talk with agents, and afterwards callers who never stop.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// How long they do.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

const IN_FLIGHT: usize = 8;
/// Silence for so long ends an utterance. Units: ms.
const END_OF_TURN_MS: u32 = 500;

/// Prints the figures as one JSON object.
pub fn run(conversation: &Conversation) -> Result<()> {
    let clock = Clock::new();
    let engines = Engines::start(clock.clone())?;
    let stage = Stage { host: start(conversation, &engines.url)?, engines, clock, voice: voice::voice()? };
    let mut figures = Map::new();
    for (name, measure) in [
        ("interruptions", interruptions::measure as fn(&Stage, &Conversation) -> Result<Value>),
        ("turns", turns::measure as _),
        ("watching", watching::measure as _),
    ] {
        let measured = measure(&stage, conversation).context(name)?;
        eprintln!("bench: {name}: {measured}");
        figures.extend(measured.as_object().cloned().unwrap_or_default());
    }
    println!("{}", Value::Object(figures));
    Ok(())
}

/// The host with all that is measured.
fn start(Conversation { host, bots, folder, calls, .. }: &Conversation, url: &str) -> Result<Host> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder.join("bots"))?;
    for name in ["agent.wasm", "watcher.wasm"] {
        let built = bots.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        let built = built.with_context(|| format!("no {name}; run `cargo xtask bots --tests`"))?;
        fs::copy(built, folder.join("bots").join(name))?;
    }
    let agent = |number: usize| {
        format!(
            "[[routes]]\ncalled = \"{}\"\nplugin = \"agent\"\n[routes.config]\nhint = \"{}\"\n\
             turn = {{ end_ms = {END_OF_TURN_MS}, silence_ms = 0 }}\n",
            turns::CALLED.replace('*', &number.to_string()),
            engines::hint(number),
        )
    };
    let agents: String = (0..*calls).map(agent).collect();
    let configuration = format!(
        r#"
bots = "bots"
[[listeners]]
listen = "tcp://127.0.0.1:0"
[[trunks]]
name = "callers"
networks = ["127.0.0.0/8"]
[log]
level = "warn,summary=info"
personal = true
[speech.stt]
url = "{url}"
model = "instant"
[speech.tts]
url = "{url}"
model = "instant"
voice = "tone"
sample_rate = {SAMPLE_RATE}
[chat]
url = "{url}"
model = "instant"
[[routes]]
called = "{interrupted}"
plugin = "agent"
[routes.config]
greeting = "Let me explain this {LONG}."
barge_in = "now"
{agents}
[[routes]]
called = "{watched}"
plugin = "watcher"
config = {{ watch = true }}
[[routes]]
called = "{plain}"
plugin = "watcher"
"#,
        interrupted = interruptions::CALLED,
        watched = watching::WATCHED,
        plain = watching::PLAIN,
    );
    Host::start(host, folder, &configuration)
}

pub struct Stage {
    host: Host,
    engines: Engines,
    clock: Clock,
    voice: Arc<[Frame]>,
}

/// Callers who are up and talk.
struct Talk {
    uac: Uac,
    traffic: Traffic,
}

impl Stage {
    /// Returns when all have been answered.
    fn talk(&self, called: &str, calls: usize, manner: Manner) -> Result<Talk> {
        let traffic = Traffic::start(self.clock.clone());
        let mut uac = Uac::connect(self.host.sip, None, called)?;
        uac.place(calls, IN_FLIGHT, &mut |mut leg| {
            leg.make_sample()?;
            leg.talker = Some(Box::new(Talker::new(manner, self.voice.clone())));
            traffic.add(leg);
            Ok(())
        })?;
        Ok(Talk { uac, traffic })
    }

    /// The records of the calls that were made so far, newest last.
    fn records(&self, called: &dyn Fn(&str) -> bool, calls: usize) -> Result<Vec<Value>> {
        let mut known = 0;
        loop {
            let records = self.host.summaries(known)?;
            let is_own = |record: &&Value| record["called"].as_str().is_some_and(called);
            let own: Vec<Value> = records.iter().filter(is_own).cloned().collect();
            if own.len() >= calls {
                return Ok(own);
            }
            known = records.len() + 1;
        }
    }
}

impl Talk {
    fn lasts(&mut self, time: Duration) -> Result<()> {
        self.uac.wait_until(Instant::now() + time)
    }

    /// All hang up, and tell what they heard.
    fn end(mut self) -> Result<Vec<Leg>> {
        let legs = self.traffic.stop()?;
        self.uac.hang_up(IN_FLIGHT)?;
        Ok(legs)
    }
}
