"""What a row of the matrix of situations is, and the commands that most rows are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from situation_clips import Form, head, lasting, marked, words, write_clip, write_speech

Words = list[str | Path]
Command = Callable[[Path], Words]
"""Makes the clips in a folder; gives the words of ``lipwright sync`` but for ``-o``."""
LOSSLESS: Words = ["--crf", "0", "--preset", "ultrafast"]  # what is passed through keeps its bits


@dataclass(frozen=True, slots=True)
class Situation:
    """One row of the matrix."""

    name: str
    """What the video or speech is like, or what is asked for."""
    happens: str
    """What comes of it."""
    test: str
    """Function in `test_situations.py` that holds it."""
    command: Command
    """What is run, on what."""
    out: str = "out.mp4"
    """What is written; - for standard output."""


def usual(
    *options: str | Path, num_frames: int = 15, said: float | None = None, is_exact: bool = True
) -> Command:
    """The head for some frames, speech for as long or as said, and options."""

    def command(folder: Path) -> Words:
        face = write_clip(folder / "face.mp4", lasting(head(), num_frames))
        speech = write_speech(folder / "s.wav", words(num_frames / 25 if said is None else said))
        return [face, speech, *(LOSSLESS if is_exact else []), *options]

    return command


def pictures(
    *pictures: tuple[np.ndarray, int], options: Words | None = None, name: str = "face.mp4",
    form: Form | None = None, said: float | None = None,
) -> Command:  # fmt: skip
    """Pictures for some frames each; speech for as long or as said, and options."""

    def command(folder: Path) -> Words:
        each = [picture for picture, times in pictures for _ in range(times)]
        shown = [marked(picture, index) if picture.shape[2] == 3 else picture
                 for index, picture in enumerate(each)]  # fmt: skip
        face = write_clip(folder / name, shown, form)
        seconds = len(shown) / float((form or Form()).fps) if said is None else said
        speech = write_speech(folder / "s.wav", words(seconds))
        return [face, speech, *(LOSSLESS if options is None else options)]

    return command


def as_stored(picture: np.ndarray, form: Form | None = None, *, num_frames: int = 10,
               name: str = "face.mp4", options: Words | None = None) -> Command:  # fmt: skip
    """A picture as it is stored, for some frames, and speech for as long."""

    def command(folder: Path) -> Words:
        face = write_clip(folder / name, [picture] * num_frames, form)
        speech = write_speech(folder / "s.wav", words(num_frames / 25))
        return [face, speech, *(LOSSLESS if options is None else options)]

    return command
