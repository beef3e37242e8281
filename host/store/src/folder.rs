//! Tenants kept in files, for development and GitOps:
//!
//!     <tenants_dir>/<tenant>/tenant.toml          quotas, egress, engines, routes, where secrets may go, what live calls do at a new build
//!     <tenants_dir>/<tenant>/bots/<plugin>.wasm
//!     <tenants_dir>/<tenant>/secrets/<name>       the value, a line end after it cut off
//!
//! [`TenantFiles::read`] looks at the disk; [`read_tenant`] is pure and tells every mistake at once. Each tenant is right or
//! wrong by itself: whoever puts the right ones into the store leaves the last good one of the others serving.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Map;
use toml::{Table, Value};

use crate::bounds::*;
use crate::model::{Quotas, Route, SecretScope, SecretValue, check_hosts};
use crate::name::Name;
use crate::plugin::Live;
use crate::problem::{Problem, Problems, nearest};

/// What a tenant's folder says.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderTenant {
    pub name: Name,
    /// The path of its tenant.toml, for who wants to change it elsewhere.
    pub file: String,
    pub quotas: Quotas,
    pub egress: Vec<String>,
    /// `speech` and `chat`, not looked into.
    pub engines: Map<String, serde_json::Value>,
    pub live: Live,
    pub routes: Vec<Route>,
    pub secrets: BTreeMap<Name, FolderSecret>,
    pub bots: BTreeMap<Name, FolderBot>,
}

/// The value of `secrets/<name>`, and where it may go by `[secrets.<name>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSecret {
    pub value: SecretValue,
    pub scope: SecretScope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderBot {
    pub bytes: Vec<u8>,
    /// The contract's version; empty until somebody found the component good.
    pub wit: String,
}

/// A tenant's folder as it lay on the disk at one moment.
#[derive(Clone, Debug, Default)]
pub struct TenantFiles {
    pub name: String,
    /// The path of tenant.toml.
    pub file: PathBuf,
    pub text: String,
    /// By name, without their endings.
    pub bots: Vec<(String, Vec<u8>)>,
    pub secrets: Vec<(String, Vec<u8>)>,
    /// What could not be read.
    pub problems: Problems,
}

/// Each tenant's folder in order of name, one at a time in memory. Errors: the folder of the tenants cannot be read,
/// which says nothing of any tenant. Hidden folders and files beside them are not tenants.
pub fn read_folder(
    folder: &Path,
    component_bytes_max: u64,
) -> io::Result<impl Iterator<Item = (String, Result<FolderTenant, Problems>)>> {
    let mut tenants = Vec::new();
    for (name, path) in entries(folder)? {
        if path.is_dir() && tenants.len() < TENANTS_MAX {
            tenants.push((name, path));
        }
    }
    Ok(tenants.into_iter().map(move |(name, path)| {
        let files = TenantFiles::read(&path, component_bytes_max);
        (name, read_tenant(files))
    }))
}

impl TenantFiles {
    /// Reads one tenant's folder. What cannot be read is a problem of its own, and no panic, whatever lies there.
    pub fn read(folder: &Path, component_bytes_max: u64) -> Self {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut files = Self { name, file: folder.join("tenant.toml"), ..Self::default() };
        match read_bounded(&files.file, TENANT_FILE_BYTES_MAX).map(String::from_utf8) {
            Ok(Ok(text)) => files.text = text,
            Ok(Err(_)) => files.problems.report(Problem::new("tenant.toml", "is not UTF-8 text")),
            Err(error) => files.problems.report(Problem::new("tenant.toml", error)),
        }
        files.bots = files.read_all(&folder.join("bots"), Some("wasm"), PLUGINS_PER_TENANT_MAX, component_bytes_max);
        let secret_bytes_max = SECRET_BYTES_MAX as u64 + 2;
        files.secrets = files.read_all(&folder.join("secrets"), None, SECRETS_PER_TENANT_MAX, secret_bytes_max);
        files
    }

    /// The files of one of its folders, which need not be there.
    fn read_all(&mut self, folder: &Path, ending: Option<&str>, max: usize, bytes_max: u64) -> Vec<(String, Vec<u8>)> {
        let place = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let found = match entries(folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.problems.report(Problem::new(place, error.to_string()));
                return Vec::new();
            }
        };
        let mut read = Vec::new();
        let mut room = TENANT_FOLDER_BYTES_MAX;
        for (name, path) in found {
            let stem = match ending {
                Some(ending) => name.strip_suffix(ending).and_then(|stem| stem.strip_suffix('.')),
                None => Some(name.as_str()),
            };
            let Some(stem) = stem.filter(|_| path.is_file()) else { continue };
            if read.len() == max {
                self.problems.report(Problem::new(place, format!("holds more than {max}")).hint("remove some"));
                break;
            }
            match read_bounded(&path, bytes_max.min(room)) {
                Ok(bytes) => {
                    room -= bytes.len() as u64;
                    read.push((stem.to_owned(), bytes));
                }
                Err(error) => self.problems.report(Problem::new(format!("{place}/{name}"), error)),
            }
        }
        read
    }
}

