//! What callers say: a second of real speech, so that a detector of speech takes it for that.

use std::io::Cursor;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use media::g711::encode;
use media::{Codec, FRAME_SAMPLES};

use super::talker::{FRAME_BYTES, Frame};

const RECORDING: &[u8] = include_bytes!("../../../../plugins/prompts/apology.wav");
const FRAMES: usize = 60;
/// Of a sample: what is below it may pass for silence.
const LOUD: i16 = 2000;

/// In A-law, from a loud frame to a loud frame.
pub fn voice() -> Result<Arc<[Frame]>> {
    let samples =
        hound::WavReader::new(Cursor::new(RECORDING))?.into_samples::<i16>().collect::<Result<Vec<_>, _>>()?;
    let is_loud = |frame: &&[i16]| frame.iter().any(|sample| sample.unsigned_abs() > LOUD.unsigned_abs());
    let spoken = samples.chunks_exact(FRAME_SAMPLES).skip_while(|frame| !is_loud(frame)).take(FRAMES);
    let mut spoken: Vec<&[i16]> = spoken.collect();
    while spoken.pop_if(|frame| !is_loud(&&**frame)).is_some() {}
    ensure!(spoken.len() > FRAMES / 2, "the recording is mostly silence");
    let coded = |samples: &[i16]| {
        let mut codes = Vec::with_capacity(FRAME_BYTES);
        encode(Codec::Pcma, samples, &mut codes);
        Frame::try_from(codes).map_err(|codes| anyhow!("a frame of {} codes", codes.len()))
    };
    spoken.into_iter().map(coded).collect()
}
