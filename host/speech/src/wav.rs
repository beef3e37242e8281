//! WAV: written whole for an engine that hears, read as it arrives from one that speaks. 16-bit PCM, the first channel.

use crate::Fault;

/// Of what stands before the sound.
const HEADER_BYTES_MAX: usize = 64 * 1024;
const PCM: u16 = 1;
/// The format stands in the extension, whose first two bytes are those of the plain one.
const EXTENSIBLE: u16 = 0xFFFE;
const CHANNELS_MAX: u16 = 8;

/// One whole file. Errors: none; 4 GiB is out of reach of a call.
pub(crate) fn write(samples: &[i16], rate: u32) -> Vec<u8> {
    let bytes = samples.len() as u32 * 2;
    let mut wav = Vec::with_capacity(44 + samples.len() * 2);
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend(PCM.to_le_bytes());
    wav.extend(1u16.to_le_bytes());
    wav.extend(rate.to_le_bytes());
    wav.extend((rate * 2).to_le_bytes());
    wav.extend(2u16.to_le_bytes());
    wav.extend(16u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}

/// The sound of an answer: WAV if it begins like one, whatever was asked for, else bare samples.
pub(crate) struct SoundReader {
    state: State,
    /// What is not read yet: a header in the making, or a part of a sample.
    pending: Vec<u8>,
}

enum State {
    Begin { bare_rate: u32 },
    Header,
    Sound { rate: u32, channels: usize, bytes_left: u64 },
}

impl SoundReader {
    /// `bare_rate`: of sound without a header.
    pub fn new(bare_rate: u32) -> SoundReader {
        SoundReader { state: State::Begin { bare_rate }, pending: Vec::new() }
    }

    /// Samples a second; none before it is known.
    pub fn rate(&self) -> Option<u32> {
        match self.state {
            State::Sound { rate, .. } => Some(rate),
            _ => None,
        }
    }

    pub fn push(&mut self, bytes: &[u8], samples: &mut Vec<i16>) -> Result<(), Fault> {
        self.pending.extend_from_slice(bytes);
        if let State::Begin { bare_rate } = self.state {
            if self.pending.len() < 12 {
                return Ok(());
            }
            let is_wav = self.pending.starts_with(b"RIFF") && &self.pending[8..12] == b"WAVE";
            self.state = match is_wav {
                true => State::Header,
                false => State::Sound { rate: bare_rate, channels: 1, bytes_left: u64::MAX },
            };
        }
        if let State::Header = self.state {
            let Some(header) = read_header(&self.pending)? else {
                return match self.pending.len() > HEADER_BYTES_MAX {
                    true => Err(Fault::protocol("a WAV file whose header does not end")),
                    false => Ok(()),
                };
            };
            self.pending.drain(..header.bytes);
            self.state =
                State::Sound { rate: header.rate, channels: header.channels, bytes_left: header.bytes_of_sound };
        }
        if let State::Sound { channels, bytes_left, .. } = &mut self.state {
            let usable = usize::try_from(*bytes_left).unwrap_or(usize::MAX).min(self.pending.len());
            let frame = 2 * *channels;
            let whole = usable - usable % frame;
            samples.extend(self.pending[..whole].chunks_exact(frame).map(|f| i16::from_le_bytes([f[0], f[1]])));
            *bytes_left -= whole as u64;
            self.pending.drain(..whole);
            if *bytes_left < frame as u64 {
                // What follows the sound is no sound.
                *bytes_left = 0;
                self.pending.clear();
            }
        }
        Ok(())
    }
}

struct Header {
    bytes: usize,
    rate: u32,
    channels: usize,
    bytes_of_sound: u64,
}

/// None: there is more to come.
fn read_header(wav: &[u8]) -> Result<Option<Header>, Fault> {
    let mut at = 12;
    let mut format = None;
    loop {
        let Some(head) = wav.get(at..at + 8) else { return Ok(None) };
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if &head[..4] == b"data" {
            let (rate, channels) = format.ok_or_else(|| Fault::protocol("a WAV file that names no format"))?;
            // 0 and the highest stand for "not known yet", where a file is written as it is made.
            let bytes_of_sound = if matches!(size, 0 | u32::MAX) { u64::MAX } else { u64::from(size) };
            return Ok(Some(Header { bytes: at + 8, rate, channels, bytes_of_sound }));
        }
        // Chunks begin at even places.
        let size = size as usize;
        let next = at.saturating_add(8).saturating_add(size).saturating_add(size % 2);
        if &head[..4] == b"fmt " {
            let Some(body) = wav.get(at + 8..(at + 24).min(next)) else { return Ok(None) };
            format = Some(read_format(body)?);
        }
        if next > HEADER_BYTES_MAX {
            return Err(Fault::protocol("a WAV file whose header does not end"));
        }
        at = next;
    }
}

/// Rate and channels.
fn read_format(body: &[u8]) -> Result<(u32, usize), Fault> {
    let &[c0, c1, n0, n1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1] = body else {
        return Err(Fault::protocol("a WAV file with too short a format"));
    };
    let (coding, channels) = (u16::from_le_bytes([c0, c1]), u16::from_le_bytes([n0, n1]));
    let (rate, bits) = (u32::from_le_bytes([r0, r1, r2, r3]), u16::from_le_bytes([b0, b1]));
    if !matches!(coding, PCM | EXTENSIBLE) || bits != 16 || !(1..=CHANNELS_MAX).contains(&channels) {
        return Err(Fault::protocol(format!(
            "WAV of coding {coding}, {bits} bits and {channels} channels; this host reads PCM of 16 bits"
        )));
    }
    Ok((rate, usize::from(channels)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn read(wire: &[u8], piece: usize) -> Result<(Option<u32>, Vec<i16>), Fault> {
        let (mut reader, mut samples) = (SoundReader::new(24_000), Vec::new());
        for bytes in wire.chunks(piece) {
            reader.push(bytes, &mut samples)?;
        }
        Ok((reader.rate(), samples))
    }

    #[test]
    fn what_is_written_is_read_in_pieces_of_any_size() {
        let sound: Vec<i16> = (-50..50).map(|n| n * 300).collect();
        for piece in [1, 3, 44, 45, 1000] {
            assert_eq!(read(&write(&sound, 22_050), piece), Ok((Some(22_050), sound.clone())));
        }
    }

    #[test]
    fn sound_without_a_header_is_taken_as_it_is() {
        let sound: Vec<i16> = (0..100).collect();
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for piece in [1, 7, 200] {
            assert_eq!(read(&bytes, piece), Ok((Some(24_000), sound.clone())));
        }
    }

    #[test]
    fn a_file_of_unknown_length_is_read_to_its_end_and_what_follows_the_sound_of_another_is_not() {
        let mut wav = write(&[1, 2, 3], 8000);
        wav.extend(b"LIST\x02\0\0\0ab");
        assert_eq!(read(&wav, 5), Ok((Some(8000), vec![1, 2, 3])));
        let mut streamed = write(&[1, 2, 3], 8000);
        streamed[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        streamed.extend([4, 0]);
        assert_eq!(read(&streamed, 5), Ok((Some(8000), vec![1, 2, 3, 4])));
    }

    #[test]
    fn of_two_channels_the_first_is_heard_and_chunks_before_the_sound_are_passed_over() {
        let plain = write(&[1, -1, 2, -2], 16_000);
        let mut wav = plain[..12].to_vec();
        wav.extend(b"junk\x03\0\0\0abc\0");
        wav.extend(&plain[12..]);
        wav[34] = 2;
        assert_eq!(read(&wav, 2), Ok((Some(16_000), vec![1, 2])));
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        let plain = write(&[1], 8000);
        let with = |at: usize, bytes: &[u8]| {
            let mut wav = plain.clone();
            wav[at..at + bytes.len()].copy_from_slice(bytes);
            read(&wav, 10).map_err(|fault| fault.code)
        };
        // Its coding, its channels, its bits, the size of its format, its only chunk.
        for (at, bytes) in [(20, &[7, 0][..]), (22, &[0, 0]), (34, &[8, 0]), (16, &[4, 0, 0, 0]), (16, &[255; 4])] {
            assert_eq!(with(at, bytes), Err(Code::Protocol), "{at} {bytes:?}");
        }
        assert_eq!(with(12, b"data"), Err(Code::Protocol));
    }

    #[test]
    fn a_header_that_never_comes_to_sound_is_refused() {
        let mut wav = write(&[], 8000)[..36].to_vec();
        wav.extend(b"note\x00\x00\x00\x00".repeat(HEADER_BYTES_MAX / 8 + 1));
        assert_eq!(read(&wav, 1000).map_err(|fault| fault.code), Err(Code::Protocol));
        wav.truncate(36);
        wav.extend(b"note\xff\xff\xff\x7f");
        assert_eq!(read(&wav, 1000).map_err(|fault| fault.code), Err(Code::Protocol));
    }
}
