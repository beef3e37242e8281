//! How much of everything there may be. What a tenant may fill is bounded by its quotas too.

use std::ops::RangeInclusive;

pub const NAME_CHARS_MAX: usize = 64;
pub const TENANTS_MAX: usize = 10_000;
pub const PLUGINS_PER_TENANT_MAX: usize = 200;
pub const VERSIONS_PER_PLUGIN_MAX: usize = 200;
pub const ROUTES_PER_TENANT_MAX: usize = 5_000;
pub const SECRETS_PER_TENANT_MAX: usize = 200;
/// Revoked ones count: they are kept for the audit, the oldest revoked goes when there is no room.
pub const TOKENS_PER_OWNER_MAX: usize = 200;

pub const CALLED_BYTES_MAX: usize = 256;
/// Each `*` multiplies the work of a match.
pub const CALLED_STARS_MAX: usize = 4;
pub const CONFIG_BYTES_MAX: usize = 64 << 10;
/// As JSON.
pub const ENGINES_BYTES_MAX: usize = 16 << 10;
pub const SECRET_BYTES_MAX: usize = 8 << 10;
pub const EGRESS_PER_TENANT_MAX: usize = 200;
/// Where one secret may go.
pub const HOSTS_PER_SECRET_MAX: usize = 16;
/// `*.example.com:443`: a name of 253, and what stands around it.
pub const HOST_BYTES_MAX: usize = 270;
pub const HEADER_NAME_BYTES_MAX: usize = 64;
/// A tenant's own pairs: of key and value.
pub const PAIRS_PER_TENANT_MAX: usize = 100_000;
pub const KEY_BYTES_MAX: usize = 256;
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// What a pair counts for beside its bytes, in the storage quota.
pub const PAIR_BYTES: usize = 64;
/// Keys given out at a time.
pub const KEYS_PAGE_MAX: usize = 100;
pub const LABEL_BYTES_MAX: usize = 200;
pub const REASON_BYTES_MAX: usize = 1_000;
pub const TENANT_FILE_BYTES_MAX: u64 = 1 << 20;
/// All bots of a tenant's folder, which are in memory together.
pub const TENANT_FOLDER_BYTES_MAX: u64 = 512 << 20;

/// The audit log forgets its oldest entries beyond this many.
pub const AUDIT_ENTRIES_MAX: u64 = 1_000_000;
/// Entries given out at a time.
pub const AUDIT_PAGE_MAX: usize = 1_000;
/// A token's last use is written down this often at most.
pub const LAST_USED_EVERY_MS: u64 = 60_000;

pub const CANARY_PERCENT: RangeInclusive<u8> = 1..=99;
/// One second to one day.
pub const LIVE_LIMIT_S: RangeInclusive<u32> = 1..=86_400;
