"""Whatever numbers come in, the mel front end and the boxes answer clearly."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from lipwright.errors import ConfigError, MediaError
from lipwright.faces import crop_box, crop_face, widen
from lipwright.faces.boxes import areas, iou, non_maximum_suppression
from lipwright.media import native_still, rgb_region
from lipwright.speech import NUM_MELS, mel_spectrogram

# Without the last octave, where the difference of two samples overflows.
anything = st.floats(-(2.0**126), 2.0**126, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])
finite = st.floats(-1e5, 1e5, width=32)
extremes = st.sampled_from([0.0, 1.0, -1.0, 1e5, -1e6, 1e20, -3e38, np.nan, np.inf, -np.inf])
sizes = st.integers(1, 32)


def cut_native(
    frame: NDArray[np.uint8], box: NDArray[np.float32], *, size: int
) -> NDArray[np.uint8]:
    return rgb_region(native_still(frame), box, size=size)


@given(
    speech=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=900),
        elements=anything,
        fill=anything,
    )
)
def test_any_floats_are_a_spectrogram_or_refused(speech: NDArray[np.float32]) -> None:
    is_speech = speech.ndim == 1 and speech.size > 0 and bool(np.isfinite(speech).all())
    if not is_speech:
        with pytest.raises(MediaError, match="speech"):
            mel_spectrogram(speech)
        return
    before = speech.copy()
    mel = mel_spectrogram(speech)
    assert mel.shape == (NUM_MELS, 1 + speech.size // 200)
    assert mel.dtype == np.float32
    assert np.isfinite(mel).all()
    assert mel.min() >= -4
    assert mel.max() <= 4
    assert np.array_equal(speech, before)


@pytest.mark.parametrize("loudness", [1e38, -1e38, 1e-45])
def test_the_loudest_and_the_faintest_floats_are_a_spectrogram(loudness: float) -> None:
    alternating = np.full(1000, loudness, dtype=np.float32) * np.tile([1, -1], 500)
    mel = mel_spectrogram(alternating.astype(np.float32))
    assert np.isfinite(mel).all()


@given(landmarks=arrays.arrays(np.float32, (5, 2), elements=finite))
def test_any_landmarks_give_a_square_with_area(landmarks: NDArray[np.float32]) -> None:
    box = crop_box(landmarks)
    sides = box[2:].astype(float) - box[:2]
    assert np.isfinite(box).all()
    assert (sides > 0).all()
    # Far from the origin, a float32 is only so fine.
    assert abs(sides[0] - sides[1]) <= 1e-5 * max(1.0, float(np.abs(box).max()))


@pytest.mark.parametrize("cut_out", [cut_native, crop_face])
@given(box=arrays.arrays(np.float32, 4, elements=st.floats(-300, 300, width=32)), size=sizes)
def test_a_box_of_any_place_and_form_is_cut_out_or_refused(
    cut_out: Callable[..., NDArray[np.uint8]], box: NDArray[np.float32], size: int
) -> None:
    require_cut_or_refusal(cut_out, box, size)


@given(box=arrays.arrays(np.float32, 4, elements=extremes), size=sizes)
def test_boxes_that_would_fill_the_memory_are_refused(box: NDArray[np.float32], size: int) -> None:
    require_cut_or_refusal(cut_native, box, size)


def require_cut_or_refusal(
    cut_out: Callable[..., NDArray[np.uint8]], box: NDArray[np.float32], size: int
) -> None:
    frame = np.zeros((24, 32, 3), dtype=np.uint8)
    try:
        cut = cut_out(frame, box, size=size)
    except ConfigError as err:
        assert "box" in str(err)  # noqa: PT017 - not raising is as good
        return
    assert cut.shape == (size, size, 3)


@given(boxes=arrays.arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=finite))
def test_any_boxes_are_compared_without_dividing_by_nothing(boxes: NDArray[np.float32]) -> None:
    with np.errstate(invalid="raise", divide="raise"):
        shares = iou(boxes, boxes)
        assert (areas(boxes) >= 0).all()
    assert shares.shape == (len(boxes), len(boxes))
    assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()


@given(
    boxes=arrays.arrays(np.float32, (5, 4), elements=finite),
    scores=arrays.arrays(np.float32, 5, elements=st.floats(0, 1, width=32)),
    mode=st.sampled_from(["union", "min"]),
)
def test_suppression_keeps_the_best_of_any_boxes(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], mode: Literal["union", "min"]
) -> None:
    kept = non_maximum_suppression(boxes, scores, threshold=0.5, mode=mode)
    assert scores[kept].max() == scores.max()
    assert len(set(kept.tolist())) == len(kept)


@given(box=arrays.arrays(np.float32, 4, elements=finite), factor=st.floats(0.1, 10))
def test_widening_keeps_the_centre_of_any_box(box: NDArray[np.float32], factor: float) -> None:
    wide = widen(box, factor)
    scale = 1e-5 * max(1.0, float(np.abs(wide).max()), float(np.abs(box).max()))
    assert np.allclose(wide[:2] + wide[2:], box[:2] + box[2:], atol=4 * scale)
