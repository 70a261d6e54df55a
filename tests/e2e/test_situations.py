"""`lipwright sync` on video as people have it: one test for each row of the matrix."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray
from situation_clips import FPS, MOUTH, PATCH, SIDE, tone, words
from situation_results import (
    Box,
    Luma,
    all_within,
    change,
    changes,
    film,
    is_within,
    motion,
    shown,
    stream_of,
)
from situations import SITUATIONS, Played, play
from situations_of_rates import VARIABLE

from lipwright.media import SPEECH_RATE, read_speech

Play = Callable[[str], Played]
RIGHT = (MOUTH[0] + SIDE, MOUTH[1], MOUTH[2] + SIDE, MOUTH[3])  # of the second of two heads
MIRRORED = (2 * SIDE - MOUTH[2], MOUTH[1], 2 * SIDE - MOUTH[0], MOUTH[3])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """What came of a situation, made when it is first asked for."""
    known: dict[str, Played] = {}

    def of(name: str) -> Played:
        if name not in known:
            known[name] = play(SITUATIONS[name], tmp_path_factory.mktemp("situation"))
        return known[name]

    return of


@pytest.fixture
def made(played: Play) -> Play:
    """The same, of a situation that ends well."""

    def of(name: str) -> Played:
        result = played(name)
        assert result.code == 0, result.told
        return result

    return of


def require_failure(result: Played, *said: str) -> None:
    """An error that says all this, and no file."""
    assert result.code == 1
    for text in said:
        assert text in result.told
    assert "Traceback" not in result.told
    assert list(result.out.parent.iterdir()) == []


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    rows = {row.test.partition("[")[0] for row in SITUATIONS.values()}
    tests = {name for name in globals() if name.startswith("test_")}
    assert rows == tests - {"test_every_row_has_its_test_and_every_test_its_row"}
    assert len(SITUATIONS) >= 40


# ---- faces


def test_only_the_mouth_changes(made: Play) -> None:
    result = made("one face all along")
    assert result.result["num_synced"] == result.result["num_frames"] == 20
    assert len(changes(result)) == 20
    assert all_within(changes(result), MOUTH)
    assert motion(film(result.out)[1]) > 5 * motion(film(result.face)[1])
    assert "WARNING" not in result.told


def test_frames_without_a_face_pass_through(made: Play) -> None:
    result = made("face comes and goes")
    boxes = changes(result)
    assert boxes[10:20] == [None] * 10
    assert all_within(boxes[:10] + boxes[20:], MOUTH)
    assert result.fates == [(0, 0.4, "synced"), (0.4, 0.8, "no face"), (0.8, 1.2, "synced")]


def test_a_short_gap_is_bridged(made: Play) -> None:
    result = made("face out of sight for 0.2 s")
    boxes = changes(result)
    assert all_within(boxes[:8] + boxes[13:], MOUTH)
    assert boxes[8:13] == [None] * 5
    assert [fate for *_, fate in result.fates] == ["synced", "hidden", "synced"]


def test_nothing_is_drawn_on_what_hides_a_face(made: Play) -> None:
    result = made("face hidden for 0.6 s, --on-no-face pass")
    boxes = changes(result)
    assert all_within(boxes[:8] + boxes[23:], MOUTH)
    assert boxes[8:23] == [None] * 15
    assert {fate for *_, fate in result.fates} == {"synced", "hidden", "no face"}


def test_a_held_face_is_drawn_where_it_was(made: Play) -> None:
    result = made("face out of focus for 0.9 s, --on-no-face hold")
    assert result.fates == [(0, 1.36, "synced")]
    for box in changes(result):
        assert box is not None
        off = np.abs(np.add(box[:2], box[2:]) - np.add(MOUTH[:2], MOUTH[2:])).max() / 2
        # Landmarks slide off a face that can no longer be made out, until the detector looks.
        assert off < 0.4 * (MOUTH[2] - MOUTH[0])


def test_a_job_may_fail_where_no_face_is(played: Play) -> None:
    result = played("--on-no-face fail")
    require_failure(result, "no face in frame 10", "at 0.40 s", "--on-no-face pass")


def test_nobody_at_all_is_an_error(played: Play) -> None:
    require_failure(played("nobody at all"), "no face in any of the 10 frames", "--min-face")


def test_a_face_is_not_followed_across_a_cut(made: Play) -> None:
    boxes = changes(made("cut to another place"))
    assert all_within(boxes[:12], MOUTH)
    assert all_within(boxes[12:], RIGHT)


def test_a_person_is_chosen_by_number(made: Play) -> None:
    assert all_within(changes(made("two people, --face index:2")), MIRRORED)


def test_a_person_is_chosen_by_a_point(made: Play) -> None:
    assert all_within(changes(made("two people, --face point:X,Y")), MOUTH)


def test_a_person_is_found_again_after_a_cut(made: Play) -> None:
    boxes = changes(made("two people change places at a cut"))
    assert all_within(boxes[:12], MOUTH)
    assert all_within(boxes[12:], RIGHT)


def test_who_speaks_is_heard(made: Play) -> None:
    assert all_within(changes(made("two people, --face speaking")), MIRRORED)


def test_two_people_say_two_speeches(made: Play) -> None:
    result = made("two people, --map")
    before, after = film(result.face)[1], film(result.out)[1]
    halves = [
        [change(b[:, part], a[:, part]) for b, a in zip(before, after, strict=True)]
        for part in (slice(0, SIDE), slice(SIDE, None))
    ]
    assert all_within(halves[0], MOUTH)
    assert all_within(halves[1], tuple(np.array(MIRRORED) - (SIDE, 0, SIDE, 0)))
    # The second one is at rest until it is nearly his turn.
    assert motion(after[16:], MIRRORED) > 2 * motion(after[:8], MIRRORED)
    heard, both = read_speech(result.out), words(1.2)
    both[SPEECH_RATE * 6 // 10 :] += words(0.6, start=1)
    assert likeness(heard, both) > 0.95
    assert likeness(heard, words(1.2)) < 0.95


def test_a_person_who_is_not_there_is_an_error(played: Play) -> None:
    result = played("--face index:3 of two people")
    require_failure(result, "face index:3", "shows 2", "index:1 to index:2")


def leaning(degrees: float) -> Box:
    """Where the mouth of a head is that leans by so many degrees about the middle of the face."""
    middle = np.array([(MOUTH[0] + MOUTH[2]) / 2, (63 + 167) / 2])
    turn = np.deg2rad(degrees)
    corners = np.array([(x, y) for x in MOUTH[::2] for y in MOUTH[1::2]]) - middle
    to = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    placed = corners @ to.T + middle
    low, high = placed.min(axis=0), placed.max(axis=0)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def test_a_leaning_head_is_drawn_turned(made: Play) -> None:
    boxes = changes(made("head leans 55 degrees to one side"))
    assert all_within(boxes, leaning(55))
    assert all(box is not None and box[1] < 110 and box[2] > 160 for box in boxes)


def test_a_head_that_leans_the_other_way_is_drawn_turned(made: Play) -> None:
    boxes = changes(made("head leans 50 degrees to the other"))
    assert all_within(boxes, leaning(-50))
    assert all(box is not None and box[1] < 115 and box[0] < 90 for box in boxes)


def test_a_covered_mouth_stays_covered(made: Play) -> None:
    result = made("mouth covered")
    before, after = film(result.face)[1], film(result.out)[1]
    off = [int(np.abs(a.astype(int) - b).max()) for b, a in zip(before, after, strict=True)]
    assert min(off[:10] + off[27:]) > 20
    assert max(off[14:25]) <= 8  # it fades within 0.16 s
    assert off[23:25] == [0, 0]
    assert [fate for *_, fate in result.fates] == ["synced", "hidden", "synced"]


def test_a_tiny_face_is_drawn(made: Play) -> None:
    place = tuple(round(edge * 96 / SIDE) for edge in MOUTH)
    assert all_within(changes(made("face of 40 pixels")), place)


def test_a_huge_face_is_drawn_with_a_warning(made: Play) -> None:
    result = made("face of 1000 pixels")
    place = tuple(np.array([MOUTH[0] - 30, MOUTH[1] - 20, MOUTH[2] - 30, MOUTH[3] - 20]) * 10)
    assert all_within(changes(result), place)
    (said,) = re.findall(
        r"WARNING: a face is (\d+) pixels wide and is drawn at 160.*--restore", result.told
    )
    assert 950 < int(said) < 1100


def test_a_dark_face_stays_dark(made: Play) -> None:
    result = made("dark picture")
    assert all_within(changes(result), MOUTH)
    assert brightness(result.out) == pytest.approx(brightness(result.face), rel=0.1)


def test_a_bright_face_stays_bright(made: Play) -> None:
    result = made("overexposed picture")
    assert all_within(changes(result), MOUTH)
    assert brightness(result.out) == pytest.approx(brightness(result.face), rel=0.1)


def brightness(path: Path) -> float:
    """Of the mouth region, beyond black."""
    x0, y0, x1, y1 = MOUTH
    return float(np.stack(film(path)[1])[:, y0:y1, x0:x1].mean()) - 16


# ---- time


def likeness(heard: NDArray[np.float32], said: NDArray[np.float32]) -> float:
    """Correlation of two sounds, of the first as much as the second lasts."""
    length = min(len(heard), len(said))
    return float(np.corrcoef(heard[:length], said[:length])[0, 1])


def regular(num_frames: int, fps: Fraction = FPS) -> list[Fraction]:
    return [index / fps for index in range(num_frames)]


def test_a_longer_speech_sees_the_end_to_and_fro(made: Play) -> None:
    times, pictures = film(made("speech longer than the video").out)
    assert times == regular(20)
    assert shown(pictures, 10) == [*range(10), *range(8, -1, -1), 1]


def test_a_longer_speech_may_see_a_loop(made: Play) -> None:
    times, pictures = film(made("--extend loop").out)
    assert times == regular(35)
    seen = shown(pictures, 20)
    # Eight frames of the end dissolve into eight of the beginning.
    assert seen[:12] == list(range(12))
    assert seen[20:24] == seen[8:12]
    assert seen[32:] == seen[8:11]
    steps = [np.abs(b.astype(int) - a)[:, SIDE - 40 :].mean() for a, b in pairwise(pictures)]
    assert max(steps) < 1  # nothing jumps where nothing moves


def test_a_longer_speech_may_see_the_last_picture(made: Play) -> None:
    times, pictures = film(made("--extend freeze").out)
    assert times == regular(20)
    assert shown(pictures, 10) == [*range(10), *[9] * 10]
    assert motion(pictures[10:]) > 0.5


def test_a_longer_speech_may_be_cut(made: Play) -> None:
    result = made("--extend trim")
    assert film(result.out)[0] == regular(10)
    assert abs(len(read_speech(result.out)) / SPEECH_RATE - 0.4) <= 0.08


def test_a_longer_video_is_cut(made: Play) -> None:
    result = made("speech shorter than the video")
    assert film(result.out)[0] == regular(15)
    assert result.fates == [(0, 0.6, "synced")]


def test_a_longer_video_may_go_on_at_rest(made: Play) -> None:
    result = made("--after-speech rest")
    times, pictures = film(result.out)
    assert times == regular(40)
    assert all_within(changes(result), MOUTH)
    assert motion(pictures[25:]) < 0.2 * motion(pictures[:15])


def test_a_longer_video_may_go_on_as_it_was(made: Play, played: Play) -> None:
    played("speech shorter than the video")  # whose track ends with its speech
    result = made("--after-speech original")
    boxes = changes(result)
    assert all_within(boxes[:15], MOUTH)
    assert boxes[15:] == [None] * 10
    assert result.fates == [(0, 0.6, "synced"), (0.6, 1, "no speech")]
    assert "WARNING" not in result.told


def test_a_speech_may_begin_later(made: Play) -> None:
    result = made("--speech-offset 0.4")
    _, pictures = film(result.out)
    heard = read_speech(result.out)
    first = SPEECH_RATE * 4 // 10
    assert len(pictures) == 25
    assert np.abs(heard[: first - 1600]).max() < 0.01
    assert likeness(heard[first:], words(0.6)) > 0.9
    assert motion(pictures[:6]) < 0.3 * motion(pictures[10:])


def test_a_speech_may_lose_its_beginning(made: Play) -> None:
    result = made("--speech-offset -0.4")
    assert len(film(result.out)[1]) == 15
    assert likeness(read_speech(result.out), words(0.6, start=0.4)) > 0.9


def test_a_speech_of_which_nothing_is_left_is_an_error(played: Play) -> None:
    result = played("--speech-offset beyond the speech")
    require_failure(result, "lasts 0.60 s", "-5.00 s", "nothing of it is left")


def test_a_stream_of_sound_is_chosen(made: Play) -> None:
    heard = read_speech(made("--speech-stream 1").out)
    assert likeness(heard, words(0.6)) > 0.9


def test_a_stream_that_is_not_there_is_an_error(played: Play) -> None:
    require_failure(played("--speech-stream 5 of two"), "no stream of sound 5", "it has 0: flac")


def test_the_videos_own_sound_is_kept(made: Play) -> None:
    result = made("--keep-sound")
    with av.open(str(result.out)) as container:
        said, kept = container.streams.audio
        assert said.disposition & Disposition.default
        assert not kept.disposition & Disposition.default
    assert likeness(read_speech(result.out, stream=0), tone(0.6)) > 0.9
    assert likeness(read_speech(result.out, stream=1), tone(0.6, hertz=880)) > 0.9


def test_a_silent_video_has_no_sound_to_keep(made: Play) -> None:
    with av.open(str(made("--keep-sound, video without sound").out)) as container:
        assert len(container.streams.audio) == 1


def test_no_amplitude_is_a_mouth_at_rest(made: Play) -> None:
    still, moving = (
        motion(film(made(name).out)[1]) for name in ("--amplitude 0", "one face all along")
    )
    assert still < 0.2 * moving


def test_a_mouth_rests_in_pauses(made: Play) -> None:
    _, pictures = film(made("pause of 1.2 s in the speech").out)
    assert len(pictures) == 55
    resting = motion(pictures[25:37])
    assert resting < 0.15 * motion(pictures[:15])
    assert resting < 0.15 * motion(pictures[45:])


def test_silence_is_a_mouth_at_rest(made: Play) -> None:
    result = made("silence only")
    assert all_within(changes(result), MOUTH)
    assert motion(film(result.out)[1]) < 0.2 * motion(film(made("one face all along").out)[1])


def test_a_very_short_speech_is_said(made: Play) -> None:
    result = made("speech of 0.24 s")
    assert film(result.out)[0] == regular(6)
    assert all_within(changes(result), MOUTH)


def test_a_speech_too_short_to_say_is_an_error(played: Play) -> None:
    require_failure(played("speech of 0.1 s"), "0.100 s of sound", "at least 0.2 s")


def test_packets_outside_a_segment_are_kept(made: Play) -> None:
    result = made("--segment")
    (times, before), (times_after, after) = film(result.face), film(result.out)
    assert times_after == times
    boxes = [change(*pair) for pair in zip(before, after, strict=True)]
    assert boxes[:20] == [None] * 20
    assert boxes[30:] == [None] * 20
    assert None not in boxes[20:30]
    packets = [packets_of(path) for path in (result.face, result.out)]
    assert packets[1][:20] == packets[0][:20]
    assert packets[1][30:] == packets[0][30:]
    heard = read_speech(result.out)
    first, last = SPEECH_RATE * 8 // 10, SPEECH_RATE * 116 // 100
    assert likeness(heard[:first], tone(0.8)) > 0.9
    assert likeness(heard[first:last], words(0.36)) > 0.8


def packets_of(path: Path) -> list[bytes]:
    """The packets of the pictures."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


