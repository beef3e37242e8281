//! The verbs of [`Store`] and [`Pairs`], each one transaction.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Entry, SqliteStore, all, audit, count, entry_of, folder_tenants, pairs, plugins, routes, tenants, tokens};
use crate::bounds::AUDIT_PAGE_MAX;
use crate::error::{Error, Result};
use crate::folder::FolderTenant;
use crate::model::*;
use crate::name::{Digest, Name};
use crate::overlap::Overlap;
use crate::plugin::{Activate, Plugin, RollBack, Version};
use crate::store::{Changes, Pairs, Store};
use crate::token::{Scope, Token, TokenText};

impl Store for SqliteStore {
    fn create_tenant(&self, by: &By, name: &Name, quotas: Quotas) -> Result<Tenant> {
        self.change(by, |transaction| {
            let (tenant, entry) = tenants::create(transaction, by, name, Source::Api, &quotas)?;
            Ok((tenant, vec![entry]))
        })
    }

    fn set_quotas(&self, by: &By, tenant: &str, quotas: Quotas) -> Result<Tenant> {
        self.change(by, |transaction| {
            let mut tenant = tenants::of_api(transaction, tenant)?;
            let entry = tenants::set_quotas(transaction, &mut tenant, &quotas)?;
            Ok((tenant, entry.into_iter().collect()))
        })
    }

    fn set_egress(&self, by: &By, tenant: &str, egress: &[String]) -> Result<Tenant> {
        self.change(by, |transaction| {
            let mut tenant = tenants::of_api(transaction, tenant)?;
            let entry = tenants::set_egress(transaction, &mut tenant, egress)?;
            Ok((tenant, entry.into_iter().collect()))
        })
    }

    fn set_engines(&self, by: &By, tenant: &str, engines: &Map<String, Value>) -> Result<Tenant> {
        self.change(by, |transaction| {
            let mut tenant = tenants::of_api(transaction, tenant)?;
            let entry = tenants::set_engines(transaction, &mut tenant, engines)?;
            Ok((tenant, entry.into_iter().collect()))
        })
    }

