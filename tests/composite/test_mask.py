import numpy as np
import pytest

from lipwright.composite import mouth_mask
from lipwright.composite.mask import BOTTOM, FEATHER, HALF_WIDTH, TOP

SIZES = (51, 64, 95, 96, 128, 256, 384)


@pytest.mark.parametrize("size", SIZES)
def test_the_mask_is_a_share(size: int) -> None:
    mask = mouth_mask(size)
    assert mask.shape == (size, size)
    assert mask.dtype == np.float32
    assert mask.min() == 0
    assert mask.max() == 1


@pytest.mark.parametrize("size", SIZES)
def test_the_mask_is_0_in_the_upper_half_and_along_the_border(size: int) -> None:
    mask = mouth_mask(size)
    assert (mask[: size // 2] == 0).all()
    assert (mask[-1] == 0).all()
    assert (mask[:, [0, -1]] == 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_mask_is_symmetric(size: int) -> None:
    np.testing.assert_allclose(mouth_mask(size), mouth_mask(size)[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("size", [96, 256])
def test_the_mask_falls_from_its_middle_to_its_edge(size: int) -> None:
    mask = mouth_mask(size)
    middle = int((TOP + BOTTOM) / 2 * size)
    # One rise and one fall along every row and column.
    for lines in (mask[size // 2 :, : size // 2].T, -mask[middle:]):
        assert (np.diff(lines, axis=0) >= -1e-6).all()
    assert (np.diff(mask[: middle + 1], axis=0) >= -1e-6).all()


def test_the_mouth_is_drawn_in_full() -> None:
    mask = mouth_mask(96)
    # The corners of a mouth at rest are about 0.2 of the crop to each side of its middle.
    mouth = mask[int(0.62 * 96) : int(0.87 * 96), int(0.3 * 96) : int(0.7 * 96)]
    assert (mouth > 0.95).all()


def test_the_feather_has_the_width_it_says() -> None:
    size = 1000
    down = mouth_mask(size)[:, size // 2]
    rising = np.flatnonzero((down > 0) & (down < 1) & (np.arange(size) < 0.74 * size))
    assert len(rising) == pytest.approx(FEATHER * size, abs=2)
    assert rising[0] == pytest.approx(TOP * size, abs=2)
    across = np.flatnonzero(mouth_mask(size)[int((TOP + BOTTOM) / 2 * size)])
    assert across[0] == pytest.approx((0.5 - HALF_WIDTH) * size, abs=2)


def test_the_mask_is_shared_and_cannot_be_written_to() -> None:
    assert mouth_mask(96) is mouth_mask(96)
    with pytest.raises(ValueError, match="read-only"):
        mouth_mask(96)[0, 0] = 1
