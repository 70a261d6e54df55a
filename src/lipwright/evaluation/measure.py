"""Look at one pair: what is seen and heard in the drawn video and in the one it is held against.

This is the slow half of an evaluation. What it finds is kept in a file per pair, so that an
evaluation that was stopped goes on where it was; scores are computed from these files.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import read_tensors, write_tensors, written_whole
from lipwright.composite import mouth_mask
from lipwright.corpus import CORPUS_FPS
from lipwright.corpus.offset import OffsetMeter
from lipwright.errors import CheckpointError, EvaluationError
from lipwright.evaluation.baselines import shifted, static
from lipwright.evaluation.judge import SYNCNET_FRAMES, SyncNetJudge
from lipwright.evaluation.motion import silent_frames
from lipwright.evaluation.observe import FACE_SIZE, Observation, PointFinder, observe
from lipwright.evaluation.pairs import Pair
from lipwright.evaluation.picture import (
    FaceEmbedding,
    Lpips,
    identity_similarity,
    psnr,
    region_l1,
    seam,
    sharpness,
    ssim,
)
from lipwright.evaluation.sync import LSE_SHIFT
from lipwright.faces import FaceDetector, crop_face
from lipwright.faces.motion import align
from lipwright.media import SPEECH_RATE, is_still_picture, probe, read_frames, read_speech, retime
from lipwright.speech import Mel, mel_spectrogram

FORMAT = "lipwright-measured-1"
PICTURE_EVERY = 3  # frames between those whose pictures are compared
Scores = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judges:
    """Everything that looks and listens; loaded once in each process."""

    detector: FaceDetector
    finder: PointFinder
    expert: OffsetMeter
    syncnet: SyncNetJudge | None = None
    lpips: Lpips | None = None
    identity: FaceEmbedding | None = None
    inception: FaceEmbedding | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was seen and heard of one pair, as far as scores need it."""

    name: str
    """The pair's."""
    group: str
    """The pair's."""
    arrays: dict[str, NDArray[np.float32]]
    """Of the drawn video and, where the pair names one, of the ``base`` it is held against:
    ``drawn_points``, ``base_points`` (N, P, 2); ``drawn_lips``, ``base_lips``, ``static_lips``
    (W, E) and ``speech`` (W, E), the expert's; the same after ``syncnet_`` and ``features_``
    where there is such a network; ``is_silent`` (N,), 0 or 1."""
    pictures: dict[str, Scores]
    """Version -> metric of pictures -> value; all but the drawn video's seam only where the base
    shows the same person."""
    is_same_person: bool
    """Whether the base shows the drawn person."""
    seconds: dict[str, float]
    """Wall clock by stage."""


def measure(pair: Pair, drawn: Path, sheet: Path, *, judges: Judges, max_frames: int) -> Measured:
    """Look at one pair.

    Args:
        pair: What was rendered.
        drawn: The rendered video.
        sheet: JPEG to write: some frames of the base over those of the drawn video.
        judges: Who looks and listens.
        max_frames: Frames, at 25 a second, after which the rest is left out.

    Returns:
        What was found.

    Raises:
        MediaError: If a file cannot be read.
        NoFaceError: If a video does not show a face most of the time.
        EvaluationError: If the videos have fewer frames in common than the expert needs: a window
            and 15 more.
    """
    speech = read_speech(pair.speech)
    mel = mel_spectrogram(speech)
    seen = observe(drawn, detector=judges.detector, finder=judges.finder, max_frames=max_frames)
    base_path = pair.truth or pair.motion
    base = None
    if base_path is not None:
        base = observe(
            base_path, detector=judges.detector, finder=judges.finder, max_frames=max_frames
        )
    num_frames = min(
        seen.num_frames,
        len(speech) * CORPUS_FPS // SPEECH_RATE,
        seen.num_frames if base is None else base.num_frames,
    )
    shortest = judges.expert.frames + LSE_SHIFT
    if num_frames < shortest:
        raise EvaluationError(
            f"{pair.name}: only {num_frames} frames at 25 a second are in the drawn video, the "
            f"speech and the true video alike; at least {shortest} are needed"
        )
    everything = np.arange(num_frames)
    seen = seen.taken(everything)
    if base is not None:
        base = base.taken(everything)
        if (np.ptp(base.shape[:, :2], axis=0) == 0).any():  # opening and width
            raise EvaluationError(
                f"{pair.name}: the mouth in '{base_path}' does not move, so that there is nothing "
                f"to hold the drawn one against; leave truth and motion out"
            )
    arrays: dict[str, NDArray[np.float32]] = {
        "drawn_points": seen.points,
        "is_silent": silent_frames(mel, num_frames).astype(np.float32),
    }
    arrays |= _embeddings(seen, base, speech, mel, judges=judges)
    pictures: dict[str, Scores] = {"drawn": _seam_excess(pair, drawn, seen)}
    if base is not None:
        arrays["base_points"] = base.points
        if pair.truth is not None:
            for name, scores in _compared(seen, base, pair=pair, judges=judges).items():
                pictures[name] = pictures.get(name, {}) | scores
    _write_sheet(sheet, seen, base)
    return Measured(
        name=pair.name,
        group=pair.group,
        arrays=arrays,
        pictures=pictures,
        is_same_person=pair.truth is not None,
        seconds={},
    )


