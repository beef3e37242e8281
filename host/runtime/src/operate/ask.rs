//! Commands that are one request: which one, and how its answer is shown.

use serde::Serialize;
use serde_json::{Map, Value, json};
use store::Name;
use ureq::http::Method;

use super::table::plain;
use super::view::{self, View};
use super::{Failure, Outcome};
use crate::cli::{
    ActivateArgs, CallVerb, DialArgs, Each, LiveArgs, On, Operate, PluginVerb, QuotaArgs, RollBackArgs, RoutePutArgs,
    RouteVerb, SecretVerb, TenantVerb, TokenVerb, Whose,
};

/// One request, and what its answer is.
#[derive(Debug)]
pub struct Ask {
    pub method: Method,
    /// From `/v1`, its query too.
    pub path: String,
    pub body: Option<Value>,
    pub view: View,
}

impl Ask {
    pub fn get(path: String, view: View) -> Self {
        Self { method: Method::GET, path, body: None, view }
    }

    pub fn put(path: String, body: Value, view: View) -> Self {
        Self { method: Method::PUT, path, body: Some(body), view }
    }

    pub fn post(path: String, body: Value, view: View) -> Self {
        Self { method: Method::POST, path, body: Some(body), view }
    }

    /// `done` is what there is to say when it is gone.
    pub fn delete(path: String, done: String) -> Self {
        Self { method: Method::DELETE, path, body: None, view: View::Done(done) }
    }

    pub fn whoami() -> Self {
        Self::get(path(&["whoami"]), View::Text(view::who))
    }
}

/// `/v1/` and these, whatever characters they hold.
pub fn path(segments: &[&str]) -> String {
    segments.iter().fold("/v1".to_owned(), |path, segment| format!("{path}/{}", encoded(segment)))
}

/// The path with those of the parameters that are there.
pub fn with_query(path: String, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.as_deref()?))));
    let given = given.collect::<Vec<_>>().join("&");
    if given.is_empty() { path } else { format!("{path}?{given}") }
}

/// Source: RFC 3986 2.1, 2.3.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    // As a segment these two would lead to another place.
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        text => text.bytes().map(byte).collect(),
    }
}

/// `obey` has a way of its own for these.
fn several() -> Failure {
    Failure::Failed("this command is not one request".into())
}

/// An operator's token, and no tenant named.
pub fn which_tenant() -> Failure {
    Failure::Usage("which tenant? An operator's token has none: --tenant T".into())
}

/// The request of a command that is one. `tenant`: the one given, else the token's own, if it has one.
pub fn ask_for(command: &Operate, tenant: impl Fn(Option<&Name>) -> Outcome<Option<String>>) -> Outcome<Ask> {
    let any = |whose: &Whose| tenant(whose.tenant.as_ref());
    let one = |whose: &Whose| any(whose)?.ok_or_else(which_tenant);
    Ok(match command {
        Operate::Tenant(Each { verb, .. }) => tenant_ask(verb)?,
        Operate::Token(Each { verb, .. }) => match verb {
            TokenVerb::List { whose } => Ask::get(tokens(any(whose)?.as_deref()), view::TOKENS),
            TokenVerb::Create { .. } => return Err(several()),
            TokenVerb::Revoke { id } => Ask::delete(path(&["tokens", id]), format!("token {id} is of no use any more")),
        },
        Operate::Route(Each { verb, .. }) => match verb {
            RouteVerb::List { whose } => Ask::get(of(&one(whose)?, &["routes"]), view::ROUTES),
            RouteVerb::Put(args) => put_route(&one(&args.whose)?, args),
            RouteVerb::Delete { name, whose } => {
                Ask::delete(of(&one(whose)?, &["routes", name]), format!("route {name} is gone"))
            }
        },
        Operate::Secret(Each { verb, .. }) => secret_ask(verb, one)?,
        Operate::Activate(On { what, .. }) => activate(&one(&what.whose)?, what),
        Operate::RollBack(On { what, .. }) => roll_back(&one(&what.whose)?, what),
        Operate::Plugins(On { what, .. }) => match &what.verb {
            None => Ask::get(of(&one(&what.whose)?, &["plugins"]), view::PLUGINS),
            Some(PluginVerb::Delete { name, whose, version: None }) => {
                Ask::delete(of(&one(whose)?, &["plugins", name]), format!("plugin {name} is gone"))
            }
            Some(PluginVerb::Delete { name, whose, version: Some(version) }) => {
                let path = of(&one(whose)?, &["plugins", name, "versions", version]);
                Ask::delete(path, format!("version {version} of {name} is gone"))
            }
        },
        Operate::Dial(On { what, .. }) => dial(&one(&what.whose)?, what),
        Operate::Calls(On { what, .. }) => match &what.verb {
            None => {
                // A tenant's token is shown its own by itself.
                let tenant = what.whose.tenant.as_ref().map(ToString::to_string);
                Ask::get(with_query(path(&["calls"]), &[("tenant", tenant)]), view::CALLS)
            }
            Some(CallVerb::Show { id }) => Ask::get(path(&["calls", id]), view::CALL),
            Some(CallVerb::Outbound { id }) => Ask::get(path(&["calls", "outbound", id]), view::OUTBOUND),
            Some(CallVerb::Hangup { id }) => Ask::delete(path(&["calls", id]), format!("call {id} is hung up")),
        },
        Operate::Audit(On { what, .. }) => {
            let path = any(&what.whose)?.map_or_else(|| path(&["audit"]), |tenant| of(&tenant, &["audit"]));
            let page = [("before", what.before), ("limit", what.limit)];
            Ask::get(with_query(path, &page.map(|(key, number)| (key, number.map(|n| n.to_string())))), view::AUDIT)
        }
        Operate::RouteTest(On { what, .. }) => {
            let trunk = what.trunk.as_ref().map(ToString::to_string);
            let query = [("called", Some(what.called.clone())), ("trunk", trunk)];
            Ask::get(with_query(path(&["route-test"]), &query), view::ROUTE_TEST)
        }
        Operate::Login(_) | Operate::Logout | Operate::Deploy(_) | Operate::Logs(_) => return Err(several()),
    })
}

