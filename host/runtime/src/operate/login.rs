//! Tries a token with a host, and keeps or forgets both.

use std::io::IsTerminal;

use super::ask::Ask;
use super::client::Client;
use super::credentials::{Access, Bearer, Login, checked};
use super::{Failure, Outcome, show};
use crate::cli::LoginArgs;
use crate::said::complain;

/// Nothing is kept of a token that the host does not know.
pub fn login(args: &LoginArgs) -> Outcome<()> {
    let url = checked(&args.url)?;
    let absolute = |path| std::path::absolute(path).map_err(|error| Failure::Usage(format!("--ca: {error}")));
    let ca = args.ca.as_ref().map(absolute).transpose()?;
    let client = Client::new(Access { url, ca, token: token(args)? })?;
    let ask = Ask::whoami();
    let who = client.ask(&ask)?;
    let Access { url, ca, token } = client.access();
    Login { url: url.clone(), ca: ca.clone(), token: token.clone() }.keep(&Login::path()?)?;
    show(&ask, &who, args.json);
    Ok(())
}

fn token(args: &LoginArgs) -> Outcome<Bearer> {
    if let Some(file) = &args.token_file {
        return Bearer::of_file(file);
    }
    match args.token.as_deref() {
        Some("-") => return Bearer::of_stdin(),
        // It may be the token: it is not repeated.
        Some(_) => {
            return Err(Failure::Usage(
                "a token is not written on the command line, where others read it: --token - takes it from stdin"
                    .into(),
            ));
        }
        None => {}
    }
    if let Ok(text) = std::env::var("PATCHBAY_TOKEN") {
        return Bearer::read(&text, "PATCHBAY_TOKEN");
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("no terminal to ask on: --token-file FILE, or --token - for stdin".into()));
    }
    let typed = rpassword::prompt_password("token: ");
    Bearer::read(&typed.map_err(|error| Failure::Failed(format!("the terminal: {error}")))?, "what was typed")
}

pub fn logout() -> Outcome<()> {
    let path = Login::path()?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            complain("patchbay: nobody was logged in");
            Ok(())
        }
        Err(error) => Err(Failure::Failed(format!("{}: {error}", path.display()))),
    }
}
