//! From TOML to [`Config`], default by default. Paths in the file are relative to the file's folder.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::section::Section;
use super::*;

/// The longest configuration that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Reads a file. Errors: all that is wrong with it; what it refers to is not looked at.
pub fn load(path: &Path) -> Result<Config, Problems> {
    match read_file(path) {
        Ok((config, problems)) if problems.0.is_empty() => Ok(config),
        Ok((_, problems)) => Err(problems),
        Err(problem) => Err(Problems(vec![problem])),
    }
}

/// Reads a file, mistakes and all. Errors: it cannot be read.
pub fn read_file(path: &Path) -> Result<(Config, Problems), Problem> {
    let named = |text: String| Problem::new("", format!("{}: {text}", path.display()));
    let bytes = read_bounded(path, CONFIG_BYTES_MAX).map_err(named)?;
    let text = String::from_utf8(bytes).map_err(|_| named("is not UTF-8 text".into()))?;
    Ok(read(&text, path.parent().unwrap_or(Path::new(""))))
}

/// Reads the text of a file in `folder`. What is wrong is replaced by its default, so that the rest can be checked too.
pub fn read(text: &str, folder: &Path) -> (Config, Problems) {
    let problems = RefCell::new(Vec::new());
    let table = text.parse::<toml::Table>().unwrap_or_else(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        problems.borrow_mut().push(Problem::new("", format!("{place}{}", error.message().trim())));
        toml::Table::new()
    });
    let readable = problems.borrow().is_empty();
    let mut config = config(Section::new(table, String::new(), &problems), folder);
    if !readable {
        // Only the syntax error is worth telling.
        problems.borrow_mut().truncate(1);
        config.listeners.clear();
    }
    (config, Problems(problems.into_inner()))
}

fn config(mut top: Section<'_>, folder: &Path) -> Config {
    let default = Config::default();
    let listeners = top.sections("listeners").into_iter().filter_map(|section| listener(section, folder)).collect();
    let trunks = top.sections("trunks").into_iter().filter_map(|section| trunk(section, folder)).collect();
    let routes: Vec<_> = top.sections("routes").into_iter().filter_map(|section| route(section, folder)).collect();
    let secrets = secrets(top.section("secrets"), folder);
    let engines = engines::read(&mut top, &secrets);
    let config = Config {
        bots: bots(&mut top, folder, default.bots, &routes),
        data: top.optional::<PathBuf>("data").map(|path| within(folder, path)),
        tenants_dir: top.optional::<PathBuf>("tenants_dir").map(|path| within(folder, path)),
        bot_budget_ms: top.number("bot_budget_ms", default.bot_budget_ms, 2..=18),
        drain_seconds: top.number("drain_seconds", default.drain_seconds, 0..=86_400),
        media_timeout_s: top.number("media_timeout_s", default.media_timeout_s, 1..=86_400),
        sip_trace: top.or("sip_trace", default.sip_trace),
        dns: top.list("dns").unwrap_or_default(),
        rtp: rtp(top.section("rtp"), default.rtp),
        jitter: jitter(top.section("jitter"), default.jitter),
        admin: admin(top.section("admin"), folder),
        callbacks: outbound::callbacks(top.section("callbacks"), folder),
        log: log(top.section("log"), default.log),
        pcap: pcap(top.section("pcap"), default.pcap, folder),
        limits: limits(top.section("limits"), default.limits),
        egress: egress(top.section("egress"), folder),
        secrets,
        prompts: prompts(&mut top, folder),
        engines,
        listeners,
        trunks,
        routes,
    };
    report_across(&config, &top);
    config
}

/// What only shows when the parts are seen together.
fn report_across(config: &Config, top: &Section<'_>) {
    let missing = [
        (config.listeners.is_empty(), "listeners", "add [[listeners]] with listen = \"tcp://0.0.0.0:5070\""),
        (config.trunks.is_empty(), "trunks", "add [[trunks]] with name and networks"),
        (
            config.routes.is_empty() && config.data.is_none(),
            "routes",
            "add [[routes]] with plugin, or data for tenants",
        ),
    ];
    for (_, path, hint) in missing.into_iter().filter(|(missing, ..)| *missing) {
        top.report(Problem::new(path, "there is none").hint(hint));
    }
    if config.listeners.len() > 256 || config.trunks.len() > 4096 || config.routes.len() > 100_000 {
        top.report(Problem::new("", "more than 256 listeners, 4096 trunks or 100000 routes"));
    }
    if config.data.is_none() && config.tenants_dir.is_some() {
        let problem = Problem::new("tenants_dir", "needs a place for the tenants' state");
        top.report(problem.hint("add data = \"/var/lib/patchbay\""));
    }
    let names = || config.trunks.iter().map(|trunk| trunk.name.as_str());
    for (index, name) in names().enumerate() {
        if names().take(index).any(|earlier| earlier == name) {
            top.report(Problem::new(format!("trunks[{index}].name"), format!("`{name}` is taken by an earlier trunk")));
        }
    }
    for (index, route) in config.routes.iter().enumerate() {
        let Some(trunk) = &route.trunk else { continue };
        if !names().any(|name| name == trunk) {
            let problem = Problem::new(format!("routes[{index}].trunk"), format!("there is no trunk `{trunk}`"));
            top.report(match nearest(trunk, names()) {
                Some(name) => problem.hint(format!("did you mean `{name}`?")),
                None => problem,
            });
        }
    }
}