# ---- rates and shapes


def test_a_variable_rate_keeps_every_stamp(made: Play) -> None:
    times, pictures = film(made("variable frame rate").out)
    assert set(VARIABLE) <= set(times)
    # The picture that stands for 0.1 s is shown once more: its mouth goes on moving.
    (between,) = set(times) - set(VARIABLE)
    assert Fraction(19, 100) < between < Fraction(29, 100)
    order = [*range(6), 5, *range(6, 11)]
    assert shown(pictures, 11) == order


@pytest.mark.parametrize(
    ("rate", "fps", "num_frames"),
    [
        ("23.976", Fraction(24_000, 1001), 10), ("29.97", Fraction(30_000, 1001), 12),
        ("50", Fraction(50), 14), ("59.94", Fraction(60_000, 1001), 15),
        ("120", Fraction(120), 30),
    ],
    ids=["23.976", "29.97", "50", "59.94", "120"],
)  # fmt: skip
def test_rates_are_kept_exactly(made: Play, rate: str, fps: Fraction, num_frames: int) -> None:
    result = made(f"{rate} frames a second")
    assert film(result.out)[0] == regular(num_frames, fps)
    assert stream_of(result.out).average_rate == fps
    assert all_within(changes(result), MOUTH)


def test_interlaced_video_becomes_progressive(made: Play) -> None:
    result = made("interlaced")
    with av.open(str(result.face)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    with av.open(str(result.out)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))
    times, pictures = film(result.out)
    assert times == regular(10)
    assert motion(pictures) > 0.5


