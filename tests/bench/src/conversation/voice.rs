//! What callers say: a second of real speech, so that a detector of speech takes it for that.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::talker::{FRAME_BYTES, Frame, is_loud};

/// 8 kHz mono, A-law already.
const RECORDING: &[u8] = include_bytes!("../../../../plugins/prompts/apology.wav");
/// Its sound is behind this and a length. Source: RIFF, chunk `data`.
const DATA: &[u8] = b"data";
const FRAMES: usize = 60;

/// From a loud frame to a loud frame.
pub fn voice() -> Result<Arc<[Frame]>> {
    let data = RECORDING.windows(DATA.len()).position(|window| window == DATA).context("the recording has no sound")?;
    let (frames, _) = RECORDING[data + 2 * DATA.len()..].as_chunks::<FRAME_BYTES>();
    let mut spoken: Vec<Frame> = frames.iter().skip_while(|frame| !is_loud(*frame)).take(FRAMES).copied().collect();
    while spoken.pop_if(|frame| !is_loud(frame)).is_some() {}
    ensure!(spoken.len() > FRAMES / 2, "the recording is mostly silence");
    Ok(spoken.into())
}