fn listener(mut section: Section<'_>, folder: &Path) -> Option<Listener> {
    let listen = section.required::<ListenUrl>("listen", "write listen = \"tcp://0.0.0.0:5070\"");
    let advertised = section.optional("advertised");
    let localnet = section.list("localnet").unwrap_or_default();
    let certificates: Vec<_> =
        section.sections("certificates").into_iter().filter_map(|inner| certificate(inner, folder)).collect();
    let listen = listen?;
    let tls = listen.transport == sip::Transport::Tls;
    if tls && certificates.is_empty() {
        let hint = "write certificates = [{ cert = \"fullchain.pem\", key = { file = \"privkey.pem\" } }]";
        section.report(Problem::new(section.path_of("certificates"), "a TLS listener needs one").hint(hint));
    }
    if !tls && !certificates.is_empty() {
        section.report(Problem::new(section.path_of("certificates"), "only for a listener with tls://"));
    }
    Some(Listener { listen, advertised, localnet, certificates })
}

pub(super) fn certificate(mut section: Section<'_>, folder: &Path) -> Option<Certificate> {
    let cert = section.required::<PathBuf>("cert", "the chain as PEM, leaf first");
    let key = section.secret("key", folder);
    Some(Certificate { cert: within(folder, cert?), key: key? })
}

fn rtp(mut section: Section<'_>, default: Rtp) -> Rtp {
    Rtp {
        ports: section.or("ports", default.ports),
        rest_ms: section.number("rest_ms", default.rest_ms, 0..=60_000),
        listen: section.optional("listen"),
        advertised: section.optional("advertised"),
        localnet: section.list("localnet").unwrap_or_default(),
    }
}

/// The jitter buffer adapts in steps of a frame, and needs room for two.
const JITTER_SPAN_MS: u32 = 40;

fn jitter(mut section: Section<'_>, default: Jitter) -> Jitter {
    let min_ms = section.number("min_ms", default.min_ms, 0..=460);
    let max_ms = section.number("max_ms", default.max_ms, 40..=500);
    if min_ms + JITTER_SPAN_MS > max_ms {
        let text = format!("{min_ms} leaves less than {JITTER_SPAN_MS} ms up to max_ms, {max_ms}");
        section.report(Problem::new(section.path_of("min_ms"), text));
    }
    Jitter { min_ms, max_ms }
}

/// Who routes nothing to a bot of the folder need not have one.
fn bots(top: &mut Section<'_>, folder: &Path, default: Option<PathBuf>, routes: &[Route]) -> Option<PathBuf> {
    let named = top.optional::<PathBuf>("bots");
    named.or(default.filter(|_| !routes.is_empty())).map(|path| within(folder, path))
}

fn prompts(top: &mut Section<'_>, folder: &Path) -> BTreeMap<String, PathBuf> {
    let named: BTreeMap<String, PathBuf> = top.or("prompts", BTreeMap::new());
    let mut prompts = BTreeMap::new();
    for (name, path) in named {
        match name.parse::<store::Name>() {
            Ok(_) => drop(prompts.insert(name, within(folder, path))),
            Err(error) => top.report(Problem::new(top.path_of("prompts"), error)),
        }
    }
    prompts
}

fn admin(mut section: Section<'_>, folder: &Path) -> Admin {
    let listen = section.optional::<SocketAddr>("listen");
    let certificates: Vec<_> =
        section.sections("certificates").into_iter().filter_map(|inner| certificate(inner, folder)).collect();
    if certificates.is_empty() && listen.is_some_and(|address| !address.ip().is_loopback()) {
        let problem = Problem::new(section.path_of("listen"), "has no TLS and is served on loopback only");
        let hint =
            "write 127.0.0.1:8080, or certificates = [{ cert = \"fullchain.pem\", key = { file = \"privkey.pem\" } }]";
        section.report(problem.hint(hint));
    }
    Admin { listen, certificates }
}

