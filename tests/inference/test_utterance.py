"""What a generator is told to draw for a speech, at each moment of the output."""

from fractions import Fraction
from typing import cast

import numpy as np
import pytest

from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.utterance import Utterance
from lipwright.speech import SILENCE, MelReader

SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * 16_000 - 200).astype(np.float32)
HEARD = MelReader(lambda: [SAMPLES])  # of 160 columns
TIMES = [Fraction(i, 25) for i in range(60)]


class Told:
    """What of a backend decides on its inputs."""

    alignment, columns = "centred", 16

    def __init__(self, *, with_amplitude: bool) -> None:
        self.with_amplitude = with_amplitude


def told(*, with_amplitude: bool = True) -> GeneratorBackend:
    return cast(GeneratorBackend, Told(with_amplitude=with_amplitude))


def utterance(**settings: object) -> Utterance:
    return Utterance(heard=HEARD, duration=Fraction(2), **settings)  # type: ignore[arg-type]


def test_a_later_start_is_the_same_speech_later() -> None:
    soon, _ = utterance().inputs(TIMES[:20], told())
    late, _ = utterance(start=Fraction(1)).inputs(TIMES[25:45], told())
    assert np.array_equal(soon, late)
    assert utterance(start=Fraction(1)).end == 3


def test_before_it_starts_there_is_silence() -> None:
    windows, _ = utterance(start=Fraction(1)).inputs(TIMES[:20], told())
    assert windows.max() == SILENCE


def test_an_amplitude_is_told_to_a_generator_that_takes_one() -> None:
    windows, amplitudes = utterance(amplitude=1.5).inputs(TIMES, told())
    assert amplitudes is not None
    assert amplitudes.tolist() == [1.5] * 60
    assert np.array_equal(windows, utterance().inputs(TIMES, told())[0])


def test_the_mouth_rests_where_nothing_is_said() -> None:
    active = np.repeat([1, 0], 80).astype(np.float32)
    _, amplitudes = utterance(activity=active, amplitude=0.5).inputs(TIMES, told())
    assert amplitudes is not None
    assert amplitudes[:24].tolist() == [0.5] * 24
    assert amplitudes[26:].tolist() == [0.0] * 34


def test_a_generator_that_takes_no_amplitude_hears_silence_instead() -> None:
    active = np.repeat([1, 0], 80).astype(np.float32)
    windows, amplitudes = utterance(activity=active).inputs(TIMES, told(with_amplitude=False))
    assert amplitudes is None
    assert np.allclose(windows[:24], utterance().inputs(TIMES[:24], told())[0], atol=1e-5)
    assert windows[26:].max() == SILENCE


@pytest.mark.parametrize("start", [Fraction(-1), Fraction(1, 3)])
def test_rest_moves_with_the_speech(start: Fraction) -> None:
    active = np.repeat([0, 1], 80).astype(np.float32)
    motion = utterance(start=start, activity=active).motion_at([start + 1 - Fraction(1, 10)])
    assert motion[0] == 0
    assert utterance(start=start, activity=active).motion_at([start + Fraction(3, 2)])[0] == 1
