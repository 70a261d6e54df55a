"""Sounds laid over each other."""

from fractions import Fraction

import numpy as np
import pytest

from lipwright.errors import ConfigError
from lipwright.media.mix import Layer, mixed
from lipwright.media.sound import SoundTrack

RATE = 8000


def track(level: float, seconds: float, *, rate: int = RATE, layout: str = "mono") -> SoundTrack:
    num = round(seconds * rate)
    samples = np.full((2 if layout == "stereo" else 1, num), level, dtype=np.float32)
    blocks = iter([samples[:, at : at + 1000] for at in range(0, num, 1000)])
    return SoundTrack(rate=rate, layout=layout, blocks=blocks)


def samples_of(sound: SoundTrack) -> np.ndarray:
    return np.concatenate(list(sound.blocks), axis=1)


def test_one_sound_from_the_start_is_itself() -> None:
    alone = track(0.5, 2)
    assert mixed([Layer(track=alone)]) is alone


def test_a_later_start_is_preceded_by_silence_and_an_earlier_one_cut() -> None:
    late = samples_of(mixed([Layer(track=track(0.5, 1), start=Fraction(3, 2))]))
    assert late.shape == (1, 20_000)
    assert not late[:, :12_000].any()
    assert (late[:, 12_000:] == 0.5).all()
    early = samples_of(mixed([Layer(track=track(0.5, 3), start=Fraction(-5, 4))]))
    assert early.shape == (1, 14_000)


def test_what_overlaps_adds_up_and_the_longest_decides_the_length() -> None:
    total = samples_of(
        mixed([Layer(track=track(0.25, 3)), Layer(track=track(0.5, 1), start=Fraction(1))])
    )[0]
    assert total.size == 24_000
    assert (total[:8000] == 0.25).all()
    assert (total[8000:16_000] == 0.75).all()
    assert (total[16_000:] == 0.25).all()


def test_rate_and_channels_are_those_of_the_first() -> None:
    sound = mixed(
        [Layer(track=track(0.0, 1)), Layer(track=track(0.5, 1, rate=16_000, layout="stereo"))]
    )
    samples = samples_of(sound)
    assert (sound.rate, sound.layout, samples.shape[0]) == (RATE, "mono", 1)
    assert abs(samples.shape[1] - RATE) < 40
    assert np.allclose(samples[0, 500:7000], 0.5, atol=0.02)


def test_a_sound_is_silent_where_another_takes_over_without_a_click() -> None:
    muted = (Fraction(1), Fraction(2))
    heard = samples_of(mixed([Layer(track=track(0.5, 3), muted=muted)]))[0]
    assert (heard[:8000] == 0.5).all()
    assert not heard[8000 + 80 : 16_000 - 80].any()
    assert (heard[16_000:] == 0.5).all()
    assert np.abs(np.diff(heard)).max() < 0.01


def test_nothing_cannot_be_mixed() -> None:
    with pytest.raises(ConfigError, match="one sound at least"):
        mixed([])
