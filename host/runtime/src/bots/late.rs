//! Late answers, and who is to blame for each.

use std::time::Duration;

use call::LateAnswers;

use super::priority::thread_cpu;

/// Processor time of one batch. Read only when an answer is late, so that it can be exact: what a thread waited for the processor is
/// nobody's doing, and estimates would blame the wrong one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// By the threads that ran the batch before this one.
    pub before: Duration,
    /// This thread's CPU clock when it began.
    cpu_began: Duration,
}

impl Used {
    /// Called on the thread that runs the batch from now on. Cost: a system call.
    pub fn begin(before: Duration) -> Self {
        Self { before, cpu_began: thread_cpu() }
    }

    /// Called on the same thread.
    pub fn so_far(&self) -> Duration {
        self.before + thread_cpu().saturating_sub(self.cpu_began)
    }
}

/// Why an answer was not there when its packet left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The bot itself used more than half of its budget.
    Own,
    /// Others in its batch used more than half of it.
    Neighbour,
    /// Neither: the host was late.
    Host,
}

pub fn count(late: &mut LateAnswers, used: Duration, others: Duration, budget: Duration) {
    match cause(used, others, budget) {
        Cause::Own => late.own += 1,
        Cause::Neighbour => late.neighbour += 1,
        Cause::Host => late.host += 1,
    }
}

/// Units: `used` is the bot's own guest CPU in this tick, `others` that of the bots before it in the batch.
fn cause(used: Duration, others: Duration, budget: Duration) -> Cause {
    if used > budget / 2 {
        Cause::Own
    } else if others > budget / 2 {
        Cause::Neighbour
    } else {
        Cause::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_blamed_on_whoever_used_the_budget() {
        let ms = Duration::from_millis;
        for (used, others, cause_expected) in
            [(ms(6), ms(9), Cause::Own), (ms(1), ms(6), Cause::Neighbour), (ms(1), ms(1), Cause::Host)]
        {
            assert_eq!(cause(used, others, ms(10)), cause_expected, "{used:?} own, {others:?} others");
        }
    }
}
