"""The live flow: blocks of speech go in as they are spoken, frames of a face speaking come out.

A frame is drawn as soon as the speech that it waits for is there, and never later than real time
allows: what is late is skipped, and its successor is shown when it would have been anyway.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.inference.backend import BATCH_SIZE, GeneratorBackend
from lipwright.inference.joining import Joiner
from lipwright.inference.live_face import IdleFace, PreparedFace
from lipwright.inference.pace import Clock, Pace
from lipwright.inference.reference import landmarks_of, middle
from lipwright.media import SPEECH_RATE, Frame, NativeFrame
from lipwright.media.native_rgb import rgb
from lipwright.speech import LiveWindows, Mel, MelStream, SpeechResampler, live_window

MAX_LATENCY = Fraction(1, 5)  # seconds: beyond, people who talk to each other begin to notice
BLOCK = Fraction(1, 50)  # seconds of sound that come at a time
_PIECE = SPEECH_RATE  # samples of a long block that are heard at a time, which bounds memory

Block = NDArray[np.float32] | NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveConfig:
    """How a live session hears and how long it waits."""

    max_latency: Fraction | None = MAX_LATENCY
    """Seconds that a frame waits for speech after its own time at the most; None for as long as the
    generator looks ahead, with which faces are those of the offline flow."""
    rate: int = SPEECH_RATE
    """Samples a second of the blocks; other rates than 16 kHz are resampled."""
    block: Fraction = BLOCK
    """Seconds of sound in a block, as a rule. Blocks may have any length; those that are longer
    come later than they are expected to, if there is a clock."""

    def __post_init__(self) -> None:
        if self.block <= 0 or (self.max_latency is not None and self.max_latency < 0):
            raise ConfigError(
                f"block must be above 0 and max_latency at least 0 (or None), got {self.block} and "
                f"{self.max_latency}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveFrame:
    """A frame of the face speaking."""

    time: Fraction
    """Seconds from the start of the session's sound at which it is to be shown."""
    frame: NativeFrame
    """In its own pixel format, with that time stamp."""
    is_synced: bool
    """Whether its mouth was drawn; False where the idle clip shows no face."""
    heard: Fraction
    """Seconds from the start of the sound to the end of what it was drawn from."""
    seconds: Fraction | None
    """By the clock, from the arrival of the last block that it waited for until it was ready; None
    without a clock."""

    def pixels(self) -> Frame:
        """``(H, W, 3)`` uint8 RGB, upright, with memory of its own."""
        return rgb(self.frame)


