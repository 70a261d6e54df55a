import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_makers import lag_samples, noise, write_interlaced, write_video, write_wav
from skimage import data

from lipwright.errors import MediaError
from lipwright.media import Encoding, Extras, NativeFrame, SegmentWriter, read_native, read_speech
from lipwright.media.gops import NotSpliceableError, PacketTime, plan_splice
from lipwright.media.parameter_sets import avc_record

FPS = Fraction(25)
GROUP = 20
CLOSED = {
    "libx264": f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0",
    "libx265": f"log-level=error:keyint={GROUP}:min-keyint={GROUP}:scenecut=0:open-gop=0",
}
OPEN = {
    "libx264": CLOSED["libx264"] + ":open-gop=1",
    "libx265": CLOSED["libx265"].replace("open-gop=0", "open-gop=1"),
}


def write_source(
    path: Path,
    *,
    codec: str = "libx264",
    params: str | None = None,
    pixel_format: str = "yuv420p",
    start: int = 0,
    rotation: int = 0,
    times: list[int] | None = None,
) -> Path:
    """Ninety pictures that pan over a photo, in groups of 20, with pictures between pictures."""
    photo = np.asarray(cv2.resize(data.astronaut(), (400, 400)))
    options = {"crf": "23", f"{codec[3:]}-params": params or CLOSED[codec]}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, time in enumerate(times or [40 * k for k in range(90)]):
            view = np.ascontiguousarray(photo[60 + index : 156 + index, index : index + 160])
            frame = av.VideoFrame.from_ndarray(view, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = start + time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def inverted(frame: NativeFrame) -> NativeFrame:
    edited, planes = frame.edited()
    planes[0][...] = frame.layout.largest - planes[0]
    return edited


def change(source: Path, out: Path, first: int, last: int, **options: object) -> bool:
    """Invert the pictures from one to another; whether packets were kept."""
    frames = list(read_native(source))
    span = {"start": frames[first].time, "end": frames[last].time}
    with SegmentWriter(out, source=source, **span, **options) as writer:  # type: ignore[arg-type]
        for frame in frames[first : last + 1]:
            writer.write(inverted(frame))
    return writer.is_spliced


def is_same(one: NativeFrame, other: NativeFrame) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.planes(), other.planes(), strict=True))


