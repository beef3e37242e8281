//! Who may depend on whom, as cargo sees it.

use std::collections::BTreeSet;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{cargo, root};

/// Our own crates, and those of ours that each may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("patchbay-sip", &[]),
    ("patchbay-media", &[]),
    ("patchbay-plugin", &[]),
    ("patchbay-call", &["patchbay-sip", "patchbay-media"]),
    ("patchbay-store", &[]),
    ("patchbay-outside", &[]),
    ("patchbay-speech", &["patchbay-outside"]),
    (
        "patchbay",
        &[
            "patchbay-sip",
            "patchbay-media",
            "patchbay-call",
            "patchbay-plugin",
            "patchbay-store",
            "patchbay-outside",
            "patchbay-speech",
        ],
    ),
    ("patchbay-sdk", &[]),
];

/// Crates of others that only these of ours may use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("wasmtime", &["patchbay-plugin"]),
    ("wasmtime-wasi", &["patchbay-plugin"]),
    ("tokio", &["patchbay", "patchbay-outside", "patchbay-speech"]),
    ("rubato", &["patchbay-speech"]),
    ("tokio-rustls", &["patchbay", "patchbay-outside"]),
    ("notify", &["patchbay"]),
    ("axum", &["patchbay"]),
    ("hickory-resolver", &["patchbay", "patchbay-outside"]),
    ("tokio-tungstenite", &["patchbay-outside"]),
    ("rusqlite", &["patchbay-store"]),
    ("rsip", &["patchbay-sip"]),
    ("earshot", &["patchbay-media"]),
    ("webrtc-sdp", &["patchbay-media"]),
    ("webrtc-srtp", &["patchbay-media"]),
    ("rtp", &["patchbay-media"]),
    ("rtcp", &["patchbay-media"]),
];

pub fn look() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in packages(&[])? {
        let name = text(&package, "name")?;
        // What measures and tests the product is not the product.
        if text(&package, "manifest_path")?.starts_with(&format!("{}/tests/", root().display())) {
            continue;
        }
        for dependency in package["dependencies"].as_array().context("no dependencies")? {
            let used = text(dependency, "name")?;
            let is_ours = MAY_USE.iter().any(|(ours, _)| *ours == used);
            let is_for_tests = dependency["kind"] == "dev";
            let may = MAY_USE.iter().find(|(ours, _)| *ours == name).map(|(_, may)| *may);
            if let Some(may) = may.filter(|may| is_ours && !may.contains(&used) && !is_for_tests) {
                findings.push(format!("{name} may use {may:?} of ours, and uses {used}"));
            }
            if let Some((_, only)) = ONLY_IN.iter().find(|(theirs, only)| *theirs == used && !only.contains(&name)) {
                findings.push(format!("{name} uses {used}, which is for {only:?} alone"));
            }
        }
    }
    Ok(findings)
}

/// The files that cargo begins with: what no other file declares.
pub fn roots() -> Result<BTreeSet<String>> {
    let mut roots = BTreeSet::new();
    for package in [packages(&[])?, packages(&["--manifest-path", "plugins/Cargo.toml"])?].concat() {
        for target in package["targets"].as_array().context("no targets")? {
            let path = text(target, "src_path")?;
            roots.insert(path.strip_prefix(&format!("{}/", root().display())).unwrap_or(path).to_owned());
        }
    }
    Ok(roots)
}

fn packages(arguments: &[&str]) -> Result<Vec<Value>> {
    let mut command = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.args(arguments).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", output.status);
    let mut metadata: Value = serde_json::from_slice(&output.stdout)?;
    match metadata["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => anyhow::bail!("cargo metadata names no packages"),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("cargo metadata: no {key}"))
}
