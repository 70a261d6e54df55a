"""Read a still picture as one upright RGB frame."""

from io import SEEK_CUR
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media.limits import beyond, limits_in_force, require_size
from lipwright.media.source import require_file
from lipwright.media.still_size import still_size

# First bytes of the formats; a file's name says nothing reliable.
_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"II*\x00",  # TIFF
    b"MM\x00*",  # TIFF
    b"BM",
)
_MOTION_JPEG = {".mjpeg", ".mjpg"}  # begin like a JPEG but hold many
_WHITE = 255.0


def is_still_picture(path: Path) -> bool:
    """Whether a file is a PNG, JPEG, WebP, TIFF or BMP picture, by its first bytes.

    An animated PNG is a video. An animated WebP counts as a still: its first picture is used.

    Raises:
        MediaError: If the file is missing, a folder, empty or may not be read.
    """
    require_file(path)
    if path.suffix.lower() in _MOTION_JPEG:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(16)
            if start.startswith(_SIGNATURES[0]):
                return not _is_animated_png(file)
    except OSError as err:
        raise MediaError(f"'{path}' may not be read ({err.strerror}); check permissions") from err
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _is_animated_png(file: BinaryIO) -> bool:
    """Whether a PNG says before its first picture that it has several."""
    file.seek(len(_SIGNATURES[0]))
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind in {b"acTL", b"IDAT"}:
            return kind == b"acTL"
        file.seek(length + 4, SEEK_CUR)  # and the check sum
    return False


def read_still(path: Path) -> NDArray[np.uint8]:
    """Read a picture the way a viewer shows it.

    EXIF orientation is applied. Transparent pictures are laid on white; for these alone the
    orientation is ignored (cameras write none with transparency).

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        MediaError: If the picture cannot be decoded, or is beyond the `Limits`.
    """
    _require_limits(path)
    encoded = np.fromfile(path, dtype=np.uint8)  # cv2.imread fails on some unicode paths
    try:
        stored = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        has_alpha = stored is not None and stored.ndim == 3 and stored.shape[2] == 4
        orientation = cv2.IMREAD_IGNORE_ORIENTATION if has_alpha else 0
        bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR | orientation)
    except cv2.error as err:
        raise MediaError(
            f"picture '{path}' cannot be decoded ({err.err}); save it again as PNG or JPEG"
        ) from err
    if stored is None or bgr is None:
        raise MediaError(
            f"picture '{path}' cannot be decoded; it may be cut short: save it again as PNG or JPEG"
        )
    rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    if not has_alpha:
        return rgb
    opaque = 255 if stored.dtype == np.uint8 else 65535
    opacity = stored[..., 3:].astype(np.float32) / opaque
    return np.asarray(np.rint(rgb * opacity + _WHITE * (1 - opacity)), dtype=np.uint8)


def _require_limits(path: Path) -> None:
    """Check size and claims of a picture, of which only the header is read."""
    num_bytes, most = path.stat().st_size, limits_in_force().still_bytes
    if num_bytes > most:
        raise beyond(path, f"is a picture of {num_bytes} bytes", "still_bytes", most)
    with path.open("rb") as file:
        size = still_size(file)
    if size is None:
        raise MediaError(
            f"picture '{path}' cannot be decoded: its size cannot be told, or it is cut short; "
            "save it again as PNG or JPEG"
        )
    require_size(path, *size)
