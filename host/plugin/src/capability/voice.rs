//! When the caller speaks: what the detector is to go by.

use super::{error, refused};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{types, voice};
use crate::{BargeIn, Pair, VoiceRules};
use std::ops::RangeInclusive;
use wasmtime::component::{HasSelf, Linker};

const STRICTNESS: RangeInclusive<u32> = 0..=3;
const START_MS: RangeInclusive<u32> = 20..=1000;
const HANG_OVER_MS: RangeInclusive<u32> = 100..=5000;
const BARGE_IN_MS: RangeInclusive<u32> = 0..=10_000;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    voice::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

/// Errors: `out-of-range`.
pub(super) fn check_range(what: &str, value: u32, range: &RangeInclusive<u32>) -> Result<(), types::Error> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(refused("out-of-range", format!("{what}: {} to {}", range.start(), range.end())))
}

impl voice::Host for HostState {
    fn watch(&mut self, rules: voice::Rules) -> Result<(), types::Error> {
        let voice::Rules { strictness, start_ms, hang_over_ms, barge_in } = rules;
        check_range("strictness", strictness.into(), &STRICTNESS)?;
        check_range("start-ms", start_ms, &START_MS)?;
        check_range("hang-over-ms", hang_over_ms, &HANG_OVER_MS)?;
        let barge_in = match barge_in {
            voice::BargeIn::Off => BargeIn::Off,
            voice::BargeIn::ClearAfter(ms) => BargeIn::ClearAfter { ms },
            voice::BargeIn::PauseThenConfirm(ms) => BargeIn::PauseThenConfirm { ms },
        };
        if let BargeIn::ClearAfter { ms } | BargeIn::PauseThenConfirm { ms } = barge_in {
            check_range("barge-in", ms, &BARGE_IN_MS)?;
        }
        self.refuse_without_handler(Pair::Voice)?;
        let rules = VoiceRules { strictness, start_ms, hang_over_ms, barge_in };
        self.port.watch_voice(Some(rules)).map_err(error)
    }

    fn unwatch(&mut self) {
        // Nothing is watched once the call is over.
        let _ = self.port.watch_voice(None);
    }
}
