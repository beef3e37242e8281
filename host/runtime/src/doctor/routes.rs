//! Which bot answers a number: by the operator's routes, and where tenants have theirs too by the word of the host that runs.

use call::{Route, Routing};

use super::{Case, Finding, tenants};
use crate::wiring;

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let routing = match routing(case) {
        Ok(routing) => routing,
        Err(error) => return vec![Finding::wrong("", error, "")],
    };
    let trunks = case.config.trunks.iter().map(|trunk| trunk.name.as_str());
    if case.args.called.is_empty() {
        return trunks.filter_map(|trunk| any(case, trunk)).collect();
    }
    let numbers = || case.args.called.iter().map(|number| call::called_number(number));
    trunks.flat_map(|trunk| numbers().map(|number| one(case, &routing, trunk, &number)).collect::<Vec<_>>()).collect()
}

/// As the host makes it from this configuration, tenants left out. Errors: a secret of a route's configuration cannot be read.
pub(super) fn routing(case: &Case) -> Result<Routing, String> {
    let routes = wiring::routes(&case.config, &bots(case)).map_err(|error| format!("{error:#}"))?;
    Ok(Routing::new(routes))
}

/// The names of the folder's .wasm files.
fn bots(case: &Case) -> Vec<String> {
    let files = case.config.bots.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".wasm")?.to_owned())).collect()
}

fn one(case: &Case, routing: &Routing, trunk: &str, number: &str) -> Finding {
    let what = format!("{number} by trunk {trunk}");
    let asked = case.config.data.is_some().then(|| tenants::who_answers(case, trunk, number));
    if let Some(Ok(who)) = asked {
        return match who.plugin.filter(|_| who.outcome == "answered") {
            Some(plugin) => Finding::well(what, format!("{} names `{plugin}`", who.why)),
            None => Finding::wrong(what, who.why, "`patchbay route put`, `patchbay activate`, or [[routes]]"),
        };
    }
    let Some(route) = found(routing, trunk, number) else {
        let mend = format!("add [[routes]] with called = \"{number}\" and plugin");
        return match asked {
            Some(Err(unasked)) => Finding::unknown(what, unasked.why, unasked.mend),
            _ => Finding::wrong(what, "no route fits: 404", mend),
        };
    };
    if !bots(case).contains(&route.plugin) {
        let folder = case.config.bots.as_deref().map(|folder| folder.display().to_string()).unwrap_or_default();
        let why = format!("routes[{}] names `{}`, which has no file: 480", route.name, route.plugin);
        return Finding::wrong(what, why, format!("put {}.wasm into {folder}", route.plugin));
    }
    Finding::well(what, format!("routes[{}] names `{}`", route.name, route.plugin))
}

fn found<'a>(routing: &'a Routing, trunk: &str, number: &str) -> Option<&'a Route> {
    routing.find(trunk, number, &format!("sip:{number}@localhost")).map(|route| &**route)
}

/// The bot that answers a number, as far as that can be known.
pub(super) fn plugin(case: &Case, routing: &Routing, trunk: &str, number: &str) -> Option<String> {
    match tenants::who_answers(case, trunk, number) {
        Ok(who) => who.plugin,
        Err(_) => found(routing, trunk, number).map(|route| route.plugin.clone()),
    }
}

/// Without a number: whether any call of this trunk could be answered.
fn any(case: &Case, trunk: &str) -> Option<Finding> {
    let fits = |route: &crate::config::Route| route.trunk.as_deref().is_none_or(|name| name == trunk);
    if case.config.data.is_some() || case.config.routes.iter().any(fits) {
        return None;
    }
    let what = format!("of trunk {trunk}");
    Some(Finding::wrong(what, "none fits: every call gets 404", format!("add [[routes]] with trunk = \"{trunk}\"")))
}
