//! Recordings that are part of the bot: read from WAV files while the bot is compiled.

/// A recording embedded in the component. 8 kHz mono; A-law takes half the room of 16-bit PCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt {
    format: Format,
    data: &'static [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Pcm16,
    ALaw,
}

/// Embeds a WAV file, its path counted from the folder of the bot's Cargo.toml: `const HELLO: Prompt =
/// prompt!("prompts/hello.wav");`. A file of the wrong kind is a compile error that says which kind is right.
#[macro_export]
macro_rules! prompt {
    ($path:literal) => {
        const { $crate::Prompt::from_wav(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))) }
    };
}

impl Prompt {
    /// Reads a WAV file (RIFF, little-endian): format 1 (PCM, 16 bit) or 6 (A-law), one channel, 8000 Hz.
    /// Panics on anything else, which at compile time is an error with this text.
    pub const fn from_wav(wav: &'static [u8]) -> Prompt {
        assert!(wav.len() >= 12 && is_tag(wav, 0, b"RIFF") && is_tag(wav, 8, b"WAVE"), "prompt: not a WAV file");
        let mut at = 12;
        let mut format = None;
        while at + 8 <= wav.len() {
            let len = u32_at(wav, at + 4) as usize;
            let body = at + 8;
            assert!(len <= wav.len() - body, "prompt: the WAV file is cut off");
            if is_tag(wav, at, b"fmt ") {
                format = Some(format_of(wav, body, len));
            } else if is_tag(wav, at, b"data") {
                let Some(format) = format else { panic!("prompt: the WAV file has sound before its format") };
                let data = wav.split_at(body).1.split_at(len).0;
                return Prompt { format, data };
            }
            // Chunks are padded to an even length.
            at = body + len + len % 2;
        }
        panic!("prompt: the WAV file has no sound in it")
    }

    /// In samples.
    pub const fn len(&self) -> usize {
        match self.format {
            Format::Pcm16 => self.data.len() / 2,
            Format::ALaw => self.data.len(),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub const fn ms(&self) -> usize {
        self.len() / crate::SAMPLES_PER_MS
    }

    /// Decoded, from the first sample on. Skipping costs nothing per sample.
    pub fn samples(&self) -> impl Iterator<Item = i16> + use<> {
        let Prompt { format, data } = *self;
        (0..self.len()).map(move |at| match format {
            Format::Pcm16 => i16::from_le_bytes([data[2 * at], data[2 * at + 1]]),
            Format::ALaw => ALAW[data[at] as usize],
        })
    }
}

const fn format_of(wav: &[u8], at: usize, len: usize) -> Format {
    assert!(len >= 16, "prompt: the WAV file's format is cut off");
    assert!(u16_at(wav, at + 2) == 1, "prompt: the WAV file must have one channel");
    assert!(u32_at(wav, at + 4) == 8000, "prompt: the WAV file must have 8000 samples a second");
    match (u16_at(wav, at), u16_at(wav, at + 14)) {
        (1, 16) => Format::Pcm16,
        (6, 8) => Format::ALaw,
        _ => panic!("prompt: the WAV file must be 16-bit PCM (format 1) or A-law (format 6)"),
    }
}

const fn is_tag(wav: &[u8], at: usize, tag: &[u8; 4]) -> bool {
    wav[at] == tag[0] && wav[at + 1] == tag[1] && wav[at + 2] == tag[2] && wav[at + 3] == tag[3]
}

const fn u16_at(wav: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([wav[at], wav[at + 1]])
}

const fn u32_at(wav: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([wav[at], wav[at + 1], wav[at + 2], wav[at + 3]])
}

/// One A-law byte to linear PCM. Source: ITU-T G.711 table 1a.
const ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // Even bits travel inverted; the top bit is set for positive values.
        let bits = byte as u8 ^ 0x55;
        let step = (bits & 0x0f) as i16 * 16 + 8;
        let segment = (bits >> 4) & 7;
        let magnitude = if segment == 0 { step } else { (step + 256) << (segment - 1) };
        table[byte] = if bits & 0x80 != 0 { magnitude } else { -magnitude };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A WAV file with an unknown chunk of odd length before the sound.
    fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> &'static [u8] {
        let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        wav.extend(tag.to_le_bytes());
        wav.extend(channels.to_le_bytes());
        wav.extend(rate.to_le_bytes());
        wav.extend([0; 6]);
        wav.extend(bits.to_le_bytes());
        wav.extend(b"note\x03\0\0\0abc\0data");
        wav.extend((data.len() as u32).to_le_bytes());
        wav.extend(data);
        wav.leak()
    }

    fn samples(wav: &'static [u8]) -> Vec<i16> {
        Prompt::from_wav(wav).samples().collect()
    }

    #[test]
    fn sixteen_bit_pcm_is_taken_as_it_is() {
        assert_eq!(samples(wav(1, 1, 8000, 16, &[0x34, 0x12, 0xff, 0xff])), [0x1234, -1]);
    }

    #[test]
    fn alaw_decodes_to_the_values_of_g711() {
        // Silence either side of zero, both ends of the scale, and a step in the third segment.
        let data = [0xd5, 0x55, 0xaa, 0x2a, 0xf5];
        assert_eq!(samples(wav(6, 1, 8000, 8, &data)), [8, -8, 32256, -32256, 528]);
    }

    #[test]
    fn another_kind_of_file_is_refused_with_the_reason() {
        let cut = |len: usize| &wav(1, 1, 8000, 16, &[0, 0])[..len];
        let cases: [(&'static [u8], &str); 7] = [
            (b"OggS", "not a WAV file"),
            (wav(1, 2, 8000, 16, &[]), "one channel"),
            (wav(1, 1, 44100, 16, &[]), "8000 samples a second"),
            (wav(1, 1, 8000, 8, &[]), "16-bit PCM"),
            (wav(7, 1, 8000, 8, &[]), "A-law"),
            (cut(57), "cut off"),
            (cut(48), "no sound"),
        ];
        for (wav, reason) in cases {
            let panic = std::panic::catch_unwind(|| Prompt::from_wav(wav)).expect_err(reason);
            let text = panic.downcast_ref::<&str>().expect("a text");
            assert!(text.contains(reason), "{text}");
        }
    }
}