def _embeddings(
    seen: Observation,
    base: Observation | None,
    speech: NDArray[np.float32],
    mel: Mel,
    *,
    judges: Judges,
) -> dict[str, NDArray[np.float32]]:
    """What each network says of lips and speech."""
    videos = {"drawn": seen}
    if base is not None:
        videos["base"] = base
        shortest = max(judges.expert.frames, SYNCNET_FRAMES + 1)
        videos["static"] = base.taken(static(base.shape[:, 0])[:shortest])
    found: dict[str, NDArray[np.float32]] = {}
    for name, video in videos.items():
        crops = list(video.crops)
        heard, lips = judges.expert.embed(crops, mel)
        found[f"{name}_lips"] = lips
        if name == "drawn":
            found["speech"] = heard
        if judges.syncnet is not None:
            heard, lips = judges.syncnet.embed(crops, speech)
            found[f"syncnet_{name}_lips"] = lips
            if name == "drawn":
                found["syncnet_speech"] = heard
        if judges.inception is not None and name != "static":
            found[f"features_{name}"] = judges.inception.features(video.faces[::PICTURE_EVERY])
    return found


def _compared(
    seen: Observation, base: Observation, *, pair: Pair, judges: Judges
) -> dict[str, Scores]:
    """Pictures of the drawn video and of two baselines against the true one."""
    true = base.faces
    openings = base.shape[:, 0]
    # Drawn from a still, the head stands elsewhere: bring the face to where the true one is.
    drawn = _brought_onto(seen, base) if pair.at is not None else seen.faces
    late = [true[index] for index in shifted(len(true))]
    still = [true[index] for index in static(openings)]
    scores = {
        "drawn": _picture_scores(drawn, true, judges=judges),
        "shifted": _picture_scores(late, true, judges=judges),
        "static": _picture_scores(still, true, judges=judges),
    }
    mask = mouth_mask(FACE_SIZE)
    chosen = range(0, len(true), PICTURE_EVERY)
    # Of the pictures as they are: bringing them elsewhere would blur them.
    sharp = np.mean([sharpness(true[i], mask) for i in chosen])
    for name, faces in (("drawn", seen.faces), ("shifted", late), ("static", still)):
        drawn_sharp = np.mean([sharpness(faces[i], mask) for i in chosen])
        scores[name]["sharpness_ratio"] = float(drawn_sharp / sharp)
    return scores


def _picture_scores(
    faces: list[NDArray[np.uint8]], true: list[NDArray[np.uint8]], *, judges: Judges
) -> Scores:
    pairs = list(zip(faces[::PICTURE_EVERY], true[::PICTURE_EVERY], strict=True))
    mask = mouth_mask(FACE_SIZE)
    differing = [(a, b) for a, b in pairs if not np.array_equal(a, b)]
    scores = {
        "ssim": float(np.mean([ssim(a, b) for a, b in pairs])),
        "mouth_l1": float(np.mean([region_l1(a, b, mask) for a, b in pairs])),
    }
    if differing:
        scores["psnr"] = float(np.mean([psnr(a, b) for a, b in differing]))
    if judges.lpips is not None:
        drawn, target = (list(rows) for rows in zip(*pairs, strict=True))
        scores["lpips"] = float(judges.lpips.distances(drawn, target).mean())
    if judges.identity is not None:
        rows = [judges.identity.features(list(side)) for side in zip(*pairs, strict=True)]
        scores["identity"] = identity_similarity(rows[0], rows[1])
    return scores


