"""Who says what: read from a file, heard by the generator, and laid over each other."""

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipwright import SyncOptions, Voice, sync
from lipwright.errors import ConfigError, MediaError
from lipwright.faces.choose import PersonAt
from lipwright.inference import read_voices
from lipwright.inference.casting import at_hand, sound_of, utterance_of
from lipwright.media import read_frames, read_speech
from lipwright.media.mix import Layer
from lipwright.speech import mel_spectrogram

RATE = 16_000


def write(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo_speech: Path) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    words = read_speech(demo_speech)
    write(folder / "anna.wav", words[:RATE])
    write(folder / "ben.wav", words[RATE : 2 * RATE])
    music = 0.4 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE) * (1 - np.arange(RATE) / RATE)
    write(folder / "song.wav", words[:RATE] + music.astype(np.float32))
    return folder


def written(folder: Path, text: str) -> Path:
    path = folder / "map.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_map_says_who_says_what(folder: Path) -> None:
    path = written(
        folder,
        '[[voice]]\nface = "index:1"\nspeech = "anna.wav"\nisolated = "ben.wav"\n'
        '[[voice]]\nface = "rightmost"\nspeech = "https://example.org/b.wav"\noffset = 2\n',
    )
    anna, other = read_voices(path)
    assert (anna.choice, anna.speech) == (PersonAt(1), folder / "anna.wav")
    assert anna.isolated == folder / "ben.wav"
    assert (other.speech, other.offset, other.isolated) == ("https://example.org/b.wav", 2.0, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold tables"),
        ("[[voice]]\nface = 'index:1'", "a voice has no speech"),
        ("[[voice]]\nspeech = 'a.wav'", "a voice has no face"),
        ("[[voice]]\nface = 'index:0'\nspeech = 'a.wav'", "persons are counted from 1"),
        ("[[voice]]\nface = 'largest'\nspeech = 'a.wav'\npitch = 2", "unknown key 'pitch'"),
        ("[[voice]]\nface = 'largest'\nspeech = 'a.wav'\noffset = true", "offset cannot be True"),
        ("[[voice]]\nface = 'largest'\nspeech = 'a.wav'\nstream = -1", "counted from 0, got -1"),
        ("title = 'x'", "found title"),
        ("[[voice", "cannot read the map"),
    ],
)
def test_a_map_that_means_nothing_is_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_voices(written(folder, text))


def test_the_mouth_follows_the_isolated_voice(folder: Path) -> None:
    voice = Voice(speech=folder / "song.wav", isolated=folder / "anna.wav")
    said = utterance_of(voice, start=Fraction(0), amplitude=1, rests_in_pauses=False)
    anna = mel_spectrogram(read_speech(folder / "anna.wav"))
    np.testing.assert_allclose(said.heard.whole(), anna, rtol=0, atol=1e-6)
    heard = np.concatenate(list(sound_of([(voice, Fraction(0))]).blocks), axis=1)
    assert np.abs(heard[0] - read_speech(folder / "song.wav")[: heard.shape[1]]).max() < 0.01


def test_a_job_draws_the_isolated_voice_and_plays_the_speech(
    folder: Path, astronaut_file: Path, tmp_path: Path
) -> None:
    alone, under = tmp_path / "alone.mkv", tmp_path / "under.mkv"
    sync(astronaut_file, folder / "anna.wav", alone)
    options = SyncOptions(isolated_voice=folder / "anna.wav")
    sync(astronaut_file, folder / "song.wav", under, options=options)
    frames = [
        np.stack([f.pixels for f in read_frames(path)]).astype(int) for path in (alone, under)
    ]
    assert np.abs(frames[0] - frames[1]).mean() < 0.1
    assert not np.allclose(read_speech(alone), read_speech(under), atol=0.05)


def test_voices_lie_over_what_is_under_them(folder: Path) -> None:
    voices = [
        (Voice(speech=folder / "anna.wav"), Fraction(1)),
        (Voice(speech=folder / "ben.wav"), Fraction(2)),
    ]
    under = Layer(track=sound_of([(Voice(speech=folder / "song.wav"), Fraction(0))]))
    total = np.concatenate(
        list(sound_of(voices, under=under, until=Fraction(5, 2)).blocks), axis=1
    )[0]
    assert total.size == 5 * RATE // 2
    ben = read_speech(folder / "ben.wav")[: RATE // 2]
    assert np.abs(total[2 * RATE :] - ben).max() < 0.01


@pytest.mark.parametrize(
    ("length", "start", "message"),
    [(1000, 0, "at least 0.2 s"), (RATE, -2, "nothing of it is left")],
)
def test_what_is_too_short_to_say_is_refused(
    tmp_path: Path, length: int, start: int, message: str
) -> None:
    voice = Voice(speech=write(tmp_path / "a.wav", np.ones(length, np.float32) / 3))
    with pytest.raises(MediaError, match=message):
        utterance_of(voice, start=Fraction(start), amplitude=1, rests_in_pauses=True)


def test_a_missing_speech_is_named(tmp_path: Path) -> None:
    voice = Voice(speech=tmp_path / "nobody.wav")
    with at_hand([voice]) as held, pytest.raises(MediaError, match=r"nobody\.wav"):
        utterance_of(held[0], start=Fraction(0), amplitude=1, rests_in_pauses=True)
