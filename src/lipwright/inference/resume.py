"""Render a job in segments that survive: what was finished before a kill is not rendered again.

Beside the output stands a hidden folder: a file for every ten seconds that are finished, and
``state.json``, which says of what job they are. The same job goes on after them; another one
discards them. At the end the segments are joined as they are, and the folder goes.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from shutil import rmtree
from typing import Any

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.checkpoints.home import written_whole
from lipwright.errors import ConfigError, MediaError, NoFaceError
from lipwright.inference.casting import Voice
from lipwright.inference.identity import job_key
from lipwright.inference.job import Outcome, Progress, Reason, Stretch, SyncOptions, SyncResult
from lipwright.inference.lending import EyesOnDemand
from lipwright.inference.networks import Models
from lipwright.inference.painter import Drawn
from lipwright.inference.part import Stage, stream_from
from lipwright.inference.pipeline import (
    OpenedJob,
    extras_of,
    opened,
    require_apart,
    result_of,
    roles_of,
    tracks_of,
)
from lipwright.inference.streaming import require_face, stream_job
from lipwright.inference.tally import Tally, stretches_of
from lipwright.media import Encoding, NativeWriter, require_writable
from lipwright.media.joined import Piece, form_of, join_pieces

log = logging.getLogger(__name__)

SEGMENT_SECONDS = 10  # a whole number, so that a segment begins on a tick of every clock
STATE = "state.json"
_FORMAT = "lipwright-resume-1"
_UNFINISHED = "unfinished"  # one name for all, so that a warning about it is the same each time


def work_folder(out: Path) -> Path:
    """Where the unfinished work on an output is kept."""
    return out.with_name(f".{out.name}.lipwright")


def sync_resumably(
    face: str | Path,
    speech: str | Path | Sequence[Voice],
    out: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    options: SyncOptions | None = None,
    encoding: Encoding | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncResult:
    """Render as :func:`lipwright.sync` does, and go on where a run that was stopped ended.

    Every ten seconds of the result begin with a key frame, and once they are finished they stay,
    whatever becomes of the process, in a hidden folder beside the output. They are used again
    if inputs, settings, model, engine and versions are the same to the last bit, else discarded.

    Args:
        face: See :func:`lipwright.sync`.
        speech: See there.
        out: A video: .mp4, .mkv, .mov or .webm.
        model: See there.
        options: See there; no segment, and not the released mode.
        encoding: See there.
        on_progress: See there; frames that are finished already count as done.

    Returns:
        What was made, by all runs together.

    Raises:
        LipwrightError: As :func:`lipwright.sync`.
    """
    started = time.monotonic()
    options, encoding, out = options or SyncOptions(), encoding or Encoding(), Path(out)
    if options.segment is not None or options.mode == "released":
        raise ConfigError("only whole videos are resumed; leave out --segment and --mode released")
    require_apart(out, face, speech, options)
    require_writable(out)
    models = Models(model, options)
    with opened(models, face, speech, options=options, on_progress=on_progress) as at_work:
        key = job_key(
            at_work.job.face,
            at_work.play.voices,
            options=options,
            encoding=encoding,
            model=models.find(),
            engine=at_work.engine,
        )
        with _surviving(_Work(out, key)) as work:
            if not work.is_complete:
                _render(at_work, work, encoding)
            outcome = work.outcome()
            require_face(at_work.job, outcome)
            _join(at_work, work, out, end=outcome.duration)
        return result_of(at_work, outcome, out, seconds=time.monotonic() - started)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    """A finished part of the output."""

    index: int
    """It begins at so many times ``SEGMENT_SECONDS``."""
    start: Fraction
    """When its first frame is shown, in seconds."""
    num_bytes: int
    """Of its file."""
    outcome: Outcome
    """What became of its frames; times are those of the whole."""


class _Work:
    """The finished segments of an output, in their folder."""

    def __init__(self, out: Path, key: str) -> None:
        """Take up what is there of the same job, and remove everything else.

        Args:
            out: The output.
            key: Of the job.

        Raises:
            MediaError: If the folder cannot be made.
        """
        self.folder, self._key, self._suffix = work_folder(out), key, out.suffix.lower()
        self._segments: list[_Segment] = []
        self.is_complete = False
        """Whether no frame is missing any more."""
        try:
            self._take_up()
            self.folder.mkdir(exist_ok=True)
            known = {STATE, *(self.path(segment).name for segment in self._segments)}
            for file in self.folder.iterdir():
                if file.name not in known:
                    file.unlink()
        except OSError as err:
            raise MediaError(
                f"cannot work in '{self.folder}' ({err.strerror}); check it, or leave out --resume"
            ) from err

    @property
    def num_frames(self) -> int:
        """That are finished."""
        return sum(segment.outcome.num_frames for segment in self._segments)

    @property
    def end(self) -> Fraction:
        """Where the missing frames begin, in seconds."""
        last = self._segments[-1].index + 1 if self._segments else 0
        return Fraction(last * SEGMENT_SECONDS)

    def path(self, segment: _Segment) -> Path:
        """The file of a segment."""
        return self.folder / f"{segment.index:06}{self._suffix}"

    def pieces(self) -> list[Piece]:
        """All segments, to be joined."""
        return [Piece(path=self.path(each), start=each.start) for each in self._segments]

    def outcome(self) -> Outcome:
        """What became of the frames that are finished."""
        return _merged([segment.outcome for segment in self._segments])

    def unfinished(self, name: str = _UNFINISHED) -> Path:
        """A name for something that is being written."""
        return self.folder / f"{name}{self._suffix}"

    def keep(self, index: int, outcome: Outcome) -> None:
        """Make the unfinished file a segment.

        Raises:
            MediaError: If the disk does not take it, or it does not fit the segments before.
        """
        made = self.unfinished()
        start = outcome.stretches[0].start
        if self._segments and form_of(made) != form_of(self.path(self._segments[0])):
            raise MediaError(
                f"the source changes the size or format of its pictures before "
                f"{float(start):.2f} s, so that segments cannot be joined; leave out --resume"
            )
        num_bytes = made.stat().st_size
        segment = _Segment(index=index, start=start, num_bytes=num_bytes, outcome=outcome)
        try:
            with made.open("rb") as file:
                os.fsync(file.fileno())  # the state must not survive without it
            made.replace(self.path(segment))
            self._segments.append(segment)
            self._write()
        except OSError as err:
            raise MediaError(
                f"cannot write to '{self.folder}' ({err.strerror}); check the free space"
            ) from err

    def complete(self) -> None:
        """Say that no frame is missing."""
        self.is_complete = True
        self._write()

    def remove(self) -> None:
        """Remove the folder; what cannot be removed stays."""
        rmtree(self.folder, ignore_errors=True)

    def _take_up(self) -> None:
        """Read what is finished; nothing if it belongs to another job or is damaged."""
        if not (self.folder / STATE).is_file():
            return
        try:
            held = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            is_ours = held["format"] == _FORMAT and held["key"] == self._key
            segments = [_segment_of(row) for row in held["segments"]] if is_ours else []
            is_complete = bool(held["is_complete"])
            is_whole = all(self.path(s).stat().st_size == s.num_bytes for s in segments)
        except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
            is_ours = is_whole = False
        if is_ours and is_whole:
            self._segments, self.is_complete = segments, is_complete
            log.info("%s: goes on at %.2f s", self.folder, self.end)
        else:
            log.warning(
                "%s: inputs, settings or versions are not those of the unfinished work; it is "
                "discarded and done anew",
                self.folder,
            )
            rmtree(self.folder)

    def _write(self) -> None:
        state = {
            "format": _FORMAT,
            "key": self._key,
            "is_complete": self.is_complete,
            "segments": [_row_of(segment) for segment in self._segments],
        }
        with written_whole(self.folder / STATE) as temporary:
            temporary.write_text(json.dumps(state), encoding="utf-8")


@contextmanager
def _surviving(work: _Work) -> Iterator[_Work]:
    """Remove the work at the end, and keep it where it is stopped in the middle."""
    try:
        yield work
    except NoFaceError:
        work.remove()  # another try would find none either
        raise
    except BaseException:
        if work.num_frames:
            log.warning(
                "%d frames are finished and kept in %s; the same command goes on from there",
                work.num_frames,
                work.folder,
            )
        else:
            work.remove()
        raise
    work.remove()


def _render(at_work: OpenedJob, work: _Work, encoding: Encoding) -> None:
    """Render the segments that are missing."""
    job = at_work.job
    total = job.num_frames(at_work.play.end)
    with (
        at_work.models.eyes(job.options.min_face) as eyes,
        closing(_frames(at_work, eyes, start=work.end)) as frames,
    ):
        for index, segment in groupby(frames, key=lambda d: int(d.frame.time // SEGMENT_SECONDS)):
            tally, num_before, begin = Tally(job.fps), work.num_frames, index * SEGMENT_SECONDS
            with NativeWriter(
                work.unfinished(), fps=job.fps, speech=None, encoding=encoding
            ) as writer:
                for drawn in segment:
                    time = drawn.frame.time
                    writer.write(drawn.frame.at(time - begin))
                    tally.add(time, drawn.reason)
                    done = num_before + tally.num_frames
                    job.report(Progress(stage="render", done=done, total=total))
            work.keep(index, tally.outcome())
    if not work.num_frames:
        raise MediaError(f"no frame came of '{job.face}'; check the source video")
    work.complete()


def _frames(
    at_work: OpenedJob, eyes: EyesOnDemand, *, start: Fraction
) -> Generator[Drawn, None, None]:
    job, backend = at_work.job, at_work.backend
    roles = roles_of(at_work, eyes)
    restorer = at_work.models.restorer(job.options.restore)
    if start:
        stage = Stage(job=job, roles=roles, eyes=eyes, backend=backend, restorer=restorer)
        return stream_from(stage, start)
    return stream_job(
        job, roles, eyes=eyes, backend=backend, tracks=tracks_of(at_work), restorer=restorer
    )


def _join(at_work: OpenedJob, work: _Work, out: Path, *, end: Fraction) -> None:
    joined = work.unfinished("joined")  # in the folder, so that a kill leaves nothing beside it
    join_pieces(
        work.pieces(),
        joined,
        end=end,
        speech=at_work.play.sound(),
        extras=extras_of(at_work.job, at_work.play),
    )
    try:
        joined.replace(out)
    except OSError as err:
        raise MediaError(f"cannot write '{out}' ({err.strerror}); check the name") from err


def _merged(outcomes: Sequence[Outcome]) -> Outcome:
    """What became of the frames of several segments, one after the other."""
    begun: list[tuple[Fraction, Reason]] = []
    for stretch in (stretch for outcome in outcomes for stretch in outcome.stretches):
        if not begun or begun[-1][1] != stretch.reason:
            begun.append((stretch.start, stretch.reason))
    duration = outcomes[-1].duration if outcomes else Fraction(0)
    return Outcome(
        num_frames=sum(outcome.num_frames for outcome in outcomes),
        num_synced=sum(outcome.num_synced for outcome in outcomes),
        stretches=stretches_of(begun, duration),
        duration=duration,
    )


def _row_of(segment: _Segment) -> dict[str, object]:
    """A segment as it stands in the state."""
    outcome = segment.outcome
    return {
        "index": segment.index,
        "num_bytes": segment.num_bytes,
        "num_frames": outcome.num_frames,
        "num_synced": outcome.num_synced,
        "stretches": [[str(s.start), str(s.end), s.reason] for s in outcome.stretches],
        "duration": str(outcome.duration),
    }


def _segment_of(row: Mapping[str, Any]) -> _Segment:
    stretches = tuple(
        Stretch(Fraction(start), Fraction(end), reason) for start, end, reason in row["stretches"]
    )
    return _Segment(
        index=int(row["index"]),
        start=stretches[0].start,
        num_bytes=int(row["num_bytes"]),
        outcome=Outcome(
            num_frames=int(row["num_frames"]),
            num_synced=int(row["num_synced"]),
            stretches=stretches,
            duration=Fraction(row["duration"]),
        ),
    )