/// A path of a tenant.
pub fn of(tenant: &str, segments: &[&str]) -> String {
    path(&[&["tenants", tenant], segments].concat())
}

fn secret_ask(verb: &SecretVerb, one: impl Fn(&Whose) -> Outcome<String>) -> Outcome<Ask> {
    Ok(match verb {
        SecretVerb::List { whose } => Ask::get(of(&one(whose)?, &["secrets"]), view::SECRETS),
        SecretVerb::Put { name, whose, hosts, header, file } => {
            let tenant = one(whose)?;
            let value = super::pairs::secret_value(file.as_deref(), name)?;
            let done = View::Done(format!("secret {name} of {tenant} is set"));
            let scope = header.as_ref().map(|_| hosts);
            let body = Fields::default().set("value", Some(value)).set("hosts", scope).set("header", header.as_ref());
            Ask::put(of(&tenant, &["secrets", name]), body.0, done)
        }
        SecretVerb::Scope { name, whose, hosts, header } => {
            let tenant = one(whose)?;
            let done = View::Done(format!("secret {name} of {tenant} goes to {} in {header}", hosts.join(", ")));
            Ask::put(of(&tenant, &["secrets", name]), json!({ "hosts": hosts, "header": header }), done)
        }
        SecretVerb::Delete { name, whose } => {
            Ask::delete(of(&one(whose)?, &["secrets", name]), format!("secret {name} is gone"))
        }
    })
}

fn tenant_ask(verb: &TenantVerb) -> Outcome<Ask> {
    Ok(match verb {
        TenantVerb::List => Ask::get(path(&["tenants"]), view::TENANTS),
        TenantVerb::Show { name } => Ask::get(of(name, &[]), view::TENANT),
        TenantVerb::Delete { name } => Ask::delete(of(name, &[]), format!("tenant {name} is gone, with all it owned")),
        TenantVerb::Egress { name, hosts, none: false } if hosts.is_empty() => Ask::get(of(name, &[]), view::EGRESS),
        TenantVerb::Egress { name, hosts, .. } => {
            Ask::put(of(name, &["egress"]), json!({ "egress": hosts }), view::EGRESS)
        }
        TenantVerb::Engines { name, file: None, none: false } => Ask::get(of(name, &[]), view::ENGINES),
        TenantVerb::Engines { name, file, .. } => {
            let engines = file.as_deref().map_or(Ok(json!({})), super::pairs::engines)?;
            Ask::put(of(name, &["engines"]), json!({ "engines": engines }), view::ENGINES)
        }
        TenantVerb::Create { .. } | TenantVerb::Quotas { .. } => return Err(several()),
    })
}

