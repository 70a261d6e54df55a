"""Share networks among jobs in several threads: some are lent to one job, others take turns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lipwright.faces import CropRule
from lipwright.faces.appearance import Appearance
from lipwright.faces.boxes import Detection
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.sight import NativeEyes
from lipwright.media import NativeFrame
from lipwright.speech import Alignment

K = TypeVar("K")
T = TypeVar("T")

MAX_IDLE = 8  # of a pool: jobs that ever ran at once, or settings that ever were used


class Pool(Generic[K, T]):
    """Things that one job uses at a time; as many are made as jobs run at once."""

    def __init__(self, make: Callable[[K], T]) -> None:
        """Start empty.

        Args:
            make: Makes a thing of a kind.
        """
        self._make = make
        self._lock = Lock()
        self._idle: list[tuple[K, T]] = []

    @contextmanager
    def lent(self, kind: K) -> Iterator[T]:
        """A thing of a kind, for nobody else until the block ends.

        Args:
            kind: What is needed; what is made of one kind never serves another.
        """
        with self._lock:
            places = [place for place, (other, _) in enumerate(self._idle) if other == kind]
            thing = self._idle.pop(places[-1])[1] if places else None
        if thing is None:
            thing = self._make(kind)
        try:
            yield thing
        finally:
            with self._lock:
                self._idle.append((kind, thing))
                del self._idle[:-MAX_IDLE]


class EyesOnDemand:
    """Eyes that are opened when something is first looked at; see ``faces.follow.Eyes``."""

    def __init__(self, opened: Callable[[], NativeEyes]) -> None:
        """Stay closed.

        Args:
            opened: Opens them; called once, or never.
        """
        self._open = opened
        self._eyes: NativeEyes | None = None

    def detect(self, frame: NativeFrame) -> list[Detection]:
        """Find the faces, in upright display pixels."""
        return self._opened().detect(frame)

    def confirm(self, frame: NativeFrame, box: NDArray[np.float32]) -> Detection | None:
        """The face whose crop is about this one, if there is one."""
        return self._opened().confirm(frame, box)

    def landmarks(self, frame: NativeFrame, box: NDArray[np.float32]) -> FaceLandmarks:
        """Find the landmarks of the face in a crop, in upright display pixels."""
        return self._opened().landmarks(frame, box)

    def appearance(self, frame: NativeFrame, landmarks: FaceLandmarks) -> Appearance:
        """Describe a face, to know it again."""
        return self._opened().appearance(frame, landmarks)

    def thumbnail(self, frame: NativeFrame) -> NDArray[np.uint8]:
        """The frame made small, to see cuts."""
        return self._opened().thumbnail(frame)

    def width(self, frame: NativeFrame) -> int:
        """Of the upright picture, in pixels."""
        return self._opened().width(frame)

    def _opened(self) -> NativeEyes:
        if self._eyes is None:
            self._eyes = self._open()
        return self._eyes


class TakingTurns:
    """A generator that threads may ask to draw at the same time: one waits for the other.

    A network that draws has all the threads it may use, so drawing side by side gains nothing.
    """

    def __init__(self, backend: GeneratorBackend) -> None:
        """Take a generator.

        Args:
            backend: Draws for one thread at a time.
        """
        self._backend, self._turn = backend, Lock()

    @property
    def resolution(self) -> int:
        """Height and width of a face in pixels."""
        return self._backend.resolution

    @property
    def alignment(self) -> Alignment:
        """Which stretch of speech it draws a frame from."""
        return self._backend.alignment

    @property
    def columns(self) -> int:
        """Mel columns of that stretch."""
        return self._backend.columns

    @property
    def crop(self) -> CropRule:
        """Which box around a face it looks at."""
        return self._backend.crop

    @property
    def licence(self) -> str:
        """Of its weights."""
        return self._backend.licence

    @property
    def with_amplitude(self) -> bool:
        """Whether it can be told how far the mouth moves."""
        return self._backend.with_amplitude

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
        amplitudes: NDArray[np.float32] | None = None,
        landmarks: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Draw faces that say the speech; see :class:`GeneratorBackend`."""
        with self._turn:
            return self._backend.draw(targets, references, windows, amplitudes, landmarks)