def test_an_anamorphic_video_stays_so(made: Play) -> None:
    result = made("anamorphic (3:2 samples)")
    shape = stream_of(result.out)
    assert (shape.width, shape.height) == (160, 240)
    assert shape.sample_aspect_ratio == Fraction(3, 2)
    place = (MOUTH[0] * 2 // 3, MOUTH[1], MOUTH[2] * 2 // 3, MOUTH[3])
    assert all_within(changes(result), place)


def test_a_rotated_video_stays_so(made: Play) -> None:
    result = made("rotated (phone)")
    with av.open(str(result.face)) as before, av.open(str(result.out)) as after:
        frames = [next(container.decode(video=0)) for container in (before, after)]
    assert frames[0].rotation == frames[1].rotation
    assert frames[1].rotation % 180 == 90
    # Stored turned to the left: x is what is y when shown, y counts from the right.
    stored = (MOUTH[1], SIDE - MOUTH[2], MOUTH[3], SIDE - MOUTH[0])
    assert all_within(changes(result), stored)


def test_an_odd_size_is_kept(made: Play) -> None:
    result = made("odd width and height")
    shape = stream_of(result.out)
    assert (shape.width, shape.height) == (237, 233)
    assert all_within(changes(result), MOUTH)


def test_a_late_start_is_taken_as_zero(made: Play) -> None:
    result = made("pictures begin 1.5 s late")
    assert film(result.face)[0][0] == Fraction(3, 2)
    assert film(result.out)[0] == regular(10)
    with av.open(str(result.out)) as container:
        heard = container.streams.audio[0]
        assert abs((heard.start_time or 0) * heard.time_base) < Fraction(3, 100)


# ---- formats


def test_4_2_2_stays_so(made: Play) -> None:
    require_format(made("4:2:2"), "yuv422p")


def test_4_4_4_stays_so(made: Play) -> None:
    require_format(made("4:4:4"), "yuv444p")


def require_format(result: Played, pixel_format: str) -> None:
    """The pixel format of the source, and chroma that changes at the mouth only."""
    assert stream_of(result.face).pix_fmt == stream_of(result.out).pix_fmt == pixel_format
    assert all_within(changes(result), MOUTH)
    before, after = (film(path, plane=1)[1] for path in (result.face, result.out))
    width = before[0].shape[1]
    place = (MOUTH[0] * width // SIDE, MOUTH[1], MOUTH[2] * width // SIDE, MOUTH[3])
    assert all_within([change(*pair) for pair in zip(before, after, strict=True)], place)


def test_10_bits_stay(made: Play) -> None:
    result = made("10 bit")
    assert stream_of(result.out).pix_fmt == "yuv420p10le"
    before, after = film(result.face)[1][0], film(result.out)[1][0]
    assert len(np.unique(before & 3)) == len(np.unique(after & 3)) == 4  # all of the depth
    assert motion(film(result.out)[1]) > 2


def test_hdr_tags_stay(made: Play) -> None:
    result = made("HDR (BT.2020, PQ)")
    context = stream_of(result.out).codec_context
    assert stream_of(result.out).pix_fmt == "yuv420p10le"
    assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)
    assert motion(film(result.out)[1]) > 2


def test_transparency_of_prores_stays(made: Play) -> None:
    result = made("transparent, ProRes 4444")
    with av.open(str(result.out)) as container:
        pictures = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
    assert stream_of(result.out).codec_context.name == "prores"
    require_transparent(pictures)


def test_transparency_of_vp9_stays(made: Play) -> None:
    result = made("transparent, VP9")
    with av.open(str(result.out)) as container:
        stream = container.streams.video[0]
        assert stream.metadata["alpha_mode"] == "1"
        context = av.CodecContext.create("libvpx-vp9", "r")  # the native one leaves alpha out
        pictures = [
            frame.to_ndarray(format="rgba")
            for packet in container.demux(stream)
            for frame in context.decode(packet)
        ]
    require_transparent(pictures)


def require_transparent(pictures: Sequence[NDArray[np.uint8]]) -> None:
    """The left quarter is, the rest is not; the mouth moves."""
    alpha = np.stack(pictures)[..., 3]
    assert len(pictures) == 10
    assert alpha[:, :, :56].max() < 16
    assert alpha[:, :, 64:].min() > 240
    x0, y0, x1, y1 = MOUTH
    assert np.stack(pictures)[:, y0:y1, x0:x1, :3].astype(float).std(axis=0).mean() > 2


def test_a_still_speaks(made: Play) -> None:
    times, pictures = film(made("still picture").out)
    assert times == regular(15)
    assert all_within([change(pictures[0], other) for other in pictures[1:]], MOUTH)


def test_a_gif_speaks(made: Play) -> None:
    result = made("GIF")
    times, pictures = film(result.out)
    assert times == regular(3, Fraction(25, 2))
    assert motion(pictures) > 0.5


def test_a_gif_is_written(made: Play) -> None:
    result = made("GIF as output")
    with av.open(str(result.out)) as container:
        assert container.format.name == "gif"
        assert not container.streams.audio
        assert len(list(container.decode(video=0))) == 10


def test_a_folder_of_pictures_speaks(made: Play) -> None:
    result = made("folder of pictures")
    times, pictures = film(result.out)
    assert times == regular(12)
    with av.open(str(result.face / "00001.png")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="gray")
    patch = first[2 : PATCH - 2, 2 : PATCH - 2].mean()
    assert abs(16 + patch * 219 / 255 - pictures[0][2 : PATCH - 2, 2 : PATCH - 2].mean()) < 2
    assert motion(pictures) > 1


def test_pictures_become_pictures(made: Play) -> None:
    result = made("pattern of pictures, to pictures")
    files = sorted(result.out.parent.iterdir())
    assert [file.name for file in files] == [f"made-{n:03d}.png" for n in range(1, 13)]
    before = sorted(result.face.parent.glob("*.png"))
    boxes = [change(*(rgb(path) for path in pair)) for pair in zip(before, files, strict=True)]
    assert all_within(boxes, MOUTH)


def rgb(path: Path) -> Luma:
    """Green of a picture file: ``(H, W)``."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")[..., 1].astype(np.uint16)


def test_an_address_is_read(made: Play) -> None:
    result = made("http address")
    times, pictures = film(result.out)
    assert times == regular(10)
    assert shown(pictures, 10) == list(range(10))
    assert motion(pictures) > 1


def test_a_video_is_piped(made: Play) -> None:
    result = made("standard input to output")
    times, pictures = film(result.out)
    assert times == regular(10)
    assert shown(pictures, 10) == list(range(10))
    assert result.result["num_synced"] == 10  # told on standard error
    with av.open(str(result.out)) as container:
        assert len(container.streams.audio) == 1


def test_what_else_there_is_goes_along(made: Play) -> None:
    with av.open(str(made("subtitles, chapters, title").out)) as container:
        assert container.metadata["title"] == "Film"
        assert [entry["metadata"]["title"] for entry in container.chapters()] == ["One", "Two"]
        read = container.streams.subtitles[0]
        assert read.language == "fra"
        said = b"".join(bytes(packet) for packet in container.demux(read))
    assert b"Hello" in said


def test_another_codec_is_written(made: Play) -> None:
    result = made("--video-codec libx265")
    assert stream_of(result.out).codec_context.name == "hevc"
    assert film(result.out)[0] == regular(10)
    assert all_within(changes(result), MOUTH)


def test_another_format_is_written(made: Play) -> None:
    result = made("--pixel-format yuv422p10le")
    assert stream_of(result.out).pix_fmt == "yuv422p10le"
    assert film(result.out)[0] == regular(10)


def test_what_is_left_of_a_video_is_used(made: Play) -> None:
    result = made("file cut off in the middle")
    assert "pictures end" in result.told
    assert "before the end that the file claims" in result.told
    left = len(film(result.face)[1])
    assert 5 <= left < 12
    assert shown(film(result.out)[1], 40)[:left] == list(range(10))[:left]


def test_a_damaged_video_is_drawn(made: Play) -> None:
    result = made("damaged bytes in the middle")
    assert "damaged" in result.told
    assert len(film(result.out)[0]) >= 29
    assert is_within(changes(result)[0], MOUTH)


def test_a_file_that_is_no_video_is_an_error(played: Play) -> None:
    require_failure(played("no video at all"), "face.mp4", "not a video")


def test_sound_instead_of_a_face_is_an_error(played: Play) -> None:
    require_failure(played("sound instead of a video"), "no picture, only sound")


def test_a_speech_without_sound_is_an_error(played: Play) -> None:
    require_failure(played("video without sound as speech"), "mute.mp4", "has no sound")