def packets_of(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(p.pts, bytes(p)) for p in container.demux(stream) if p.size and p.pts is not None]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, logger="lipwright.media"):
        yield caplog


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("first", "last", "touched"), [
    (45, 52, range(40, 60)), (39, 40, range(20, 60)), (0, 3, range(20)), (85, 89, range(80, 90)),
])  # fmt: skip
def test_pictures_outside_the_groups_that_change_keep_every_sample(
    tmp_path: Path, suffix: str, codec: str, first: int, last: int, touched: range
) -> None:
    source = write_source(tmp_path / f"a{suffix}", codec=codec)
    out = tmp_path / f"out{suffix}"
    assert change(source, out, first, last)
    before, after = list(read_native(source)), list(read_native(out))
    assert [frame.time for frame in after] == [frame.time for frame in before]
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        if index not in touched:
            assert is_same(one, other)
        shown = inverted(one) if first <= index <= last else one
        error = np.abs(shown.planes()[0].astype(int) - other.planes()[0]).mean()
        assert error < 5


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_are_the_same_after_a_seek_to_anywhere(tmp_path: Path, codec: str) -> None:
    source = write_source(tmp_path / "a.mp4", codec=codec)
    out = tmp_path / "out.mp4"
    assert change(source, out, 45, 52)
    whole = [frame.planes()[0].copy() for frame in read_native(out)]
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        for index in (85, 45, 5, 62, 41, 79, 20, 58):
            container.seek(round(index / FPS / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                place = frame.pts * stream.time_base * FPS
                luma = frame.to_ndarray()[:96]
                np.testing.assert_array_equal(luma, whole[int(place)])
                if place >= index + 3:
                    break


def test_packets_of_h264_outside_are_those_of_the_source(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4")
    out = tmp_path / "out.mp4"
    change(source, out, 45, 52)
    before, after = packets_of(source), packets_of(out)
    assert before[:40] == after[:40]
    assert before[60:] == after[60:]
    assert not any(a == b for a, b in zip(before[40:60], after[40:60], strict=True))
    with av.open(str(out)) as container:
        record = avc_record(container.streams.video[0].codec_context.extradata or b"")
        assert container.streams.video[0].codec_context.codec_tag == "avc1"
    assert (len(record.sps), len(record.pps)) == (2, 2)


def test_packets_of_h265_outside_end_in_those_of_the_source(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4", codec="libx265")
    out = tmp_path / "out.mp4"
    change(source, out, 45, 52)
    for index, (one, other) in enumerate(zip(packets_of(source), packets_of(out), strict=True)):
        if not 40 <= index < 60:
            assert other[1].endswith(one[1])
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hev1"


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_changed_video_can_be_changed_again(tmp_path: Path, codec: str) -> None:
    source = write_source(tmp_path / "a.mp4", codec=codec)
    once, twice = tmp_path / "once.mp4", tmp_path / "twice.mp4"
    assert change(source, once, 25, 30)
    assert change(once, twice, 65, 70)
    before, after = list(read_native(once)), list(read_native(twice))
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        assert is_same(one, other) == (not 60 <= index < 80)


def test_pictures_at_a_variable_rate_and_a_late_start_keep_their_times(tmp_path: Path) -> None:
    times = [int(t) for t in np.cumsum(np.random.default_rng(0).integers(15, 70, 90))]
    source = write_source(tmp_path / "a.mkv", times=times, start=3000)
    out = tmp_path / "out.mp4"
    assert change(source, out, 45, 52)
    before, after = list(read_native(source)), list(read_native(out))
    assert [frame.time for frame in after] == [frame.time for frame in before]
    assert [is_same(a, b) for a, b in zip(before, after, strict=True)] == [
        not 40 <= index < 60 for index in range(90)
    ]


@pytest.mark.parametrize(("codec", "pixel_format"), [
    ("libx264", "yuv422p10le"), ("libx264", "yuv444p"), ("libx265", "yuv420p10le"),
])  # fmt: skip
def test_depth_and_chroma_are_those_of_the_source(
    tmp_path: Path, codec: str, pixel_format: str
) -> None:
    source = write_source(tmp_path / "a.mp4", codec=codec, pixel_format=pixel_format)
    out = tmp_path / "out.mp4"
    assert change(source, out, 45, 52)
    for index, (one, other) in enumerate(zip(read_native(source), read_native(out), strict=True)):
        assert other.layout.name == pixel_format
        assert is_same(one, other) or 40 <= index < 60


@pytest.mark.parametrize(("made", "said"), [
    ("open h264", "no group of its pictures stays"),
    ("open h265", "no group of its pictures stays"), ("vp8", "it is vp8, neither"),
    ("interlaced", "it is interlaced"), ("webm", ".webm does not hold h264"),
])  # fmt: skip
def test_what_cannot_be_spliced_is_encoded_and_told(
    tmp_path: Path, told: pytest.LogCaptureFixture, made: str, said: str
) -> None:
    if made == "vp8":
        source = write_video(tmp_path / "a.webm", num_frames=30)
    elif made == "interlaced":
        source = write_interlaced(tmp_path / "a.mp4", num_frames=30)
    elif made == "webm":
        source = write_source(tmp_path / "a.mp4")
    else:
        codec = made.replace("open h", "libx")
        source = write_source(tmp_path / "a.mp4", codec=codec, params=OPEN[codec])
    out = tmp_path / ("out.webm" if made == "webm" else "out.mp4")
    assert not change(source, out, 5, 8, encoding=Encoding(crf=4))
    before, after = list(read_native(source)), list(read_native(out))
    assert len(before) == len(after)
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        shown = inverted(one) if 5 <= index <= 8 else one
        assert np.abs(shown.planes()[0].astype(int) - other.planes()[0]).mean() < 3
    assert any(said.rsplit("|", maxsplit=1)[-1] in record.getMessage() for record in told.records)


def test_speech_and_what_else_there_is_go_along(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4")
    film = write_video(tmp_path / "c.mp4", num_frames=50, sound=noise(16_000, 2.0, seed=1))
    speech = write_wav(tmp_path / "b.wav", noise(16_000, 2.0, seed=2), 16_000)
    out = tmp_path / "out.mp4"
    taken = Extras(source=film, with_sound=True)
    assert change(source, out, 5, 8, speech=speech, extras=taken)
    assert abs(lag_samples(read_speech(out), read_speech(speech))) <= 2
    assert abs(lag_samples(read_speech(out, stream=1), read_speech(film))) <= 2


def test_a_turned_video_stays_turned(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4", rotation=90)
    out = tmp_path / "out.mp4"
    assert change(source, out, 5, 8)
    display = next(read_native(out)).display
    assert display == next(read_native(source)).display
    assert display.is_transposed


def test_pictures_that_cannot_be_changed_are_refused(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4")
    out = tmp_path / "out.mp4"
    frames = list(read_native(source))

    def write(*changed: NativeFrame) -> None:
        span = {"start": Fraction(45, 25), "end": Fraction(52, 25)}
        with SegmentWriter(out, source=source, **span) as writer:
            for frame in changed:
                writer.write(frame)

    with pytest.raises(MediaError, match=r"no picture at 2\.120000 s that can be changed from 1"):
        write(frames[53])
    with pytest.raises(MediaError, match=r"no picture at 1\.820000 s"):
        write(frames[45].at(Fraction(91, 50)))
    with pytest.raises(MediaError, match="no picture at"):
        write(frames[46], frames[45])
    other = next(read_native(write_video(tmp_path / "b.mp4"))).at(frames[45].time)
    with pytest.raises(MediaError, match=r"has 64x48 pixels, those of .* have 160x96"):
        write(other)
    with pytest.raises(MediaError, match="holds no picture"):
        SegmentWriter(out, source=source, start=Fraction(2), end=Fraction(1))
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_pictures_that_are_not_given_stay(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.mp4")
    out = tmp_path / "out.mp4"
    frames = list(read_native(source))
    span = {"start": Fraction(45, 25), "end": Fraction(52, 25)}
    with SegmentWriter(out, source=source, **span) as writer:
        writer.write(inverted(frames[48]))
    for index, (one, other) in enumerate(zip(frames, read_native(out), strict=True)):
        shown = inverted(one) if index == 48 else one
        assert np.abs(shown.planes()[0].astype(int) - other.planes()[0]).mean() < 5


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    start=st.integers(0, 80),
    length=st.integers(0, 30),
)
def test_a_plan_replaces_whole_groups_and_no_more_than_needed(
    lengths: list[int], start: int, length: int
) -> None:
    firsts = {sum(lengths[:index]) for index in range(len(lengths))}
    num = sum(lengths)
    packets = [PacketTime(dts=k - 2, pts=k, is_start=k in firsts) for k in range(num)]
    end = start + length
    if start >= num:
        with pytest.raises(NotSpliceableError, match="no picture"):
            plan_splice(packets, start=start, end=end)
        return
    before = {first for first in firsts if first <= start}
    after = {first for first in firsts if first > end}
    if max(before) == 0 and not after:
        with pytest.raises(NotSpliceableError, match="no group of its pictures stays"):
            plan_splice(packets, start=start, end=end)
        return
    splice = plan_splice(packets, start=start, end=end)
    assert (splice.first, splice.stop) == (max(before), min(after, default=num))
    assert (splice.start, splice.end) == (splice.first, min(after, default=None))


def test_a_group_that_looks_back_is_not_cut_off() -> None:
    shown = [
        0,
        3,
        1,
        2,
        6,
        4,
        5,
        7,
    ]  # 4 and 5 come after the key frame 6
    packets = [PacketTime(dts=k - 2, pts=pts, is_start=k in {0, 4}) for k, pts in enumerate(shown)]
    with pytest.raises(NotSpliceableError, match="look back"):
        plan_splice(packets, start=1, end=1)
