//! Speaking and understanding, by engines that the port knows.

use super::bounded;
use super::voice::check_range;
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{speech, types};
use crate::{Pair, Request, SpeechRequest};
use std::ops::RangeInclusive;
use wasmtime::component::{HasSelf, Linker};

const TEXT_BYTES_MAX: usize = 4096;
/// Of a voice, a language tag and a hint.
const NAME_BYTES_MAX: usize = 128;
const HINT_BYTES_MAX: usize = 1024;
const END_OF_TURN_MS: RangeInclusive<u32> = 100..=5000;
const UTTERANCE_MS: RangeInclusive<u32> = 1000..=60_000;
const UTTERANCE_MS_DEFAULT: u32 = 30_000;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    speech::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl speech::Host for HostState {
    fn say(&mut self, text: String, options: speech::SayOptions) -> Result<u64, types::Error> {
        let speech::SayOptions { voice, language } = options;
        bounded("text", &text, TEXT_BYTES_MAX)?;
        bounded("voice", &voice, NAME_BYTES_MAX)?;
        bounded("language", &language, NAME_BYTES_MAX)?;
        self.begin(Request::Speech(SpeechRequest::Say { text, voice, language }))
    }

    fn stop(&mut self, id: u64) -> bool {
        self.port.cancel(Pair::Speech, id)
    }

    fn listen(&mut self, options: speech::ListenOptions) -> Result<u64, types::Error> {
        let speech::ListenOptions { language, hint, end_of_turn_ms, utterance_ms_max } = options;
        bounded("language", &language, NAME_BYTES_MAX)?;
        bounded("hint", &hint, HINT_BYTES_MAX)?;
        if end_of_turn_ms != 0 {
            check_range("end-of-turn-ms", end_of_turn_ms, &END_OF_TURN_MS)?;
        }
        let utterance_ms_max = if utterance_ms_max == 0 { UTTERANCE_MS_DEFAULT } else { utterance_ms_max };
        check_range("utterance-ms-max", utterance_ms_max, &UTTERANCE_MS)?;
        self.begin(Request::Speech(SpeechRequest::Listen { language, hint, end_of_turn_ms, utterance_ms_max }))
    }
}