    fn delete_tenant(&self, by: &By, tenant: &str) -> Result<()> {
        let _files = self.files();
        let digests = self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            let digests = plugins::digests_of(transaction, tenant, None)?;
            Ok((digests, vec![tenants::delete(transaction, tenant)?]))
        })?;
        self.release(digests);
        Ok(())
    }

    fn tenants(&self) -> Result<Vec<Tenant>> {
        self.look(tenants::list)
    }

    fn tenant(&self, tenant: &str) -> Result<Tenant> {
        self.look(|connection| tenants::get(connection, tenant))
    }

    fn usage(&self, tenant: &str) -> Result<Usage> {
        self.look(|connection| tenants::usage(connection, tenant))
    }

    fn put_route(&self, by: &By, tenant: &str, route: &Route, overlap: Overlap) -> Result<()> {
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            Ok(((), routes::put(transaction, tenant, route, overlap)?.into_iter().collect()))
        })
    }

    fn delete_route(&self, by: &By, tenant: &str, name: &str) -> Result<()> {
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            Ok(((), vec![routes::delete(transaction, tenant, name)?]))
        })
    }

    fn routes(&self, tenant: &str) -> Result<Vec<Route>> {
        self.look(|connection| routes::list(connection, tenant))
    }

    fn put_secret(&self, by: &By, tenant: &str, name: &Name, change: &SecretChange) -> Result<()> {
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            let entry = tenants::put_secret(transaction, by, &self.key, (tenant, name), change)?;
            Ok(((), entry.into_iter().collect()))
        })
    }

    fn delete_secret(&self, by: &By, tenant: &str, name: &str) -> Result<()> {
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            Ok(((), vec![tenants::delete_secret(transaction, tenant, name)?]))
        })
    }

    fn secrets(&self, tenant: &str) -> Result<Vec<Secret>> {
        self.look(|connection| tenants::secrets(connection, tenant))
    }

    fn reveal_secret(&self, tenant: &str, name: &str) -> Result<SecretValue> {
        self.look(|connection| tenants::reveal_secret(connection, &self.key, tenant, name))
    }

    fn create_token(&self, by: &By, scope: &Scope, label: &str) -> Result<(Token, TokenText)> {
        self.change(by, |transaction| {
            let (token, entry) = tokens::create(transaction, by, scope, label)?;
            Ok((token, vec![entry]))
        })
    }

    fn revoke_token(&self, by: &By, id: &str) -> Result<()> {
        self.change(by, |transaction| Ok(((), tokens::revoke(transaction, by, id)?.into_iter().collect())))
    }

    fn tokens(&self, tenant: Option<&str>) -> Result<Vec<Token>> {
        self.look(|connection| tokens::list(connection, tenant))
    }

    fn token(&self, text: &str, at_ms: u64) -> Result<Option<Token>> {
        tokens::find(&self.connection(), text, at_ms)
    }

    fn upload(&self, by: &By, tenant: &str, plugin: &Name, bytes: &[u8], wit: &str) -> Result<Version> {
        let long = self.check_length(bytes)?;
        let digest = Digest::of(bytes);
        let _files = self.files();
        // Before anything is written: most refusals cost no disk.
        self.look(|connection| {
            plugins::admit(connection, &tenants::of_api(connection, tenant)?, plugin, &digest, long)
        })?;
        let stored = self.components.put(bytes).and_then(|_| {
            self.change(by, |transaction| {
                let tenant = tenants::of_api(transaction, tenant)?;
                let (version, entry) = plugins::add_version(transaction, by, &tenant, plugin, (digest, long, wit))?;
                Ok((version, entry.into_iter().collect()))
            })
        });
        if stored.is_err() {
            self.release([digest]);
        }
        stored
    }

    fn plugins(&self, tenant: &str) -> Result<Vec<Plugin>> {
        self.look(|connection| plugins::list(connection, tenant))
    }

    fn plugin(&self, tenant: &str, plugin: &str) -> Result<Plugin> {
        self.look(|connection| plugins::get(connection, tenant, plugin))
    }

    fn versions(&self, tenant: &str, plugin: &str) -> Result<Vec<Version>> {
        self.look(|connection| plugins::versions(connection, tenant, plugin))
    }

    fn component(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.components.read(digest)
    }

    fn activate(&self, by: &By, tenant: &str, plugin: &str, request: &Activate) -> Result<Plugin> {
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            let (plugin, entry) = plugins::activate(transaction, by, tenant, plugin, request)?;
            Ok((plugin, entry.into_iter().collect()))
        })
    }

    fn roll_back(&self, by: &By, tenant: &str, plugin: &str, request: &RollBack) -> Result<Plugin> {
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            let (plugin, entry) = plugins::roll_back(transaction, by, tenant, plugin, request)?;
            Ok((plugin, vec![entry]))
        })
    }

    fn delete_version(&self, by: &By, tenant: &str, plugin: &str, digest: &Digest) -> Result<()> {
        let _files = self.files();
        self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            Ok(((), vec![plugins::delete_version(transaction, tenant, plugin, digest)?]))
        })?;
        self.release([*digest]);
        Ok(())
    }

    fn delete_plugin(&self, by: &By, tenant: &str, plugin: &str) -> Result<()> {
        let _files = self.files();
        let digests = self.change(by, |transaction| {
            tenants::of_api(transaction, tenant)?;
            let digests = plugins::digests_of(transaction, tenant, Some(plugin))?;
            Ok((digests, vec![plugins::delete(transaction, tenant, plugin)?]))
        })?;
        self.release(digests);
        Ok(())
    }

    fn put_folder_tenant(&self, by: &By, tenant: &FolderTenant) -> Result<bool> {
        let _files = self.files();
        let mut digests = folder_tenants::digests(tenant);
        let stored = tenant.bots.values().try_for_each(|bot| {
            self.check_length(&bot.bytes)?;
            self.components.put(&bot.bytes).map(|_| ())
        });
        let outcome = stored.and_then(|()| {
            self.change(by, |transaction| {
                // Those it had may be of no use afterwards.
                digests.extend(plugins::digests_of(transaction, &tenant.name, None)?);
                let entries = folder_tenants::put(transaction, by, &self.key, tenant)?;
                Ok((!entries.is_empty(), entries))
            })
        });
        self.release(digests);
        outcome
    }

    fn delete_folder_tenant(&self, by: &By, tenant: &str) -> Result<()> {
        let _files = self.files();
        let digests = self.change(by, |transaction| {
            if tenants::get(transaction, tenant)?.source == Source::Api {
                return Err(Error::FromApi { tenant: tenant.to_owned() });
            }
            let digests = plugins::digests_of(transaction, tenant, None)?;
            Ok((digests, vec![tenants::delete(transaction, tenant)?]))
        })?;
        self.release(digests);
        Ok(())
    }

    fn note_dial(&self, by: &By, tenant: &str, trunk: &str, request: &str, to: &str) -> Result<()> {
        let entry = Entry::new(tenant, Action::Dial, trunk).detail("request", request).detail("to", to);
        self.change(by, |_| Ok(((), vec![entry])))
    }

    fn audit(&self, tenant: Option<&str>, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>> {
        self.look(|connection| audit(connection, tenant, before, limit))
    }

    fn sequence(&self) -> u64 {
        *self.lock_sequence()
    }

    fn changes(&self, sequence: u64) -> Result<Changes> {
        self.look(|connection| {
            let last = self.sequence();
            let oldest = count(connection, "SELECT coalesce(min(sequence), ?1 + 1) FROM audit", [last])?;
            // Beyond the last: a backup was restored under whoever asks.
            if sequence > last || sequence.saturating_add(1) < oldest {
                return Ok(Changes::Everything { sequence: last });
            }
            let query = "SELECT * FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
            Ok(Changes::These(all(connection, query, (sequence, AUDIT_PAGE_MAX), entry_of)?))
        })
    }

    fn wait_for_change(&self, sequence: u64, at_most: Duration) -> u64 {
        let last = self.lock_sequence();
        let waited = self.changed.wait_timeout_while(last, at_most, |last| *last <= sequence);
        *waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
    }
}