def _brought_onto(seen: Observation, base: Observation) -> list[NDArray[np.uint8]]:
    """Drawn faces, turned, scaled and shifted to where the true ones are in their crops."""
    own, target = _in_crops(seen), _in_crops(base)
    moved = align(own, target)
    edge = (seen.crops[0].shape[0] - FACE_SIZE) / 2
    faces = []
    for crop, before, after in zip(seen.crops, own, moved, strict=True):
        affine, _ = cv2.estimateAffinePartial2D(before, after)
        affine[:, 2] -= edge
        size = (FACE_SIZE, FACE_SIZE)
        warped = cv2.warpAffine(
            crop, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        faces.append(np.asarray(warped, dtype=np.uint8))
    return faces


def _in_crops(video: Observation) -> NDArray[np.float64]:
    """Landmarks in pixels of the crops."""
    size = video.crops[0].shape[0]
    sides = video.boxes[:, None, 2:] - video.boxes[:, None, :2]
    middles = (video.boxes[:, None, 2:] + video.boxes[:, None, :2]) / 2
    places = (video.points - middles) / sides * FACE_SIZE + (size - 1) / 2
    return np.asarray(places, dtype=np.float64)


def _seam_excess(pair: Pair, drawn: Path, seen: Observation) -> Scores:
    """Colour difference along the seam, over that of the picture before anything was drawn.

    Nothing where another tool gave the video another size: the face was elsewhere before.
    """
    mask = mouth_mask(FACE_SIZE)
    chosen = range(0, seen.num_frames, PICTURE_EVERY)
    after = np.mean([seam(seen.faces[i], mask) for i in chosen])
    frames = []
    if pair.at is None and not is_still_picture(pair.face):
        for index, frame in enumerate(retime(read_frames(pair.face), fps=Fraction(CORPUS_FPS))):
            if index >= seen.num_frames:
                break
            if index in chosen:
                frames.append((index, frame.pixels))
    else:
        frames.append((0, still_of(pair)))
    size = probe(drawn)
    height, width = frames[0][1].shape[:2]
    if abs(size.height - height) > 1 or abs(size.width - width) > 1:  # odd sizes are made even
        return {}
    before = [
        seam(crop_face(pixels, seen.boxes[index], size=FACE_SIZE), mask) for index, pixels in frames
    ]
    return {"seam_excess": float(after - np.mean(before))}


def still_of(pair: Pair) -> NDArray[np.uint8]:
    """The picture that a pair is rendered from, if it is rendered from one.

    Raises:
        MediaError: If it cannot be read.
        EvaluationError: If the video ends before the time that the pair names.
    """
    for frame in read_frames(pair.face):
        if pair.at is None or frame.time >= Fraction(pair.at):
            return frame.pixels
    raise EvaluationError(f"{pair.name}: '{pair.face}' ends before {pair.at} s")


_SHEET_FRAMES = 10
_SHEET_FACE = 128  # pixels
_SHEET_QUALITY = 88  # of JPEG


def _write_sheet(path: Path, seen: Observation, base: Observation | None) -> None:
    """Ten frames of the base over the same of the drawn video."""
    chosen = np.linspace(0, seen.num_frames - 1, _SHEET_FRAMES).round().astype(int).tolist()
    rows = []
    for video in (base, seen):
        if video is not None:
            tiles = [
                cv2.resize(video.faces[i], (_SHEET_FACE, _SHEET_FACE), interpolation=cv2.INTER_AREA)
                for i in chosen
            ]
            rows.append(np.concatenate(tiles, axis=1))
    picture = np.concatenate(rows)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _SHEET_QUALITY]
    _, packed = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(packed.tobytes())
    except OSError as err:
        raise EvaluationError(f"cannot write {path}: {err}; check the free space") from err


def write_measured(measured: Measured, path: Path, *, key: str) -> None:
    """Keep what was found, with a key of everything it depends on.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    record = {
        "name": measured.name,
        "group": measured.group,
        "pictures": measured.pictures,
        "is_same_person": measured.is_same_person,
        "seconds": measured.seconds,
    }
    write_tensors(
        path, measured.arrays, {"format": FORMAT, "key": key, "record": json.dumps(record)}
    )


def read_measured(path: Path, *, key: str) -> Measured | None:
    """Read what was kept; None if there is nothing, or it depends on something else.

    Args:
        path: What :func:`write_measured` wrote.
        key: Of everything it should depend on.

    Raises:
        CheckpointError: If the file is damaged.
    """
    if not path.is_file():
        return None
    arrays, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT or metadata.get("key") != key:
        return None
    values = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
    try:
        return Measured(arrays=values, **json.loads(metadata["record"]))
    except (KeyError, TypeError, ValueError) as err:
        raise CheckpointError(f"{path} is damaged: {err!r}; remove it and evaluate again") from err
