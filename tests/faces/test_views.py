"""Several looks at a face: its own box, and others close by, the same each time."""

import numpy as np
import pytest

from lipwright.errors import ConfigError
from lipwright.faces.views import Views

BOX = np.array([100, 50, 300, 250], dtype=np.float32)


def test_the_first_view_is_the_box_itself_and_the_others_are_close_by() -> None:
    first, *others = Views(12).of(BOX)
    assert np.allclose(first, BOX)
    assert len({view.tobytes() for view in others}) == len(others) == 11
    for view in others:
        side = view[2] - view[0]
        assert side == pytest.approx(view[3] - view[1], abs=1e-3)
        assert abs(side - 200) <= 0.06 * 200
        assert np.abs((view[:2] + view[2:]) / 2 - (200, 150)).max() <= 0.03 * 200


def test_views_move_and_grow_with_the_box() -> None:
    for small, large in zip(Views(5).of(BOX), Views(5).of(2 * BOX + 10), strict=True):
        assert np.allclose(2 * small + 10, large, atol=1e-3)


def test_the_mean_of_all_looks_is_taken() -> None:
    views = Views(6)
    found = views.mean(lambda view: view, BOX)
    assert np.allclose(found, np.mean(views.of(BOX), axis=0))
    assert found.dtype == np.float32
    assert np.abs(found - BOX).max() > 0.1


def test_no_view_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Views(0)
