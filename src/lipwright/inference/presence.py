"""Tell whether a face is in its place or something hides it, where nobody has looked closely.

A detector misses a face that is blurred or badly lit; it is then still there, and its mouth is to
be drawn. Behind a hand or a passer-by it is not; and between two looks of the detector, landmarks
are found on whatever has come before it.
"""

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.inference.reference import FaceView

# Correlation of what the view has with what was last seen. Over portraits above 0.7 for the same
# face blurred, darker, a tenth larger or turned by 10 degrees; below that, and mostly below 0.55,
# for fingers before the eyes; below 0.53 for what lies about a face.
LEAST_LIKENESS = 0.55
TRUSTED_AFTER = Fraction(1, 4)  # seconds: a detector has looked again by then
_CELLS = 26  # to which a view is shrunk, so that what is compared are eyes, brows and hair
_REACH = 2  # cells by which a face may have moved: a tenth of the crop rule's square
_LEAST_SPREAD = 2.0  # levels of 255: less is too flat to be compared


class Presence:
    """Remembers the upper face as it was last seen in a shot."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: what comes next is another face, or another shot."""
        self._seen: NDArray[np.uint8] | None = None
        self._seen_at = Fraction(0)

    def are_there(self, views: Sequence[FaceView], times: Sequence[Fraction]) -> list[bool]:
        """Say of each view, in order, whether it shows the face.

        Args:
            views: Of one face in one shot.
            times: Time stamp of each, in seconds.

        Returns:
            One for each. A face that was never seen counts as there; so does one with landmarks
            that looks like nothing known, once that has lasted.
        """
        small = [_shrunk(view) for view in views]
        if self._seen is None:  # what is bridged before a face comes is compared with that
            first = next((i for i, view in enumerate(views) if view.points is not None), None)
            if first is not None:
                self._seen, self._seen_at = small[first], times[first]
        found = []
        for picture, view, time in zip(small, views, times, strict=True):
            is_there = self._seen is None or _is_like(picture, self._seen)
            if view.points is not None:
                is_there = is_there or time - self._seen_at > TRUSTED_AFTER
                if is_there:
                    self._seen, self._seen_at = picture, time
            found.append(is_there)
        return found


def _shrunk(view: FaceView) -> NDArray[np.uint8]:
    """``(_CELLS, _CELLS, 3)`` uint8."""
    small = cv2.resize(view.picture, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _is_like(picture: NDArray[np.uint8], seen: NDArray[np.uint8]) -> bool:
    """Whether the upper halves are alike, or what was seen cannot be told from anything."""
    middle = _CELLS // 2
    face, spread = _centred(seen[_REACH:middle, _REACH:-_REACH])
    if spread < _LEAST_SPREAD:
        return True
    upper = picture[: middle + _REACH]
    unmoved = upper[_REACH:-_REACH, _REACH:-_REACH]
    moved = np.lib.stride_tricks.sliding_window_view(upper, face.shape)
    return any(_is_correlated(places, face, float(spread)) for places in (unmoved, moved))


def _is_correlated(places: NDArray[np.uint8], face: NDArray[np.float32], spread: float) -> bool:
    """Whether one of some places, ``(..., h, w, 3)``, has what a face has."""
    windows, spreads = _centred(places)
    shared = (windows * face).mean(axis=(-3, -2, -1))
    return bool((shared > LEAST_LIKENESS * spread * np.maximum(spreads, _LEAST_SPREAD)).any())


def _centred(
    pictures: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``(..., h, w, 3)`` less the mean of each channel, and ``(...)`` how far they are from it."""
    centred = pictures - pictures.mean(axis=(-3, -2), keepdims=True, dtype=np.float32)
    spread = np.sqrt(np.square(centred).mean(axis=(-3, -2, -1)))
    return centred, np.asarray(spread, dtype=np.float32)
