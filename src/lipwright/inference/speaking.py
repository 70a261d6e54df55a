"""Who of several people speaks: whose mouth fits the sound of the video best."""

import logging
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import NoFaceError
from lipwright.faces.expert import LandmarkExpert
from lipwright.faces.motion import lip_motion
from lipwright.faces.people import Person, Sighting
from lipwright.speech import (
    EXPERT_FPS,
    EXPERT_LEAD,
    Mel,
    cut_windows,
    expert_columns,
    window_starts,
)

log = logging.getLogger(__name__)

MAX_SHIFT = 8  # frames to either side by which sound and picture of a video may be apart
LEAST_FRAMES = 19  # of a stretch that is listened to, 25 a second
LEAST_FIT = 0.05
"""Similarity above that of other shifts from which on somebody speaks; see :func:`fits`."""
_MAX_HOLE = Fraction(1, 10)  # seconds between two frames of one stretch


def speaking_person(people: Sequence[Person], mel: Mel, expert: LandmarkExpert) -> Person:
    """The person whose mouth fits the sound best.

    If nobody's does, it is the person who comes nearest to it, and that is logged.

    Args:
        people: Who were seen; see ``faces.people.find_people``.
        mel: ``(80, num_columns)`` float32 of the video's own sound; column 0 at time zero.
        expert: Compares.

    Raises:
        NoFaceError: If nobody was seen.
    """
    if not people:
        raise NoFaceError("nobody is seen who could be speaking; see --min-face")
    if len(people) == 1:
        return people[0]
    found = [fit(person, mel, expert) for person in people]
    evidence = [alike * np.sqrt(num) for alike, num in found]
    best = int(np.argmax(evidence))
    if found[best][0] < LEAST_FIT:
        log.warning(
            "nobody's mouth fits the sound well; taken is whose comes nearest, by %.2f over %d "
            "windows. Name the person by index:N or point:X,Y if it is the wrong one",
            *found[best],
        )
    return people[best]


def fit(person: Person, mel: Mel, expert: LandmarkExpert) -> tuple[float, int]:
    """How well a person's mouth fits a sound.

    As ``corpus.offset`` compares them: similarity at the best shift, less the median over shifts,
    but over all stretches in which the person is seen, and with the sound beyond them.

    Args:
        person: Who is seen.
        mel: See :func:`speaking_person`.
        expert: Compares.

    Returns:
        The fit, 0 for none and 1 at most, and from how many windows.
    """
    columns = expert_columns(expert.frames)
    sums, counts = np.zeros(2 * MAX_SHIFT + 1), np.zeros(2 * MAX_SHIFT + 1)
    num_windows = 0
    for sighting in person.sightings:
        for start, points in _stretches(sighting, least=max(LEAST_FRAMES, expert.frames)):
            lips = expert.embed_lips(lip_motion(points))
            times = [
                start + Fraction(index, EXPERT_FPS)
                for index in range(-MAX_SHIFT, len(lips) + MAX_SHIFT)
            ]
            starts = window_starts(times, lead=EXPERT_LEAD)
            speech = expert.embed_speech(cut_windows(mel, starts, length=columns))
            middles = starts + columns // 2
            is_heard = (middles >= 0) & (middles < mel.shape[1])
            for shift in range(len(sums)):
                alike = (lips * speech[shift : shift + len(lips)]).sum(axis=1)
                heard = is_heard[shift : shift + len(lips)]
                sums[shift] += alike[heard].sum()
                counts[shift] += heard.sum()
            num_windows += len(lips)
    if not counts.all():
        return 0.0, num_windows
    alike = sums / counts
    return float(alike.max() - np.median(alike)), num_windows


def _stretches(sighting: Sighting, *, least: int) -> list[tuple[Fraction, NDArray[np.float32]]]:
    """Stretches without holes, of so many frames at 25 a second: their starts, and their points."""
    times = np.array([float(time) for time in sighting.times])
    ends = np.flatnonzero(np.diff(times) > float(_MAX_HOLE)) + 1
    found = []
    for part in np.split(np.arange(len(times)), ends):
        num = int((times[part[-1]] - times[part[0]]) * EXPERT_FPS) + 1
        if num < least:
            continue
        asked = times[part[0]] + np.arange(num) / EXPERT_FPS
        points = sighting.points[part].reshape(len(part), -1)
        columns = [np.interp(asked, times[part], column) for column in points.T]
        taken = np.stack(columns, axis=1).reshape(num, -1, 2).astype(np.float32)
        found.append((sighting.times[part[0]], taken))
    return found
