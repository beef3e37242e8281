//! Which host, and by which token: flags, then the environment, then what `patchbay login` kept.

use std::env;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::{Failure, Outcome};
use crate::cli::HostArgs;
use crate::config::read_bounded;

/// The longest file that a token or a login is read from.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How a host is reached.
#[derive(Debug)]
pub struct Access {
    /// Without a `/` at its end.
    pub url: String,
    /// None: the system's authorities.
    pub ca: Option<PathBuf>,
    pub token: Bearer,
}

/// The token's text. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bearer(String);

impl Bearer {
    /// Takes the blanks off its ends. `place` is for the error, which does not repeat the text.
    pub fn read(text: &str, place: &str) -> Outcome<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Failure::Usage(format!(
                "{place} holds no token: one word, as `patchbay token create` prints it"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn of_file(path: &Path) -> Outcome<Self> {
        let place = path.display().to_string();
        let bytes = read_bounded(path, FILE_BYTES_MAX);
        let bytes = bytes.map_err(|error| Failure::Usage(format!("{place}: {error}: no token is read from it")))?;
        Self::read(&String::from_utf8_lossy(&bytes), &place)
    }

    pub fn of_stdin() -> Outcome<Self> {
        let mut text = String::new();
        let read = io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| Failure::Usage(format!("stdin: {error}: no token is read from it")))?;
        Self::read(&text, "stdin")
    }

    pub fn show(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

/// What is kept between two commands.
#[derive(Serialize, Deserialize)]
pub struct Login {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    pub token: Bearer,
}

impl Login {
    /// `$XDG_CONFIG_HOME/patchbay/login.json`, else in ~/.config.
    pub fn path() -> Outcome<PathBuf> {
        let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        let unknown =
            || Failure::Usage("no place for the login: set HOME or XDG_CONFIG_HOME to an absolute path".into());
        Ok(folder.ok_or_else(unknown)?.join("patchbay").join("login.json"))
    }

    /// None: nobody has logged in.
    pub fn load(path: &Path) -> Outcome<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |error: String| Failure::Usage(format!("{}: {error}: log in again", path.display()));
        let bytes = read_bounded(path, FILE_BYTES_MAX).map_err(wrong)?;
        // What serde says of a wrong value may repeat it.
        serde_json::from_slice(&bytes).map(Some).map_err(|_| wrong("is no login".into()))
    }

    /// Whole or not at all: a file of its own takes the place of the one before.
    pub fn keep(&self, path: &Path) -> Outcome<()> {
        let kept = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(Path::new("."));
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let new = folder.join(format!(".login.json.{}", std::process::id()));
            // One left over by a process of the same number.
            let _ = fs::remove_file(&new);
            let written =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
                    file.write_all(&serde_json::to_vec_pretty(self)?)?;
                    file.sync_all()?;
                    fs::rename(&new, path)
                });
            written.inspect_err(|_| drop(fs::remove_file(&new)))
        };
        kept().map_err(|error| Failure::Failed(format!("{}: {error}: the login is not kept", path.display())))
    }
}

/// Where a command finds its host and token.
pub fn find(host: &HostArgs) -> Outcome<Access> {
    let login = Login::path().and_then(|path| Login::load(&path));
    choose(host, |name| env::var(name).ok().filter(|value| !value.is_empty()), login)
}

fn choose(
    host: &HostArgs,
    environment: impl Fn(&str) -> Option<String>,
    login: Outcome<Option<Login>>,
) -> Outcome<Access> {
    let named = host.url.clone().or_else(|| environment("PATCHBAY_URL"));
    let named = named.map(|url| checked(&url)).transpose()?;
    let given = match &host.token_file {
        Some(file) => Some(Bearer::of_file(file)?),
        None => environment("PATCHBAY_TOKEN").map(|text| Bearer::read(&text, "PATCHBAY_TOKEN")).transpose()?,
    };
    // A login that cannot be read matters only if it is needed.
    let login = if named.is_some() && given.is_some() { login.ok().flatten() } else { login? };
    // What was kept for one host is never sent to another.
    let login = login.filter(|login| named.as_ref().is_none_or(|url| *url == login.url));
    let (kept_url, kept_ca, kept_token) = login.map_or((None, None, None), |l| (Some(l.url), l.ca, Some(l.token)));
    let url = named
        .or(kept_url)
        .ok_or_else(|| Failure::Usage("which host? `patchbay login URL` once, or --url, or PATCHBAY_URL".into()))?;
    let token = given.or(kept_token).ok_or_else(|| {
        Failure::Usage(format!("no token for {url}: `patchbay login {url}`, or --token-file, or PATCHBAY_TOKEN"))
    })?;
    Ok(Access { url: checked(&url)?, ca: host.ca.clone().or(kept_ca), token })
}