impl Pairs for SqliteStore {
    fn value(&self, tenant: &str, key: &str, now_ms: u64) -> Result<Option<Vec<u8>>> {
        self.look(|connection| Ok(pairs::get(connection, tenant, key, now_ms)?.map(|found| found.value)))
    }

    fn put_value(&self, tenant: &str, key: &str, value: &[u8], expires_at_ms: Option<u64>, now_ms: u64) -> Result<()> {
        let database_bytes_max = self.settings.database_bytes_max;
        self.keep(|transaction| {
            let pair = pairs::Pair { tenant, key, value, expires_at_ms };
            pairs::put(transaction, &pair, now_ms, database_bytes_max)
        })
    }

    fn swap_value(&self, tenant: &str, key: &str, expected: Option<&[u8]>, value: &[u8], now_ms: u64) -> Result<bool> {
        let database_bytes_max = self.settings.database_bytes_max;
        self.keep(|transaction| {
            let found = pairs::get(transaction, tenant, key, now_ms)?;
            if found.as_ref().map(|found| found.value.as_slice()) != expected {
                return Ok(false);
            }
            let expires_at_ms = found.and_then(|found| found.expires_at_ms);
            let pair = pairs::Pair { tenant, key, value, expires_at_ms };
            pairs::put(transaction, &pair, now_ms, database_bytes_max).map(|()| true)
        })
    }

    fn delete_value(&self, tenant: &str, key: &str) -> Result<()> {
        self.keep(|transaction| pairs::delete(transaction, tenant, key))
    }

    fn keys(&self, tenant: &str, prefix: &str, after: &str, now_ms: u64) -> Result<Vec<String>> {
        self.look(|connection| pairs::keys(connection, tenant, (prefix, after), now_ms))
    }

    fn kept(&self, tenant: &str) -> Result<Kept> {
        self.look(|connection| tenants::kept(connection, tenant))
    }
}

impl SqliteStore {
    fn check_length(&self, bytes: &[u8]) -> Result<u64> {
        let bytes_max = self.settings.component_bytes_max;
        let bytes = bytes.len() as u64;
        if bytes > bytes_max { Err(Error::TooLarge { bytes_max }) } else { Ok(bytes) }
    }

    fn lock_sequence(&self) -> std::sync::MutexGuard<'_, u64> {
        self.sequence.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
