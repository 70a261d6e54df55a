"""What a job is: how it is to be done, what is known of it beforehand, and what it made."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.choose import parse_choice
from lipwright.inference.engines import (
    DeviceChoice,
    EngineChoice,
    PrecisionChoice,
    require_engine,
)
from lipwright.inference.schedule import EXTENDS, Extend
from lipwright.media import VideoInfo

STILL_FPS = Fraction(25)  # of the output where the source has no rate worth keeping
SLOWEST_FPS = Fraction(15)
Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a job is."""

    stage: Literal["track", "render"]
    """First the face is tracked through the whole source, then the output is rendered."""
    done: int
    """Frames done in this stage."""
    total: int | None
    """Frames in this stage, where it is known."""


Reason = Literal["synced", "no face", "hidden", "no speech"]
"""What became of a frame: its mouth was drawn anew, or why not: no face was seen, it was turned
away or covered, or nothing is said there and the job asks for the original."""


class Stretch(NamedTuple):
    """Part of a video that shares a fate."""

    start: Fraction
    """In seconds."""
    end: Fraction
    """In seconds."""
    reason: Reason
    """Which fate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncResult:
    """What a job made."""

    path: Path
    """The video."""
    num_frames: int
    """Frames in it."""
    num_synced: int
    """Frames whose mouth was drawn anew; the others are passed through."""
    synced: tuple[Stretch, ...]
    """Stretches whose mouth was drawn anew."""
    passed_through: tuple[Stretch, ...]
    """Stretches that show the source as it is, and why."""
    duration: Fraction
    """Of the video, in seconds."""
    seconds: float
    """Wall clock time that the job took."""
    model: str
    """Which model drew."""
    engine: EngineChoice
    """What it ran in, and why."""


Mode = Literal["lipwright", "released"]
OnNoFace = Literal["pass", "hold", "fail"]
AfterSpeech = Literal["cut", "rest", "original"]
LARGEST_AMPLITUDE = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncOptions:
    """How a job is done, beyond what it is made of."""

    face: str = "largest"
    """Whose mouth moves when there are several: ``largest``, ``central``, ``leftmost`` or
    ``rightmost``, chosen anew in every shot; or one person, found again in every shot: ``index:N``
    (from the left, in the first picture with faces), ``point:X,Y`` (nearest to these pixels), or
    ``speaking`` (who fits the video's own sound best)."""
    min_face: float = 0.1
    """Height of the smallest face looked for, as a share of the picture's shorter side."""
    mode: Mode = "lipwright"
    """``lipwright``; or ``released`` for the released system's steps, bit for bit, to compare with
    results of its own."""
    accept_licence: str | None = None
    """Licence that the user accepts for models that are not permissively licensed."""
    device: DeviceChoice = "auto"
    """Where the generator runs: ``auto`` takes CUDA where it is there, else ``cpu``; or ``cuda``,
    ``mps``, ``coreml``, ``directml``. See: lipwright doctor."""
    precision: PrecisionChoice = "auto"
    """Of its arithmetic: ``auto`` takes the fastest of ``int8``, ``bf16`` and ``fp32`` that this
    CPU is made for and that draws the same; in mode ``released`` it is ``fp32``."""
    on_no_face: OnNoFace = "pass"
    """Where no face is seen for longer than 0.4 s: ``pass`` leaves the picture as it is, ``hold``
    draws where the face was last seen in the shot, ``fail`` gives up."""
    extend: Extend = "pingpong"
    """How a speech that is longer than the video goes on: ``pingpong`` plays the video's end to and
    fro, ``loop`` plays it again from the start, ``freeze`` keeps the last picture, ``trim`` cuts
    the speech."""
    after_speech: AfterSpeech = "cut"
    """What becomes of a video that is longer than the speech: ``cut`` ends it, ``rest`` goes on
    with the mouth at rest, ``original`` goes on as it was."""
    speech_offset: float = 0.0
    """Seconds by which the speech begins later; negative leaves its beginning out."""
    speech_stream: int | None = None
    """Which of several streams of sound of the speech's file, 0 for the first; by default the one
    that a player would choose."""
    isolated_voice: Path | None = None
    """The speech's voice alone, of the same length, where music or noise lies under it: the mouth
    follows this file, the speech is what is heard."""
    keep_sound: bool = False
    """Keep the video's own sound as a second track."""
    segment: str | None = None
    """Part of the video that is to change, in seconds: ``12.0-18.5``. The speech begins there; the
    rest of the video and of its sound stay as they are, without being encoded again if possible."""
    amplitude: float = 1.0
    """How far the mouth moves: 0 not at all, 1 as the model does by itself, at most 2."""
    restore: Path | None = None
    """ONNX file of a face restorer (GFPGAN, CodeFormer, GPEN) that works over the mouth."""
    restore_strength: float = 0.5
    """How much of the restorer's work is taken, from 0 to 1."""
    rest_in_pauses: bool = True
    """Bring the mouth to rest where the speech pauses."""
    use_cache: bool = True
    """Keep where the face is in a video, so that the next job on it need not look again. See:
    lipwright cache."""

    def __post_init__(self) -> None:
        parse_choice(self.face)
        if self.speech_stream is not None and self.speech_stream < 0:
            raise ConfigError(f"streams of sound are counted from 0, got {self.speech_stream}")
        parse_segment(self.segment)
        require_engine(self.device, self.precision)
        _require_known("on_no_face", self.on_no_face, get_args(OnNoFace))
        _require_known("extend", self.extend, EXTENDS)
        _require_known("after_speech", self.after_speech, get_args(AfterSpeech))
        if not isfinite(self.speech_offset):
            raise ConfigError(f"speech_offset must be in seconds, got {self.speech_offset}")
        if not 0 <= self.amplitude <= LARGEST_AMPLITUDE:  # NaN too
            raise ConfigError(
                f"amplitude must be from 0 to {LARGEST_AMPLITUDE}, got {self.amplitude}"
            )
        if not 0 <= self.restore_strength <= 1:  # NaN too
            raise ConfigError(f"restore_strength must be from 0 to 1, got {self.restore_strength}")
        _require_known("mode", self.mode, get_args(Mode))


def parse_segment(text: str | None) -> tuple[Fraction, Fraction] | None:
    """Read a part of a video as it is given on the command line.

    Args:
        text: Two times in seconds, such as ``12.0-18.5``.

    Returns:
        From and to.

    Raises:
        ConfigError: If it is something else, or empty.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)-(\d{1,6}(?:\.\d{1,6})?)", text)
    if found is None or Fraction(found[1]) >= Fraction(found[2]):
        raise ConfigError(
            f"segment {text!r} must be two times in seconds, the earlier one first: 12.0-18.5"
        )
    return Fraction(found[1]), Fraction(found[2])


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}; got {value!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One face video and how it is to be rendered."""

    face: Path
    info: VideoInfo
    options: SyncOptions
    report: Callable[[Progress], None]

    @property
    def fps(self) -> Fraction:
        """Of the output where the source's time stamps do not say."""
        return self.info.fps if self.info.fps >= SLOWEST_FPS else STILL_FPS

    @property
    def frame_bytes(self) -> int:
        """Of one frame in memory, about: no common format takes more than three a pixel."""
        return self.info.width * self.info.height * 3

    @property
    def segment(self) -> tuple[Fraction, Fraction] | None:
        """Part of the source that is to change, from and to in seconds; None for all of it."""
        return parse_segment(self.options.segment)

    def num_frames(self, end: Fraction) -> int | None:
        """About how many frames will be rendered.

        Args:
            end: Of the speech, in seconds of the output.
        """
        length = self.length(end)
        if self.segment is not None:
            length = self.segment[1] - self.segment[0]
        return None if length is None else round(length * self.fps)

    def length(self, end: Fraction) -> Fraction | None:
        """How long the output will be, in seconds; None if that is not known beforehand.

        Args:
            end: Of the speech, in seconds of the output.
        """
        length: Fraction | None = end
        if self.options.after_speech != "cut" and not self.info.is_still:
            length = None if self.info.duration is None else max(end, self.info.duration)
        if self.options.extend == "trim" and length is not None and self.info.duration is not None:
            length = min(length, self.info.duration)
        return length


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is known of the result before a frame is drawn."""

    num_frames: int
    num_synced: int
    stretches: tuple[Stretch, ...]
    duration: Fraction


Rendered = tuple[Iterator[tuple[Fraction, Picture]], Outcome]