/// Errors: not the URL of a host, or one to which a token would travel in the clear.
pub fn checked(url: &str) -> Outcome<String> {
    let wrong = |text: &str| Failure::Usage(format!("{text}: write https://host:port, or http://127.0.0.1:port"));
    let uri: Uri = url.parse().map_err(|_| wrong("the URL cannot be read"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("the URL has no scheme or no host"));
    };
    if authority.as_str().contains('@') || uri.query().is_some() {
        // It may hold a password: it is not repeated.
        return Err(wrong("the URL holds more than scheme, host and path"));
    }
    match scheme {
        "https" => {}
        "http" if is_loopback(authority.host()) => {}
        "http" => return Err(wrong("http leaves this machine, and a token does not travel in the clear")),
        _ => return Err(wrong("the URL is neither https nor http")),
    }
    Ok(format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/')))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn login(url: &str) -> Outcome<Option<Login>> {
        let (ca, token) = (Some(PathBuf::from("kept.pem")), Bearer("patchbay_kept".into()));
        Ok(Some(Login { url: url.into(), ca, token }))
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for (url, read) in [
            ("https://patchbay.example.com/", "https://patchbay.example.com"),
            ("https://example.com:8443/phone/", "https://example.com:8443/phone"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(checked(url).unwrap(), read);
        }
        for url in [
            "http://192.168.1.2:8080",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://0.0.0.0:8080",
            "ftp://127.0.0.1",
            "127.0.0.1:8080",
            "/v1",
            "",
            "https://example.com?x=1",
        ] {
            assert!(matches!(checked(url), Err(Failure::Usage(_))), "{url}");
        }
        let Err(Failure::Usage(told)) = checked("https://me:hunter2@example.com") else { panic!("taken") };
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_login_is_used_for_its_own_host_and_no_other() {
        let kept = choose(&HostArgs::default(), nothing, login("https://a.example")).unwrap();
        assert_eq!((kept.url.as_str(), kept.token.show()), ("https://a.example", "patchbay_kept"));
        assert_eq!(kept.ca, Some("kept.pem".into()));
        let same = HostArgs { url: Some("https://a.example/".into()), ..HostArgs::default() };
        assert_eq!(choose(&same, nothing, login("https://a.example")).unwrap().token.show(), "patchbay_kept");

        let other = HostArgs { url: Some("https://b.example".into()), ..HostArgs::default() };
        assert!(matches!(choose(&other, nothing, login("https://a.example")), Err(Failure::Usage(_))));
        let environment = |name: &str| (name == "PATCHBAY_TOKEN").then(|| "patchbay_env".to_owned());
        let access = choose(&other, environment, login("https://a.example")).unwrap();
        assert_eq!((access.token.show(), access.ca), ("patchbay_env", None));
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_login() {
        let environment = |name: &str| match name {
            "PATCHBAY_URL" => Some("https://env.example".to_owned()),
            "PATCHBAY_TOKEN" => Some("patchbay_env\n".to_owned()),
            _ => None,
        };
        let access = choose(&HostArgs::default(), environment, login("https://a.example")).unwrap();
        assert_eq!((access.url.as_str(), access.token.show()), ("https://env.example", "patchbay_env"));
        let flags = HostArgs { url: Some("https://flag.example".into()), ..HostArgs::default() };
        assert_eq!(choose(&flags, environment, login("https://a.example")).unwrap().url, "https://flag.example");
        // Neither needs the login, so a broken one is no matter.
        let broken = || Err(Failure::Usage("broken".into()));
        assert!(choose(&flags, environment, broken()).is_ok());
        assert!(choose(&flags, nothing, broken()).is_err());
        assert!(choose(&HostArgs::default(), nothing, Ok(None)).is_err());
    }

    #[test]
    fn a_login_is_kept_whole_and_for_nobody_else() {
        let folder = env::temp_dir().join(format!("patchbay-login-{}", std::process::id()));
        let path = folder.join("patchbay/login.json");
        assert!(Login::load(&path).unwrap().is_none());
        let kept = login("https://a.example").unwrap().unwrap();
        kept.keep(&path).unwrap();
        kept.keep(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no other file is left");
        assert_eq!(Login::load(&path).unwrap().unwrap().token.show(), "patchbay_kept");
        fs::write(&path, "{\"url\": 5, \"token\": \"patchbay_secret\"}").unwrap();
        let told = Login::load(&path).err().unwrap().to_string();
        assert!(told.contains("log in again") && !told.contains("patchbay_secret"), "{told}");
    }

    #[test]
    fn what_is_no_token_is_not_repeated() {
        for text in ["", "  \n", "two words", "caf\u{e9}", "a\u{7f}"] {
            let told = Bearer::read(text, "here").err().unwrap().to_string();
            assert!(told.starts_with("here holds no token") && !told.contains("words"), "{told}");
        }
        assert_eq!(format!("{:?}", Bearer("patchbay_x".into())), "Bearer(..)");
    }
}
