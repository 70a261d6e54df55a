"""What a job is: how it is to be done, what is known of it beforehand, and what it made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces import require_choice
from lipwright.inference.engines import (
    DeviceChoice,
    EngineChoice,
    PrecisionChoice,
    require_engine,
)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncResult:
    """What a job made."""

    path: Path
    """The video."""
    num_frames: int
    """Frames in it."""
    num_synced: int
    """Frames whose mouth was drawn anew; the others have no face and are passed through."""
    passed_through: tuple[tuple[Fraction, Fraction], ...]
    """Stretches without a face, from and to, in seconds."""
    duration: Fraction
    """Of the video, in seconds."""
    seconds: float
    """Wall clock time that the job took."""
    model: str
    """Which model drew."""
    engine: EngineChoice
    """What it ran in, and why."""


Mode = Literal["lipwright", "released"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncOptions:
    """How a job is done, beyond what it is made of."""

    face_choice: str = "largest"
    """Which face to follow when there are several: ``largest``, ``central``, ``leftmost`` or
    ``rightmost``."""
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
    use_cache: bool = True
    """Keep where the face is in a video, so that the next job on it need not look again. See:
    lipwright cache."""

    def __post_init__(self) -> None:
        require_choice(self.face_choice)
        require_engine(self.device, self.precision)
        if self.mode not in ("lipwright", "released"):
            raise ConfigError(f"mode must be 'lipwright' or 'released', got {self.mode!r}")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is known of the result before a frame is drawn."""

    num_frames: int
    num_synced: int
    passed_through: tuple[tuple[Fraction, Fraction], ...]
    duration: Fraction


Rendered = tuple[Iterator[tuple[Fraction, Picture]], Outcome]
