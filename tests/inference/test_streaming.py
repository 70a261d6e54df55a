"""Stages work ahead of each other, by fewer frames where frames are large; none is kept behind."""

import gc
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import lipwright
from lipwright.inference import Progress, SyncOptions
from lipwright.inference.backend import BATCH_SIZE
from lipwright.inference.job import Job
from lipwright.inference.painter import Painter
from lipwright.inference.schedule import Shown
from lipwright.inference.streaming import DRAWN_AHEAD, FOLLOW_AHEAD, SourceFrame, painted_ahead
from lipwright.media import NativeFrame, VideoInfo

IN_HAND = 4  # frames that neither wait before a stage nor behind it


class Passing:
    """Paints nothing."""

    def paint(self, shown: Iterator[object]) -> Iterator[object]:
        yield from shown


def taken_ahead(width: int, height: int) -> int:
    """How many frames of a size are taken from the source while the second is not asked for."""
    info = VideoInfo(
        width=width,
        height=height,
        fps=Fraction(25),
        num_frames=None,
        duration=None,
        is_still=False,
        has_sound=False,
    )
    job = Job(face=Path("a.mp4"), info=info, options=SyncOptions(), report=lambda _progress: None)
    taken: list[int] = []

    def source() -> Iterator[int]:
        for index in range(100):
            taken.append(index)
            yield index

    shown, painter = cast("Iterator[Shown[SourceFrame]]", source()), cast("Painter", Passing())
    frames = painted_ahead(job, shown, painter)
    next(frames)
    settled = 0
    while settled < len(taken):  # the threads work on
        settled = len(taken)
        time.sleep(0.3)
    frames.close()
    return settled


@pytest.mark.parametrize(
    ("width", "height", "most"),
    [
        (640, 360, FOLLOW_AHEAD + DRAWN_AHEAD),
        (1280, 720, FOLLOW_AHEAD + DRAWN_AHEAD),
        (1920, 1080, 12),
        (3840, 2160, 3),
        (15360, 8640, 2),
    ],
)
def test_fewer_frames_wait_the_larger_they_are(width: int, height: int, most: int) -> None:
    assert most < taken_ahead(width, height) <= most + IN_HAND


def test_pictures_that_were_handed_on_are_let_go(
    astronaut: NDArray[np.uint8], demo_speech: Path, tmp_path: Path
) -> None:
    """Counted in the middle of a job; as many would be held by one of any length."""
    folder = tmp_path / "frames"
    folder.mkdir()
    face = cv2.cvtColor(cv2.resize(astronaut, (256, 256)), cv2.COLOR_RGB2BGR)
    for index in range(110):  # as long as the speech: nothing is kept to go on with
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.roll(face, index % 3, axis=1))
    held: list[int] = []

    def count(progress: Progress) -> None:
        if progress.done in (40, 70, 95):
            pictures = {id(o.picture) for o in gc.get_objects() if type(o) is NativeFrame}
            held.append(len(pictures))

    options = SyncOptions(use_cache=False, extend="trim")
    lipwright.sync(folder, demo_speech, tmp_path / "o.mp4", options=options, on_progress=count)
    lookahead, edited = 8, BATCH_SIZE
    most = FOLLOW_AHEAD + DRAWN_AHEAD + BATCH_SIZE + edited + lookahead + IN_HAND
    assert len(held) == 3
    assert max(held) <= most
