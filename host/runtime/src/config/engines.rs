//! Engines that hear, speak and converse: `[speech.stt]`, `[speech.tts]`, `[chat]`, and the secrets that they are shown.

use std::collections::BTreeMap;

use outside::Pattern;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use speech::{ChatConfig, SpeechConfig};

use super::section::{Section, expected};
use super::{BotSecret, Problem, Problems, nearest};

/// What is missing is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engines {
    pub speech: SpeechConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatConfig>,
}

/// One engine of a configuration.
struct Named<'a> {
    /// Where it stands in the file.
    place: &'static str,
    url: &'a str,
    api_key: Option<&'a str>,
    problems: Vec<(&'static str, String)>,
}

/// Where a secret may go.
pub struct Scope {
    pub name: String,
    pub hosts: Vec<Pattern>,
    pub header: String,
}

impl Scope {
    /// Lines that are no hosts are told elsewhere.
    pub fn of_tenant(name: &str, scope: &store::SecretScope) -> Self {
        let hosts = scope.hosts.iter().filter_map(|line| line.parse().ok()).collect();
        Self { name: name.to_owned(), hosts, header: scope.header.clone() }
    }
}

/// In which engines are shown their key.
const KEY_HEADER: &str = "Authorization";

impl Engines {
    fn named(&self) -> impl Iterator<Item = Named<'_>> {
        let stt = self.speech.stt.iter().map(|stt| ("speech.stt", &stt.url, &stt.api_key, stt.problems()));
        let tts = self.speech.tts.iter().map(|tts| ("speech.tts", &tts.url, &tts.api_key, tts.problems()));
        let chat = self.chat.iter().map(|chat| ("chat", &chat.url, &chat.api_key, chat.problems()));
        let all = stt.chain(tts).chain(chat);
        all.map(|(place, url, api_key, problems)| Named { place, url, api_key: api_key.as_deref(), problems })
    }

    /// A tenant's own. Errors: all that is wrong, with paths as in its tenant.toml; what stands there instead is not shown.
    pub fn of_tenant(engines: &Map<String, Value>, secrets: &[Scope]) -> Result<Self, Problems> {
        let read = serde_path_to_error::deserialize::<_, Self>(Value::Object(engines.clone()));
        let engines = read.map_err(|error| {
            let text = expected(&error.inner().to_string()).to_owned();
            Problems(vec![Problem::new(error.path().to_string(), text)])
        })?;
        match engines.problems(secrets) {
            problems if problems.is_empty() => Ok(engines),
            problems => Err(Problems(problems)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.named().next().is_none()
    }

    /// Everything that is wrong with them, with paths from the top of the file. `secrets`: those that an `api_key` may name.
    pub fn problems(&self, secrets: &[Scope]) -> Vec<Problem> {
        self.named().flat_map(|engine| engine.all_problems(secrets)).collect()
    }

    /// Host and port of each.
    pub fn hosts(&self) -> Vec<Pattern> {
        self.named().filter_map(|engine| Pattern::of_url(engine.url).ok()).collect()
    }
}

impl Named<'_> {
    fn all_problems(self, secrets: &[Scope]) -> Vec<Problem> {
        let Self { place, url, api_key, problems } = self;
        let path = |key: &str| format!("{place}.{key}");
        let is_wrong = |key: &str| problems.iter().any(|(wrong, _)| *wrong == key);
        let mut all: Vec<Problem> = problems.iter().map(|(key, text)| Problem::new(path(key), text.clone())).collect();
        if is_wrong("url") || is_wrong("api_key") {
            return all;
        }
        match (Pattern::of_url(url), api_key) {
            (Err(error), _) => all.push(Problem::new(path("url"), error.message)),
            (Ok(host), Some(key)) => all.extend(key_problem(path("api_key"), key, url, &host, secrets)),
            (Ok(_), None) => {}
        }
        all
    }
}

