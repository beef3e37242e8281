//! How each answer of the API is shown to people.

use std::fmt;

use serde_json::Value;

use super::table::{self, Column};
use super::when::{ago, rfc_3339, size};

/// As many digits of a digest as a table shows; the API takes that many.
const DIGEST_SHOWN: usize = 12;

#[derive(Clone)]
pub enum View {
    /// A list; the text says that it is empty.
    Rows(&'static [Column], &'static str),
    /// One thing.
    Record(&'static [Column]),
    /// A few words made of the answer, and the time in milliseconds since 1970.
    Text(fn(&Value, u64) -> String),
    /// The answer says nothing: these words.
    Done(String),
}

impl View {
    pub fn shown(&self, answer: &Value, now_ms: u64) -> String {
        match self {
            View::Rows(columns, none) => match answer.as_array() {
                Some(rows) if !rows.is_empty() => table::rows(columns, rows, now_ms),
                _ => (*none).to_owned(),
            },
            View::Record(columns) => table::record(columns, answer, now_ms),
            View::Text(text) => text(answer, now_ms),
            View::Done(text) => text.clone(),
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            View::Rows(..) => "Rows",
            View::Record(_) => "Record",
            View::Text(_) => "Text",
            View::Done(_) => "Done",
        })
    }
}

pub const TENANTS: View = View::Rows(
    &[
        Column::new("TENANT", |tenant, _| text(&tenant["name"])),
        Column::new("CALLS", |tenant, _| text(&tenant["quotas"]["calls"])),
        Column::new("PER SECOND", |tenant, _| text(&tenant["quotas"]["calls_per_second"])),
        Column::new("STORAGE", |tenant, _| bytes(&tenant["quotas"]["storage_bytes"])),
        Column::new("CREATED", |tenant, now| since(&tenant["created_at_ms"], now)),
        Column::new("KEPT IN", |tenant, _| source(tenant)).cut(),
    ],
    "no tenants: `patchbay tenant create T`",
);

pub const TENANT: View = View::Record(&[
    Column::new("tenant", |tenant, _| text(&tenant["name"])),
    Column::new("kept in", |tenant, _| source(tenant)),
    Column::new("created", |tenant, _| date(&tenant["created_at_ms"])),
    Column::new("calls", |tenant, _| text(&tenant["quotas"]["calls"])),
    Column::new("calls per second", |tenant, _| text(&tenant["quotas"]["calls_per_second"])),
    Column::new("guest CPU", |tenant, _| {
        let (each, burst) =
            (&tenant["quotas"]["guest_cpu_ms_per_call_second"], &tenant["quotas"]["guest_cpu_burst_ms"]);
        format!("{} ms per call-second, {} ms at once", text(each), text(burst))
    }),
    Column::new("guest memory", |tenant, _| format!("{} MiB", text(&tenant["quotas"]["guest_memory_mb"]))),
    Column::new("playout", |tenant, _| format!("{} ms", text(&tenant["quotas"]["playout_ms"]))),
    Column::new("storage", |tenant, _| {
        let quota = bytes(&tenant["quotas"]["storage_bytes"]);
        match &tenant["usage"]["storage_bytes"] {
            Value::Null => quota,
            used => format!("{} of {quota}", bytes(used)),
        }
    }),
    Column::new("keys", |tenant, _| text(&tenant["usage"]["kept"]["keys"])),
    Column::new("egress", |tenant, _| list(&tenant["egress"])),
    Column::new("plugins", |tenant, _| text(&tenant["usage"]["plugins"])),
    Column::new("routes", |tenant, _| text(&tenant["usage"]["routes"])),
]);

pub const EGRESS: View = View::Text(|tenant, _| {
    let (name, hosts) = (text(&tenant["name"]), list(&tenant["egress"]));
    table::plain(&match hosts.as_str() {
        "" => format!("bots of {name} connect to nobody"),
        hosts => format!("bots of {name} may connect to {hosts}, where the operator allows it"),
    })
});

/// A tenant's own.
pub const ENGINES: View = View::Text(|tenant, now_ms| {
    let own = [("/speech/stt", "hears"), ("/speech/tts", "speaks"), ("/chat", "converses")];
    let own = own.into_iter().filter_map(|(path, does)| {
        let mut engine = tenant["engines"].pointer(path).filter(|engine| engine.is_object())?.clone();
        engine["does"] = does.into();
        Some(engine)
    });
    let own: Vec<Value> = own.collect();
    match own.is_empty() {
        true => table::plain(&format!("{} has no engines of its own: its bots use the host's", text(&tenant["name"]))),
        false => table::rows(ENGINE_COLUMNS, &own, now_ms),
    }
});

