"""Write frames as numbered PNG pictures that appear only when all are there."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from lipwright.errors import MediaError
from lipwright.media.native import NativeFrame, Plane
from lipwright.media.output import require_folder_of, unfinished_name
from lipwright.media.picture_sequence import is_pattern, numbered
from lipwright.media.video import colorspace_of, turned

log = logging.getLogger(__name__)

PATTERN = "%05d.png"  # of the pictures in a folder
FIRST = 1  # their first number


class PictureWriter:
    """Write each frame as a PNG; use it in a ``with`` block.

    Pictures are upright RGB with square pixels, of 16 bits where the frames have more than 8, and
    with transparency where the frames have it. They gather in a hidden folder and take their
    names when the block ends without an exception. What time frames are shown at is not kept.
    """

    def __init__(self, path: Path) -> None:
        """Check what can be checked; nothing is written yet.

        Args:
            path: An empty folder, or a pattern such as ``frames/%05d.png``, for numbers from 1 on;
                its folder is made if it is missing.

        Raises:
            MediaError: If a picture may not be written there, or one is there already.
        """
        self._pattern = path if is_picture_pattern(path) else path / PATTERN
        self._folder = self._pattern.parent
        if self._pattern.suffix.lower() != ".png":
            raise MediaError(f"pictures are written as .png, not as '{self._pattern.name}'")
        if self._folder.exists() and not self._folder.is_dir():
            raise MediaError(f"'{self._folder}' is not a folder; write to another one")
        is_taken = numbered(self._pattern, FIRST).exists() or (
            self._pattern != path and self._folder.is_dir() and any(self._folder.iterdir())
        )
        if is_taken:
            raise MediaError(f"folder '{self._folder}' holds files already; name an empty one")
        require_folder_of(self._folder)
        self._hidden = unfinished_name(self._folder)
        self._num_frames = 0

    def __enter__(self) -> Self:
        """Make the hidden folder.

        Raises:
            MediaError: If it cannot be made.
        """
        try:
            self._hidden.mkdir()
        except OSError as err:
            raise self._failure(err) from err
        return self

    def write(self, frame: NativeFrame) -> None:
        """Append one picture.

        Args:
            frame: Of any format; not modified.

        Raises:
            MediaError: If it cannot be written, for example because the disk is full.
        """
        pixels = _shown(frame)
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        is_made, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, order))
        if not is_made:
            raise MediaError(f"picture {self._num_frames + FIRST} cannot be made a PNG")
        name = numbered(self._pattern, self._num_frames + FIRST).name
        try:
            (self._hidden / name).write_bytes(encoded.tobytes())
        except OSError as err:
            raise self._failure(err) from err
        self._num_frames += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the pictures their names; after an exception remove them instead.

        Raises:
            MediaError: If there is none, or they cannot be named.
        """
        try:
            if kind is None:
                self._name_pictures()
        except OSError as err:
            raise self._failure(err) from err
        finally:
            with suppress(OSError):  # what cannot be removed is hidden, and the user's error told
                shutil.rmtree(self._hidden, ignore_errors=True)

    def _name_pictures(self) -> None:
        if self._num_frames == 0:
            raise MediaError(f"no frame was written to '{self._folder}'; check the source video")
        self._folder.mkdir(exist_ok=True)
        for picture in sorted(self._hidden.iterdir()):
            picture.replace(self._folder / picture.name)

    def _failure(self, err: OSError) -> MediaError:
        return MediaError(f"cannot write pictures to '{self._folder}' ({err.strerror})")


def is_picture_pattern(path: Path) -> bool:
    """Whether a name stands for numbered pictures."""
    return is_pattern(path) and path.suffix.lower() == ".png"


def _shown(frame: NativeFrame) -> Plane:
    """The picture upright with square pixels: ``(H, W, 3 or 4)`` uint8, or uint16 from 9 bits."""
    size = (frame.display.width, frame.display.height)
    width, height = size[::-1] if frame.display.is_transposed else size
    is_deep = frame.layout.bits > 8
    names = ("rgb48le", "rgba64le") if is_deep else ("rgb24", "rgba")
    converted = frame.picture.reformat(
        width=width,
        height=height,
        format=names[frame.layout.has_alpha],
        src_colorspace=colorspace_of(frame.picture),
        threads=1,
    )
    pixels = np.asarray(converted.to_ndarray(), dtype=np.uint16 if is_deep else np.uint8)
    return np.ascontiguousarray(turned(pixels, frame.display.directions))
