"""Are sound and picture of a data set together? Offset and confidence of every clip, and advice.

Training data that is out of sync is the usual reason why a lip-sync model learns nothing. Most of
it is out by one constant: a whole folder was recorded or cut by one machine. So the advice is a
shift per folder where its clips agree, and a list of clips to leave out where they do not.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from lipwright.checkpoints import written_whole
from lipwright.corpus.ledger import Rejection
from lipwright.corpus.offset import MAX_SHIFT, Offset, open_meter
from lipwright.corpus.pool import run_jobs
from lipwright.corpus.sources import ClipSource, find_clips
from lipwright.corpus.stages import PrepareConfig, prepare_clip
from lipwright.errors import ConfigError, CorpusError
from lipwright.faces import Mtcnn

FORMAT = "lipwright-audit-1"
_BAR = 40  # characters of the longest bar of the histogram


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRule:
    """When a measurement counts, and when a clip is to be left out."""

    min_confidence: float = 0.15
    """From where on a measured offset is taken to be sure; see ``corpus.offset``."""
    max_offset: int = 2
    """Frames by which a clip may differ from its folder's shift."""
    min_sure: int = 3
    """Clips of a folder that must be sure to suggest a shift."""
    min_agreement: float = 0.6
    """Share of a folder's sure clips that must lie within a frame of the shift to suggest it."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_agreement <= 1 or self.max_offset < 0:
            raise ConfigError(
                f"min_agreement must be from 0 to 1 and max_offset at least 0, got "
                f"{self.min_agreement} and {self.max_offset}"
            )
        if self.min_sure < 1:
            raise ConfigError(f"min_sure must be at least 1, got {self.min_sure}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditedClip:
    """What was measured of one clip."""

    clip: str
    """Its name: its path below the audited folder, without suffix."""
    offset_frames: int | None = None
    """By how many frames the sound must be moved later to fit the picture."""
    confidence: float | None = None
    """How sure that is; see ``corpus.offset``."""
    reason: str = ""
    """Why nothing could be measured; empty if something was."""

    @property
    def folder(self) -> str:
        """The part of the name before the last slash."""
        return self.clip.rpartition("/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderAdvice:
    """What to do with the clips of one folder."""

    num_clips: int
    """Clips that were measured."""
    num_sure: int
    """Of those, measured with confidence."""
    shift_frames: int
    """Move the sound of every clip later by this much: 0 where nothing is to be done."""
    agreement: float
    """Share of the sure clips within a frame of the shift; 0 without any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """A data set, measured."""

    clips: tuple[AuditedClip, ...]
    """In order of name."""
    rule: AuditRule
    """By which advice is given."""

    def advice(self) -> dict[str, FolderAdvice]:
        """Folder -> what to do with its clips."""
        by_folder = defaultdict(list)
        for clip in self.clips:
            if clip.offset_frames is not None:
                by_folder[clip.folder].append(clip)
        return {name: self._advice(clips) for name, clips in sorted(by_folder.items())}

    def _advice(self, clips: Sequence[AuditedClip]) -> FolderAdvice:
        sure = np.array([c.offset_frames for c in clips if self._is_sure(c)], dtype=int)
        # The shift that most agree with; of equals the smallest.
        candidates = sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs)
        shift = max(candidates, key=lambda s: int((np.abs(sure - s) <= 1).sum()))
        if sure.size and abs(shift - (middle := int(np.round(np.median(sure))))) <= 1:
            shift = middle
        agreement = float(np.mean(np.abs(sure - shift) <= 1)) if sure.size else 0.0
        is_agreed = agreement >= self.rule.min_agreement and sure.size >= self.rule.min_sure
        is_agreed = is_agreed and abs(shift) > 1
        return FolderAdvice(
            num_clips=len(clips),
            num_sure=int(sure.size),
            shift_frames=shift if is_agreed else 0,
            agreement=agreement,
        )

    def _is_sure(self, clip: AuditedClip) -> bool:
        return clip.confidence is not None and clip.confidence >= self.rule.min_confidence

    def to_drop(self) -> dict[str, str]:
        """Clip -> why it should be left out."""
        shifts = {name: advice.shift_frames for name, advice in self.advice().items()}
        dropped = {}
        for clip in self.clips:
            if clip.reason:
                dropped[clip.clip] = clip.reason
            elif clip.offset_frames is not None and self._is_sure(clip):
                left = clip.offset_frames - shifts[clip.folder]
                if abs(left) > self.rule.max_offset:
                    dropped[clip.clip] = (
                        f"out of sync: sound is {left:+d} frames off, confidence "
                        f"{clip.confidence:.2f}"
                    )
        return dropped

    def histogram(self) -> str:
        """Sure clips by offset, as bars of text."""
        sure = [c.offset_frames for c in self.clips if self._is_sure(c)]
        counts = {offset: sure.count(offset) for offset in range(-MAX_SHIFT, MAX_SHIFT + 1)}
        most = max(1, *counts.values())
        return "\n".join(
            f"{offset:+3d} {count:6d} {'#' * -(-_BAR * count // most)}"
            for offset, count in counts.items()
        )

    def corrections(self) -> dict[str, tuple[int, Offset]]:
        """What preparation needs of the clips that were measured.

        Returns:
            Clip -> frames by which to move its sound later, and what is then left of its offset.
        """
        shifts = {name: advice.shift_frames for name, advice in self.advice().items()}
        corrections = {}
        for clip in self.clips:
            if clip.offset_frames is not None and clip.confidence is not None:
                shift = shifts[clip.folder]
                left = Offset(frames=clip.offset_frames - shift, confidence=clip.confidence)
                corrections[clip.clip] = (shift, left)
        return corrections