const ENGINE_COLUMNS: &[Column] = &[
    Column::new("ENGINE", |engine, _| text(&engine["does"])),
    Column::new("URL", |engine, _| text(&engine["url"])).cut(),
    Column::new("MODEL", |engine, _| text(&engine["model"])).cut(),
    Column::new("KEY", |engine, _| text(&engine["api_key"])),
];

pub const TOKENS: View = View::Rows(
    &[
        Column::new("ID", |token, _| text(&token["id"])),
        Column::new("MAY", |token, _| may(&token["scope"])),
        Column::new("CREATED", |token, now| since(&token["created_at_ms"], now)),
        Column::new("USED", |token, now| since(&token["last_used_at_ms"], now)),
        Column::new("REVOKED", |token, now| since(&token["revoked_at_ms"], now)),
        Column::new("LABEL", |token, _| text(&token["label"])).cut(),
    ],
    "no tokens",
);

pub const ROUTES: View = View::Rows(
    &[
        Column::new("ROUTE", |route, _| text(&route["name"])),
        Column::new("TRUNK", |route, _| if route["trunk"].is_null() { "any".into() } else { text(&route["trunk"]) }),
        Column::new("CALLED", |route, _| {
            let called = route["called"].as_object().and_then(|called| called.iter().next());
            called.map(|(kind, pattern)| format!("{kind} {}", text(pattern))).unwrap_or_default()
        }),
        Column::new("PLUGIN", |route, _| text(&route["plugin"])),
        Column::new("FALLBACK", |route, _| text(&route["fallback"]["prompt"])),
        Column::new("CONFIG", |route, _| text(&route["config"])).cut(),
    ],
    "no routes: `patchbay route put NAME --called NUMBER --plugin P`",
);

pub const SECRETS: View = View::Rows(
    &[
        Column::new("SECRET", |secret, _| text(&secret["name"])),
        Column::new("GOES TO", |secret, _| list(&secret["hosts"])).cut(),
        Column::new("IN", |secret, _| text(&secret["header"])),
        Column::new("CHANGED", |secret, now| since(&secret["changed_at_ms"], now)),
        Column::new("BY", |secret, _| text(&secret["changed_by"])).cut(),
    ],
    "no secrets",
);

pub const PLUGINS: View = View::Rows(
    &[
        Column::new("PLUGIN", |plugin, _| text(&plugin["name"])),
        Column::new("CURRENT", |plugin, _| short(&plugin["current"])),
        Column::new("CANARY", |plugin, _| short(&plugin["canary"])),
        Column::new("PREVIOUS", |plugin, _| short(&plugin["previous"])),
        Column::new("ACTIVATED", |plugin, now| since(&plugin["current"]["activated_at_ms"], now)),
    ],
    "no plugins: `patchbay deploy BOT.wasm`",
);

/// Of one plugin, each with what it is to the plugin under `role`.
pub const VERSIONS: View = View::Rows(
    &[
        Column::new("VERSION", |version, _| digest(&version["digest"])),
        Column::new("ANSWERS", |version, _| text(&version["role"])),
        Column::new("SIZE", |version, _| bytes(&version["bytes"])),
        Column::new("WIT", |version, _| text(&version["wit"])),
        Column::new("UPLOADED", |version, now| since(&version["uploaded_at_ms"], now)),
        Column::new("BY", |version, _| text(&version["uploaded_by"])).cut(),
    ],
    "no versions",
);

pub const CALLS: View = View::Rows(
    &[
        Column::new("CALL", |call, _| text(&call["id"])),
        Column::new("TENANT", |call, _| text(&call["tenant"])).cut(),
        Column::new("PLUGIN", |call, _| text(&call["plugin"])).cut(),
        Column::new("CALLER", |call, _| text(&call["caller"])).cut(),
        Column::new("CALLED", |call, _| text(&call["called"])).cut(),
        Column::new("STAGE", |call, _| text(&call["stage"])),
        Column::new("BUILD", |call, _| text(&call["generation"])),
        Column::new("STARTED", |call, now| since(&call["started_unix_ms"], now)),
    ],
    "no live calls",
);

