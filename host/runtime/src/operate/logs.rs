//! What a plugin's bots log, line by line as it happens.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::table::plain;
use super::view::text;
use super::when::time_of_day;
use super::{Failure, Outcome, ask};
use crate::cli::LogsArgs;
use crate::said::complain;

const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Ends with the connection; with `--follow` only when the host says no, or was never reached.
pub fn follow(client: &Client, args: &LogsArgs, as_json: bool) -> Outcome<()> {
    let tenant = client.one_tenant(args.whose.tenant.as_ref())?;
    let path = ask::of(&tenant, &["plugins", &args.name, "log"]);
    let mut was_reached = false;
    let mut has_reader = true;
    loop {
        let ended = client.listen(&path).and_then(|heard| {
            was_reached = true;
            client.lines(heard, |line| {
                let line = if as_json { line.to_string() } else { shown(&line) };
                has_reader = writeln!(io::stdout(), "{line}").is_ok();
                Ok(has_reader)
            })
        });
        match ended {
            _ if !has_reader => return Ok(()),
            Err(Failure::Unreached(lost)) if args.follow && was_reached => {
                complain(format_args!("patchbay: {}", plain(&lost)))
            }
            Ok(()) if args.follow => {}
            ended => return ended,
        }
        thread::sleep(AGAIN_AFTER);
    }
}

/// `07:46:34.012 info  call c7 generation 2: got keys 12# (src/lib.rs:40)`.
fn shown(line: &Value) -> String {
    if let Some(dropped) = line["dropped"].as_u64() {
        return format!("-- {dropped} lines came faster than they were read, and are lost --");
    }
    let at = line["at_ms"].as_u64().map(time_of_day).unwrap_or_default();
    // Where the host speaks of the bot there is no place.
    let place = match (line["file"].as_str(), line["line"].as_u64()) {
        (Some(file), Some(number)) if !file.is_empty() => format!(" ({file}:{number})"),
        _ => String::new(),
    };
    let level = text(&line["level"]);
    let (call, generation, message) = (text(&line["call"]), text(&line["generation"]), text(&line["message"]));
    plain(&format!("{at} {level:<5} call {call} generation {generation}: {message}{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_when_who_and_where() {
        let mut line = json!({"at_ms": 1_800_000_000_012_u64, "call": "c7", "generation": 2, "level": "info",
            "file": "src/lib.rs", "line": 40, "message": "got keys\n12#"});
        assert_eq!(shown(&line), "08:00:00.012 info  call c7 generation 2: got keys 12# (src/lib.rs:40)");
        line["file"] = "".into();
        line["message"] = "\u{1b}]0;title\u{7}".into();
        let told = shown(&line);
        assert!(!told.contains(['\u{1b}', '\u{7}', '(']), "{told:?}");
        assert!(shown(&json!({"dropped": 12})).contains("12 lines"));
    }
}
