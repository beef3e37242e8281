//! Sends a component and tells each stage that it passes.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use store::Name;

use super::client::Client;
use super::problem::Refusal;
use super::{Failure, Outcome, ask, pairs, show};
use crate::cli::DeployArgs;
use crate::said::{complain, say};

const BAR: &str = "{bar:30} {bytes}/{total_bytes} {msg}";
const BAR_MOVES_EVERY: Duration = Duration::from_millis(120);

pub fn deploy(client: &Client, args: &DeployArgs, as_json: bool) -> Outcome<()> {
    let wrong = |error: io::Error| Failure::Usage(format!("{}: {error}", args.file.display()));
    let file = File::open(&args.file).map_err(wrong)?;
    let metadata = file.metadata().map_err(wrong)?;
    if !metadata.is_file() {
        return Err(Failure::Usage(format!("{}: is not a file", args.file.display())));
    }
    let name = plugin_name(args)?;
    let tenant = client.one_tenant(args.whose.tenant.as_ref())?;
    // What cannot be bound is told before anything is sent.
    let bound = args.called.as_deref().map(|called| pairs::bind(client, &tenant, &name, called)).transpose()?.flatten();
    let told = Told::new(metadata.len(), as_json);
    let mut component = told.bar.wrap_read(file.take(metadata.len()));
    let mut result = None;
    let sent = client.upload(&path(&tenant, &name, args), metadata.len(), &mut component, |line| {
        if let Some(stage) = line["stage"].as_str() {
            told.stage(stage);
        } else if line.get("problem").is_some() {
            return Err(Failure::Refused(Refusal::new(line["problem"].clone())));
        } else {
            result = Some(line);
        }
        Ok(true)
    });
    told.bar.finish_and_clear();
    sent?;
    // The connection ended between two stages.
    let lost = || {
        Failure::Unreached("the host ended before it said what came of the upload: look at `patchbay plugins`".into())
    };
    let result = result.ok_or_else(lost)?;
    let result = result.get("result").unwrap_or(&result);
    if as_json {
        say(result);
    } else {
        say(pairs::deployed(&result["version"], &result["plugin"]));
    }
    if let Some(route) = bound {
        let answer = client.ask(&route)?;
        if !as_json {
            show(&route, &answer, false);
        }
    }
    Ok(())
}

fn path(tenant: &str, name: &str, args: &DeployArgs) -> String {
    let activates = args.activate || args.canary.is_some();
    let query = [
        ("activate", activates.then(|| "true".to_owned())),
        ("canary", args.canary.map(|share| share.to_string())),
        ("live", args.live.clone()),
        ("limit_s", args.limit.map(|seconds| seconds.to_string())),
    ];
    ask::with_query(ask::of(tenant, &["plugins", name, "versions"]), &query)
}

/// As named, else the file's name without its ending.
fn plugin_name(args: &DeployArgs) -> Outcome<Name> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse().map_err(|error| Failure::Usage(format!("{error}: --name N names the plugin")))
}

/// Who waits is told: on a terminal by a bar, else by a line a stage. Both on stderr.
struct Told {
    bar: ProgressBar,
    is_quiet: bool,
}

impl Told {
    fn new(bytes: u64, as_json: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden());
        if !as_json && io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(BAR_MOVES_EVERY);
        }
        Self { bar, is_quiet: as_json }
    }

    fn stage(&self, stage: &str) {
        let stage = super::table::plain(stage);
        if !self.bar.is_hidden() {
            self.bar.set_message(stage);
        } else if !self.is_quiet {
            complain(stage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, Operate};
    use clap::Parser;

    fn args(line: &str) -> DeployArgs {
        let parsed = Cli::try_parse_from(["patchbay", "deploy"].into_iter().chain(line.split_whitespace()));
        match parsed.unwrap_or_else(|error| panic!("{error}")).command {
            Command::Operate(Operate::Deploy(deploy)) => deploy.what,
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn the_plugin_is_the_file_unless_it_is_named() {
        let name = |line: &str| plugin_name(&args(line)).unwrap().to_string();
        assert_eq!(name("build/menu.wasm"), "menu");
        assert_eq!(name("build/menu.wasm --name other"), "other");
        let told = plugin_name(&args(".wasm")).err().unwrap().to_string();
        assert!(told.contains("--name N"), "{told}");
    }

    #[test]
    fn a_deployment_asks_for_what_was_written() {
        for (line, query) in [
            ("b.wasm", ""),
            ("b.wasm --activate", "?activate=true"),
            ("b.wasm --canary 10%", "?activate=true&canary=10"),
            ("b.wasm --activate --live move --limit 60", "?activate=true&live=move&limit_s=60"),
        ] {
            assert_eq!(path("a", "b", &args(line)), format!("/v1/tenants/a/plugins/b/versions{query}"));
        }
    }
}