pub const CALL: View = View::Record(&[
    Column::new("call", |call, _| text(&call["id"])),
    Column::new("tenant", |call, _| text(&call["tenant"])),
    Column::new("route", |call, _| text(&call["route"])),
    Column::new("plugin", |call, _| text(&call["plugin"])),
    Column::new("generation", |call, _| text(&call["generation"])),
    Column::new("trunk", |call, _| text(&call["trunk"])),
    Column::new("caller", |call, _| text(&call["caller"])),
    Column::new("called", |call, _| text(&call["called"])),
    Column::new("stage", |call, _| text(&call["stage"])),
    Column::new("started", |call, _| date(&call["started_unix_ms"])),
    Column::new("answered", |call, _| match call["seconds"].as_u64() {
        Some(seconds) => format!("{seconds} s ago"),
        None => "no".into(),
    }),
    Column::new("codec", |call, _| text(&call["codec"])),
    Column::new("also", |call, _| {
        let said = [("held", "on hold"), ("fallback", "hears the fall-back"), ("srtp", "encrypted")];
        said.iter().filter(|(key, _)| call[*key] == true).map(|(_, said)| *said).collect::<Vec<_>>().join(", ")
    }),
]);

pub const OUTBOUND: View = View::Record(&[
    Column::new("request", |asked, _| text(&asked["id"])),
    Column::new("state", |asked, _| text(&asked["state"])),
    Column::new("tenant", |asked, _| text(&asked["tenant"])),
    Column::new("trunk", |asked, _| text(&asked["trunk"])),
    Column::new("to", |asked, _| text(&asked["to"])),
    Column::new("from", |asked, _| text(&asked["from"])),
    Column::new("asked", |asked, _| date(&asked["created_at_ms"])),
    Column::new("the trunk's id", |asked, _| text(&asked["call_sid"])),
    Column::new("call", |asked, _| text(&asked["call"])),
    Column::new("the trunk says", |asked, _| text(&asked["trunk_status"])),
    Column::new("why", |asked, _| text(&asked["why"])),
]);

pub const AUDIT: View = View::Rows(
    &[
        Column::new("NO", |entry, _| text(&entry["sequence"])),
        Column::new("AT", |entry, _| date(&entry["at_ms"])),
        Column::new("TENANT", |entry, _| text(&entry["tenant"])).cut(),
        Column::new("ACTION", |entry, _| text(&entry["action"])),
        Column::new("SUBJECT", |entry, _| text(&entry["subject"])).cut(),
        Column::new("BY", |entry, _| text(&entry["by"])).cut(),
        Column::new("DETAIL", |entry, _| pairs(&entry["detail"])).cut(),
    ],
    "nothing was changed yet",
);

pub const ROUTE_TEST: View = View::Record(&[
    Column::new("called", |test, _| text(&test["called"])),
    Column::new("trunk", |test, _| text(&test["trunk"])),
    Column::new("outcome", |test, _| text(&test["outcome"])),
    Column::new("tenant", |test, _| text(&test["tenant"])),
    Column::new("route", |test, _| text(&test["route"])),
    Column::new("plugin", |test, _| text(&test["plugin"])),
    Column::new("generation", |test, _| text(&test["generation"])),
    Column::new("why", |test, _| text(&test["why"])),
]);

/// Of `whoami`.
pub fn who(who: &Value, _now_ms: u64) -> String {
    table::plain(&format!("token {} ({}): {}", text(&who["id"]), text(&who["label"]), may(&who["scope"])))
}

/// Of a plugin after a change: which build answers now.
pub fn plugin(plugin: &Value, _now_ms: u64) -> String {
    let name = format!("{}/{}", text(&plugin["tenant"]), text(&plugin["name"]));
    let current = &plugin["current"];
    let told = match (current.is_null(), plugin["canary"].is_null()) {
        (true, _) => format!("{name}: no version is activated"),
        (false, true) => format!("{name}: {} answers, {}", generation(current), live(current)),
        (false, false) => {
            format!("{name}: {} answers, {} beside it", generation(current), canary(&plugin["canary"]))
        }
    };
    table::plain(&told)
}

/// `3 1a2b3c4d5e6f`, of a canary `3 1a2b3c4d5e6f 10%`: for a table.
fn short(generation: &Value) -> String {
    if generation.is_null() {
        return String::new();
    }
    let share = generation["percent"].as_u64().map(|percent| format!(" {percent}%")).unwrap_or_default();
    format!("{} {}{share}", text(&generation["number"]), digest(&generation["digest"]))
}