/// Names and paths in order of name, without hidden ones.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // A pipe or a device would wait for ever.
    let is_file = fs::metadata(path).map_err(|error| error.to_string())?.is_file();
    if !is_file {
        return Err("is not a file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("is longer than {bytes_max} bytes"));
    }
    Ok(bytes)
}

/// What the files say, or all that is wrong with them.
pub fn read_tenant(files: TenantFiles) -> Result<FolderTenant, Problems> {
    let mut reader = Reader { problems: files.problems };
    let mut table = reader.table(&files.text);
    let name = reader.name("folder name", &files.name);
    let quotas = reader.quotas(table.remove("quotas"));
    let live = reader.live(table.remove("live"));
    let routes = reader.routes(table.remove("routes"));
    let egress = reader.egress(table.remove("egress"));
    let engines = reader.engines(&mut table);
    let scopes = reader.scopes(table.remove("secrets"));
    reader.unknown("", table.keys(), &["quotas", "egress", "speech", "chat", "live", "routes", "secrets"]);
    let mut bots = BTreeMap::new();
    for (bot, bytes) in files.bots {
        if let Some(bot) = reader.name(&format!("bots/{bot}.wasm"), &bot) {
            bots.insert(bot, FolderBot { bytes, wit: String::new() });
        }
    }
    for (index, route) in routes.iter().enumerate() {
        reader.route(&routes[..index], index, route, &bots);
    }
    let secrets = reader.secrets(&files.secrets, scopes);
    match (name, reader.problems.none()) {
        (Some(name), Ok(())) => {
            let file = files.file.display().to_string();
            Ok(FolderTenant { name, file, quotas, egress, engines, live, routes, secrets, bots })
        }
        (_, Err(problems)) => Err(problems),
        (None, Ok(())) => Err(Problem::new("folder name", "is not a name").into()),
    }
}

struct Reader {
    problems: Problems,
}

