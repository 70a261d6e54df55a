"""See what a job will look like: a sheet of some of its frames, without a video being encoded."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.checkpoints.home import written_whole
from lipwright.errors import ConfigError, MediaError
from lipwright.inference.casting import Voice
from lipwright.inference.job import Picture, Progress, Reason, SyncOptions
from lipwright.inference.networks import Models
from lipwright.inference.part import Stage, stream_moments
from lipwright.inference.pipeline import OpenedJob, opened, require_apart, roles_of
from lipwright.media.native_rgb import rgb
from lipwright.media.output import require_folder_of

MOST_FRAMES = 64
COLUMNS = 4
TILE = 480  # pixels of a tile's longer side
_CAPTION = 26  # pixels below a tile
_PAPER, _INK = 24, (235, 235, 235)


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """One frame of a preview."""

    time: Fraction
    """When it is shown, in seconds of the job's output."""
    reason: Reason
    """Whether its mouth was drawn anew, or why not."""


def preview(
    face: str | Path,
    speech: str | Path | Sequence[Voice],
    out_png: str | Path,
    *,
    num_frames: int = 8,
    model: str | Path = DEFAULT_MODEL,
    options: SyncOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[PreviewFrame, ...]:
    """Draw a sheet of frames spread evenly over a job.

    The source is decoded as far as the last of them, but faces are followed and mouths drawn
    only where a frame is shown.

    Args:
        face: See :func:`lipwright.sync`.
        speech: See there.
        out_png: The sheet: a ``.png``. An existing file is replaced.
        num_frames: 1 to ``MOST_FRAMES``.
        model: See :func:`lipwright.sync`.
        options: See there; no segment, and not the released mode.
        on_progress: Called after every frame drawn.

    Returns:
        What is on the sheet, row by row; fewer frames where the output has fewer.

    Raises:
        LipwrightError: As :func:`lipwright.sync`; a frame without a face is shown as it is.
    """
    out, options = Path(out_png), options or SyncOptions()
    if not 1 <= num_frames <= MOST_FRAMES:
        raise ConfigError(f"a preview has 1 to {MOST_FRAMES} frames, got {num_frames}")
    if options.segment is not None or options.mode == "released":
        raise ConfigError("a preview shows whole videos; leave out --segment and --mode released")
    if out.suffix.lower() != ".png":
        raise MediaError(
            f"a preview is a picture, and '{out}' is no name of one; use {out.stem}.png"
        )
    require_apart(out, face, speech, options)
    require_folder_of(out)
    models = Models(model, options)
    with opened(models, face, speech, options=options, on_progress=on_progress) as at_work:
        frames, tiles = _drawn(at_work, num_frames)
    if not tiles:
        raise MediaError(f"no frame came of '{face}'; check the source video")
    _write(contact_sheet(tiles, [_caption(frame) for frame in frames]), out)
    return tuple(frames)


def _drawn(at_work: OpenedJob, num_frames: int) -> tuple[list[PreviewFrame], list[Picture]]:
    job = at_work.job
    length = job.length(at_work.play.end) or at_work.play.end
    moments = [(index + Fraction(1, 2)) * length / num_frames for index in range(num_frames)]
    frames: list[PreviewFrame] = []
    tiles: list[Picture] = []
    with at_work.models.eyes(job.options.min_face) as eyes:
        roles = roles_of(at_work, eyes)
        restorer = at_work.models.restorer(job.options.restore)
        stage = Stage(job=job, roles=roles, eyes=eyes, backend=at_work.backend, restorer=restorer)
        with closing(stream_moments(stage, moments)) as drawn:
            for one in drawn:
                frames.append(PreviewFrame(one.frame.time, one.reason))
                tiles.append(_small(rgb(one.frame)))
                job.report(Progress(stage="render", done=len(tiles), total=num_frames))
    return frames, tiles


def contact_sheet(tiles: Sequence[Picture], captions: Sequence[str]) -> Picture:
    """Lay pictures side by side, each above its caption.

    Args:
        tiles: One at least, ``(H, W, 3)`` uint8 RGB of one size.
        captions: One for each, in ASCII.

    Returns:
        ``(rows * (H + caption), columns * W, 3)`` uint8 RGB.
    """
    height, width = tiles[0].shape[:2]
    columns = min(COLUMNS, len(tiles))
    rows = ceil(len(tiles) / columns)
    sheet = np.full((rows * (height + _CAPTION), columns * width, 3), _PAPER, dtype=np.uint8)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        top, left = place // columns * (height + _CAPTION), place % columns * width
        sheet[top : top + height, left : left + width] = tile
        foot = np.full((_CAPTION, width, 3), _PAPER, dtype=np.uint8)  # so that no text runs over
        cv2.putText(foot, caption, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
        sheet[top + height : top + height + _CAPTION, left : left + width] = foot
    return sheet


def _caption(frame: PreviewFrame) -> str:
    told = "" if frame.reason == "synced" else f"  {frame.reason}: as it was"
    return f"{float(frame.time):.2f} s{told}"


def _small(pixels: Picture) -> Picture:
    share = TILE / max(pixels.shape[:2])
    if share >= 1:
        return pixels
    height, width = (max(1, round(side * share)) for side in pixels.shape[:2])
    shrunk = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.uint8)


def _write(sheet: NDArray[np.uint8], out: Path) -> None:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    try:
        with written_whole(out) as temporary:
            temporary.write_bytes(encoded.tobytes())
    except OSError as err:
        raise MediaError(f"cannot write '{out}' ({err.strerror}); check the free space") from err