fn log(mut section: Section<'_>, default: Log) -> Log {
    let level = section.or("level", default.level);
    if crate::observe::parse_filter(&level).is_err() {
        let problem = Problem::new(section.path_of("level"), format!("`{level}` is not a log filter"));
        section.report(problem.hint("error, warn, info, debug or trace, or info,runtime=debug"));
    }
    Log { level, json: section.or("json", default.json), personal: section.or("personal", default.personal) }
}

fn pcap(mut section: Section<'_>, default: Pcap, folder: &Path) -> Pcap {
    Pcap {
        enabled: section.or("enabled", default.enabled),
        dir: within(folder, section.or("dir", default.dir)),
        file_mb_max: section.number("file_mb_max", default.file_mb_max, 1..=4096),
        total_mb_max: section.number("total_mb_max", default.total_mb_max, 1..=1_000_000),
    }
}

fn limits(mut section: Section<'_>, default: Limits) -> Limits {
    Limits {
        calls: section.number("calls", default.calls, 1..=100_000),
        connections: section.number("connections", default.connections, 1..=1_000_000),
        connections_per_address: section.number(
            "connections_per_address",
            default.connections_per_address,
            1..=1_000_000,
        ),
        unfinished_handshakes: section.number("unfinished_handshakes", default.unfinished_handshakes, 1..=100_000),
        handshake_s: section.number("handshake_s", default.handshake_s, 1..=60),
        unfinished_message_s: section.number("unfinished_message_s", default.unfinished_message_s, 1..=60),
        idle_s: section.number("idle_s", default.idle_s, 1..=86_400),
        connect_s: section.number("connect_s", default.connect_s, 1..=32),
        keep_alive_s: section.number("keep_alive_s", default.keep_alive_s, 1..=600),
        send_buffer_bytes: section.number("send_buffer_bytes", default.send_buffer_bytes, 65_536..=67_108_864),
        queued_messages: section.number("queued_messages", default.queued_messages, 16..=65_536),
        bots: section.number("bots", default.bots, 1..=10_000),
        bot_mb: section.number("bot_mb", default.bot_mb, 1..=1024),
        guest_memory_mb: section.number("guest_memory_mb", default.guest_memory_mb, 1..=512),
    }
}

fn egress(mut section: Section<'_>, folder: &Path) -> Egress {
    let private = section.sections("private").into_iter().filter_map(private_range);
    Egress {
        private: private.collect(),
        allow: section.list("allow").unwrap_or_default(),
        ca: section.optional::<PathBuf>("ca").map(|path| within(folder, path)),
    }
}

fn private_range(mut section: Section<'_>) -> Option<PrivateRange> {
    let name = section.required::<String>("name", "messages call the range by it");
    let hosts = section.list::<HostPattern>("hosts").unwrap_or_default();
    let networks = section.list::<Network>("networks").unwrap_or_default();
    let (no_hosts, no_networks) = (hosts.is_empty(), networks.is_empty());
    let wanted = [("hosts", no_hosts, "[\"engine.internal:8000\"]"), ("networks", no_networks, "[\"10.1.2.0/24\"]")];
    for (key, _, example) in wanted.into_iter().filter(|(_, missing, _)| *missing) {
        let problem = Problem::new(section.path_of(key), "is missing: the range opens nothing");
        section.report(problem.hint(format!("write {key} = {example}")));
    }
    Some(PrivateRange { name: name?, hosts, networks, plain: section.or("plain", false) })
}

fn secrets(section: Section<'_>, folder: &Path) -> BTreeMap<String, BotSecret> {
    let named = section.each().into_iter().filter_map(|(name, mut section)| {
        let value = section.secret("value", folder);
        let hosts = section.list::<HostPattern>("hosts").unwrap_or_default();
        let header = section.required::<String>("header", "the one in which it may go: header = \"Authorization\"");
        if hosts.is_empty() {
            let problem = Problem::new(section.path_of("hosts"), "is missing: the secret may go nowhere");
            section.report(problem.hint("write hosts = [\"api.example.com:443\"]"));
        }
        Some((name, BotSecret { value: value?, hosts, header: header? }))
    });
    named.collect()
}

