//! `cargo xtask tidy`: the rules of the tree that no compiler knows. Each finding is one line, `path:line: what`.

mod crates;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::process::root;
use source::Source;

/// Not in code outside tests, by folder. Why: ARCHITECTURE.md, "Invariants".
const NOT_IN: &[(&[&str], &[&str], &str)] = &[
    (
        &["host/sip/src/", "host/media/src/", "host/call/src/", "host/plugin/src/"],
        &["Instant::now", "SystemTime::now"],
        "time is a parameter here",
    ),
    (
        &["host/sip/src/", "host/media/src/", "host/call/src/"],
        &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "tokio::",
            "std::fs",
            "std::env::var",
            "thread::spawn",
            "thread::sleep",
        ],
        "no IO and no threads here",
    ),
    (&["host/plugin/src/"], &["TcpStream", "TcpListener", "std::fs", "std::env::var", "tokio::"], "no IO here"),
    (
        &["host/sip/", "host/media/", "host/call/", "host/outside/", "host/runtime/src/", "sdk/", "plugins/"],
        &["wasmtime::", "wasmtime_wasi::"],
        "wasmtime lives in host/plugin",
    ),
    (
        &["sdk/rust/src/", "plugins/"],
        &["std::time", "std::net", "std::fs", "std::thread::", "std::env"],
        "a bot has no clock, network, files or threads",
    ),
];

/// Where one of those words is right all the same: the compiled cache is files, and the compiling child steps back by writing one.
const ALL_THE_SAME: &[(&str, &str)] =
    &[("host/plugin/src/cache.rs", "std::fs"), ("host/plugin/src/compiler/", "std::fs")];

/// Nowhere in Rust code, tests included: words of work that somebody meant to do later. None of them is a promise here: this list is what
/// `tidy` looks for, and so the one place where they may stand.
const NOWHERE: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "for now"];

/// Folders of some machine, in any file.
const MACHINES: &[&str] = &["/root/", "/home/", "/Users/", "/work/"];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// What is longer all the same, as `<lines> <path>` or `<lines> <path> <function>`. It may shrink, and not grow.
const RATCHET: &str = "xtask/src/tidy/ratchet.txt";

pub fn run() -> Result<ExitCode> {
    let untidy = look()?;
    untidy.iter().for_each(|finding| println!("{finding}"));
    println!("{} findings", untidy.len());
    Ok(if untidy.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that is not as it should be.
pub fn look() -> Result<Vec<String>> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths)?;
    let mut findings = crates::look()?;
    let mut sources = BTreeMap::new();
    for path in &paths {
        let bytes = fs::read(root().join(path)).with_context(|| path.clone())?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        findings.extend(machines(path, &text));
        if path.ends_with(".rs") {
            sources.insert(path.clone(), Source::new(text));
        }
    }
    for (path, source) in &sources {
        findings.extend(words(path, source));
    }
    findings.extend(promises(&paths, &sources)?);
    findings.extend(lengths(&sources)?);
    findings.extend(dead(&paths, &sources)?);
    Ok(findings)
}

/// Every file that could be committed, by its path from the root.
fn walk(folder: &Path, paths: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), paths)?;
        } else if let Some(path) = entry.path().strip_prefix(root())?.to_str() {
            paths.push(path.to_owned());
        }
    }
    paths.sort();
    Ok(())
}

fn machines(path: &str, text: &str) -> Vec<String> {
    if path.starts_with("xtask/src/tidy/") {
        return Vec::new();
    }
    let lines = text.lines().enumerate();
    let found = lines.filter(|(_, line)| MACHINES.iter().any(|folder| line.contains(folder)));
    found.map(|(at, _)| format!("{path}:{}: a folder of one machine", at + 1)).collect()
}

fn words(path: &str, source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, line) in source.lines().enumerate() {
        if !path.starts_with("xtask/src/tidy/")
            && let Some(word) = NOWHERE.iter().find(|word| line.contains(**word))
        {
            findings.push(format!("{path}:{}: `{word}`", at + 1));
        }
    }
    if source::is_test(path) {
        return findings;
    }
    for (folders, banned, why) in NOT_IN {
        if !folders.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        for (at, line) in source.product_lines() {
            let allowed =
                |word: &str| ALL_THE_SAME.iter().any(|(place, what)| path.starts_with(place) && *what == word);
            if let Some(word) = banned.iter().find(|word| line.contains(**word) && !allowed(word)) {
                findings.push(format!("{path}:{}: `{word}`: {why}", at + 1));
            }
        }
    }
    findings
}

/// Tests that the documentation names, as `` `words_of_a_sentence` ``, and that are not there.
fn promises(paths: &[String], sources: &BTreeMap<String, Source>) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with("ARCHITECTURE.md") || path.ends_with("docs/limits.md")) {
        let text = fs::read_to_string(root().join(path))?;
        for name in text.split('`').filter(|word| word.matches('_').count() > 2 && !word.contains([' ', '/', '\n'])) {
            let declared = format!("fn {name}()");
            if !sources.values().any(|source| source.lines().any(|line| line.contains(&declared))) {
                findings.push(format!("{path}: there is no test `{name}`"));
            }
        }
    }
    Ok(findings)
}

fn lengths(sources: &BTreeMap<String, Source>) -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join(RATCHET)).context(RATCHET)?;
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let (lines, what) = line.split_once(' ').with_context(|| format!("{RATCHET}: {line}"))?;
        allowed.insert(what, lines.parse().with_context(|| format!("{RATCHET}: {line}"))?);
    }
    let mut findings = Vec::new();
    let mut judge = |what: String, lines: usize, max: usize| match allowed.remove(what.as_str()) {
        Some(kept) if lines > kept => findings.push(format!("{what}: {lines} lines, {kept} before")),
        None if lines > max => findings.push(format!("{what}: {lines} lines, at most {max}")),
        _ => {}
    };
    for (path, source) in sources {
        judge(path.clone(), source.lines().count(), FILE_LINES_MAX);
        for (function, lines) in source.functions() {
            if lines > FUNCTION_LINES_MAX {
                judge(format!("{path} {function}"), lines, FUNCTION_LINES_MAX);
            }
        }
    }
    findings.extend(allowed.keys().map(|gone| format!("{RATCHET}: {gone} is short enough now, or gone")));
    Ok(findings)
}

/// Modules that nobody declares, snapshots that no test reads, recordings that nothing plays.
fn dead(paths: &[String], sources: &BTreeMap<String, Source>) -> Result<Vec<String>> {
    let roots = crates::roots()?;
    let said = |word: &str| sources.values().any(|source| source.lines().any(|line| line.contains(word)));
    let mut findings = Vec::new();
    for path in paths {
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_used = match path.rsplit('.').next() {
            Some("rs") => {
                let folder = Path::new(path).parent().and_then(Path::file_name).and_then(|name| name.to_str());
                let module = if stem == "mod" { folder.unwrap_or_default() } else { stem };
                roots.contains(path) || said(&format!("mod {module};"))
            }
            Some("txt") if path.contains("/snapshots/") => said(&format!("\"{stem}\"")),
            Some("wav") => said(&format!("{stem}.wav")),
            // Read all together, whatever they are called.
            Some("wat") => said("bots/bad"),
            _ => true,
        };
        if !is_used {
            findings.push(format!("{path}: nothing uses it"));
        }
    }
    Ok(findings)
}
