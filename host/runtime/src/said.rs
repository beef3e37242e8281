//! What the program says to whoever started it. A reader that has gone away (`| head -1`) is no reason to end a call or a host.

use std::fmt::Display;
use std::io::Write;

/// One line on stdout.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One line on stderr.
pub fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
