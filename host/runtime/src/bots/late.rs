//! Late answers, and who is to blame for each. Blamed are guests for what they were seen to use: time that the host's threads were not given
//! the processor, or that a hypervisor took from them in the middle (a thread's CPU clock may count that), is the host's affair.

use std::time::Duration;

use call::LateAnswers;

/// What a guest that overstays costs those behind it: two epochs pass before its worker hands over.
pub const OVERSTAY: Duration = Duration::from_millis(2);

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