pub fn create_tenant(name: &str, quotas: &QuotaArgs) -> Ask {
    let body = json!({ "name": name, "quotas": quotas });
    Ask::post(path(&["tenants"]), body, View::Done(format!("tenant {name} is there")))
}

/// Every quota at once: `known` as the host has them, changed by what was named.
pub fn put_quotas(tenant: &str, known: &Value, named: &QuotaArgs) -> Ask {
    let mut quotas = known.clone();
    let named = json!(named);
    for (key, value) in named.as_object().into_iter().flatten() {
        quotas[key] = value.clone();
    }
    Ask::put(of(tenant, &["quotas"]), quotas, view::TENANT)
}

fn tokens(tenant: Option<&str>) -> String {
    tenant.map_or_else(|| path(&["tokens"]), |tenant| of(tenant, &["tokens"]))
}

/// `tenant` and `scope` are both there, or neither: an operator's.
pub fn create_token(tenant: Option<&str>, scope: Option<&str>, label: &str) -> Ask {
    let mut body = json!({ "label": label });
    if let Some(scope) = scope {
        body["scope"] = scope.into();
    }
    Ask::post(tokens(tenant), body, View::Text(|created, _| plain(&view::text(&created["text"]))))
}

/// A route of the plugin's own name.
pub fn bind(tenant: &str, plugin: &str, called: &str) -> Ask {
    let body = json!({ "called": { "exact": called }, "plugin": plugin });
    let done = format!("route {plugin}: exact {called} -> {tenant}/{plugin}");
    Ask::put(of(tenant, &["routes", plugin]), body, View::Done(done))
}

fn put_route(tenant: &str, args: &RoutePutArgs) -> Ask {
    let called = [("exact", &args.called), ("prefix", &args.called_prefix), ("uri", &args.called_uri)];
    // The command line takes exactly one.
    let called = called.into_iter().find_map(|(kind, text)| Some((kind, text.as_ref()?)));
    let (kind, text) = called.map_or(("exact", ""), |(kind, text)| (kind, text.as_str()));
    let body = Fields::default()
        .set("called", Some(json!({ kind: text })))
        .set("plugin", Some(&args.plugin))
        .set("trunk", args.trunk.as_ref())
        .set("fallback", args.fallback.as_ref().map(|prompt| json!({ "prompt": prompt })))
        .set("config", args.config.as_ref())
        .set("ring", args.ring.then_some(true));
    let done = format!("route {}: {kind} {text} -> {tenant}/{}", args.name, args.plugin);
    Ask::put(of(tenant, &["routes", &args.name]), body.0, View::Done(done))
}

fn dial(tenant: &str, args: &DialArgs) -> Ask {
    let context: Map<String, Value> =
        args.context.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let body = json!({ "tenant": tenant, "trunk": args.trunk, "to": args.to, "from": args.from, "context": context });
    Ask::post(path(&["calls"]), body, view::OUTBOUND)
}

fn activate(tenant: &str, args: &ActivateArgs) -> Ask {
    let body = Fields::default()
        .set("digest", Some(&args.digest))
        .set("canary_percent", args.canary)
        .set("live", live(&args.live))
        .set("if_last_generation", args.if_last_generation);
    Ask::post(of(tenant, &["plugins", &args.name, "activate"]), body.0, View::Text(view::plugin))
}

fn roll_back(tenant: &str, args: &RollBackArgs) -> Ask {
    let body = Fields::default()
        .set("reason", args.reason.as_ref())
        .set("live", live(&args.live))
        .set("if_generation", args.if_generation);
    Ask::post(of(tenant, &["plugins", &args.name, "rollback"]), body.0, View::Text(view::plugin))
}

fn live(args: &LiveArgs) -> Option<Value> {
    let live = Fields::default().set("policy", args.live.as_ref()).set("limit_s", args.limit).0;
    live.as_object().is_some_and(|live| !live.is_empty()).then_some(live)
}

/// An object of those fields that are there.
struct Fields(Value);

impl Default for Fields {
    fn default() -> Self {
        Self(json!({}))
    }
}

