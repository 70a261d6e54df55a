"""From a clip's files to what is packed of it, or to the reason why it is turned down."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipwright.corpus.ledger import Rejection
from lipwright.corpus.offset import PIXEL_FRAMES, Offset, OffsetMeter
from lipwright.corpus.pack import CORPUS_FPS, CROP_MARGIN, PackedClip, encode_crop
from lipwright.corpus.sources import ClipSource
from lipwright.errors import ConfigError, LipwrightError, MediaError
from lipwright.faces import FaceDetector, FaceMesh, FaceTrack, crop_face, track_face, widen
from lipwright.media import SPEECH_RATE, VideoFrame, read_speech, retime
from lipwright.speech import MEL_RATE, Mel, mel_spectrogram


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareConfig:
    """What a clip must be to be taken, and how it is stored."""

    resolution: int = 128
    """Side of the crop rule's square in stored pixels (the margin comes on top)."""
    detect_every: int = 3
    """Look for faces in every this many frames."""
    min_face: float = 0.15
    """Height of the smallest face, as a share of the picture's shorter side."""
    min_crop: int = 64
    """Smallest side of the crop rule's square in source pixels."""
    min_seconds: float = 1.0
    """Shortest stretch with face and sound: 0.2 at least. A meter that looks at more frames than
    that asks for those."""
    max_offset: int = 2
    """Frames by which sound and picture may be apart when the measurement is sure."""
    min_confidence: float = 0.25
    """How sure the measurement must be to turn a clip down."""
    landmarks: Path | None = None
    """MediaPipe's face mesh network: the points of each face are stored too."""

    def __post_init__(self) -> None:
        for name in ("resolution", "detect_every", "min_crop"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.min_face <= 1:
            raise ConfigError(f"min_face must be above 0 and at most 1, got {self.min_face}")
        if not self.min_seconds >= PIXEL_FRAMES / CORPUS_FPS or self.max_offset < 0:
            raise ConfigError(
                f"min_seconds must be at least {PIXEL_FRAMES / CORPUS_FPS} and max_offset at "
                f"least 0, got {self.min_seconds} and {self.max_offset}"
            )


class Rejected(Exception):  # noqa: N818 - not an error: an outcome, caught where it is raised
    """A clip is turned down; the text is the reason."""


def prepare_clip(
    source: ClipSource,
    detector: FaceDetector,
    meter: OffsetMeter | None,
    *,
    mesh: FaceMesh | None = None,
    config: PrepareConfig,
    speaker: str,
    shift_frames: int = 0,
) -> tuple[PackedClip, Offset | None] | Rejection:
    """Take a clip in or turn it down; never raises for what is wrong with the clip.

    Args:
        source: Where picture and sound are.
        detector: Finds faces.
        meter: Measures by how much sound and picture are apart; None leaves that out.
        mesh: Finds the points of each face, to be stored; None leaves that out.
        config: What is asked of the clip.
        speaker: Who speaks.
        shift_frames: Frames of 40 ms by which to move the sound later; negative: earlier.

    Returns:
        What to pack and what was measured, or the reason for turning the clip down.
    """
    try:
        mel = _speech(source, shift_frames=shift_frames)
        return _prepare(source, detector, meter, mesh=mesh, config=config, mel=mel, speaker=speaker)
    except Rejected as rejected:
        return Rejection(clip=source.clip, reason=str(rejected))
    except MediaError as err:
        return Rejection(clip=source.clip, reason=f"unreadable: {err}")
    except LipwrightError as err:
        return Rejection(clip=source.clip, reason=f"unusable: {err}")


def _prepare(
    source: ClipSource,
    detector: FaceDetector,
    meter: OffsetMeter | None,
    *,
    mesh: FaceMesh | None,
    config: PrepareConfig,
    mel: Mel,
    speaker: str,
) -> tuple[PackedClip, Offset | None]:
    frames = ((frame.pixels, frame.time) for frame in _at_25_fps(source))
    track = track_face(frames, detector, every=config.detect_every)
    needed = 0.0 if meter is None else meter.frames / CORPUS_FPS
    start, end = _usable(track, mel, config=config, needed=needed)
    boxes = track.boxes[start:end]
    crops, points = _crops(source, boxes, start, mesh=mesh, config=config)
    # The mel of the stretch alone; its first column is that of the first frame kept.
    first_column = round(start * MEL_RATE / CORPUS_FPS)
    mel = mel[:, first_column : round(end * MEL_RATE / CORPUS_FPS) + 1]
    offset = None
    if meter is not None:
        offset = meter.measure(crops, mel)
        if abs(offset.frames) > config.max_offset and offset.confidence >= config.min_confidence:
            raise Rejected(
                f"out of sync: sound is {offset.frames:+d} frames off, confidence "
                f"{offset.confidence:.2f}"
            )
    clip = PackedClip(
        jpegs=tuple(encode_crop(crop) for crop in crops),
        mel=mel,
        boxes=boxes,
        points=points,
        speaker=speaker,
        source=source.clip,
    )
    return clip, offset


def _at_25_fps(source: ClipSource) -> Iterator[VideoFrame]:
    return retime(source.frames(), fps=Fraction(CORPUS_FPS))


def _speech(source: ClipSource, *, shift_frames: int) -> Mel:
    if source.clip != source.clip.encode(errors="replace").decode():
        raise Rejected(f"name is not UTF-8: {source.clip!r}; rename it")
    speech = read_speech(source.sound)
    shift = shift_frames * SPEECH_RATE // CORPUS_FPS
    speech = np.pad(speech, (max(shift, 0), 0))[max(-shift, 0) :]
    if not speech.size:
        raise Rejected(f"too short: no sound is left after moving it by {shift_frames} frames")
    peak = float(np.abs(speech).max())
    if peak < 1e-3:
        raise Rejected(f"silent: the loudest sample is {peak:.5f} of full scale")
    return mel_spectrogram(speech)


def _usable(track: FaceTrack, mel: Mel, *, config: PrepareConfig, needed: float) -> tuple[int, int]:
    """The longest stretch of frames with a face and with sound; so many seconds are needed."""
    if not track.is_found.any():
        raise Rejected(f"no face: in none of {len(track.times)} frames")
    num_heard = mel.shape[1] * CORPUS_FPS // MEL_RATE
    is_usable = track.is_found[:num_heard].astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_usable, [0]])))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        raise Rejected("no face: none while there is sound")
    start, end = (int(edge) for edge in runs[np.argmax(runs[:, 1] - runs[:, 0])])
    # Column 3.2 i belongs to frame i: whole columns only at every fifth frame.
    start += -start % 5
    seconds = (end - start) / CORPUS_FPS
    if seconds < max(config.min_seconds, needed):
        raise Rejected(f"too short: {max(seconds, 0):.2f} s with face and sound")
    side = float(np.median(track.boxes[start:end, 2] - track.boxes[start:end, 0]))
    if side < config.min_crop:
        raise Rejected(f"face too small: the crop is {side:.0f} px wide")
    return start, end


def _crops(
    source: ClipSource,
    boxes: NDArray[np.float32],
    start: int,
    *,
    mesh: FaceMesh | None,
    config: PrepareConfig,
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32] | None]:
    """Crops of the frames from ``start`` on, and the points in them."""
    size = round(config.resolution * CROP_MARGIN)
    frames = islice(_at_25_fps(source), start, start + len(boxes))
    crops, points = [], []
    for frame, box in zip(frames, boxes, strict=True):
        wide = widen(box, CROP_MARGIN)
        crops.append(crop_face(frame.pixels, wide, size=size))
        if mesh is not None:
            points.append((mesh.points(frame.pixels, box) - wide[:2]) / (wide[2:] - wide[:2]))
    return crops, None if mesh is None else np.stack(points)
