//! A configuration is read whole, and every mistake in it is told at once.

use std::path::Path;

use runtime::check;
use runtime::config::{Codec, Config, Problem, Srtp, read};

const GOOD: &str = r#"
    [[listeners]]
    listen = "tcp://0.0.0.0:5070"
    advertised = "203.0.113.10"
    [[trunks]]
    name = "exotel"
    networks = ["203.0.113.0/24"]
    [[routes]]
    trunk = "exotel"
    plugin = "echo"
"#;

fn problems(text: &str) -> Vec<String> {
    read(text, Path::new("/etc/patchbay")).1.0.iter().map(Problem::to_string).collect()
}

fn config(text: &str) -> Config {
    let (config, problems) = read(text, Path::new("/etc/patchbay"));
    assert_eq!(problems.0, []);
    config
}

#[test]
fn a_small_file_gets_the_documented_defaults() {
    let config = config(GOOD);
    assert_eq!(config.bots.as_deref(), Some(Path::new("/etc/patchbay/bots")));
    assert_eq!((config.drain_seconds, config.media_timeout_s, config.rtp.rest_ms), (60, 60, 2000));
    assert_eq!(config.rtp.ports.to_string(), "10000-20000");
    assert_eq!(config.trunks[0].codecs, [Codec::Pcma, Codec::Pcmu]);
    assert_eq!(config.trunks[0].srtp, Srtp::Prefer);
    assert!(!config.trunks[0].trusted && !config.log.personal && config.admin.listen.is_none());
}

#[test]
fn all_mistakes_are_told_at_once_with_path_and_hint() {
    let text = r#"
        drian_seconds = 30
        bot_budget_ms = 99
        [rtp]
        ports = "20000-10000"
        [admin]
        listen = "0.0.0.0:8080"
        [[listeners]]
        listen = "tpc://0.0.0.0:5070"
        [[listeners]]
        listen = "tls://0.0.0.0:5061"
        [[trunks]]
        name = "a"
        networks = ["10.0.0.1/8", "10.0.0.0/8", 5]
        srtp = "maybe"
        [[trunks]]
        name = "a"
        network = ["10.0.0.0/8"]
        codecs = []
        [[routes]]
        trunk = "b"
        called = "1"
        called_prefix = "2"
        [log]
        level = "x=shout"
    "#;
    let found = problems(text);
    let expect = [
        "drian_seconds: unknown key (did you mean `drain_seconds`?)",
        "bot_budget_ms: 99 is outside 2 to 18",
        "rtp.ports: holds no pair",
        "admin.listen: has no TLS",
        "listeners[0].listen: `tpc` is not a transport",
        "listeners[1].certificates: a TLS listener needs one",
        "trunks[0].networks[0]: has bits beyond its prefix; write 10.0.0.0/8",
        "trunks[0].networks[2]: ",
        "trunks[0].srtp: ",
        "trunks[1].networks: is missing",
        "trunks[1].network: unknown key (did you mean `networks`?)",
        "trunks[1].name: `a` is taken",
        "trunks[1].codecs: is empty",
        "routes[0].plugin: is missing",
        "routes[0].trunk: there is no trunk `b`",
        "routes[0].called_prefix: beside `called`",
        "log.level: `x=shout` is not a log filter",
    ];
    for start in expect {
        assert!(found.iter().any(|problem| problem.starts_with(start)), "{start}\nin {found:#?}");
    }
    assert_eq!(found.len(), expect.len(), "{found:#?}");
}

#[test]
fn a_syntax_error_is_one_problem_with_its_line() {
    let found = problems("bots = \"a\"\nthis is not toml\n[[routes]]\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("line 2: "), "{found:?}");
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let found = problems("");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains("[[listeners]]"), "{found:?}");
}

#[test]
fn a_key_written_into_the_file_is_refused_without_being_shown() {
    let text = GOOD.replace(
        "tcp://0.0.0.0:5070\"",
        "tls://0.0.0.0:443\"\ncertificates = [{ cert = \"c.pem\", key = \"TOPSECRET\" }]",
    );
    let found = problems(&text);
    assert!(found[0].starts_with("listeners[0].certificates[0].key: is not a reference to a secret"), "{found:#?}");
    assert!(!found.join("\n").contains("TOPSECRET"));
}

#[test]
fn a_printed_configuration_reads_as_the_same_configuration() {
    let text = format!(
        "{GOOD}\nconfig = {{ greeting = \"hi\", key = {{ env = \"API_KEY\" }} }}\n\
         [[listeners]]\nlisten = \"tls://[::]:443\"\ncertificates = [{{ cert = \"c.pem\", key = {{ file = \"k.pem\" }} }}]\n\
         [limits]\ncalls = 7\n"
    );
    let config = config(&text);
    let printed = toml::to_string(&config).unwrap();
    let (again, problems) = read(&printed, Path::new("/"));
    assert_eq!((again, problems.0), (config, vec![]), "{printed}");
}

