"""Videos that were encoded one after the other become one, packet by packet."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_makers import lag_samples, noise, write_video, write_wav
from numpy.typing import NDArray
from skimage import data

from lipwright.errors import MediaError
from lipwright.media import Encoding, Extras, NativeFrame, NativeWriter, read_native, read_speech
from lipwright.media.display import Display
from lipwright.media.encodable import encodable
from lipwright.media.joined import Piece, form_of, join_pieces
from lipwright.media.native import native_still
from lipwright.media.sound import read_sound

NTSC = Fraction(30000, 1001)
CLOCK = Fraction(1, 15360)  # divides neither 90000 nor a thousandth
SPLITS = (17, 37)
KINDS = [
    (".mp4", "libx264"),
    (".mov", "libx264"),
    (".mkv", "libx264"),
    (".mp4", "libx265"),
    (".mkv", "libx265"),
    (".mp4", "libsvtav1"),
    (".webm", "libvpx-vp9"),
    (".mov", "prores_ks"),
]


def moving(times: Sequence[Fraction], *, display: Display | None = None) -> list[NativeFrame]:
    """Pictures that pan over a photo."""
    photo: NDArray[np.uint8] = cv2.resize(data.astronaut(), (400, 400))
    frames = []
    for index, time in enumerate(times):
        view = np.ascontiguousarray(photo[60 + index : 156 + index, index : index + 160])
        frame = encodable(native_still(view)).at(time)
        frame.picture.time_base = CLOCK
        frames.append(replace(frame, display=display or frame.display))
    return frames


def steady(count: int = 50) -> list[Fraction]:
    return [Fraction(k) / NTSC for k in range(count)]


def uneven(count: int = 50) -> list[Fraction]:
    """Frames at a variable rate, on a clock of their own; the first one is late after a split."""
    rng = np.random.default_rng(3)
    return [int(ticks) * CLOCK for ticks in np.cumsum(rng.integers(200, 1200, count))]


def write(path: Path, frames: Sequence[NativeFrame], **options: object) -> Path:
    with NativeWriter(path, fps=NTSC, speech=None, **options) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame)
    return path


def write_pieces(
    folder: Path, frames: Sequence[NativeFrame], suffix: str, encoding: Encoding
) -> list[Piece]:
    edges = (0, *SPLITS, len(frames))
    pieces = []
    for number, (first, stop) in enumerate(pairwise(edges)):
        start = frames[first].time
        moved = [frame.at(frame.time - int(start)) for frame in frames[first:stop]]
        path = write(folder / f"{number}{suffix}", moved, encoding=encoding)
        pieces.append(Piece(path=path, start=start))
    return pieces


def stored(path: Path) -> list[tuple[int, bool, Fraction]]:
    """Size, kind and time of each packet of pictures."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        if path.suffix != ".mkv":  # which does not say when pictures are decoded
            assert all(packet.dts <= packet.pts for packet in packets)
            assert all(a.dts < b.dts for a, b in pairwise(packets))
        return [(p.size, p.is_keyframe, p.pts * p.time_base) for p in packets]


@pytest.mark.parametrize(("suffix", "codec"), KINDS)
@pytest.mark.parametrize("times", [steady(), uneven()], ids=["steady", "uneven"])
def test_no_picture_is_lost_and_every_stamp_is_that_of_one_writer(
    tmp_path: Path, suffix: str, codec: str, times: list[Fraction]
) -> None:
    encoding = Encoding(codec=codec, preset="superfast" if "x26" not in codec else "veryfast")
    frames = moving(times)
    whole = write(tmp_path / f"whole{suffix}", frames, encoding=encoding)
    pieces = write_pieces(tmp_path, frames, suffix, encoding)
    out = tmp_path / f"out{suffix}"
    end = times[-1] + 1 / NTSC
    join_pieces(pieces, out, end=end, speech=None)

    before, after = list(read_native(whole)), list(read_native(out))
    assert [frame.time for frame in after] == [frame.time for frame in before]
    for source, one in zip(frames, after, strict=True):
        luma, expected = one.planes()[0] >> (one.layout.bits - 8), source.planes()[0]
        assert np.abs(luma.astype(int) - expected).mean() < 4
    assert len(stored(out)) == len(frames)
    joined = [picture for piece in pieces for picture in read_native(piece.path)]
    for piece_frame, one in zip(joined, after, strict=True):
        for a, b in zip(piece_frame.planes(), one.planes(), strict=True):
            np.testing.assert_array_equal(a, b)  # the very packets


