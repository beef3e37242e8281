//! The kinds of misconduct, and their names.

/// Where a bot traps or loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In `start`, when the host tries the component out; good in every call.
    DryRun,
    Start,
    /// From the 11th frame on.
    Frame,
    /// Any event but `answered` and `hangup`; a timer rings 200 ms after the answer.
    Event,
    Hangup,
    Save,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// Echoes and counts digits.
    #[default]
    Good,
    Loop(Place),
    Trap(Place),
    /// Echoes, counts digits, and traps on the key 9.
    TrapOnNine,
    /// The same, and does not go on after it.
    RefuseRestart,
    /// Echoes, and presses back each key: no misconduct, but what the interop tests need to be sent digits.
    PressBack,
    /// One more MiB in each frame, all kept.
    GrowMemory,
    /// Fills memory without end, with the one instruction that looks at the epoch only when it starts.
    FillMemory,
    /// Recurses until the stack is gone.
    Recurse,
    /// Answers so many samples, and not 160.
    WrongLength(usize),
    /// Answers a million samples.
    HugeFrame,
    /// `std::thread::sleep`, which on a target without WASI is a trap of its own.
    Sleep,
    /// Blocks in wasi:io/poll, on one thing.
    Wait,
    /// The same, on a list of them.
    Poll,
    /// Polls what is ready at once, again and again, and never stops.
    PollForEver,
    /// At the answer: four million samples in one write, more than one call may hand over.
    HugeWrite,
    /// At the answer: a thousand lines of 64 KiB.
    HugeLog,
    /// At the answer: a note of 64 KiB, and a hundred keys.
    HugeNote,
    /// At the answer: a thousand keys to press at once.
    HugeDigits,
    /// At the answer: 100,000 timers.
    ManyTimers,
    /// At the answer: 100,000 marks.
    ManyMarks,
    /// At the answer: 100,000 clears.
    ManyClears,
    /// At the answer: asks for 4 GiB of random bytes.
    HugeRandom,
    /// At the answer: asks for a header, an attribute, a configuration value and a mark by names of 512 KiB each.
    HugeNames,
    /// At the answer: a name of 2 MiB, more than one call may hand over.
    HugerName,
    /// At the answer: a timer for half an eternity.
    FarTimer,
    /// Each key keeps it busy as long as `Slow`.
    Deaf,
    /// Some 20 ms of CPU in each frame; `spin` in the configuration says how many steps.
    Slow,
    Refuse(u16),
    /// Answers 1 s after it began to ring.
    Ring,
    RingForEver,
    HangupInStart,
    /// Hangs up 200 ms after the answer.
    Hangup,
    /// Never says `done`.
    Linger,
    /// Saves so many bytes.
    Save(usize),
    /// Saves nothing.
    NoSave,
    /// Each key begins one of every operation, and what comes of them is noted: no misconduct, but what restarts and moves are seen by.
    Busy,
    /// Good, until it is moved to another instance.
    WhenMoved(Fate),
}

/// What `start` does when the call moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Refuse,
    Trap,
    Loop,
    /// Begins one of every operation.
    Busy,
    BusyAndRefuse,
}

const NAMES: &[(&str, Conduct)] = &[
    ("good", Conduct::Good),
    ("loop-in-dry-run", Conduct::Loop(Place::DryRun)),
    ("trap-in-dry-run", Conduct::Trap(Place::DryRun)),
    ("loop-in-start", Conduct::Loop(Place::Start)),
    ("loop-in-frame", Conduct::Loop(Place::Frame)),
    ("loop-in-event", Conduct::Loop(Place::Event)),
    ("loop-in-hangup", Conduct::Loop(Place::Hangup)),
    ("loop-in-save", Conduct::Loop(Place::Save)),
    ("trap-in-start", Conduct::Trap(Place::Start)),
    ("trap-in-frame", Conduct::Trap(Place::Frame)),
    ("trap-in-event", Conduct::Trap(Place::Event)),
    ("trap-in-hangup", Conduct::Trap(Place::Hangup)),
    ("trap-in-save", Conduct::Trap(Place::Save)),
    ("trap-on-nine", Conduct::TrapOnNine),
    ("when-restarted-refuse", Conduct::RefuseRestart),
    ("press-back", Conduct::PressBack),
    ("grow-memory", Conduct::GrowMemory),
    ("memory-fill", Conduct::FillMemory),
    ("recurse", Conduct::Recurse),
    ("wrong-length", Conduct::WrongLength(159)),
    ("frame-of-161", Conduct::WrongLength(161)),
    ("frame-of-none", Conduct::WrongLength(0)),
    ("huge-frame", Conduct::HugeFrame),
    ("sleep", Conduct::Sleep),
    ("wait", Conduct::Wait),
    ("poll", Conduct::Poll),
    ("poll-for-ever", Conduct::PollForEver),
    ("huge-write", Conduct::HugeWrite),
    ("huge-log", Conduct::HugeLog),
    ("huge-note", Conduct::HugeNote),
    ("huge-digits", Conduct::HugeDigits),
    ("huge-random", Conduct::HugeRandom),
    ("huge-names", Conduct::HugeNames),
    ("huger-name", Conduct::HugerName),
    ("far-timer", Conduct::FarTimer),
    ("many-timers", Conduct::ManyTimers),
    ("many-marks", Conduct::ManyMarks),
    ("many-clears", Conduct::ManyClears),
    ("never-takes-digits", Conduct::Deaf),
    ("slow-20ms", Conduct::Slow),
    ("ring", Conduct::Ring),
    ("ring-for-ever", Conduct::RingForEver),
    ("hangup-in-start", Conduct::HangupInStart),
    ("hangup", Conduct::Hangup),
    ("linger", Conduct::Linger),
    ("save-65537", Conduct::Save((64 << 10) + 1)),
    ("save-huge", Conduct::Save(1 << 20)),
    ("save-nothing", Conduct::NoSave),
    ("busy", Conduct::Busy),
    ("when-moved-refuse", Conduct::WhenMoved(Fate::Refuse)),
    ("when-moved-trap", Conduct::WhenMoved(Fate::Trap)),
    ("when-moved-loop", Conduct::WhenMoved(Fate::Loop)),
    ("when-moved-busy", Conduct::WhenMoved(Fate::Busy)),
    ("when-moved-busy-and-refuse", Conduct::WhenMoved(Fate::BusyAndRefuse)),
];

impl Conduct {
    /// By its name; `refuse-486` and the like refuse with that status, whatever it is.
    pub fn read(word: &str) -> Option<Conduct> {
        if let Some(status) = word.strip_prefix("refuse-") {
            return status.parse().ok().map(Conduct::Refuse);
        }
        NAMES.iter().find(|(name, _)| *name == word).map(|(_, conduct)| *conduct)
    }
}
