"""Faces and people as videos show them: rows of the matrix of situations."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
from situation import LOSSLESS, Situation, Words, pictures, usual
from situation_clips import (
    covered,
    defocused,
    head,
    lasting,
    lit,
    other_head,
    rolled,
    wall,
    words,
    write_clip,
    write_speech,
)

from lipwright.cli import main

PAIR = np.hstack([head(), other_head()])
AWAY = covered((66, 30, 182, 180), (150, 125, 115))  # something comes before the whole face
GONE = AWAY, 15
COMES_AND_GOES = (head(), 10), (wall(), 10), (head(), 10)
OUT_OF_FOCUS = (head(), 8), (defocused(), 22), (head(), 4)
IS_HIDDEN = (head(), 8), GONE, (head(), 8)


def _map_of_two(folder: Path) -> Words:
    face = write_clip(folder / "face.mp4", lasting(PAIR, 30))
    write_speech(folder / "a.wav", words(1.2))
    write_speech(folder / "b.wav", words(0.6, start=1))
    voices = folder / "voices.toml"
    voices.write_text(
        '[[voice]]\nface = "index:1"\nspeech = "a.wav"\n'
        '[[voice]]\nface = "index:2"\nspeech = "b.wav"\noffset = 0.6\n'
    )
    return [face, "--map", voices, *LOSSLESS]


def _two_of_whom_one_speaks(folder: Path) -> Words:
    """The right one says two seconds, drawn by Lipwright itself; then others' words are asked."""
    seconds = 2.0
    said = write_speech(folder / "said.wav", words(seconds))
    still = folder / "pair.png"
    cv2.imwrite(str(still), cv2.cvtColor(PAIR, cv2.COLOR_RGB2BGR))
    talking = folder / "talking.mp4"
    command = ["sync", str(still), str(said), "-o", str(talking), "--face", "index:2"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        main([*command, "--precision", "fp32"])
    speech = write_speech(folder / "s.wav", words(0.4, start=2))
    return [talking, speech, *LOSSLESS, "--face", "speaking"]


FACES = (
    Situation(
        "one face all along",
        "mouth drawn in every frame; every other sample keeps its bits",
        "test_only_the_mouth_changes",
        usual(num_frames=20),
    ),
    Situation(
        "face comes and goes",
        "frames without a face pass through unchanged, told as `no face`",
        "test_frames_without_a_face_pass_through",
        pictures(*COMES_AND_GOES),
    ),
    Situation(
        "face out of sight for 0.2 s",
        "nothing is told; the frames in between stay as they are",
        "test_a_short_gap_is_bridged",
        pictures((head(), 8), (AWAY, 5), (head(), 8)),
    ),
    Situation(
        "face hidden for 0.6 s, --on-no-face pass",
        "no mouth on what hides it",
        "test_nothing_is_drawn_on_what_hides_a_face",
        pictures(*IS_HIDDEN),
    ),
    Situation(
        "face out of focus for 0.9 s, --on-no-face hold",
        "drawn where the face was last seen in the shot",
        "test_a_held_face_is_drawn_where_it_was",
        pictures(*OUT_OF_FOCUS, options=[*LOSSLESS, "--on-no-face", "hold"]),
    ),
    Situation(
        "--on-no-face fail",
        "stops at the first such frame, names it and the ways out; no file",
        "test_a_job_may_fail_where_no_face_is",
        pictures(*COMES_AND_GOES, options=["--on-no-face", "fail"]),
    ),
    Situation(
        "nobody at all",
        "error that names `--min-face`; no file",
        "test_nobody_at_all_is_an_error",
        pictures((wall(), 10)),
    ),
    Situation(
        "cut to another place",
        "the mouth is drawn where the face is in each shot, never across the cut",
        "test_a_face_is_not_followed_across_a_cut",
        pictures((np.hstack([head(), wall()]), 12), (np.hstack([wall(), head()]), 12)),
    ),
    Situation(
        "two people, --face index:2",
        "only the second from the left changes",
        "test_a_person_is_chosen_by_number",
        pictures((PAIR, 12), options=[*LOSSLESS, "--face", "index:2"]),
    ),
    Situation(
        "two people, --face point:X,Y",
        "only the one at these pixels changes",
        "test_a_person_is_chosen_by_a_point",
        pictures((PAIR, 12), options=[*LOSSLESS, "--face", "point:120,120"]),
    ),
    Situation(
        "two people change places at a cut",
        "the chosen person is found again by sight",
        "test_a_person_is_found_again_after_a_cut",
        pictures(
            (PAIR, 12), (np.hstack([other_head(), head()]), 12),
            options=[*LOSSLESS, "--face", "index:1"],
        ),
    ),
    Situation(
        "two people, --face speaking",
        "the one whose mouth fits the video's sound changes",
        "test_who_speaks_is_heard",
        _two_of_whom_one_speaks,
    ),
    Situation(
        "two people, --map",
        "each says a speech of their own; both are heard",
        "test_two_people_say_two_speeches",
        _map_of_two,
    ),
    Situation(
        "--face index:3 of two people",
        "error that says how many there are; no file",
        "test_a_person_who_is_not_there_is_an_error",
        pictures((PAIR, 6), options=["--face", "index:3"]),
    ),
    Situation(
        "head leans 55 degrees to one side",
        "found, drawn turned",
        "test_a_leaning_head_is_drawn_turned",
        pictures((rolled(55), 10)),
    ),
    Situation(
        "head leans 50 degrees to the other",
        "found, drawn turned",
        "test_a_head_that_leans_the_other_way_is_drawn_turned",
        pictures((rolled(-50), 10)),
    ),
    Situation(
        "mouth covered",
        "fades out; those frames keep their bits, told as `hidden`",
        "test_a_covered_mouth_stays_covered",
        pictures((head(), 10), (covered((84, 118, 164, 175), (40, 60, 160)), 15), (head(), 10)),
    ),
    Situation(
        "face of 40 pixels",
        "found and drawn",
        "test_a_tiny_face_is_drawn",
        pictures((np.asarray(cv2.resize(head(), (96, 96), interpolation=cv2.INTER_AREA)), 10)),
    ),
    Situation(
        "face of 1000 pixels",
        "drawn, coarser than the video: a warning names `--restore`",
        "test_a_huge_face_is_drawn_with_a_warning",
        pictures(
            (cv2.resize(head()[20:210, 30:230], (2000, 1900), interpolation=cv2.INTER_CUBIC), 5)
        ),
    ),
    Situation(
        "dark picture", "found and drawn as dark", "test_a_dark_face_stays_dark",
        pictures((lit(0.15), 10)),
    ),
    Situation(
        "overexposed picture", "found and drawn as bright", "test_a_bright_face_stays_bright",
        pictures((lit(1.7), 10)),
    ),
)  # fmt: skip