def test_a_piece_begins_with_a_key_frame(tmp_path: Path) -> None:
    frames = moving(steady())
    out = tmp_path / "out.mp4"
    pieces = write_pieces(tmp_path, frames, ".mp4", Encoding())
    join_pieces(pieces, out, end=frames[-1].time + 1 / NTSC, speech=None)
    keys = {time for _, is_key, time in stored(out) if is_key}
    assert {frames[index].time for index in (0, *SPLITS)} <= keys


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_way_it_is_shown_and_its_colours_are_kept(tmp_path: Path, suffix: str) -> None:
    display = Display(
        width=96, height=170, directions=((0, 1), (-1, 0)), pixel_aspect=Fraction(4, 3)
    )
    frames = moving(steady(), display=display)
    for frame in frames:
        frame.picture.color_primaries, frame.picture.color_trc = 9, 16
        frame.picture.colorspace = 9
    whole = next(read_native(write(tmp_path / f"whole{suffix}", frames)))
    pieces = write_pieces(tmp_path, frames, suffix, Encoding())
    out = tmp_path / f"out{suffix}"
    join_pieces(pieces, out, end=frames[-1].time, speech=None)
    one = next(read_native(out))
    assert one.display == whole.display
    assert one.display.directions == display.directions
    tags = [(p.colorspace, p.color_primaries, p.color_trc) for p in (one.picture, whole.picture)]
    assert tags == [(9, 9, 16)] * 2
    assert one.picture.color_range == whole.picture.color_range


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_sound_and_companions_go_along(tmp_path: Path, suffix: str) -> None:
    samples = noise(16_000, 3)
    speech = write_wav(tmp_path / "s.wav", samples, 16_000)
    own = noise(16_000, 3, seed=5)
    source = write_video(tmp_path / "source.mp4", num_frames=60, sound=own)
    frames = moving(steady())
    end = frames[-1].time + 1 / NTSC
    out = tmp_path / f"out{suffix}"
    encoding = Encoding(preset="superfast")
    join_pieces(
        write_pieces(tmp_path, frames, suffix, encoding),
        out,
        end=end,
        speech=read_sound(speech),
        extras=Extras(source=source, with_sound=True, until=end),
    )
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "audio"]
    heard = read_speech(out, stream=0)
    assert abs(len(heard) / 16_000 - float(end)) < 0.03
    assert abs(lag_samples(heard, samples[0, : len(heard)])) <= 1
    assert abs(lag_samples(read_speech(out, stream=1), own[0, : len(heard)])) <= 2


def test_one_piece_alone_is_a_video(tmp_path: Path) -> None:
    (frame,) = moving([Fraction(0)])
    path = write(tmp_path / "only.mp4", [frame])
    piece = Piece(path=path, start=Fraction(0))
    join_pieces([piece], tmp_path / "out.mp4", end=1 / NTSC, speech=None)
    assert [frame.time for frame in read_native(tmp_path / "out.mp4")] == [0]


def test_pieces_of_another_size_or_codec_have_another_form(tmp_path: Path) -> None:
    frames = moving(steady(5))
    one = write(tmp_path / "a.mp4", frames)
    assert form_of(one) == form_of(write(tmp_path / "b.mp4", frames[:2]))
    assert form_of(one) != form_of(
        write(tmp_path / "c.mp4", frames, encoding=Encoding(codec="libx265"))
    )
    small = encodable(native_still(np.zeros((64, 64, 3), np.uint8)))
    small.picture.time_base = CLOCK
    assert form_of(one) != form_of(write(tmp_path / "d.mp4", [small]))


def test_a_damaged_piece_leaves_no_file(tmp_path: Path) -> None:
    pieces = write_pieces(tmp_path, moving(steady()), ".mp4", Encoding())
    pieces[1].path.write_bytes(pieces[1].path.read_bytes()[:100])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MediaError):
        join_pieces(pieces, tmp_path / "out.mp4", end=Fraction(2), speech=None)
    assert sorted(tmp_path.iterdir()) == before
