//! `voice` and `voice-handler`.

/// Within the contract's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceRules {
    /// 0 to 3.
    pub strictness: u8,
    pub start_ms: u32,
    pub hang_over_ms: u32,
    pub barge_in: BargeIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BargeIn {
    Off,
    ClearAfter { ms: u32 },
    PauseThenConfirm { ms: u32 },
}

/// Positions count the caller's samples from the call's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceEvent {
    SpeechStarted { sample: u64 },
    SpeechStopped { sample: u64 },
    Paused,
    Resumed,
    BargedIn { played_ms: u32, dropped_marks: Vec<String> },
}

impl VoiceEvent {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::BargedIn { dropped_marks, .. } => dropped_marks.iter().map(String::len).sum(),
            _ => 0,
        }
    }
}