#[test]
fn a_bots_configuration_is_json_with_its_secrets_in_place() {
    let folder = std::env::temp_dir().join(format!("patchbay-secret-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("token"), "s3cret\n").unwrap();
    let text = format!(
        "{GOOD}\nconfig = {{ menu = [1, {{ deep = true }}], token = {{ file = \"token\" }}, none = {{ env = \"PATCHBAY_UNSET\" }} }}"
    );
    let (config, problems) = read(&text, &folder);
    assert_eq!(problems.0, []);
    let error = config.routes[0].bot_config().unwrap_err();
    assert_eq!(error, "environment variable PATCHBAY_UNSET is not set");
    let (config, _) = read(&text.replace(", none = { env = \"PATCHBAY_UNSET\" }", ""), &folder);
    assert_eq!(config.routes[0].bot_config().unwrap(), r#"{"menu":[1,{"deep":true}],"token":"s3cret"}"#);
}

#[test]
fn the_most_specific_route_wins_by_trunk_and_called_number() {
    let text = r#"
        [[listeners]]
        listen = "udp://127.0.0.1:0"
        [[trunks]]
        name = "a"
        networks = ["10.0.0.0/8"]
        [[trunks]]
        name = "b"
        networks = ["10.1.0.0/16", "192.0.2.1", "::ffff:0:0/96"]
        [[routes]]
        trunk = "a"
        called = "+911234"
        plugin = "exact"
        [[routes]]
        trunk = "a"
        called_prefix = "+91"
        plugin = "prefix"
        [[routes]]
        trunk = "b"
        plugin = "{called}"
    "#;
    let config = config(text);
    let routing = call::Routing::new(runtime::wiring::routes(&config, &["echo".to_owned()]).unwrap());
    let plugin = |trunk, called| routing.find(trunk, called, "").map(|route| route.plugin.clone());
    assert_eq!(plugin("a", "+911234").as_deref(), Some("exact"));
    assert_eq!(plugin("a", "+9112345").as_deref(), Some("prefix"));
    assert_eq!(plugin("a", "911234"), None, "the + is kept");
    assert_eq!(plugin("b", "echo").as_deref(), Some("echo"));
    let trunk = |source: &str| config.trunk_of(source.parse().unwrap()).map(|trunk| trunk.0);
    assert_eq!(trunk("10.1.2.3"), Some(0), "the first that holds it");
    assert_eq!(trunk("::ffff:192.0.2.1"), Some(1), "a mapped address is the address");
    assert_eq!(trunk("192.0.2.2"), None);
}

#[test]
fn sdes_over_plain_signalling_under_prefer_is_warned_about_and_under_off_is_not() {
    let warned = |text: &str| check::warnings(&config(text)).iter().any(|warning| warning.path == "trunks[0].srtp");
    assert!(warned(GOOD));
    assert!(!warned(&GOOD.replace("networks =", "srtp = \"off\"\nnetworks =")));
}

#[test]
fn what_the_file_refers_to_is_looked_at() {
    let text = GOOD.replace(
        "tcp://0.0.0.0:5070\"",
        "tls://0.0.0.0:443\"\ncertificates = [{ cert = \"c.pem\", key = { env = \"K\" } }]",
    ) + "fallback_prompt = \"sorry.wav\"\n";
    let (config, problems) = read(&text, Path::new("/nowhere"));
    assert_eq!(problems.0, []);
    let paths: Vec<_> = check::check_files(&config).into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["bots", "listeners[0].certificates[0]", "routes[0].fallback_prompt"]);
}

#[test]
fn a_host_for_tenants_needs_a_data_folder_and_no_routes() {
    let tenants = GOOD.split("[[routes]]").next().unwrap();
    let top = "data = \"state\"\ntenants_dir = \"tenants.d\"\n[prompts]\nsorry = \"sorry.wav\"\n";
    let config = config(&format!("{top}{tenants}"));
    let here = Path::new("/etc/patchbay");
    assert_eq!((config.bots, config.data.as_deref()), (None, Some(here.join("state").as_path())));
    assert_eq!(config.tenants_dir.as_deref(), Some(here.join("tenants.d").as_path()));
    assert_eq!(config.prompts["sorry"], here.join("sorry.wav"));
    let found = problems(&format!("tenants_dir = \"tenants.d\"\n{tenants}"));
    assert!(found.iter().any(|problem| problem.starts_with("tenants_dir: needs a place")), "{found:#?}");
    assert!(found.iter().any(|problem| problem.starts_with("routes: there is none")), "{found:#?}");
    let found = problems(&format!("data = \"state\"\n[prompts]\n\"a b\" = \"x.wav\"\n{tenants}"));
    assert!(found[0].starts_with("prompts: \"a b\" is not a name"), "{found:#?}");
}

#[test]
fn the_admin_port_is_plain_on_loopback_alone() {
    let admin = |listen: &str, more: &str| problems(&format!("{GOOD}[admin]\nlisten = \"{listen}\"\n{more}"));
    let certificate = "certificates = [{ cert = \"c.pem\", key = { file = \"k.pem\" } }]\n";
    assert_eq!(admin("127.0.0.1:8080", "").len(), 0);
    assert_eq!(admin("0.0.0.0:8443", certificate).len(), 0);
    let found = admin("0.0.0.0:8443", "");
    assert!(found[0].starts_with("admin.listen: has no TLS") && found[0].contains("certificates = ["), "{found:#?}");
}

#[test]
fn a_wrong_tenant_file_is_named_with_its_place() {
    let folder = std::env::temp_dir().join(format!("patchbay-tenants-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("acme")).unwrap();
    std::fs::write(folder.join("acme/tenant.toml"), "[quotas]\ncals = 3\n").unwrap();
    let text = format!("data = \"state\"\ntenants_dir = {:?}\n{}", folder, GOOD.split("[[routes]]").next().unwrap());
    let file = folder.join("patchbay.toml");
    std::fs::write(&file, text).unwrap();
    let found: Vec<_> = check::check(&file, false).problems.iter().map(Problem::to_string).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found, ["tenants_dir/acme: quotas.cals: unknown key (did you mean `calls`?)"]);
}

#[test]
fn what_bots_may_reach_is_read_and_what_opens_nothing_is_told() {
    let good = format!(
        "{GOOD}
        [egress]
        allow = [\"*.example.com:443\"]
        ca = \"more.pem\"
        [[egress.private]]
        name = \"engines\"
        hosts = [\"stt.internal:8000\"]
        networks = [\"10.1.2.0/24\"]
        plain = true
        [secrets.openai]
        value = {{ env = \"OPENAI_API_KEY\" }}
        hosts = [\"api.openai.com:443\"]
        header = \"Authorization\"
        "
    );
    let read = config(&good);
    assert_eq!(read.egress.allow[0].to_string(), "*.example.com:443");
    assert_eq!(read.egress.ca.as_deref(), Some(Path::new("/etc/patchbay/more.pem")));
    assert!(read.egress.private[0].plain);
    assert_eq!(read.secrets["openai"].header, "Authorization");
    for (from, to, told) in [
        ("*.example.com:443", "example.com", "egress.allow[0]: `example.com`: name the port"),
        ("networks = [\"10.1.2.0/24\"]", "", "egress.private[0].networks: is missing"),
        ("hosts = [\"stt.internal:8000\"]", "", "egress.private[0].hosts: is missing"),
        ("plain = true", "plian = true", "did you mean `plain`?"),
        ("hosts = [\"api.openai.com:443\"]", "", "secrets.openai.hosts: is missing"),
        ("header = \"Authorization\"", "", "secrets.openai.header: is missing"),
        ("{ env = \"OPENAI_API_KEY\" }", "\"sk-1234\"", "secrets.openai.value: is not a reference"),
        ("[secrets.openai]", "[secrets.openai.x]", "secrets.openai.value: is missing"),
        ("allow =", "alow =", "did you mean `allow`?"),
    ] {
        let problems = problems(&good.replace(from, to)).join("\n");
        assert!(problems.contains(told), "{told}: {problems}");
        assert!(!problems.contains("sk-1234"), "{problems}");
    }
}

#[test]
fn engines_are_read_and_each_mistake_has_its_place() {
    let good = format!(
        "{GOOD}
        [secrets.openai]
        value = {{ env = \"OPENAI_API_KEY\" }}
        hosts = [\"api.openai.com:443\"]
        header = \"Authorization\"
        [speech.stt]
        url = \"https://api.openai.com/v1\"
        model = \"gpt-4o-mini-transcribe\"
        api_key = \"openai\"
        realtime = true
        [speech.tts]
        url = \"http://127.0.0.1:8000/v1\"
        model = \"piper\"
        voice = \"joe\"
        [chat]
        url = \"https://api.openai.com/v1\"
        model = \"gpt-5-mini\"
        api_key = \"openai\"
        "
    );
    let engines = config(&good).engines;
    assert!(engines.speech.stt.is_some_and(|stt| stt.realtime && stt.end_of_turn_ms == 700));
    assert_eq!(engines.chat.map(|chat| chat.model).as_deref(), Some("gpt-5-mini"));
    assert!(config(GOOD).engines.is_empty());
    for (from, to, told) in [
        ("[speech.tts]", "[speech.tss]", "speech.tss: unknown key (did you mean `tts`?)"),
        ("voice =", "vioce =", "speech.tts: unknown field `vioce`"),
        ("realtime = true", "realtime = \"sk-1234\"", "speech.stt: expected a boolean"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000", "speech.tts.url: must be the base of the API"),
        ("[secrets.openai]", "[secrets.opnai]", "chat.api_key: names no secret that is there (did you mean `opnai`?)"),
        ("[\"api.openai.com:443\"]", "[\"openai.com:443\"]", "the secret `openai` may not go to api.openai.com:443"),
    ] {
        let problems = problems(&good.replace(from, to)).join("\n");
        assert!(problems.contains(told), "{told}: {problems}");
        assert!(!problems.contains("sk-1234"), "{problems}");
    }
}
