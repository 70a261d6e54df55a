"""One prepared clip as one file: its crops as JPEG, one after the other, and its mel.

The file is safetensors, so that any frame can be read without the others and nothing in it is
ever executed. Frame i of the crops shows time i / 25 of the mel.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipwright.errors import CorpusError
from lipwright.faces import mouth_shape
from lipwright.speech import Mel

CORPUS_FPS = 25
CROP_MARGIN = 1.25  # side of the stored crop over that of the crop rule: room to move and turn it
JPEG_QUALITY = 95
REST = 20  # percentile of a mouth's shape over a clip that counts as rest
FORMAT = "lipwright-clip-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedClip:
    """What is stored of a clip."""

    jpegs: tuple[bytes, ...]
    """The crop of each frame, ``CROP_MARGIN`` times as wide as the crop rule says."""
    mel: Mel
    """``(80, num_columns)`` float32 in [-4, 4]."""
    boxes: NDArray[np.float32]
    """``(N, 4)`` float32: the crop rule's box in the source's pixels, without the margin."""
    speaker: str
    """Who speaks."""
    source: str
    """Where the clip came from, relative to the folder that was prepared."""
    points: NDArray[np.float32] | None = None
    """``(N, 468, 2)`` of MediaPipe's face mesh, as shares of the stored crop's side, if known."""


def write_pack(clip: PackedClip, path: Path) -> None:
    """Write a clip under a temporary name, then rename it.

    Args:
        clip: What to store.
        path: File to write; its folder is created.

    Raises:
        CorpusError: If the file cannot be written.
    """
    sizes = [len(jpeg) for jpeg in clip.jpegs]
    tensors: dict[str, NDArray[np.generic]] = {
        "jpegs": np.frombuffer(b"".join(clip.jpegs), dtype=np.uint8),
        "offsets": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        "mel": np.ascontiguousarray(clip.mel, dtype=np.float32),
        "boxes": np.ascontiguousarray(clip.boxes, dtype=np.float32),
    }
    if clip.points is not None:
        tensors["points"] = clip.points.astype(np.float16)  # to a twentieth of a pixel
    metadata = {"format": FORMAT, "speaker": clip.speaker, "source": clip.source}
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(save(tensors, metadata=metadata))
        temporary.replace(path)
    except OSError as err:
        with suppress(OSError):  # where it cannot be removed it was not made
            temporary.unlink(missing_ok=True)
        raise CorpusError(f"cannot write {path}: {err}; check the free space") from err


class PackReader:
    """A clip open for random access."""

    def __init__(self, path: Path) -> None:
        """Open a pack; reads its header, mel and offsets, no picture.

        Args:
            path: File that :func:`write_pack` wrote.

        Raises:
            CorpusError: If the file is missing, damaged or of another format.
        """
        self.path = path
        try:
            self._file = safe_open(str(path), framework="numpy")
            metadata = self._file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CorpusError(
                    f"{path} is not a clip of this version: format {metadata.get('format')!r}, "
                    f"expected {FORMAT!r}; prepare the corpus again"
                )
            self.speaker: str = metadata["speaker"]
            self.mel: Mel = self._file.get_tensor("mel")
            self._offsets: NDArray[np.int64] = self._file.get_tensor("offsets")
            self._jpegs = self._file.get_slice("jpegs")
        except (OSError, SafetensorError, KeyError) as err:
            raise CorpusError(f"cannot read clip {path}: {err}; prepare the corpus again") from err

    @property
    def num_frames(self) -> int:
        """Number of pictures."""
        return len(self._offsets) - 1

    @property
    def points(self) -> NDArray[np.float32] | None:
        """``(N, 468, 2)`` of the face mesh, as shares of the crop's side; None if not stored."""
        if "points" not in self._file.keys():  # noqa: SIM118 - not a dictionary
            return None
        return np.asarray(self._file.get_tensor("points"), dtype=np.float32)

    @cached_property
    def mouth_shapes(self) -> NDArray[np.float32] | None:
        """``(N, 4)``: shape of the mouth, see ``faces.mouth_shape``; None without points."""
        points = self.points
        return None if points is None else mouth_shape(points)

    @property
    def mouth_motion(self) -> NDArray[np.float32] | None:
        """``(N, 4)``: the mouth's shape less that at rest; None without points.

        At rest a mouth is as it is in the lowest fifth of the frames, each number by itself.
        """
        shapes = self.mouth_shapes
        if shapes is None:
            return None
        return np.asarray(shapes - np.percentile(shapes, REST, axis=0), dtype=np.float32)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Decode one crop.

        Args:
            index: Which, from 0.

        Returns:
            ``(S, S, 3)`` uint8 RGB.

        Raises:
            CorpusError: If the stored picture is damaged.
        """
        start, end = int(self._offsets[index]), int(self._offsets[index + 1])
        picture = cv2.imdecode(np.asarray(self._jpegs[start:end]), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise CorpusError(f"frame {index} of {self.path} is damaged; prepare the corpus again")
        return np.asarray(picture, dtype=np.uint8)


def encode_crop(crop: NDArray[np.uint8]) -> bytes:
    """JPEG of a crop.

    Args:
        crop: ``(S, S, 3)`` uint8 RGB.

    Returns:
        The file's bytes.
    """
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    return encoded.tobytes()