impl Fields {
    fn set(mut self, key: &str, value: Option<impl Serialize>) -> Self {
        if let Some(value) = value {
            self.0[key] = json!(value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::{CommandFactory, Parser};

    fn command(line: &str) -> Operate {
        let parsed = Cli::try_parse_from(std::iter::once("patchbay").chain(line.split_whitespace()));
        match parsed.unwrap_or_else(|error| panic!("{line}: {error}")).command {
            Command::Operate(command) => command,
            _ => panic!("{line}"),
        }
    }

    /// `token`: the tenant of the token in use.
    fn asked(line: &str, token: Option<&str>) -> String {
        let tenant = |given: Option<&Name>| Ok(given.map(|name| name.to_string()).or(token.map(str::to_owned)));
        match ask_for(&command(line), tenant) {
            Ok(Ask { method, path, body, .. }) => {
                format!("{method} {path}{}", body.map_or(String::new(), |body| format!(" {body}")))
            }
            Err(failure) => format!("{}: {failure}", failure.exit_code()),
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_command_is_this_request() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (line, request) in [
            ("tenant list", "GET /v1/tenants"),
            ("tenant show a", "GET /v1/tenants/a"),
            ("tenant delete a", "DELETE /v1/tenants/a"),
            ("token list", "GET /v1/tokens"),
            ("token list --tenant a", "GET /v1/tenants/a/tokens"),
            ("token revoke 5f", "DELETE /v1/tokens/5f"),
            ("route list --tenant a", "GET /v1/tenants/a/routes"),
            (
                "route put r --tenant a --called +91 --plugin p",
                r#"PUT /v1/tenants/a/routes/r {"called":{"exact":"+91"},"plugin":"p"}"#,
            ),
            (
                r#"route put r --tenant a --called-prefix +9 --plugin p --trunk x --fallback sorry --config {"k":[1]} --ring"#,
                r#"PUT /v1/tenants/a/routes/r {"called":{"prefix":"+9"},"config":{"k":[1]},"fallback":{"prompt":"sorry"},"plugin":"p","ring":true,"trunk":"x"}"#,
            ),
            (
                "route put r --tenant a --called-uri sip:*@h --plugin p",
                r#"PUT /v1/tenants/a/routes/r {"called":{"uri":"sip:*@h"},"plugin":"p"}"#,
            ),
            ("route delete +91 --tenant a", "DELETE /v1/tenants/a/routes/%2B91"),
            ("secret list --tenant a", "GET /v1/tenants/a/secrets"),
            (
                "tenant egress a api.example.com:443 *.b.example:8443",
                r#"PUT /v1/tenants/a/egress {"egress":["api.example.com:443","*.b.example:8443"]}"#,
            ),
            ("tenant egress a --none", r#"PUT /v1/tenants/a/egress {"egress":[]}"#),
            ("tenant egress a", "GET /v1/tenants/a"),
            ("tenant engines a", "GET /v1/tenants/a"),
            ("tenant engines a --none", r#"PUT /v1/tenants/a/engines {"engines":{}}"#),
            (
                "secret scope s --tenant a --host x.example:443 --header Authorization",
                r#"PUT /v1/tenants/a/secrets/s {"header":"Authorization","hosts":["x.example:443"]}"#,
            ),
            ("secret delete s --tenant a", "DELETE /v1/tenants/a/secrets/s"),
            (
                "activate ba7816bf --tenant a --name p --canary 10% --live move --limit 60 --if-last-generation 4",
                r#"POST /v1/tenants/a/plugins/p/activate {"canary_percent":10,"digest":"ba7816bf","if_last_generation":4,"live":{"limit_s":60,"policy":"move"}}"#,
            ),
            (
                &format!("activate {digest} --tenant a --name p"),
                &format!(r#"POST /v1/tenants/a/plugins/p/activate {{"digest":"{digest}"}}"#),
            ),
            ("rollback --tenant a --name p", "POST /v1/tenants/a/plugins/p/rollback {}"),
            (
                "rollback --tenant a --name p --reason bad --live drain --if-generation 3",
                r#"POST /v1/tenants/a/plugins/p/rollback {"if_generation":3,"live":{"policy":"drain"},"reason":"bad"}"#,
            ),
            ("plugins --tenant a", "GET /v1/tenants/a/plugins"),
            ("plugin delete p --tenant a", "DELETE /v1/tenants/a/plugins/p"),
            ("plugin delete p --tenant a --version ba7816bf", "DELETE /v1/tenants/a/plugins/p/versions/ba7816bf"),
            ("calls", "GET /v1/calls"),
            ("calls --tenant a", "GET /v1/calls?tenant=a"),
            ("calls show c12", "GET /v1/calls/c12"),
            ("calls hangup ../x?y", "DELETE /v1/calls/..%2Fx%3Fy"),
            ("calls hangup ..", "DELETE /v1/calls/%2E%2E"),
            ("audit --before 9 --limit 3", "GET /v1/audit?before=9&limit=3"),
            ("audit --tenant a", "GET /v1/tenants/a/audit"),
            ("route-test +91 --trunk x", "GET /v1/route-test?called=%2B91&trunk=x"),
            ("route-test sip:a@b", "GET /v1/route-test?called=sip%3Aa%40b"),
        ] {
            assert_eq!(asked(line, None), request, "{line}");
        }
    }

    #[test]
    fn a_tenants_token_stands_for_its_tenant_and_an_operators_for_none() {
        assert_eq!(asked("route list", Some("own")), "GET /v1/tenants/own/routes");
        assert_eq!(asked("audit", Some("own")), "GET /v1/tenants/own/audit");
        assert_eq!(asked("token list", Some("own")), "GET /v1/tenants/own/tokens");
        assert_eq!(asked("calls", Some("own")), "GET /v1/calls");
        assert!(asked("route list", None).starts_with("64: which tenant?"));
        assert!(asked("plugins", None).starts_with("64: which tenant?"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
        for line in [
            "tenant create ../x",
            "token create --label x",
            "token create --tenant a --label x",
            "token create --operator --tenant a --scope read --label x",
            "token create --tenant a --scope admin --label x",
            "route put r --tenant a --plugin p",
            "route put r --tenant a --plugin p --called 1 --called-prefix 2",
            "route put r --tenant a --plugin p --called 1 --config [1]",
            "activate ba78 --tenant a --name p",
            "activate BA7816BF --tenant a --name p",
            "activate ba7816bf --tenant a --name p --canary 100%",
            "tenant create",
            "deploy b.wasm --tenant a --live move",
            "deploy b.wasm --tenant a --called 1",
            "deploy b.wasm --tenant a --activate --live jump",
            "secret put s value --tenant a",
            "secret put s --tenant a --host x.example:443",
            "secret scope s --tenant a --header X",
            "tenant egress a x.example:443 --none",
            "tenant engines a --file f --none",
            "tenant engines a f",
            "plugins --name p delete q",
        ] {
            let arguments = std::iter::once("patchbay").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(arguments).is_err(), "{line}");
        }
        assert!(matches!(command("deploy b.wasm --canary 10% --live move --limit 5"), Operate::Deploy(_)));
    }

    #[test]
    fn a_token_is_an_operators_or_a_tenants() {
        for (tenant, scope, path, body) in [
            (None, None, "/v1/tokens", json!({"label": "x"})),
            (Some("a"), Some("read"), "/v1/tenants/a/tokens", json!({"label": "x", "scope": "read"})),
        ] {
            let ask = create_token(tenant, scope, "x");
            assert_eq!((ask.method, ask.path.as_str(), ask.body), (Method::POST, path, Some(body)));
        }
        assert!(matches!(command("token create --operator --label x"), Operate::Token(_)));
    }

    #[test]
    fn a_quota_that_is_changed_leaves_the_others() {
        let known = json!({"calls": 100, "playout_ms": 60_000});
        let named = QuotaArgs { calls: Some(5), ..QuotaArgs::default() };
        assert_eq!(create_tenant("a", &named).body, Some(json!({"name": "a", "quotas": {"calls": 5}})));
        let ask = put_quotas("a", &known, &named);
        assert_eq!((ask.method, ask.path.as_str()), (Method::PUT, "/v1/tenants/a/quotas"));
        assert_eq!(ask.body, Some(json!({"calls": 5, "playout_ms": 60_000})));
    }

    #[test]
    fn every_command_shows_examples() {
        let command = Cli::command();
        let commands =
            command.get_subcommands().flat_map(|command| std::iter::once(command).chain(command.get_subcommands()));
        let without: Vec<_> = commands
            .filter(|command| !command.is_hide_set())
            .filter(|command| !command.get_after_help().is_some_and(|help| help.to_string().starts_with("Example")))
            .map(|command| command.get_name())
            .collect();
        assert_eq!(without, ["print-config"]);
    }
}
