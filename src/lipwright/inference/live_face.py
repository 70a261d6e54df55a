"""Prepare a face to speak live: a still, or an idle clip that is played to and fro.

Everything that costs time and does not depend on the speech is done once, up front: decoding,
finding and following the face, and laying the reference onto it.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.errors import ConfigError, NoFaceError
from lipwright.faces import CropRule, Mtcnn
from lipwright.faces.follow import Eyes, Face, FollowConfig, Followed, follow_face
from lipwright.faces.landmarks import Landmarker
from lipwright.inference.backend import BATCH_SIZE, GeneratorBackend
from lipwright.inference.job import STILL_FPS, SyncOptions
from lipwright.inference.joining import RollKeeper
from lipwright.inference.reference import FaceView, Reference, ReferenceKeeper, face_view
from lipwright.inference.schedule import to_and_fro
from lipwright.inference.sight import NativeEyes
from lipwright.media import NativeFrame, encodable, read_native
from lipwright.media.retime import TOLERANCE

log = logging.getLogger(__name__)

IDLE_BYTES = 512 * 2**20
"""Of all that is kept of a face: some 6 s of 1920x1080 at 25 frames a second, 15 s of 1280x720."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedFace:
    """What the generator needs to know of a face, but for the speech."""

    face: Face
    """Where it is."""
    roll: float
    """Radians by which the view is turned against the frame."""
    view: FaceView
    """The face as it is."""
    reference: Reference
    """The face at rest, laid onto it."""
    shot: int
    """Which shot it belongs to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleFrame:
    """A frame of somebody who does not speak yet."""

    frame: NativeFrame
    """In its own pixel format; a still in that of the encoder."""
    face: PreparedFace | None
    """None where none is seen: the frame is passed through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleFace:
    """A face that is ready to speak; sessions may share it, none changes it."""

    frames: tuple[IdleFrame, ...]
    """At a constant rate; one of a still."""
    fps: Fraction
    """Frames a second."""
    resolution: int
    """R: height and width in pixels of the faces that it was prepared for."""
    crop: CropRule
    """The rule of the boxes that it was prepared with."""

    def at(self, step: int) -> IdleFrame:
        """The frame that is shown after so many: forward to the end, back, and so on."""
        return self.frames[to_and_fro(step, len(self.frames))]


def prepare_face(
    face: str | Path,
    backend: GeneratorBackend,
    *,
    fps: Fraction = STILL_FPS,
    options: SyncOptions | None = None,
    eyes: Eyes[NativeFrame] | None = None,
    max_bytes: int = IDLE_BYTES,
) -> IdleFace:
    """Make a face ready to speak.

    The references are those that the offline flow takes on its first way through the clip.

    Args:
        face: A picture, or a clip of a few seconds of somebody who does not speak. Its sound is
            not heard, and its rate becomes ``fps`` by repeating and dropping frames.
        backend: That will draw; its resolution and crop rule are asked for.
        fps: Frames a second of what will be shown.
        options: Which face is followed, and how small it may be.
        eyes: That find it; by default the detector and landmarks of the offline flow.
        max_bytes: Of what is kept. What lies behind is not used, which is logged.

    Raises:
        MediaError: If the file cannot be read.
        NoFaceError: If no frame shows a face.
        ConfigError: If the rate or the bound is out of range.
    """
    if fps <= 0 or max_bytes < 1:
        raise ConfigError(f"fps and max_bytes must be above 0, got {fps} and {max_bytes}")
    path, options = Path(face), options or SyncOptions()
    eyes = eyes or NativeEyes(
        Mtcnn(min_face=options.min_face),
        Landmarker(model_path(DEFAULT_LANDMARKS)),
        min_face=options.min_face,
    )
    frames = (
        (encodable(frame) if frame.is_still else frame, frame.time) for frame in read_native(path)
    )
    config = FollowConfig(choice=options.face, crop=backend.crop)
    followed = at_rate(follow_face(frames, eyes, config), fps)
    kept: list[IdleFrame] = []
    room = max_bytes
    for prepared in _prepared(followed, backend):
        room -= _num_bytes(prepared)
        if room < 0 and kept:
            log.warning(
                "only the first %.1f s of %s are used: the rest does not fit into %d bytes",
                len(kept) / fps,
                path,
                max_bytes,
            )
            break
        kept.append(prepared)
    if not any(prepared.face for prepared in kept):
        raise NoFaceError(
            f"no face in any of the {len(kept)} frames looked at in '{path}'; faces smaller than "
            f"{options.min_face:.0%} of the picture are not looked for (min_face)"
        )
    return IdleFace(frames=tuple(kept), fps=fps, resolution=backend.resolution, crop=backend.crop)


def at_rate(
    followed: Iterable[Followed[NativeFrame]], fps: Fraction
) -> Iterator[Followed[NativeFrame]]:
    """Bring frames to a constant rate, as ``media.retime`` does: the last that has begun is shown.

    Args:
        followed: In the order of time.
        fps: Frames a second of what comes out.

    Yields:
        One frame per ``1 / fps``; the last one once.
    """
    shown: Followed[NativeFrame] | None = None
    num_out = 0
    for now in followed:
        while shown is not None and num_out / fps + TOLERANCE < now.time:
            yield shown
            num_out += 1
        shown = now
    if shown is not None:
        yield shown


def _prepared(
    followed: Iterator[Followed[NativeFrame]], backend: GeneratorBackend
) -> Iterator[IdleFrame]:
    """Lay the reference onto each face, as the offline flow does: it looks some frames ahead."""
    keeper, rolls, shot, rolled_shot = ReferenceKeeper(backend.resolution), RollKeeper(), 0, 0
    while batch := list(islice(followed, BATCH_SIZE)):
        views: list[tuple[FaceView, float] | None] = []
        for source in batch:
            if source.face is None:
                views.append(None)
                continue
            if source.shot != rolled_shot:
                rolls.forget()
                rolled_shot = source.shot
            roll = rolls.roll_of(source.face, source.time)
            view = face_view(source.frame, source.face, resolution=backend.resolution, roll=roll)
            views.append((view, roll))
        for index, (source, seen) in enumerate(zip(batch, views, strict=True)):
            if seen is None or source.face is None:
                yield IdleFrame(frame=source.frame, face=None)
                continue
            if source.shot != shot:
                keeper.forget()
                shot = source.shot
            ahead = zip(batch[index:], views[index:], strict=True)
            keeper.offer([v[0] for f, v in ahead if v is not None and f.shot == shot])
            prepared = PreparedFace(
                face=source.face,
                roll=seen[1],
                view=seen[0],
                reference=keeper.reference_for(seen[0]),
                shot=shot,
            )
            yield IdleFrame(frame=source.frame, face=prepared)


def _num_bytes(idle: IdleFrame) -> int:
    num = sum(plane.nbytes for plane in idle.frame.planes())
    face = idle.face
    return num if face is None else num + face.view.picture.nbytes + face.reference.picture.nbytes
