"""Pictures of faces with their landmarks, to teach a landmark network: the teacher's answers.

The file is safetensors: JPEG crops one after the other, the points and the pose of each face.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipwright.checkpoints import written_whole
from lipwright.corpus.clips import load_clips
from lipwright.corpus.ledger import Split
from lipwright.corpus.pack import CROP_MARGIN, encode_crop
from lipwright.corpus.sources import ClipSource, find_clips
from lipwright.corpus.split import SplitRule
from lipwright.errors import ConfigError, CorpusError, LipwrightError
from lipwright.faces import FaceDetector, crop_box, crop_face, widen
from lipwright.faces.mesh import head_pose
from lipwright.faces.points import MESH_INDICES
from lipwright.faces.views import Views
from lipwright.media import read_frames

STORED_MARGIN = 1.9  # side of a stored picture over that of the crop rule
STORED_SIZE = 224  # pixels
FORMAT = "lipwright-faces-1"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFace:
    """A picture of one face, and what the teacher says of it."""

    picture: NDArray[np.uint8]
    """``(S, S, 3)`` uint8 RGB; the crop rule's square lies in its middle."""
    side: float
    """Of the crop rule's square, in pixels of the picture."""
    points: NDArray[np.float32]
    """``(NUM_LANDMARKS, 2)`` x y in pixels of the picture, corner of the first pixel at 0."""
    pose: NDArray[np.float32]
    """``(2,)`` yaw and pitch in radians; see ``faces.mesh.head_pose``."""
    person: str
    """Who it is."""


class SolidFinder(Protocol):
    """Whatever finds the points of the face mesh in space."""

    def solid(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(468, 3)`` x y z in pixels of the frame."""
        ...


class ManyViews:
    """A face mesh that looks at each face several times and gives the mean; see ``faces.views``."""

    def __init__(self, mesh: SolidFinder, num_views: int) -> None:
        """Wrap a mesh.

        Args:
            mesh: Looks once.
            num_views: How often it is to look: once at the box, then at boxes around it.

        Raises:
            ConfigError: If that is below 1.
        """
        self._mesh, self._views = mesh, Views(num_views)

    def solid(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`SolidFinder`."""
        return self._views.mean(lambda view: self._mesh.solid(frame, view), box)


def label_face(
    frame: NDArray[np.uint8], box: NDArray[np.float32], mesh: SolidFinder, *, person: str
) -> LabelledFace:
    """Ask the teacher about one face.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB.
        box: ``(4,)`` the crop rule's square in pixels.
        mesh: The teacher.
        person: Who it is.

    Returns:
        Picture and answers.
    """
    solid = mesh.solid(frame, box)
    wide = widen(box, STORED_MARGIN)
    scale = STORED_SIZE / float(wide[2] - wide[0])
    return LabelledFace(
        picture=crop_face(frame, wide, size=STORED_SIZE),
        side=STORED_SIZE / STORED_MARGIN,
        points=((solid[list(MESH_INDICES), :2] - wide[:2]) * scale).astype(np.float32),
        pose=head_pose(solid),
        person=person,
    )


def label_clip(
    clip: ClipSource, detector: FaceDetector, mesh: SolidFinder, *, count: int, person: str
) -> Iterator[LabelledFace]:
    """Label some frames of a video, evenly spread; frames without a face are left out.

    Args:
        clip: Where the frames are.
        detector: Finds faces.
        mesh: The teacher.
        count: How many frames.
        person: Who it is.

    Yields:
        Faces.

    Raises:
        MediaError: If the video cannot be read.
    """
    num_frames = sum(1 for _ in clip.frames())
    wanted = set(np.linspace(0, num_frames - 1, count).round().astype(int).tolist())
    for index, frame in enumerate(clip.frames()):
        if index in wanted and (box := _largest(frame.pixels, detector)) is not None:
            yield label_face(frame.pixels, box, mesh, person=person)


def label_portraits(
    folder: Path, detector: FaceDetector, mesh: SolidFinder, *, rule: SplitRule, split: Split
) -> Iterator[LabelledFace]:
    """Label the pictures of a folder; those without a face, or unreadable, are left out.

    Args:
        folder: With pictures; its name and theirs make the names that the rule knows.
        detector: Finds faces.
        mesh: The teacher.
        rule: Who belongs to which split.
        split: Which to label.

    Yields:
        Faces.

    Raises:
        CorpusError: If the folder is missing.
    """
    if not folder.is_dir():
        raise CorpusError(f"no such folder of portraits: {str(folder)!r}")
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES):
        person = f"{folder.resolve().name}/{path.stem}"
        if rule.split(person) != split:
            continue
        with suppress(LipwrightError):
            frame = next(read_frames(path)).pixels
            if (box := _largest(frame, detector)) is not None:
                yield label_face(frame, box, mesh, person=person)


def label_puppets(
    corpus: Path, mesh: SolidFinder, *, count: int, split: Split
) -> Iterator[LabelledFace]:
    """Label some frames of each puppet of a prepared corpus.

    Args:
        corpus: What ``lipwright prepare`` and ``lipwright puppets`` wrote.
        mesh: The teacher.
        count: How many frames of each.
        split: Of which people.

    Yields:
        Faces.

    Raises:
        CorpusError: If the corpus cannot be read.
    """
    clips = load_clips(corpus, split)
    for index, entry in enumerate(clips.entries):
        if entry.driver is None:
            continue
        clip = clips.open(index)
        for at in np.linspace(0, clip.num_frames - 1, count).round().astype(int).tolist():
            frame = clip.frame(at)
            size = frame.shape[0]
            box = widen(np.array([0, 0, size, size], dtype=np.float32), 1 / CROP_MARGIN)
            yield label_face(frame, box, mesh, person=entry.speaker)