impl Reader {
    fn table(&mut self, text: &str) -> Table {
        text.parse::<Table>().unwrap_or_else(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            self.problems.report(Problem::new("tenant.toml", format!("{place}{}", error.message().trim())));
            Table::new()
        })
    }

    fn name(&mut self, place: &str, text: &str) -> Option<Name> {
        text.parse().map_err(|error: String| self.problems.report(Problem::new(place, error))).ok()
    }

    /// Each key that is not known, with the one that was probably meant.
    fn unknown<'k>(&mut self, place: &str, keys: impl IntoIterator<Item = &'k String>, known: &[&str]) -> bool {
        let before = self.problems.0.len();
        for key in keys.into_iter().filter(|key| !known.contains(&key.as_str())) {
            let hint = match nearest(key, known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.problems.report(Problem::new(format!("{place}{key}"), "unknown key").hint(hint));
        }
        self.problems.0.len() > before
    }

    /// A table of known keys by way of serde; what is wrong is reported and None.
    fn section<T: DeserializeOwned>(&mut self, place: &str, value: Value, known: &[&str]) -> Option<T> {
        let Value::Table(table) = value else {
            let text = format!("expected a table, found {}", value.type_str());
            self.problems.report(Problem::new(place, text).hint(format!("known in it: {}", known.join(", "))));
            return None;
        };
        if self.unknown(&format!("{place}."), table.keys(), known) {
            return None;
        }
        let read = Value::Table(table).try_into::<T>();
        read.map_err(|error| self.problems.report(Problem::new(place, error.to_string().trim().to_owned()))).ok()
    }

    fn quotas(&mut self, value: Option<Value>) -> Quotas {
        let quotas: Quotas = value.and_then(|value| self.section("quotas", value, &Quotas::KEYS)).unwrap_or_default();
        quotas.check("quotas.", &mut self.problems);
        quotas
    }

    fn live(&mut self, value: Option<Value>) -> Live {
        let live: Live =
            value.and_then(|value| self.section("live", value, &["policy", "limit_s"])).unwrap_or_default();
        live.check(&mut self.problems);
        live
    }

    fn routes(&mut self, value: Option<Value>) -> Vec<Route> {
        let routes = match value {
            None => return Vec::new(),
            Some(Value::Array(routes)) => routes,
            Some(other) => {
                let text = format!("expected a list of tables, found {}", other.type_str());
                self.problems.report(Problem::new("routes", text).hint("write [[routes]]"));
                return Vec::new();
            }
        };
        if routes.len() > ROUTES_PER_TENANT_MAX {
            let text = format!("{} are too many", routes.len());
            self.problems.report(Problem::new("routes", text).hint(format!("{ROUTES_PER_TENANT_MAX} at most")));
            return Vec::new();
        }
        let routes = routes.into_iter().enumerate();
        routes.filter_map(|(index, route)| self.section(&format!("routes[{index}]"), route, &Route::KEYS)).collect()
    }

    fn route(&mut self, before: &[Route], index: usize, route: &Route, bots: &BTreeMap<Name, FolderBot>) {
        let place = format!("routes[{index}].");
        route.check(&place, &mut self.problems);
        if before.iter().any(|other| other.name == route.name) {
            let text = format!("there is another route `{}`", route.name);
            self.problems.report(Problem::new(format!("{place}name"), text).hint("give each its own name"));
        }
        if before.iter().any(|other| other.trunk == route.trunk && other.called == route.called) {
            let text = format!("another route takes {} already", route.called);
            self.problems.report(Problem::new(format!("{place}called"), text).hint("remove one of the two"));
        }
        if !bots.contains_key(&route.plugin) {
            let hint = match nearest(&route.plugin, bots.keys().map(|name| &**name)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("there is no bots/{}.wasm", route.plugin),
            };
            let text = format!("there is no plugin `{}`", route.plugin);
            self.problems.report(Problem::new(format!("{place}plugin"), text).hint(hint));
        }
    }

    fn egress(&mut self, value: Option<Value>) -> Vec<String> {
        let read = value.map_or(Ok(Vec::new()), Value::try_into::<Vec<String>>);
        let egress = read.unwrap_or_else(|error| {
            let problem = Problem::new("egress", error.to_string().trim().to_owned());
            self.problems.report(problem.hint("write egress = [\"api.example.com:443\"]"));
            Vec::new()
        });
        check_hosts("egress", &egress, EGRESS_PER_TENANT_MAX, &mut self.problems);
        egress
    }

    fn engines(&mut self, table: &mut Table) -> Map<String, serde_json::Value> {
        let mut engines = Map::new();
        for key in ["speech", "chat"] {
            match table.remove(key).map(serde_json::to_value) {
                Some(Ok(value)) => drop(engines.insert(key.to_owned(), value)),
                Some(Err(error)) => self.problems.report(Problem::new(key, error.to_string())),
                None => {}
            }
        }
        engines
    }

    /// Where each secret may go, by its name.
    fn scopes(&mut self, value: Option<Value>) -> BTreeMap<String, SecretScope> {
        let secrets = match value {
            None => return BTreeMap::new(),
            Some(Value::Table(secrets)) => secrets,
            Some(other) => {
                let text = format!("expected a table, found {}", other.type_str());
                let hint = "write [secrets.NAME] with hosts and header; the value lies in secrets/NAME";
                self.problems.report(Problem::new("secrets", text).hint(hint));
                return BTreeMap::new();
            }
        };
        let mut scopes = BTreeMap::new();
        for (name, value) in secrets {
            let place = format!("secrets.{name}");
            if let Some(scope) = self.section::<SecretScope>(&place, value, &SecretScope::KEYS) {
                scope.check(&format!("{place}."), &mut self.problems);
                scopes.insert(name, scope);
            }
        }
        scopes
    }

    fn secrets(
        &mut self,
        files: &[(String, Vec<u8>)],
        mut scopes: BTreeMap<String, SecretScope>,
    ) -> BTreeMap<Name, FolderSecret> {
        let mut secrets = BTreeMap::new();
        for (name, bytes) in files {
            let place = format!("secrets/{name}");
            let Some(name) = self.name(&place, name) else { continue };
            let value = str::from_utf8(bytes).map(|text| SecretValue::new(text.trim_end_matches(['\r', '\n'])));
            let scope = scopes.remove(&*name).unwrap_or_default();
            match value {
                Ok(Ok(value)) => {
                    secrets.insert(name, FolderSecret { value, scope });
                }
                // What stands there is never shown.
                Ok(Err(_)) => self.problems.report(Problem::new(place, "is empty or longer than 8192 bytes")),
                Err(_) => self.problems.report(Problem::new(place, "is not UTF-8 text")),
            }
        }
        for name in scopes.keys() {
            let problem = Problem::new(format!("secrets.{name}"), "has no value");
            self.problems.report(problem.hint(format!("write it into the file secrets/{name}")));
        }
        secrets
    }
}
