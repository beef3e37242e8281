//! `patchbay doctor`: looks a set-up over from the configuration to a call, and says of each thing whether it is well, and if not,
//! why, and what mends it.
//!
//! [`CHECKS`] is all that is looked at, in the order in which a call needs it. Nothing is changed and nothing kept; what is sent goes
//! to our own listeners, and to whom `--live` names.

mod addresses;
mod calls;
mod certificates;
mod listeners;
mod probe;
mod routes;
mod setup;
mod tenants;
mod trunks;

use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;

use serde::Serialize;

use crate::check;
use crate::cli::{DoctorArgs, EXIT_USAGE};
use crate::config::{self, Config};
use crate::said::{complain, say};
use listeners::Host;

/// Every check, under the name that findings begin with.
const CHECKS: &[(&str, Check)] = &[
    ("configuration", setup::configuration),
    ("capacity", setup::capacity),
    ("rtp ports", setup::rtp_ports),
    ("listener", listeners::bound),
    ("admin", listeners::admin),
    ("callbacks", listeners::callbacks),
    ("certificate", certificates::check),
    ("name", addresses::names),
    ("advertised", addresses::advertised),
    ("route", routes::check),
    ("tenant", tenants::check),
    ("trunk", trunks::check),
    ("options", calls::options),
    ("call", calls::call),
];

type Check = fn(&Case) -> Vec<Finding>;

/// What all checks look at.
struct Case<'a> {
    args: &'a DoctorArgs,
    config: Config,
    report: check::Report,
    host: Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Well,
    Wrong,
    /// Not to be seen from here, or right only if it is meant so.
    Unknown,
}

/// What one check says of one thing.
#[derive(Debug, Serialize)]
struct Finding {
    /// `listener tcp://0.0.0.0:5070`
    what: String,
    verdict: Verdict,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn well(of: impl fmt::Display, why: impl Into<String>) -> Self {
        Self { what: of.to_string(), verdict: Verdict::Well, why: why.into(), mend: None }
    }

    fn wrong(of: impl fmt::Display, why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, ..Self::unknown(of, why, mend) }
    }

    fn unknown(of: impl fmt::Display, why: impl Into<String>, mend: impl Into<String>) -> Self {
        let mend = Some(mend.into()).filter(|mend: &String| !mend.is_empty());
        Self { verdict: Verdict::Unknown, mend, ..Self::well(of, why) }
    }

    /// A line, and one more for what mends it.
    fn shown(&self, coloured: bool) -> String {
        let (word, colour) = match self.verdict {
            Verdict::Well => ("well   ", 32),
            Verdict::Wrong => ("WRONG  ", 31),
            Verdict::Unknown => ("unknown", 33),
        };
        let word = if coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        let mend = self.mend.iter().map(|mend| format!("\n         -> {mend}"));
        format!("{word}  {}: {}{}", self.what, self.why, mend.collect::<String>())
    }
}

/// Exit code: 0 nothing is wrong, 1 something is, 64 there is no configuration to look at.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let config = match config::read_file(&args.config) {
        Ok((config, _)) => config,
        Err(problem) => {
            complain(format_args!("patchbay: {problem}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let host = listeners::ask_host(&config);
    let case = Case { args, report: check::check(&args.config, false), host, config };
    let coloured = std::io::stdout().is_terminal();
    let mut findings = Vec::new();
    for (name, check) in CHECKS {
        for finding in check(&case) {
            let what = format!("{name} {}", finding.what).trim_end().to_owned();
            let finding = Finding { what, ..finding };
            if !args.json {
                say(finding.shown(coloured));
            }
            findings.push(finding);
        }
    }
    let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
    match (args.json, wrong) {
        (true, _) => say(serde_json::json!({ "ok": wrong == 0, "findings": findings })),
        (false, 0) => say("nothing is wrong"),
        (false, _) => say(format_args!("{wrong} wrong")),
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