class LiveSession:
    """Makes a face speak while the speech is being spoken.

    The time line begins with the first block, or with the first call of :meth:`idle`. Frame ``i``
    is shown at ``i / fps``; it waits for as much speech as its window holds, and for no more than
    ``max_latency``. A generator that looks further ahead is given what is known, continued by its
    last column, which fades to silence within some tenths of a second: faces then differ from the
    offline ones. So :attr:`latency` is never above ``max_latency``, whichever the generator; a
    block that is being filled adds up to its own length, and drawing its time.

    With a clock, a frame whose drawing would begin later than a block and a frame after its speech
    was spoken is not drawn: none is given out for its time, it is counted in :attr:`num_skipped`,
    and the time line goes on. Where no block comes in time, call :meth:`idle`: the face rests, and
    speech that comes later takes its place on the time line after the pause. Frames that are late
    for a second on end are taken for a sound that comes late (its clock runs slower, or it paused
    and nobody said so), and the time line is set anew.

    Nothing queues up inside: every call draws or skips what is due before it returns. Held are the
    prepared face and, of the speech, a window and a second at the most; blocks that are longer are
    heard piece by piece.
    """

    def __init__(
        self,
        face: IdleFace,
        backend: GeneratorBackend,
        *,
        config: LiveConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Begin a session.

        Args:
            face: As :func:`~lipwright.inference.live_face.prepare_face` gives it.
            backend: Draws; one that the face was prepared for.
            config: How to hear, and how long to wait.
            clock: Says how real time goes; None to draw everything that is pushed.

        Raises:
            ConfigError: If the face was prepared for another kind of backend, or the rate is none
                of speech.
        """
        if (face.resolution, face.crop) != (backend.resolution, backend.crop):
            raise ConfigError(
                f"the face was prepared for {face.resolution} pixels and crop {face.crop!r}, the "
                f"generator takes {backend.resolution} and {backend.crop!r}; prepare it again"
            )
        config = config or LiveConfig()
        self._face, self._backend = face, backend
        self._resampler = SpeechResampler(config.rate)
        limit = config.max_latency
        if limit is not None:
            limit = max(Fraction(0), limit - self._resampler.latency)
        self._windows = LiveWindows(
            fps=face.fps, columns=backend.columns, alignment=backend.alignment, limit=limit
        )
        self._pace = Pace(clock, slack=config.block + 1 / face.fps, block=config.block)
        self._batch = BATCH_SIZE if clock is None else 1
        self._stream = MelStream()
        self._mel: Mel = self._stream.push(np.zeros(0, dtype=np.float32))
        self._forgotten = 0  # columns that are no longer held
        self._next = 0  # frame
        self._joiner, self._shot = Joiner(), 0
        self._has_ended = False
        self.num_drawn = 0
        """Frames given out."""
        self.num_skipped = 0
        """Frames that were late and are missing."""
        self.num_pauses = 0
        """Times that no block came in time."""
        self.paused = Fraction(0)
        """Seconds of silence that were put into the sound for it."""

    @property
    def latency(self) -> Fraction:
        """Seconds of speech after its own time that a frame waits for, at the most: algorithmic.

        Window, mel and resampler; what they come to in this session, without blocks and drawing.
        """
        return self._windows.look_ahead + self._resampler.latency

    @property
    def num_made_up(self) -> int:
        """Columns of a window that are not waited for, at the most; 0 draws as offline."""
        return self._windows.num_made_up

    @property
    def heard(self) -> Fraction:
        """Seconds of sound so far, pauses with them: where the next block's place is."""
        return Fraction(self._stream.num_samples, SPEECH_RATE)

    def push(self, block: Block) -> list[LiveFrame]:
        """Hear a block, and draw the frames that waited for it.

        Args:
            block: ``(N,)`` mono, float32 in [-1, 1] or int16; of any length, even 0.

        Returns:
            Frames in the order of time; often none.

        Raises:
            MediaError: If the block is of another shape or type, or holds NaN or infinite samples;
                the session goes on as if it had not come.
            ConfigError: If the session has ended.
        """
        return list(self._heard(block))

    def idle(self) -> list[LiveFrame]:
        """Say that no block came in time; the face rests for as long as that goes on.

        Call it about once a block. Nothing happens before the sound is late by a block and a frame.

        Returns:
            Frames that have become due.

        Raises:
            ConfigError: If there is no clock, or the session has ended.
        """
        self._require_open()
        owed = self._pace.owed(self.heard)
        if not owed:
            return []
        self.num_pauses += self._pace.begin_pause()
        self.paused += owed
        return list(self._drawn_from(np.zeros(round(owed * SPEECH_RATE), dtype=np.float32)))

    def finish(self) -> list[LiveFrame]:
        """End the speech, and draw the frames until its end; silence follows it.

        Returns:
            Frames in the order of time.

        Raises:
            ConfigError: If the session has ended before.
        """
        return list(self._finished())

    def run(self, blocks: Iterable[Block | None]) -> Iterator[LiveFrame]:
        """Make the face speak until the blocks end.

        Args:
            blocks: As :meth:`push` takes them; None where none came in time, see :meth:`idle`.

        Yields:
            Frames, as soon as they are drawn.

        Raises:
            MediaError: As :meth:`push`.
            ConfigError: As :meth:`push` and :meth:`idle`.
        """
        for block in blocks:
            yield from self.idle() if block is None else self._heard(block)
        yield from self._finished()

    def _require_open(self) -> None:
        if self._has_ended:
            raise ConfigError("the session has ended; begin another with the same face")

    def _heard(self, block: Block) -> Iterator[LiveFrame]:
        self._require_open()
        speech = self._resampler.push(block)
        self._pace.arrive(self.heard, Fraction(speech.size, SPEECH_RATE))
        yield from self._drawn_from(speech)

    def _finished(self) -> Iterator[LiveFrame]:
        self._require_open()
        self._pace.arrive(self.heard, Fraction(0))
        yield from self._drawn_from(self._resampler.finish())
        self._has_ended = True
        self._mel = np.concatenate([self._mel, self._stream.finish()], axis=1)
        yield from self._drawn(self._windows.left(self._next, self._stream.num_samples))

    def _drawn_from(self, speech: NDArray[np.float32]) -> Iterator[LiveFrame]:
        for first in range(0, speech.size, _PIECE):
            columns = self._stream.push(speech[first : first + _PIECE])
            self._mel = np.concatenate([self._mel, columns], axis=1)
            yield from self._drawn(self._windows.due(self._next, self._stream.num_samples))

    def _drawn(self, due: Iterator[int]) -> Iterator[LiveFrame]:
        """Draw the frames that are due and not late, a few at a time."""
        while batch := list(islice(due, self._batch)):
            self._next = batch[-1] + 1
            in_time = [frame for frame in batch if not self._pace.is_late(self._needed(frame))]
            self.num_skipped += len(batch) - len(in_time)
            self.num_drawn += len(in_time)
            yield from self._painted(in_time)
            self._forget()

    def _needed(self, frame: int) -> Fraction:
        return min(Fraction(self._windows.needs(frame), SPEECH_RATE), self.heard)

    def _painted(self, frames: list[int]) -> Iterator[LiveFrame]:
        prepared = [self._face.at(frame) for frame in frames]
        faces = [idle.face for idle in prepared if idle.face is not None]
        shown = [f for f, idle in zip(frames, prepared, strict=True) if idle.face is not None]
        mouths = iter(self._mouths(shown, faces))
        for frame, idle in zip(frames, prepared, strict=True):
            time = frame / self._face.fps
            picture, share = idle.frame.at(time), 0.0
            if idle.face is not None:
                picture, share = self._joined(picture, idle.face, next(mouths))
            yield LiveFrame(
                time=time,
                frame=picture,
                is_synced=share > 0,
                heard=self._needed(frame),
                seconds=self._pace.since_arrival(),
            )

    def _joined(
        self, picture: NativeFrame, face: PreparedFace, drawn: NDArray[np.float32]
    ) -> tuple[NativeFrame, float]:
        """A frame with its new mouth, and how much of it is to be seen."""
        if face.shot != self._shot:
            self._joiner.forget()
            self._shot = face.shot
        return self._joiner.join(
            picture,
            face.view,
            face=face.face,
            drawn=drawn,
            reference=face.reference.picture,
            roll=face.roll,
        )

    def _mouths(
        self, frames: list[int], faces: list[PreparedFace]
    ) -> Iterable[NDArray[np.float32]]:
        """``(B, R, R, 3)`` in [0, 1]; none of no faces."""
        if not faces:
            return ()
        windows = np.stack([self._window(frame) for frame in frames])
        size = self._backend.resolution
        targets = np.stack([middle(face.view.picture, size) for face in faces])
        references = [face.reference for face in faces]
        pictures = np.stack([reference.picture for reference in references])
        return self._backend.draw(targets, pictures, windows, landmarks=landmarks_of(references))

    def _window(self, frame: int) -> NDArray[np.float32]:
        known = None if self._has_ended else self._windows.known(frame) - self._forgotten
        start = self._windows.start(frame) - self._forgotten
        return live_window(self._mel, start, length=self._windows.columns, known=known)

    def _forget(self) -> None:
        """Let go of the columns that no frame to come looks at, and keep the last that is known."""
        oldest = min(self._windows.start(self._next), self._windows.known(self._next) - 1)
        num_old = min(max(0, oldest - self._forgotten), self._mel.shape[1] - 1)
        if num_old > 0:
            self._mel = self._mel[:, num_old:].copy()
            self._forgotten += num_old
