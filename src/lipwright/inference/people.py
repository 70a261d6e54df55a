"""Find whom a job means: from choices as they are given to people who can be followed."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_EXPERT, model_path
from lipwright.errors import ConfigError, MediaError
from lipwright.faces.choose import FaceChoice, PersonSpeaking, Who
from lipwright.faces.expert import LandmarkExpert
from lipwright.faces.follow import KnowingEyes
from lipwright.faces.people import (
    FIRST_SECONDS,
    SCAN_SECONDS,
    Person,
    chosen_person,
    find_people,
    known_person,
)
from lipwright.inference.speaking import speaking_person
from lipwright.media import SPEECH_RATE, NativeFrame, read_native, read_speech_blocks
from lipwright.speech import mel_of

log = logging.getLogger(__name__)

_HEARD_BEYOND = Fraction(2)  # seconds after the last picture: mouths are compared at shifts


def whom_to_follow(
    source: Path, choices: Sequence[FaceChoice], eyes: KnowingEyes[NativeFrame]
) -> tuple[Who, ...]:
    """Look at the beginning of a video, as far as the choices need it.

    Args:
        source: The video.
        choices: Whom to follow; see ``faces.choose.parse_choice``.
        eyes: See, and tell people apart.

    Returns:
        One for each choice, for ``faces.follow.follow_people``.

    Raises:
        NoFaceError: If nobody is seen, or fewer than are counted.
        ConfigError: If two choices are one person, or who speaks is asked of a silent video.
        MediaError: If the video cannot be read.
    """
    positions = [choice for choice in choices if isinstance(choice, str)]
    if len(positions) == len(choices):
        _require_apart(positions, choices)
        return tuple(positions)
    is_heard = any(isinstance(choice, PersonSpeaking) for choice in choices)
    seconds = SCAN_SECONDS if is_heard else FIRST_SECONDS
    frames = ((frame, frame.time) for frame in read_native(source))
    people = find_people(frames, eyes, seconds=seconds)
    log.info("%d people are seen at the beginning of %s", len(people), source)
    meant: list[Person | str] = []
    for choice in choices:
        if isinstance(choice, PersonSpeaking):
            meant.append(_speaking(source, people, seconds=seconds))
        else:
            meant.append(choice if isinstance(choice, str) else chosen_person(people, choice))
    _require_apart(meant, choices)
    return tuple(who if isinstance(who, str) else known_person(who, people) for who in meant)


def _speaking(source: Path, people: Sequence[Person], *, seconds: Fraction) -> Person:
    try:
        mel = mel_of(_beginning(read_speech_blocks(source), seconds + _HEARD_BEYOND))
    except MediaError as err:
        raise ConfigError(
            f"face speaking: who speaks is told by the video's own sound, and there is none "
            f"({err}); give index:N or point:X,Y"
        ) from err
    return speaking_person(people, mel, LandmarkExpert(model_path(DEFAULT_EXPERT)))


def _beginning(
    blocks: Iterable[NDArray[np.float32]], seconds: Fraction
) -> Iterator[NDArray[np.float32]]:
    """As much of a speech as begins it."""
    num_samples = 0
    for block in blocks:
        yield block
        num_samples += block.size
        if num_samples >= seconds * SPEECH_RATE:
            return


def _require_apart(meant: Sequence[Person | str], choices: Sequence[FaceChoice]) -> None:
    for at, who in enumerate(meant):
        for before in range(at):
            if who == meant[before]:
                raise ConfigError(
                    f"{choices[before]} and {choices[at]} are one person; each can say one speech"
                )
