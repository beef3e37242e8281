//! What takes two requests, or an answer in two places.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use serde_json::{Value, json};
use store::Name;

use super::ask::{self, Ask, put_quotas};
use super::client::Client;
use super::view::{self, canary, digest, generation};
use super::{Failure, Outcome, show};
use crate::cli::{QuotaArgs, Whose};
use crate::said::{complain, say};

/// What is read of a secret, or of engines; the host takes less, and says so.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// One after the other; those made before one that is refused stay.
pub fn create_tenants(client: &Client, names: &[Name], quotas: &QuotaArgs, as_json: bool) -> Outcome<()> {
    let mut made = Vec::new();
    for name in names {
        let ask = ask::create_tenant(name, quotas);
        made.push(client.ask(&ask)?);
        if !as_json {
            show(&ask, &Value::Null, false);
        }
    }
    if as_json {
        // Several are one document all the same.
        say(if let [one] = &made[..] { one.clone() } else { Value::Array(made) });
    }
    Ok(())
}

/// A plugin's route for one number, unless it is there already. Errors: the plugin's name is another route's.
pub fn bind(client: &Client, tenant: &str, plugin: &Name, called: &str) -> Outcome<Option<Ask>> {
    let routes = client.ask(&Ask::get(ask::of(tenant, &["routes"]), view::ROUTES))?;
    let routes = routes.as_array().map_or(&[][..], Vec::as_slice);
    let wanted = json!({ "exact": called });
    if routes.iter().any(|route| route["called"] == wanted && route["plugin"] == **plugin) {
        return Ok(None);
    }
    if routes.iter().any(|route| route["name"] == **plugin) {
        let text =
            format!("route {plugin} of {tenant} takes other calls: `patchbay route put` changes it, or adds another");
        return Err(Failure::Usage(text));
    }
    Ok(Some(ask::bind(tenant, plugin, called)))
}

/// Shows a tenant's quotas, or changes those that are named and leaves the others as they are.
pub fn quotas(client: &Client, tenant: &Name, named: &QuotaArgs, as_json: bool) -> Outcome<()> {
    let known = Ask::get(ask::of(tenant, &[]), view::TENANT);
    let answer = client.ask(&known)?;
    if json!(named).as_object().is_none_or(serde_json::Map::is_empty) {
        show(&known, &answer, as_json);
        return Ok(());
    }
    let put = put_quotas(tenant, &answer["quotas"], named);
    let answer = client.ask(&put)?;
    show(&put, &answer, as_json);
    Ok(())
}

/// The text goes to stdout by itself, so that it can be kept; whose it is to stderr.
pub fn create_token(
    client: &Client,
    tenant: Option<&str>,
    scope: Option<&str>,
    label: &str,
    as_json: bool,
) -> Outcome<()> {
    let ask = ask::create_token(tenant, scope, label);
    let created = client.ask(&ask)?;
    if !as_json {
        complain(format_args!("{}, shown this once:", view::who(&created["token"], 0)));
    }
    show(&ask, &created, as_json);
    Ok(())
}

/// One plugin's versions, each with what it is to it.
pub fn versions(client: &Client, whose: &Whose, name: &Name, as_json: bool) -> Outcome<()> {
    let tenant = client.one_tenant(whose.tenant.as_ref())?;
    let of = |rest: &[&str]| ask::of(&tenant, &[&["plugins", name], rest].concat());
    let plugin = client.ask(&Ask::get(of(&[]), view::PLUGINS))?;
    let listed = Ask::get(of(&["versions"]), view::VERSIONS);
    let mut versions = client.ask(&listed)?;
    if as_json {
        say(json!({ "plugin": plugin, "versions": versions }));
        return Ok(());
    }
    for version in versions.as_array_mut().into_iter().flatten() {
        let role = role(&plugin, version);
        // What is no object has no digest, and so no role.
        if let Some(version) = version.as_object_mut() {
            version.insert("role".into(), role.into());
        }
    }
    show(&listed, &versions, false);
    Ok(())
}

/// `current: generation 3`; empty for one that answers nothing.
fn role(plugin: &Value, version: &Value) -> String {
    let named = |slot: &str| {
        let held = &plugin[slot];
        let is_it = !digest(&held["digest"]).is_empty() && held["digest"] == version["digest"];
        let number = view::text(&held["number"]);
        is_it.then(|| match slot {
            "canary" => format!("canary {} at {}%", number, view::text(&held["percent"])),
            slot => format!("{slot} {number}"),
        })
    };
    ["current", "canary", "previous"].into_iter().filter_map(named).collect::<Vec<_>>().join(", ")
}

