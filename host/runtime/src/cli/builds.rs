//! What may be written about builds: uploading, activating, rolling back.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use store::{Digest, Name};

use super::Whose;

pub(super) const DEPLOY_EXAMPLES: &str = "\
Examples:
  patchbay deploy menu.wasm --tenant acme                            stored as `menu`, answers nothing yet
  patchbay deploy menu.wasm --tenant acme --activate --live move     live calls go over to it, none is dropped
  patchbay deploy menu.wasm --tenant acme --activate --called +912261234567
  patchbay deploy build/bot.wasm --tenant acme --name menu --canary 10%";

#[derive(Args, Debug)]
#[group(id = "activation", args = ["activate", "canary"], multiple = true)]
pub struct DeployArgs {
    #[arg(value_name = "BOT.wasm")]
    pub file: PathBuf,
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin. [default: the file's name without .wasm]
    #[arg(long, value_name = "N")]
    pub name: Option<Name>,
    /// Lets it answer new calls as soon as it is stored.
    #[arg(long)]
    pub activate: bool,
    /// Lets it answer this share of new calls.
    #[arg(long, value_name = "SHARE%", value_parser = parse_percent)]
    pub canary: Option<u8>,
    /// Binds this number to it too, by a route of the plugin's name. More: `patchbay route put`.
    #[arg(long, value_name = "NUMBER", requires = "activation")]
    pub called: Option<String>,
    /// What live calls do: stay on their build until they end, or go over to this one.
    #[arg(long, value_parser = ["drain", "move"], requires = "activation")]
    pub live: Option<String>,
    /// How long a call may stay on an old build.
    #[arg(long, value_name = "SECONDS", requires = "activation")]
    pub limit: Option<u32>,
}

/// What calls of earlier generations do.
#[derive(Args, Clone, Debug)]
pub struct LiveArgs {
    /// What live calls do: stay on their build until they end, or go over to this one.
    #[arg(long, value_parser = ["drain", "move"])]
    pub live: Option<String>,
    /// How long a call may stay on an old build.
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u32>,
}

pub(super) const ACTIVATE_EXAMPLES: &str = "\
Examples:
  patchbay activate 3f9a01bc77d2 --tenant acme --name menu --live move
  patchbay activate 3f9a01bc77d2 --tenant acme --name menu --canary 10%";

#[derive(Args, Debug)]
pub struct ActivateArgs {
    /// Of the component, as `patchbay plugins --name` shows it: 8 digits at least.
    #[arg(value_name = "DIGEST", value_parser = parse_digest)]
    pub digest: String,
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin.
    #[arg(long, value_name = "N")]
    pub name: Name,
    /// Lets it answer this share of new calls only.
    #[arg(long, value_name = "SHARE%", value_parser = parse_percent)]
    pub canary: Option<u8>,
    #[command(flatten)]
    pub live: LiveArgs,
    /// Refused unless the plugin's last generation is this one: nobody's work is undone unseen.
    #[arg(long, value_name = "N")]
    pub if_last_generation: Option<u64>,
}

pub(super) const ROLLBACK_EXAMPLES: &str = "\
Examples:
  patchbay rollback --tenant acme --name menu --reason 'keys are not understood'
  patchbay rollback --tenant acme --name menu --live move";

#[derive(Args, Debug)]
pub struct RollBackArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin.
    #[arg(long, value_name = "N")]
    pub name: Name,
    /// For the audit log.
    #[arg(long, value_name = "R")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub live: LiveArgs,
    /// Refused unless this is the generation that would be rolled back.
    #[arg(long, value_name = "N")]
    pub if_generation: Option<u64>,
}

pub(super) const PLUGINS_EXAMPLES: &str = "\
Examples:
  patchbay plugins --tenant acme
  patchbay plugins --tenant acme --name menu                             its versions
  patchbay plugin delete menu --tenant acme                              once no route names it
  patchbay plugin delete menu --tenant acme --version 3f9a01bc77d2       once it is not in use";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PluginsArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Shows this plugin's versions.
    #[arg(long, value_name = "N")]
    pub name: Option<Name>,
    #[command(subcommand)]
    pub verb: Option<PluginVerb>,
}

#[derive(Debug, Subcommand)]
pub enum PluginVerb {
    /// A plugin that no route names, or one of its versions that is not in use.
    #[command(after_help = PLUGINS_EXAMPLES)]
    Delete {
        #[arg(value_name = "N")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
        #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
        version: Option<String>,
    },
}

fn parse_percent(text: &str) -> Result<u8, String> {
    let share = text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|share| (1..=99).contains(share));
    share.ok_or_else(|| "not a share from 1% to 99%".into())
}

/// A digest, or the beginning of one that tells it apart.
fn parse_digest(text: &str) -> Result<String, String> {
    let hexadecimal = |text: &str| text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    match text.parse::<Digest>() {
        Ok(digest) => Ok(digest.to_string()),
        Err(_) if (8..64).contains(&text.len()) && hexadecimal(text) => Ok(text.to_owned()),
        Err(_) => Err("not a digest: write its first 8 to 64 hexadecimal digits, lower-case".into()),
    }
}