def _largest(frame: NDArray[np.uint8], detector: FaceDetector) -> NDArray[np.float32] | None:
    boxes = [crop_box(detection.landmarks) for detection in detector.detect(frame)]
    return max(boxes, key=lambda box: float(box[2] - box[0]), default=None)


def label_corpus(
    sources: list[Path],
    *,
    corpus: Path | None,
    rule: SplitRule,
    split: Split,
    count: int,
    teacher: tuple[FaceDetector, SolidFinder],
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[LabelledFace]:
    """Label the faces of videos, portraits and puppets of one split.

    Args:
        sources: Folders of videos, or of portraits (those whose files are pictures).
        corpus: A prepared corpus whose puppets are labelled too.
        rule: Who belongs to which split.
        split: Which to label.
        count: Frames of each clip.
        teacher: Finds the faces, and their points.
        on_progress: Called with the clips done, and all clips.

    Yields:
        Faces.

    Raises:
        ConfigError: If the number of frames is below 1.
        CorpusError: If a folder is missing, or holds neither videos nor pictures.
        MediaError: If a video cannot be read.
    """
    if count < 1:
        raise ConfigError(f"the frames labelled of a clip must be at least 1, got {count}")
    detector, mesh = teacher
    portraits = [path for path in sources if _is_of_pictures(path)]
    videos = [path for path in sources if path not in portraits]
    clips = [c for c in find_clips(videos) if rule.split(c.clip) == split] if videos else []
    for done, clip in enumerate(clips):
        person = rule.speaker(clip.clip)
        yield from label_clip(clip, detector, mesh, count=count, person=person)
        on_progress(done + 1, len(clips))
    for folder in portraits:
        yield from label_portraits(folder, detector, mesh, rule=rule, split=split)
    if corpus is not None:
        yield from label_puppets(corpus, mesh, count=count, split=split)


def _is_of_pictures(folder: Path) -> bool:
    return folder.is_dir() and any(p.suffix.lower() in _PICTURES for p in folder.iterdir())


def write_faces(faces: Iterator[LabelledFace], path: Path) -> int:
    """Write faces under a temporary name, then rename.

    Args:
        faces: What to write.
        path: File to write; its folder is created.

    Returns:
        How many.

    Raises:
        CorpusError: If there are none, or the file cannot be written.
    """
    jpegs, points, poses, sides, people = [], [], [], [], []
    for face in faces:
        jpegs.append(encode_crop(face.picture))
        points.append(face.points)
        poses.append(face.pose)
        sides.append(face.side)
        people.append(face.person.encode(errors="replace").decode())  # of file names
    if not jpegs:
        raise CorpusError(f"no face was found for {path}")
    tensors: dict[str, NDArray[np.generic]] = {
        "jpegs": np.frombuffer(b"".join(jpegs), dtype=np.uint8),
        "offsets": np.concatenate([[0], np.cumsum([len(jpeg) for jpeg in jpegs])]).astype(np.int64),
        "points": np.stack(points),
        "poses": np.stack(poses),
        "sides": np.array(sides, dtype=np.float32),
    }
    metadata = {"format": FORMAT, "people": "\n".join(people)}
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(save(tensors, metadata=metadata))
    except OSError as err:
        raise CorpusError(f"cannot write {path}: {err}; check the free space") from err
    return len(jpegs)


class FacePack:
    """Labelled faces open for random access."""

    def __init__(self, path: Path) -> None:
        """Open a file of faces.

        Args:
            path: What :func:`write_faces` wrote.

        Raises:
            CorpusError: If the file is missing, damaged or of another format.
        """
        self.path = path
        try:
            file = safe_open(str(path), framework="numpy")
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CorpusError(f"{path} holds no labelled faces of this version")
            self.people: list[str] = metadata["people"].split("\n")
            self._offsets: NDArray[np.int64] = file.get_tensor("offsets")
            self._jpegs: NDArray[np.uint8] = file.get_tensor("jpegs")
            self._points: NDArray[np.float32] = file.get_tensor("points")
            self._poses: NDArray[np.float32] = file.get_tensor("poses")
            self._sides: NDArray[np.float32] = file.get_tensor("sides")
        except (OSError, SafetensorError, KeyError) as err:
            raise CorpusError(f"cannot read faces from {path}: {err}; label them again") from err

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.people)

    def face(self, index: int) -> LabelledFace:
        """Decode one face.

        Args:
            index: Which, from 0.

        Returns:
            The face.

        Raises:
            CorpusError: If its picture is damaged.
        """
        start, end = int(self._offsets[index]), int(self._offsets[index + 1])
        picture = cv2.imdecode(self._jpegs[start:end], cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise CorpusError(f"face {index} of {self.path} is damaged; label the faces again")
        return LabelledFace(
            picture=np.asarray(picture, dtype=np.uint8),
            side=float(self._sides[index]),
            points=self._points[index],
            pose=self._poses[index],
            person=self.people[index],
        )