/// `generation 3 (1a2b3c4d5e6f)`.
pub fn generation(generation: &Value) -> String {
    if generation.is_null() {
        return String::new();
    }
    format!("generation {} ({})", text(&generation["number"]), digest(&generation["digest"]))
}

pub fn canary(canary: &Value) -> String {
    if canary.is_null() { String::new() } else { format!("{} at {}%", generation(canary), text(&canary["percent"])) }
}

pub fn live(generation: &Value) -> String {
    let live = &generation["live"];
    let policy = if live["policy"] == "move" { "live calls move to it" } else { "live calls end on their own" };
    match live["limit_s"].as_u64() {
        Some(seconds) => format!("{policy}, within {seconds} s"),
        None => policy.into(),
    }
}

fn may(scope: &Value) -> String {
    match scope["tenant"].as_str() {
        Some(tenant) => format!("{} {tenant}", text(&scope["kind"])),
        None => text(&scope["kind"]),
    }
}

fn source(tenant: &Value) -> String {
    match tenant["source"]["folder"].as_str() {
        Some(file) => file.to_owned(),
        None => text(&tenant["source"]),
    }
}

pub fn digest(digest: &Value) -> String {
    digest.as_str().unwrap_or_default().chars().take(DIGEST_SHOWN).collect()
}

fn bytes(bytes: &Value) -> String {
    bytes.as_u64().map(size).unwrap_or_default()
}

fn since(at_ms: &Value, now_ms: u64) -> String {
    at_ms.as_u64().map(|at_ms| ago(at_ms, now_ms)).unwrap_or_default()
}

fn date(at_ms: &Value) -> String {
    at_ms.as_u64().map(rfc_3339).unwrap_or_default()
}