/// From a file, from stdin, or asked for without being shown. One line end after it is not part of it.
pub fn secret_value(file: Option<&Path>, name: &Name) -> Outcome<String> {
    let read = match file {
        Some(path) => file_text(path)?,
        None if io::stdin().is_terminal() => {
            let typed = rpassword::prompt_password(format!("value of {name}: "));
            typed.map_err(|error| Failure::Failed(format!("the terminal: {error}")))?
        }
        None => bounded_text(io::stdin().lock()).map_err(|error| Failure::Usage(format!("stdin: {error}")))?,
    };
    let value = read.strip_suffix('\n').map_or(read.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(value.to_owned())
}

/// TOML or JSON, of a file or with `-` from stdin. What it means is for the host to say; it may hold a key that does not belong there, so
/// it is never repeated.
pub fn engines(file: &Path) -> Outcome<Value> {
    let text = match file.as_os_str().as_encoded_bytes() {
        b"-" => bounded_text(io::stdin().lock()).map_err(|error| Failure::Usage(format!("stdin: {error}")))?,
        _ => file_text(file)?,
    };
    // No TOML begins so.
    let read = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map_err(|error| format!("line {}: not JSON", error.line())),
        false => toml::from_str(&text).map_err(|error: toml::de::Error| {
            let before = &text[..error.span().map_or(0, |span| text.floor_char_boundary(span.start))];
            format!("line {}: {}", before.lines().count().max(1), error.message())
        }),
    };
    read.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

fn file_text(path: &Path) -> Outcome<String> {
    let read = fs::File::open(path).and_then(bounded_text);
    read.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn bounded_text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(TEXT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// One line of what a deployment came to.
pub fn deployed(version: &Value, plugin: &Value) -> String {
    let name = format!("{}/{}", view::text(&plugin["tenant"]), view::text(&plugin["name"]));
    let held = |slot: &str| plugin[slot]["digest"] == version["digest"] && !plugin[slot].is_null();
    let answers = match (held("current"), held("canary")) {
        (true, _) => {
            let current = &plugin["current"];
            format!("{} answers all new calls, {}", generation(current), view::live(current))
        }
        (_, true) => format!("{} of new calls", canary(&plugin["canary"])),
        _ => format!("stored as {}, answers nothing yet: `patchbay activate`", digest(&version["digest"])),
    };
    super::table::plain(&format!("{name}: {answers}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> Value {
        let generation = |number: u64, digit: &str| json!({"number": number, "digest": digit.repeat(64)});
        let mut canary = generation(3, "c");
        canary["percent"] = 10.into();
        json!({"tenant": "acme", "name": "menu", "current": generation(2, "b"), "previous": generation(1, "a"), "canary": canary})
    }

    fn version(digit: &str) -> Value {
        json!({"digest": digit.repeat(64), "bytes": 10})
    }

    #[test]
    fn each_version_is_told_with_what_it_is_to_its_plugin() {
        for (digit, told) in [("b", "current 2"), ("a", "previous 1"), ("c", "canary 3 at 10%"), ("d", "")] {
            assert_eq!(role(&plugin(), &version(digit)), told);
        }
        assert_eq!(role(&json!({}), &json!({})), "");
    }

    #[test]
    fn a_deployment_says_whether_and_how_it_answers() {
        for (digit, told) in [
            ("b", "acme/menu: generation 2 (bbbbbbbbbbbb) answers all new calls, live calls end on their own"),
            ("c", "acme/menu: generation 3 (cccccccccccc) at 10% of new calls"),
            ("d", "acme/menu: stored as dddddddddddd, answers nothing yet: `patchbay activate`"),
        ] {
            assert_eq!(deployed(&version(digit), &plugin()), told);
        }
    }

    #[test]
    fn a_secret_loses_one_line_end_and_nothing_else() {
        let file = std::env::temp_dir().join(format!("patchbay-secret-{}", std::process::id()));
        let name: Name = "key".parse().unwrap();
        for (held, value) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a \n\n", " a \n"), ("", "")] {
            fs::write(&file, held).unwrap();
            assert_eq!(secret_value(Some(&file), &name).unwrap(), value);
        }
        fs::remove_file(&file).unwrap();
        assert!(matches!(secret_value(Some(&file), &name), Err(Failure::Usage(_))));
    }
}