fn key_problem(path: String, key: &str, url: &str, host: &Pattern, secrets: &[Scope]) -> Option<Problem> {
    let problem = |text: String| Problem::new(path.clone(), text);
    if url.starts_with("http://") {
        let problem = problem("a secret goes over TLS only".to_owned());
        return Some(problem.hint("write https:// in url, or leave api_key out"));
    }
    let Some(scope) = secrets.iter().find(|scope| scope.name == key) else {
        // It may be the key itself.
        let problem = problem("names no secret that is there".to_owned());
        return Some(match nearest(key, secrets.iter().map(|scope| scope.name.as_str())) {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => problem.hint(format!("add it: hosts = [\"{host}\"], header = \"{KEY_HEADER}\"")),
        });
    };
    if !scope.header.eq_ignore_ascii_case(KEY_HEADER) {
        let text = format!("the secret `{key}` goes into the header `{}`", scope.header);
        return Some(problem(text).hint(format!("write header = \"{KEY_HEADER}\" beside its hosts")));
    }
    let may_go = scope.hosts.iter().any(|line| line.covers(host));
    (!may_go).then(|| problem(format!("the secret `{key}` may not go to {host}")).hint("add it to the secret's hosts"))
}

pub(super) fn read(top: &mut Section<'_>, secrets: &BTreeMap<String, BotSecret>) -> Engines {
    let mut speech = top.section("speech");
    let speech = SpeechConfig { stt: speech.unshown("stt"), tts: speech.unshown("tts") };
    let engines = Engines { speech, chat: top.unshown("chat") };
    let scope = |(name, secret): (&'_ String, &'_ BotSecret)| Scope {
        name: name.clone(),
        hosts: secret.hosts.iter().map(|host| host.0.clone()).collect(),
        header: secret.header.clone(),
    };
    let scopes: Vec<Scope> = secrets.iter().map(scope).collect();
    engines.problems(&scopes).into_iter().for_each(|problem| top.report(problem));
    engines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(engines: Value, secrets: &[Scope]) -> Vec<String> {
        let Value::Object(engines) = engines else { panic!("no object") };
        let problems = Engines::of_tenant(&engines, secrets).err().map_or(Vec::new(), |problems| problems.0);
        problems.iter().map(Problem::to_string).collect()
    }

    fn scope(name: &str, host: &str, header: &str) -> Scope {
        Scope { name: name.to_owned(), hosts: vec![host.parse().unwrap()], header: header.to_owned() }
    }

    #[test]
    fn a_key_is_a_secret_that_may_go_to_its_engine() {
        let check = |url: &str, key: &str, expect: &str| {
            let secrets = [
                scope("openai", "api.openai.com:443", "authorization"),
                scope("other", "other.example:443", "Authorization"),
                scope("header", "api.openai.com:443", "X-Key"),
            ];
            let told = told(json!({ "chat": { "url": url, "model": "m", "api_key": key } }), &secrets).join("\n");
            assert!(if expect.is_empty() { told.is_empty() } else { told.contains(expect) }, "{url} {key}: {told}");
            assert!(!told.contains("sk-1234"), "{told}");
        };
        let there = "https://api.openai.com/v1";
        check(there, "openai", "");
        check(there, "opnai", "chat.api_key: names no secret that is there (did you mean `openai`?)");
        check(there, "sk-1234", "hosts = [\"api.openai.com:443\"], header = \"Authorization\"");
        check(there, "other", "the secret `other` may not go to api.openai.com:443");
        check(there, "header", "the secret `header` goes into the header `X-Key`");
        check("http://api.openai.com:443/v1", "openai", "goes over TLS only");
        check("https://", "openai", "chat.url");
    }

    #[test]
    fn each_mistake_has_its_path_and_shows_nothing_that_may_be_a_secret() {
        let stt = json!({ "url": "https://a.example/v1", "model": "m", "total_ms_max": "sk-1234" });
        let told = told(json!({ "speech": { "stt": stt } }), &[]).join("\n");
        assert!(told.starts_with("speech.stt.total_ms_max: expected u32"), "{told}");
        let tts = json!({ "url": "https://a.example/v1", "model": "m", "vioce": "joe" });
        let told = self::told(json!({ "speech": { "tts": tts } }), &[]).join("\n");
        assert!(told.contains("speech.tts") && told.contains("unknown field `vioce`"), "{told}");
    }
}
