//! A tenant as its folder holds it, taken over in one transaction.

use std::collections::BTreeSet;

use rusqlite::Transaction;

use super::{Entry, plugins, routes, tenants};
use crate::error::{Error, Result};
use crate::folder::FolderTenant;
use crate::host_key::HostKey;
use crate::model::*;
use crate::name::{Digest, Name};
use crate::overlap::Overlap;
use crate::plugin::Activate;

pub fn digests(tenant: &FolderTenant) -> BTreeSet<Digest> {
    tenant.bots.values().map(|bot| Digest::of(&bot.bytes)).collect()
}

/// What was changed, which may be nothing. The files of its components are there.
pub fn put(transaction: &Transaction<'_>, by: &By, key: &HostKey, folder: &FolderTenant) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut tenant = put_tenant(transaction, by, folder, &mut entries)?;
    entries.extend(tenants::set_egress(transaction, &mut tenant, &folder.egress)?);
    entries.extend(tenants::set_engines(transaction, &mut tenant, &folder.engines)?);
    put_secrets(transaction, by, key, folder, &mut entries)?;
    // Routes go before the plugins that they name, and all that differ before any new one: two may have swapped their numbers.
    let before = routes::list(transaction, &folder.name)?;
    for route in before.iter().filter(|route| !folder.routes.contains(route)) {
        let entry = routes::delete(transaction, &folder.name, &route.name)?;
        if folder.routes.iter().all(|kept| kept.name != route.name) {
            entries.push(entry);
        }
    }
    put_plugins(transaction, by, &tenant, folder, &mut entries)?;
    for route in folder.routes.iter().filter(|route| !before.contains(route)) {
        entries.extend(routes::put(transaction, &folder.name, route, Overlap::Allowed)?);
    }
    Ok(entries)
}

fn put_tenant(
    transaction: &Transaction<'_>,
    by: &By,
    folder: &FolderTenant,
    entries: &mut Vec<Entry>,
) -> Result<Tenant> {
    let Some(mut tenant) = tenants::find(transaction, &folder.name)? else {
        let source = Source::Folder(folder.file.clone());
        let (tenant, entry) = tenants::create(transaction, by, &folder.name, source, &folder.quotas)?;
        entries.push(entry);
        return Ok(tenant);
    };
    match &tenant.source {
        Source::Api => return Err(Error::FromApi { tenant: folder.name.to_string() }),
        Source::Folder(file) if *file != folder.file => {
            transaction.execute("UPDATE tenants SET file = ?2 WHERE name = ?1", (&*folder.name, &folder.file))?;
            entries.push(Entry::new(&folder.name, Action::SetSource, &*folder.name).detail("file", &*folder.file));
        }
        Source::Folder(_) => {}
    }
    entries.extend(tenants::set_quotas(transaction, &mut tenant, &folder.quotas)?);
    Ok(tenant)
}

fn put_secrets(
    transaction: &Transaction<'_>,
    by: &By,
    key: &HostKey,
    folder: &FolderTenant,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let tenant = &*folder.name;
    let before: Vec<Name> = tenants::secrets(transaction, tenant)?.into_iter().map(|secret| secret.name).collect();
    for name in before.iter().filter(|name| !folder.secrets.contains_key(*name)) {
        entries.push(tenants::delete_secret(transaction, tenant, name)?);
    }
    for (name, secret) in &folder.secrets {
        let is_known = before.contains(name) && tenants::reveal_secret(transaction, key, tenant, name)? == secret.value;
        let value = (!is_known).then(|| secret.value.clone());
        let change = SecretChange { value, scope: Some(secret.scope.clone()), may_rescope: true };
        entries.extend(tenants::put_secret(transaction, by, key, (tenant, name), &change)?);
    }
    Ok(())
}

fn put_plugins(
    transaction: &Transaction<'_>,
    by: &By,
    tenant: &Tenant,
    folder: &FolderTenant,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    for name in plugins::names(transaction, &tenant.name)? {
        if !folder.bots.contains_key(&name) {
            entries.push(plugins::delete(transaction, &tenant.name, &name)?);
        }
    }
    for (name, bot) in &folder.bots {
        let new = (Digest::of(&bot.bytes), bot.bytes.len() as u64, bot.wit.as_str());
        entries.extend(plugins::add_version(transaction, by, tenant, name, new)?.1);
        let request = Activate { digest: new.0, canary_percent: None, live: folder.live, if_last_generation: None };
        let (plugin, entry) = plugins::activate(transaction, by, &tenant.name, name, &request)?;
        entries.extend(entry);
        // The folder keeps one build of each; here the one before stays too, and no more.
        let kept: Vec<Digest> = plugin.generations().map(|(_, generation)| generation.digest).collect();
        for version in plugins::versions(transaction, &tenant.name, name)? {
            if !kept.contains(&version.digest) {
                entries.push(plugins::delete_version(transaction, &tenant.name, name, &version.digest)?);
            }
        }
    }
    Ok(())
}