/// `calls 5, ring true`.
fn pairs(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten().map(|(key, value)| format!("{key} {}", text(value)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Texts in a row.
fn list(value: &Value) -> String {
    value.as_array().map(|items| items.iter().map(text).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

/// A string as it is, nothing as nothing, whatever else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_800_000_000_000;

    fn generation(number: u64, digit: &str) -> Value {
        json!({
            "number": number, "digest": digit.repeat(64), "live": {"policy": "move", "limit_s": 60},
            "activated_at_ms": NOW - 120_000, "activated_by": "token 5f (ci)",
        })
    }

    fn shown(view: View, answer: Value) -> String {
        let shown = view.shown(&answer, NOW);
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        shown
    }

    #[test]
    fn tenants_and_their_tokens() {
        let quotas = json!(store::Quotas::default());
        let acme = json!({"name": "acme", "source": "api", "quotas": quotas, "created_at_ms": NOW});
        let other = json!({"name": "b", "source": {"folder": "/etc/patchbay/tenants/b/tenant.toml"}, "quotas": quotas,
            "created_at_ms": NOW - 86_400_000});
        assert_eq!(
            shown(TENANTS, json!([acme, other])),
            "TENANT  CALLS  PER SECOND  STORAGE    CREATED  KEPT IN\n\
             acme    100    10          256.0 MiB  now      api\n\
             b       100    10          256.0 MiB  1 d ago  /etc/patchbay/tenants/b/tenant.toml"
        );
        assert_eq!(shown(TENANTS, json!([])), "no tenants: `patchbay tenant create T`");
        let mut one = acme.clone();
        one["usage"] = json!({"storage_bytes": 1024, "plugins": 1, "routes": 2, "kept": {"keys": 3, "bytes": 210}});
        assert_eq!(
            shown(TENANT, one),
            "tenant            acme\n\
             kept in           api\n\
             created           2027-01-15T08:00:00.000Z\n\
             calls             100\n\
             calls per second  10\n\
             guest CPU         10 ms per call-second, 50 ms at once\n\
             guest memory      16 MiB\n\
             playout           60000 ms\n\
             storage           1.0 KiB of 256.0 MiB\n\
             keys              3\n\
             plugins           1\n\
             routes            2"
        );
        let token = json!({"id": "5f0c1a2b3c4d", "label": "ci", "scope": {"kind": "deploy", "tenant": "acme"},
            "created_at_ms": NOW - 60_000, "created_by": "x", "last_used_at_ms": null, "revoked_at_ms": null});
        assert_eq!(
            shown(TOKENS, json!([token])),
            "ID            MAY          CREATED    USED  REVOKED  LABEL\n\
             5f0c1a2b3c4d  deploy acme  1 min ago  -     -        ci"
        );
        assert_eq!(shown(View::Text(who), token), "token 5f0c1a2b3c4d (ci): deploy acme");
    }

    #[test]
    fn what_a_tenant_reaches_and_converses_with() {
        let mut acme = json!({"name": "acme", "egress": []});
        assert_eq!(shown(EGRESS, acme.clone()), "bots of acme connect to nobody");
        assert_eq!(shown(ENGINES, acme.clone()), "acme has no engines of its own: its bots use the host's");
        acme["egress"] = json!(["a.example:443", "*.b.example:443"]);
        let told = "bots of acme may connect to a.example:443, *.b.example:443, where the operator allows it";
        assert_eq!(shown(EGRESS, acme.clone()), told);
        acme["engines"] = json!({"speech": {"tts": {"url": "https://a.example/v1", "model": "piper"}},
            "chat": {"url": "https://b.example/v1", "model": "m", "api_key": "openai"}});
        assert_eq!(
            shown(ENGINES, acme),
            "ENGINE     URL                   MODEL  KEY\n\
             speaks     https://a.example/v1  piper  -\n\
             converses  https://b.example/v1  m      openai"
        );
    }

    #[test]
    fn plugins_and_what_answers_after_a_change() {
        let mut menu = json!({"tenant": "acme", "name": "menu", "last_generation": 2, "current": generation(2, "b"),
            "previous": generation(1, "a"), "canary": null});
        assert_eq!(
            shown(View::Text(plugin), menu.clone()),
            "acme/menu: generation 2 (bbbbbbbbbbbb) answers, live calls move to it, within 60 s"
        );
        let mut canary = generation(3, "c");
        canary["percent"] = 10.into();
        canary["live"] = json!({"policy": "drain"});
        menu["canary"] = canary;
        assert_eq!(
            shown(View::Text(plugin), menu.clone()),
            "acme/menu: generation 2 (bbbbbbbbbbbb) answers, generation 3 (cccccccccccc) at 10% beside it"
        );
        assert_eq!(
            shown(PLUGINS, json!([menu])),
            "PLUGIN  CURRENT         CANARY              PREVIOUS        ACTIVATED\n\
             menu    2 bbbbbbbbbbbb  3 cccccccccccc 10%  1 aaaaaaaaaaaa  2 min ago"
        );
    }

    #[test]
    fn calls_and_route_tests() {
        let call = json!({"id": "c7", "tenant": "acme", "route": "main", "plugin": "menu", "generation": 3, "trunk": "exotel",
            "caller": "+912212345678", "called": "+912261234567", "stage": "talking", "started_unix_ms": NOW - 5_000,
            "answered": true, "seconds": 4, "held": true, "fallback": false, "codec": "PCMA", "srtp": true});
        assert_eq!(
            shown(CALLS, json!([call])),
            "CALL  TENANT  PLUGIN  CALLER         CALLED         STAGE    BUILD  STARTED\n\
             c7    acme    menu    +912212345678  +912261234567  talking  3      5 s ago"
        );
        assert!(shown(CALL, call).ends_with("answered    4 s ago\ncodec       PCMA\nalso        on hold, encrypted"));
        let test =
            json!({"called": "+1", "trunk": "", "outcome": "no-route", "tenant": null, "why": "no route takes it"});
        assert_eq!(shown(ROUTE_TEST, test), "called   +1\noutcome  no-route\nwhy      no route takes it");
    }

    #[test]
    fn an_audit_log_keeps_to_the_width_whatever_is_in_it() {
        let entry = json!({"sequence": 1041, "at_ms": NOW, "by": "token 5f0c1a2b3c4d (a very long label of somebody)",
            "tenant": "acme", "action": "put_route", "subject": "main", "detail": {"called": "+912261234567", "x": "y".repeat(80)}});
        let told = shown(AUDIT, json!([entry]));
        assert!(
            told.contains("2027-01-15T08:00:00.000Z") && told.contains("put_route") && told.contains('\u{2026}'),
            "{told}"
        );
    }

    #[test]
    fn an_answer_without_what_was_expected_is_shown_all_the_same() {
        for view in [
            TENANTS, TENANT, EGRESS, ENGINES, TOKENS, ROUTES, SECRETS, PLUGINS, VERSIONS, CALLS, CALL, AUDIT,
            ROUTE_TEST,
        ] {
            for answer in [json!(null), json!([null, 3, {}]), json!({"name": [], "quotas": "x"}), json!("text")] {
                view.shown(&answer, NOW);
            }
        }
        for words in [who, plugin] {
            words(&json!(null), NOW);
            words(&json!([1]), NOW);
        }
    }
}