fn trunk(mut section: Section<'_>, folder: &Path) -> Option<Trunk> {
    let name = section.required::<String>("name", "routes and logs call the trunk by it");
    let networks = section.list::<Network>("networks");
    if networks.is_none() {
        let problem = Problem::new(section.path_of("networks"), "is missing: nobody may call by this trunk");
        section.report(problem.hint("write networks = [\"203.0.113.0/24\"]"));
    }
    let codecs = section.list("codecs").unwrap_or_else(|| vec![Codec::Pcma, Codec::Pcmu]);
    if codecs.is_empty() {
        section.report(Problem::new(section.path_of("codecs"), "is empty").hint("write codecs = [\"PCMA\", \"PCMU\"]"));
    }
    let tls_server_name = section.optional::<String>("tls_server_name");
    if let Some(wrong) = tls_server_name.as_deref().filter(|name| crate::tls::server_name(name).is_err()) {
        section.report(Problem::new(
            section.path_of("tls_server_name"),
            format!("`{wrong}` is not a host name or an address"),
        ));
    }
    let trunk = Trunk {
        name: name.unwrap_or_default(),
        networks: networks.unwrap_or_default(),
        media_networks: section.list("media_networks").unwrap_or_default(),
        codecs,
        srtp: section.or("srtp", Srtp::Prefer),
        require_pai: section.or("require_pai", false),
        trusted: section.or("trusted", false),
        tls_ca: section.optional::<PathBuf>("tls_ca").map(|path| within(folder, path)),
        tls_server_name,
        outbound: section.optional_section("outbound").and_then(|inner| outbound::outbound(inner, folder)),
    };
    Some(trunk)
}

fn route(mut section: Section<'_>, folder: &Path) -> Option<Route> {
    let plugin = section.required::<String>("plugin", "the name of a .wasm file in `bots`, or \"{called}\"");
    let called = section.optional("called");
    let called_prefix = section.optional("called_prefix");
    if called.is_some() && called_prefix.is_some() {
        section.report(Problem::new(section.path_of("called_prefix"), "beside `called`: one of the two"));
    }
    let mut config = section.or("config", toml::Table::new());
    secrets_within(folder, &mut config);
    Some(Route {
        trunk: section.optional("trunk"),
        called,
        called_prefix,
        tenant: section.or("tenant", "default".to_owned()),
        plugin: plugin.unwrap_or_default(),
        calls: section.optional("calls"),
        fallback_prompt: section.optional::<PathBuf>("fallback_prompt").map(|path| within(folder, path)),
        ring: section.or("ring", false),
        config,
    })
}

/// Makes the paths of file references within a bot's configuration relative to `folder`.
fn secrets_within(folder: &Path, table: &mut toml::Table) {
    if let Some(Secret::File(path)) = secret_in(table) {
        table.insert("file".into(), within(folder, path).display().to_string().into());
        return;
    }
    let mut values: Vec<_> = table.iter_mut().map(|(_, value)| value).collect();
    while let Some(value) = values.pop() {
        match value {
            toml::Value::Table(inner) => secrets_within(folder, inner),
            toml::Value::Array(items) => values.extend(items),
            _ => {}
        }
    }
}

pub(super) fn within(folder: &Path, path: PathBuf) -> PathBuf {
    folder.join(path)
}

impl Default for Config {
    /// No listener, no trunk, no route; all else as an operator gets it who says nothing.
    fn default() -> Self {
        Self {
            bots: Some("bots".into()),
            data: None,
            tenants_dir: None,
            bot_budget_ms: 10,
            drain_seconds: 60,
            media_timeout_s: 60,
            sip_trace: false,
            dns: Vec::new(),
            rtp: Rtp {
                ports: PortRange { first: 10_000, last: 20_000 },
                rest_ms: 2000,
                listen: None,
                advertised: None,
                localnet: Vec::new(),
            },
            jitter: Jitter { min_ms: 20, max_ms: 200 },
            admin: Admin::default(),
            callbacks: Callbacks::default(),
            log: Log { level: "info".into(), json: false, personal: false },
            pcap: Pcap { enabled: false, dir: "captures".into(), file_mb_max: 16, total_mb_max: 1024 },
            limits: Limits {
                calls: 3000,
                connections: 4096,
                connections_per_address: 1024,
                unfinished_handshakes: 256,
                handshake_s: 10,
                unfinished_message_s: 10,
                idle_s: 300,
                connect_s: 10,
                keep_alive_s: 25,
                send_buffer_bytes: 262_144,
                queued_messages: 1024,
                bots: 1000,
                bot_mb: 64,
                guest_memory_mb: 16,
            },
            egress: Egress::default(),
            secrets: BTreeMap::new(),
            prompts: BTreeMap::new(),
            engines: Engines::default(),
            listeners: Vec::new(),
            trunks: Vec::new(),
            routes: Vec::new(),
        }
    }
}
