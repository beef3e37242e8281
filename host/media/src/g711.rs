//! G.711, both laws. Source: ITU-T G.711; RFC 3551 4.5.14.

use crate::Codec;

static ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = alaw_expand(code as u8);
        code += 1;
    }
    table
};

static ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = ulaw_expand(code as u8);
        code += 1;
    }
    table
};

/// Each code of a law as linear PCM, full scale i16.
fn table(codec: Codec) -> &'static [i16; 256] {
    match codec {
        Codec::Pcma => &ALAW,
        Codec::Pcmu => &ULAW,
    }
}

/// Decodes a G.711 payload to linear PCM.
/// Shape: n bytes -> n samples (160 are 20 ms at 8 kHz, mono); the shorter of both slices decides.
/// Units: i16, full scale. Errors: none, every byte is a code. Cost: table, no allocation.
pub fn decode(codec: Codec, payload: &[u8], out: &mut [i16]) {
    let table = table(codec);
    for (sample, &code) in out.iter_mut().zip(payload) {
        *sample = table[usize::from(code)];
    }
}

/// Encodes linear PCM, appending to `out`.
/// Shape: n samples -> n bytes. Units: i16, full scale. Cost: a few instructions a sample; no allocation once `out` is warm.
pub fn encode(codec: Codec, samples: &[i16], out: &mut Vec<u8>) {
    match codec {
        Codec::Pcma => out.extend(samples.iter().map(|&s| alaw_compress(s))),
        Codec::Pcmu => out.extend(samples.iter().map(|&s| ulaw_compress(s))),
    }
}

/// The code of silence.
pub const fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 0xd5,
        Codec::Pcmu => 0xff,
    }
}

// A-law: 13 bits of sample, eight segments of 16 steps, every second bit inverted. The two lowest segments share a step.
const fn alaw_expand(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4) & 7;
    let step = ((code & 15) as i16) << 4;
    let magnitude = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn alaw_compress(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = (if sample >= 0 { sample } else { !sample } >> 4) as u16; // 0..=2047
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = 16 - magnitude.leading_zeros() - 4; // 32..=63 is segment 2
        ((segment as u16) << 4) | ((magnitude >> (segment - 1)) & 15)
    };
    (code as u8 | sign) ^ 0x55
}

// mu-law: 14 bits of sample, a bias of 33, eight segments of 16 steps, all bits inverted.
const fn ulaw_expand(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((((code & 15) as i16) << 3) + 0x84) << ((code >> 4) & 7);
    if code & 0x80 != 0 { 0x84 - magnitude } else { magnitude - 0x84 }
}

const fn ulaw_compress(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let biased = (if sample >= 0 { sample } else { !sample } >> 2) as u16 + 33;
    let biased = if biased > 0x1fff { 0x1fff } else { biased };
    let segment = 16 - biased.leading_zeros() - 6; // 33..=63 is segment 0
    let step = (biased >> (segment + 1)) & 15;
    ((((7 - segment) << 4) as u8) | (15 - step as u8)) | sign
}
