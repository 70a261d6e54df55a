"""Join a drawn mouth with its frame: where, how sharp, in which light, with which grain, how much.

Each number is measured on the frame itself, and steadied over a shot so that nothing flickers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import pi

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.composite.face_mask import face_mask
from lipwright.composite.grain import Grain, grain_seed, missing_noise, noise_level
from lipwright.composite.mask import mouth_mask
from lipwright.composite.match import Tint, detail, missing_detail, tint_between, tinted
from lipwright.composite.native import paste_native
from lipwright.composite.occlusion import covered_share, lip_redness
from lipwright.faces.follow import Face
from lipwright.faces.points import GROUPS
from lipwright.inference.reference import FaceView, middle
from lipwright.inference.steady import Steady
from lipwright.media import NativeFrame
from lipwright.media.display import Affine, square_to_display

STEADY_SECONDS = 0.3  # time constant of what is measured
QUICK_SECONDS = 0.08  # of what hides the mouth, which may come fast
TURNED_FROM, TURNED_TO = 45.0, 60.0  # degrees of yaw between which the effect fades
HIDDEN_BELOW, SEEN_FROM = 0.3, 0.55  # of the shot's reddest lips
ROLL_FROM, ROLL_BACK = 8.0, 5.0  # degrees from which a crop is turned, and below which no longer
_LEAST_REDNESS = 0.12  # that a shot's lips must have had to tell anything
MOST_SHARPENING = 0.95  # what clean footage asks for; noise, which is not to be had, asks for more
# Energy of the Laplacian aimed at, as a share of the frame's: much is lost in pasting and encoding.
# On held-out speakers 0.81 of the true mouth's arrives (with 1.3: 0.72; a still that is merely
# encoded has 0.84), and neither the mouth's opening nor its mean difference changes.
SHARPNESS = 1.75
_LUMA = np.array([[0.299, 0.587, 0.114]], dtype=np.float32)
_GRAIN_EVERY = 5  # frames between two looks at the grain
LEAST_GRAIN = 0.5 / 255  # less is lost in rounding
_LEAST_SHARE = 0.02  # of the effect: less is not seen
_WHOLE = 0.9
_OUTER_LIPS = list(GROUPS["outer_lips"])


class Joiner:
    """Joins the frames of one shot after another, in order."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: what comes next is another face, or another shot."""
        self._share: Steady[float] = Steady(QUICK_SECONDS)
        self._covered: Steady[NDArray[np.float32]] = Steady(QUICK_SECONDS)
        self._detail: Steady[float] = Steady(STEADY_SECONDS)
        self._tint: Steady[Tint] = Steady(STEADY_SECONDS)
        self._grain: Steady[float] = Steady(STEADY_SECONDS)
        self._until_grain = 0
        self._reddest = 0.0

    def join(
        self,
        frame: NativeFrame,
        view: FaceView,
        *,
        face: Face,
        drawn: NDArray[np.float32],
        reference: NDArray[np.uint8],
        roll: float = 0.0,
    ) -> tuple[NativeFrame, float]:
        """Put a drawn face into its frame.

        Args:
            frame: Not modified; its time stamp that of the output.
            view: What was seen of the face.
            face: Where it is.
            drawn: ``(S, S, 3)`` float32 RGB in [0, 1].
            reference: ``(S, S, 3)`` uint8 RGB that it was drawn from.
            roll: Radians by which view and drawn are turned against the frame, see `RollKeeper`.

        Returns:
            The frame with its new mouth; and the share in [0, 1] of the effect: 0 where the frame
            is passed through untouched, for the face is turned away or its mouth hidden.
        """
        seen = _look(view, reference, size=drawn.shape[0])
        share = self._shown(face, seen, frame.time)
        if share < _LEAST_SHARE:
            return frame, 0.0
        visible = seen.mask
        covered = self._hidden(seen, frame.time)
        if covered is not None:
            visible = visible.copy()
            visible[visible.shape[0] // 2 :] *= 1 - covered
        finished = self._finished(drawn, seen, visible, frame.time)
        mask = visible if share == 1 else visible * np.float32(share)
        paste = partial(paste_native, frame, finished, box=face.box, mask=mask, roll=roll)
        place = square_to_display(face.box, mask.shape[0], roll=roll)
        return self._with_grain(frame, paste, partial(_inner_corners, seen.mask, place)), share

    def _shown(self, face: Face, seen: "_Seen", time: Fraction) -> float:
        """Share of the effect for the head's turn and the lips that are seen."""
        if face.landmarks is None or seen.points is None:  # bridged: as it was
            return 1.0 if self._share.value is None else self._share.value
        share = 1 - _step(TURNED_FROM, TURNED_TO, abs(face.landmarks.yaw) * 180 / pi)
        lips = seen.points[_OUTER_LIPS]
        found = (lip_redness(picture, lips) for picture in (seen.target, seen.reference))
        redness = min((red for red in found if red is not None), default=None)
        if redness is not None:
            self._reddest = max(self._reddest, redness)
            if self._reddest >= _LEAST_REDNESS:
                share *= _step(HIDDEN_BELOW, SEEN_FROM, redness / self._reddest)
        return self._share.at(time, share)

    def _hidden(self, seen: "_Seen", time: Fraction) -> NDArray[np.float32] | None:
        """``(S / 2, S)``: how surely something lies before each pixel of the lower half."""
        if seen.points is None:
            return None
        tint = self._tint.value
        covered = covered_share(
            seen.target,
            seen.reference,
            seen.points[_OUTER_LIPS],
            tint=np.zeros(3, dtype=np.float32) if tint is None else tint[0],
        )
        # What comes before the mouth does so at once; where it leaves, the mouth returns softly.
        steady = np.maximum(self._covered.at(time, covered), covered)
        if not steady.max() > _LEAST_SHARE:
            return None
        size = seen.mask.shape[0]
        return np.asarray(cv2.resize(steady, (size, size - size // 2)), dtype=np.float32)

    def _finished(
        self,
        drawn: NDArray[np.float32],
        seen: "_Seen",
        visible: NDArray[np.float32],
        time: Fraction,
    ) -> NDArray[np.float32]:
        """Sharpen and tint what the mask touches."""
        half = drawn.shape[0] // 2
        own = np.ascontiguousarray(drawn[half:][seen.span])
        true = seen.target[half:][seen.span].astype(np.float32) * np.float32(1 / 255)
        mask = visible[half:][seen.span]
        more = detail(own)
        missing = missing_detail(
            _luma(own),
            _luma(more),
            _luma(true),
            where=mask > 0.5,
            goal=SHARPNESS,
            most=MOST_SHARPENING,
        )
        tint = tint_between(own, true, 4 * mask * (1 - mask))
        own += more * np.float32(self._detail.at(time, missing))
        finished = drawn.copy()
        finished[half:][seen.span] = tinted(own, self._tint.at(time, tint))
        return finished

    def _with_grain(
        self,
        frame: NativeFrame,
        paste: Callable[..., NativeFrame],
        inner_corners: Callable[[], NDArray[np.float64] | None],
    ) -> NativeFrame:
        """Paste with the grain of the frames before; look at it from time to time."""
        seed = 0 if frame.is_still else grain_seed(frame.time)  # a photo's grain does not move
        known = self._grain.value
        grain = _worthwhile(known or 0.0, seed)
        pasted = paste(grain=grain)
        self._until_grain -= 1
        corners = inner_corners() if self._until_grain < 0 else None
        if corners is None:
            return pasted
        self._until_grain = _GRAIN_EVERY - 1
        wanted, found = (_noise(picture, corners) for picture in (frame, pasted))
        if wanted is None or found is None:
            return pasted
        smooth = found if grain is None else missing_noise(found, grain.deviation)
        missing = missing_noise(wanted, smooth)
        self._grain.at(frame.time, missing)
        first = _worthwhile(missing, seed) if known is None else None
        return pasted if first is None else paste(grain=first)


class RollKeeper:
    """Says by how much the crop of a face is to be turned, frame after frame of a shot."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: what comes next is another face, or another shot."""
        self._roll: Steady[float] = Steady(QUICK_SECONDS)
        self._is_turned = False

    def roll_of(self, face: Face, time: Fraction) -> float:
        """Radians by which to turn the crop; 0 for a head that hardly leans.

        Args:
            face: Where it is.
            time: Time stamp of its frame in seconds.
        """
        if face.landmarks is not None:
            roll = self._roll.at(time, face.landmarks.roll)
        else:  # bridged: as it was
            roll = self._roll.value or 0.0
        degrees = abs(roll) * 180 / pi
        self._is_turned = degrees >= (ROLL_BACK if self._is_turned else ROLL_FROM)
        return roll if self._is_turned else 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame's face, as all steps look at it."""

    target: NDArray[np.uint8]
    """``(S, S, 3)``"""
    reference: NDArray[np.uint8]
    """``(S, S, 3)``"""
    points: NDArray[np.float32] | None
    """Landmarks in pixels of the square."""
    mask: NDArray[np.float32]
    """``(S, S)`` where the mouth goes if nothing hides it."""
    span: tuple[slice, slice]
    """Rows and columns of the lower half that the mask touches."""


def _look(view: FaceView, reference: NDArray[np.uint8], *, size: int) -> _Seen:
    points = None
    if view.points is not None:
        points = view.points - np.float32((view.picture.shape[0] - size) / 2)
    mask = mouth_mask(size) if points is None else face_mask(points, size)
    touched = mask[size // 2 :] > 0
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    span = (slice(0, size - size // 2), slice(0, size))  # of an empty mask, whatever it touches
    if rows.size:
        span = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return _Seen(middle(view.picture, size), reference, points, mask, span)


def _luma(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.transform(picture, _LUMA), dtype=np.float32)


def _inner_corners(mask: NDArray[np.float32], to_display: Affine) -> NDArray[np.float64] | None:
    """``(3, 4)``: corners of the middle of a mask in the display; None for an empty mask."""
    rows, columns = (np.flatnonzero((mask > _WHOLE).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    x, y = np.quantile(columns, (0.15, 0.85)), np.quantile(rows, (0.15, 0.85))
    corners = to_display @ np.array([[*x, *x], [*y, *y[::-1]], [1, 1, 1, 1]])
    return np.asarray(corners, dtype=np.float64)


def _noise(frame: NativeFrame, corners: NDArray[np.float64]) -> float | None:
    """How noisy the luma (or red) is there, as a share of the largest sample."""
    index = next(i for i, channels in enumerate(frame.layout.planes) if 0 in channels)
    x, y, _ = frame.to_plane(index) @ corners
    x0, x1 = max(0, round(float(x.min()))), max(0, round(float(x.max())))
    y0, y1 = max(0, round(float(y.min()))), max(0, round(float(y.max())))
    cut = frame.planes()[index][y0:y1, x0:x1]
    if cut.ndim == 3:
        cut = cut[..., frame.layout.planes[index].index(0)]
    level = noise_level((cut >> frame.layout.shift).astype(np.float32))
    return None if level is None else level / frame.layout.largest


def _worthwhile(deviation: float, seed: int) -> Grain | None:
    return Grain(deviation=deviation, seed=seed) if deviation >= LEAST_GRAIN else None


def _step(low: float, high: float, value: float) -> float:
    """0 below, 1 above, smooth between."""
    x = min(1.0, max(0.0, (value - low) / (high - low)))
    return x * x * (3 - 2 * x)