def audit_clips(
    folders: Sequence[Path],
    *,
    expert: Path,
    rule: AuditRule | None = None,
    min_face: float = 0.15,
    num_workers: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Audit:
    """Measure every clip below some folders.

    Args:
        folders: Where the clips are: any layout that ``lipwright prepare`` takes.
        expert: ONNX file of an expert.
        rule: By which advice is given.
        min_face: Height of the smallest face looked for, as a share of the picture's shorter side.
        num_workers: Processes.
        on_progress: Called with clips done and clips in all.

    Returns:
        The audit.

    Raises:
        CorpusError: If nothing is found.
        ConfigError: If a number is out of range.
        CheckpointError: If the expert is missing, damaged or another network.
    """
    if num_workers < 1:
        raise ConfigError(f"num_workers must be at least 1, got {num_workers}")
    sources = find_clips(folders)
    open_meter(expert)  # refused here, once, and not in every worker
    config = replace(PrepareConfig(min_face=min_face), max_offset=MAX_SHIFT)
    clips = []
    outcomes = run_jobs(
        sources,
        _work,
        start=partial(_start_worker, config, expert),
        name=lambda source: source.clip,
        num_workers=num_workers,
    )
    for clip in outcomes:
        clips.append(clip)
        on_progress(len(clips), len(sources))
    return Audit(clips=tuple(sorted(clips, key=lambda clip: clip.clip)), rule=rule or AuditRule())


class _Worker:
    """What a worker process keeps between clips."""

    def __init__(self, config: PrepareConfig, expert: Path) -> None:
        self.config = config
        self.detector = Mtcnn(min_face=config.min_face, num_threads=1)
        self.meter = open_meter(expert)

    def work(self, source: ClipSource) -> AuditedClip:
        outcome = prepare_clip(
            source, self.detector, self.meter, config=self.config, speaker=source.clip
        )
        if isinstance(outcome, Rejection):
            return AuditedClip(clip=source.clip, reason=outcome.reason)
        _, offset = outcome
        assert offset is not None, "a meter was given"  # noqa: S101
        return AuditedClip(
            clip=source.clip,
            offset_frames=offset.frames,
            confidence=round(offset.confidence, 4),
        )


_worker: _Worker | None = None  # set once in each worker process, never in the caller's


def _start_worker(config: PrepareConfig, expert: Path) -> None:
    global _worker  # noqa: PLW0603 - the pool offers no other way to keep something per process
    _worker = _Worker(config, expert)


def _work(source: ClipSource) -> AuditedClip:
    assert _worker is not None, "the pool's initializer has run"  # noqa: S101
    return _worker.work(source)


def write_audit(audit: Audit, path: Path) -> None:
    """Write an audit as JSON, with its advice, under a temporary name; then rename.

    Args:
        audit: What was measured.
        path: File to write; its folder is created.

    Raises:
        CorpusError: If the file cannot be written.
    """
    record = {
        "format": FORMAT,
        "rule": asdict(audit.rule),
        "folders": {name: asdict(advice) for name, advice in audit.advice().items()},
        "drop": audit.to_drop(),
        "clips": [asdict(clip) for clip in audit.clips],
    }
    try:
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as err:
        raise CorpusError(f"cannot write {path}: {err}; check the folder") from err


def read_audit(path: Path) -> Audit:
    """Read what :func:`write_audit` wrote.

    Raises:
        CorpusError: If the file is missing, damaged or something else.
    """
    try:
        record: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise CorpusError(f"{path} is no audit of this version: {record['format']!r}")
        clips: Iterable[dict[str, object]] = record["clips"]  # type: ignore[assignment]
        return Audit(
            clips=tuple(AuditedClip(**clip) for clip in clips),  # type: ignore[arg-type]
            rule=AuditRule(**record["rule"]),  # type: ignore[arg-type]
        )
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise CorpusError(f"cannot read the audit {path}: {err!r}; run the audit again") from err
