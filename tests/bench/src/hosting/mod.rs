//! What hosting promises, measured from outside: a release host is started, driven over its admin API, called by our callers and killed.
//! Each measure starts a host of its own, with a data folder of its own.
//!
//! Start reading at one measure: `reload`, `isolation`, `activation`, `kill9`, `churn`. `crate::host` and `crate::api` are what they all need.

mod activation;
mod build;
mod churn;
mod isolation;
mod kill9;
mod reload;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::host::Host;

const CONFIGURATION: &str = r#"
data = "data"
[[listeners]]
listen = "tcp://127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[trunks]]
name = "callers"
networks = ["127.0.0.0/8"]
[log]
level = "warn,summary=info"
personal = true
"#;

/// What is measured: all, or one.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// Calls that are up while builds are activated.
    Reload,
    /// Calls beside bots that loop without end.
    Isolation,
    /// How soon a new build answers.
    Activation,
    /// Builds that are complete whenever the host is killed.
    Kill9,
    /// Memory that no tenant sees of another.
    Churn,
}

const ALL: [Measure; 5] = [Measure::Reload, Measure::Isolation, Measure::Activation, Measure::Kill9, Measure::Churn];

#[derive(clap::Args)]
pub struct Hosting {
    /// The host's program.
    #[arg(long)]
    host: PathBuf,
    /// Where echo.wasm, dtmf-menu.wasm, misbehave.wasm and hoarder.wasm are.
    #[arg(long)]
    bots: Vec<PathBuf>,
    /// For data and logs; what was in it is removed.
    #[arg(long)]
    folder: PathBuf,
    #[arg(long, value_enum)]
    only: Option<Measure>,
    /// The long counts.
    #[arg(long)]
    full: bool,
    /// Calls that are up while builds are activated, or while others loop.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Of those, callers of bots that loop.
    #[arg(long, default_value_t = 20)]
    looping: usize,
}

/// Prints the figures as one JSON object.
pub fn run(hosting: &Hosting) -> Result<()> {
    let mut figures = Map::new();
    for measure in ALL {
        if hosting.only.is_some_and(|only| only != measure) {
            continue;
        }
        let (name, measured) = match measure {
            Measure::Reload => ("reload", reload::measure as fn(&Stage, &Hosting) -> Result<Value>),
            Measure::Isolation => ("isolation", isolation::measure as _),
            Measure::Activation => ("activation", activation::measure as _),
            Measure::Kill9 => ("kill9", kill9::measure as _),
            Measure::Churn => ("churn", churn::measure as _),
        };
        let stage = Stage::new(hosting, name)?;
        let measured = measured(&stage, hosting).context(name)?;
        eprintln!("bench: {name}: {measured}");
        figures.extend(measured.as_object().cloned().unwrap_or_default());
    }
    println!("{}", Value::Object(figures));
    Ok(())
}

/// Where one measure happens.
pub struct Stage {
    host: PathBuf,
    bots: Vec<PathBuf>,
    folder: PathBuf,
}

impl Stage {
    fn new(hosting: &Hosting, name: &str) -> Result<Stage> {
        let folder = hosting.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Stage { host: hosting.host.clone(), bots: hosting.bots.clone(), folder })
    }

    fn start(&self) -> Result<Host> {
        Host::start(&self.host, &self.folder, CONFIGURATION)
    }

    /// A component by its name.
    fn bot(&self, name: &str) -> Result<Vec<u8>> {
        let found = self.bots.iter().map(|folder| folder.join(format!("{name}.wasm"))).find(|file| file.is_file());
        let file = found.with_context(|| format!("no {name}.wasm; run `cargo xtask bots --tests`"))?;
        Ok(std::fs::read(file)?)
    }
}
