//! Says nothing and does nothing. With the route's `watch` it wants to know whether the caller speaks: for `cargo xtask bench conversation`,
//! what that costs.

use patchbay_sdk::Refusal;
use patchbay_sdk::conversation::{BargeIn, Call, Rules};

const LONG_MS: u64 = 3_600_000;

async fn run(call: Call) -> Result<(), Refusal> {
    call.answered().await;
    if call.configuration().contains("watch") {
        let rules = Rules { strictness: 1, start_ms: 60, hang_over_ms: 500, barge_in: BargeIn::Off };
        call.watch(rules).map_err(|error| Refusal::new(500, error.message))?;
    }
    call.sleep(LONG_MS).await;
    Ok(())
}

patchbay_sdk::converse!(run);
