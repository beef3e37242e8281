//! What the host asks of the child that compiles, and what that may cost.

use crate::{Digest, Limits};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// What one compilation may cost. Each has a test in `tests/compiler`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time. A Python or StarlingMonkey bot takes some ten seconds, a Rust bot a tenth of one.
    pub cpu_seconds: u32,
    /// From the start of the child to its end. Longer than its processor time, because it gets only what the calls leave over.
    pub wall: Duration,
    /// Address space of the child, its own code included.
    pub memory_bytes: u64,
    /// Compiled code is three to five times as large as its component.
    pub artefact_bytes: usize,
    /// Uploads that may wait for the one that is compiled.
    pub waiting: usize,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu_seconds: 20,
            wall: Duration::from_secs(120),
            memory_bytes: 2 << 30,
            artefact_bytes: 256 << 20,
            waiting: 16,
        }
    }
}

/// The child's arguments; the component itself comes on its stdin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub name: String,
    /// What the child's own engine must have: an executable that was replaced under a running host has others.
    pub settings: String,
    pub guest_memory_bytes: usize,
    pub component_bytes: usize,
    pub cpu_seconds: u32,
    pub memory_bytes: u64,
}

impl Order {
    pub fn new(name: &str, settings: &Digest, guest: &Limits, limits: &CompileLimits) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.to_string(),
            guest_memory_bytes: guest.memory_bytes,
            component_bytes: guest.component_bytes,
            cpu_seconds: limits.cpu_seconds,
            memory_bytes: limits.memory_bytes,
        }
    }

    pub fn to_args(&self) -> [OsString; 6] {
        [
            self.name.clone().into(),
            self.settings.clone().into(),
            self.guest_memory_bytes.to_string().into(),
            self.component_bytes.to_string().into(),
            self.cpu_seconds.to_string().into(),
            self.memory_bytes.to_string().into(),
        ]
    }

    /// `None` if these are not an order: somebody typed them.
    pub fn from_args(args: &[impl AsRef<OsStr>]) -> Option<Self> {
        let args: Vec<&str> = args.iter().map(|arg| arg.as_ref().to_str()).collect::<Option<_>>()?;
        let [name, settings, guest_memory, component, cpu, memory] = args[..] else { return None };
        Some(Self {
            name: name.to_owned(),
            settings: settings.to_owned(),
            guest_memory_bytes: guest_memory.parse().ok()?,
            component_bytes: component.parse().ok()?,
            cpu_seconds: cpu.parse().ok()?,
            memory_bytes: memory.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_the_command_line() {
        let order = Order::new("a b", &Digest::of(b"x"), &Limits::default(), &CompileLimits::default());
        let args = order.to_args();
        assert_eq!(Order::from_args(&args), Some(order));
        assert_eq!(Order::from_args(&args[1..]), None);
    }
}
