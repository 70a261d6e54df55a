"""Rates and shapes of video: rows of the matrix of situations."""

from fractions import Fraction

import cv2
import numpy as np
from situation import Command, Situation, as_stored, pictures
from situation_clips import Form, head, marked

NTSC = Fraction(1001, 1000)


def _rate(fps: Fraction, num_frames: int) -> Command:
    form = Form(fps=fps)
    return pictures((head(), num_frames), form=form)


VARIABLE = tuple(Fraction(n, 1000) for n in (0, 40, 60, 140, 150, 190, 290, 300, 340, 400, 440))


def _sideways() -> Command:
    """Stored on its side, shown upright."""
    stored = np.ascontiguousarray(np.rot90(marked(head(), 3)))
    return as_stored(stored, Form(rotation=270))


SQUEEZED = np.asarray(cv2.resize(head(), (160, 240), interpolation=cv2.INTER_AREA))
INTERLACED = Form(
    is_interlaced=True, options={"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "10"}
)

RATES = (
    Situation(
        "variable frame rate", "every time stamp is kept", "test_a_variable_rate_keeps_every_stamp",
        pictures((head(), len(VARIABLE)), form=Form(times=VARIABLE), said=0.48),
    ),
    *(
        Situation(
            f"{name} frames a second", "every time stamp is kept exactly",
            f"test_rates_are_kept_exactly[{name}]", _rate(fps, num_frames),
        )
        for name, fps, num_frames in (
            ("23.976", 24 / NTSC, 10), ("29.97", 30 / NTSC, 12), ("50", Fraction(50), 14),
            ("59.94", 60 / NTSC, 15), ("120", Fraction(120), 30),
        )
    ),
    Situation(
        "interlaced", "made progressive, at the same frame rate",
        "test_interlaced_video_becomes_progressive", as_stored(head(), INTERLACED),
    ),
    Situation(
        "anamorphic (3:2 samples)", "shape of the samples is kept, the mouth fits it",
        "test_an_anamorphic_video_stays_so", as_stored(SQUEEZED, Form(aspect=Fraction(3, 2))),
    ),
    Situation(
        "rotated (phone)", "stays stored on its side and shown upright",
        "test_a_rotated_video_stays_so", _sideways(),
    ),
    Situation(
        "odd width and height", "kept", "test_an_odd_size_is_kept",
        as_stored(
            np.ascontiguousarray(head()[:233, :237]),
            Form(pixel_format="yuv444p"),
        ),
    ),
    Situation(
        "pictures begin 1.5 s late", "picture and speech begin together, at 0",
        "test_a_late_start_is_taken_as_zero",
        pictures(
            (head(), 10), form=Form(times=tuple(Fraction(75 + n, 50) for n in range(0, 20, 2)))
        ),
    ),
)  # fmt: skip
