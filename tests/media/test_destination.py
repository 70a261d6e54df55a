import errno
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_makers import level_of, picture, write_video
from PIL import Image

from lipwright.errors import MediaError
from lipwright.media import (
    NativeFrame,
    NativeWriter,
    is_still_picture,
    native_still,
    open_writer,
    probe,
    read_frames,
    read_native,
    require_output,
)
from lipwright.media.gif_writer import GifWriter
from lipwright.media.native_rgb import rgb
from lipwright.media.picture_writer import PictureWriter
from lipwright.media.pixel_layout import layout_of

FPS = Fraction(25)
DELAYS = [100, 70, 200, 50]  # milliseconds


def frames(num: int = 4, *, fps: Fraction = FPS) -> list[NativeFrame]:
    return [native_still(picture(level_of(index))).at(index / fps) for index in range(num)]


def write(out: Path, shown: list[NativeFrame], *, fps: Fraction = FPS) -> None:
    with open_writer(out, fps=fps, speech=None) as writer:
        for frame in shown:
            writer.write(frame)


def write_animation(path: Path) -> Path:
    pictures = [Image.fromarray(picture(level_of(index))) for index in range(4)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=DELAYS, loop=0)
    return path


def write_and_stop(out: Path) -> None:
    with open_writer(out, fps=FPS, speech=None) as writer:
        writer.write(frames()[0])
        assert not out.exists()
        raise RuntimeError("stop")


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_an_animation_is_a_video_with_its_own_delays(tmp_path: Path, suffix: str) -> None:
    path = write_animation(tmp_path / f"a{suffix}")
    assert not is_still_picture(path)
    times = [Fraction(sum(DELAYS[:index]), 1000) for index in range(4)]
    native, plain = list(read_native(path)), list(read_frames(path))
    assert [frame.time for frame in native] == [frame.time for frame in plain] == times
    for index, frame in enumerate(native):
        assert np.abs(rgb(frame).astype(int) - picture(level_of(index))).max() <= 1
    assert not probe(path).is_still


def test_a_plain_png_is_a_still(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(90))
    assert is_still_picture(tmp_path / "a.png")


def test_a_gif_of_one_picture_is_shown_at_the_rate_of_stills(tmp_path: Path) -> None:
    Image.fromarray(picture(90)).save(tmp_path / "a.gif")
    info = probe(tmp_path / "a.gif")
    assert (info.is_still, info.fps, info.duration) == (True, 25, None)


@pytest.mark.parametrize("fps", [FPS, Fraction(30), Fraction(24000, 1001)])
def test_a_gif_keeps_time_without_drifting(tmp_path: Path, fps: Fraction) -> None:
    path = tmp_path / "a.gif"
    write(path, frames(40, fps=fps), fps=fps)
    back = list(read_native(path))
    assert len(back) == 40
    assert all(abs(f.time - k / fps) <= Fraction(1, 200) for k, f in enumerate(back))
    with av.open(str(path)) as container:
        shown = Fraction(container.streams.video[0].duration, 100)
    assert abs(shown - 40 / fps) <= Fraction(1, 50)


def test_a_gif_shows_the_colours_upright(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", rotation=90)
    shown = list(read_native(source))
    write(tmp_path / "a.gif", shown)
    for frame, back in zip(shown, read_native(tmp_path / "a.gif"), strict=True):
        assert np.abs(rgb(back).astype(int) - rgb(frame)).mean() < 6


def test_a_gif_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    with pytest.raises(RuntimeError, match="stop"):
        write_and_stop(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MediaError, match="no frame was written"):
        write(path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["frames", "frames/%05d.png"])
def test_pictures_are_numbered_from_1_and_keep_every_bit(tmp_path: Path, name: str) -> None:
    if name == "frames":
        (tmp_path / name).mkdir()
    write(tmp_path / name, frames())
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"{k:05d}.png" for k in (1, 2, 3, 4)]
    for index, file in enumerate(files):
        pixels = cv2.imread(str(file))[..., ::-1]
        np.testing.assert_array_equal(pixels, picture(level_of(index)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["frames"]


def test_a_picture_is_upright_and_keeps_depth_and_transparency(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", rotation=90)
    write(tmp_path / "turned" / "%05d.png", list(read_native(source))[:1])
    turned = cv2.imread(str(tmp_path / "turned" / "00001.png"))[..., ::-1]
    np.testing.assert_array_equal(turned, rgb(next(read_native(source))))
    still = native_still(picture(90))
    for name, dtype, channels in (("rgba64le", np.uint16, 4), ("rgb24", np.uint8, 3)):
        deep = still.picture.reformat(format=name)
        out = tmp_path / name
        write(out / "%05d.png", [replace(still, picture=deep, layout=layout_of(name))])
        stored = cv2.imread(str(out / "00001.png"), cv2.IMREAD_UNCHANGED)
        assert (stored.dtype, stored.shape[2]) == (dtype, channels)


def test_pictures_appear_only_when_all_are_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        write_and_stop(tmp_path / "frames" / "%05d.png")
    assert list(tmp_path.iterdir()) == []


def test_pictures_do_not_mix_with_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "frames"
    out.mkdir()
    (out / "00001.png").write_bytes(b"mine")
    for name in (out, out / "%05d.png"):
        with pytest.raises(MediaError, match="holds files already"):
            require_output(name)
    assert (out / "00001.png").read_bytes() == b"mine"


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MediaError, match=r"frames' \(No space left"):
        write(tmp_path / "frames" / "%05d.png", frames())
    assert list(tmp_path.iterdir()) == []


def test_what_an_output_is_called_says_how_it_is_written(tmp_path: Path) -> None:
    kinds = {
        "a.mp4": NativeWriter,
        "a.webm": NativeWriter,
        "a.gif": GifWriter,
        "%d.png": PictureWriter,
    }
    for name, kind in kinds.items():
        assert isinstance(open_writer(tmp_path / name, fps=FPS, speech=None), kind)
    with pytest.raises(
        MediaError, match=r"unknown kind of video '\.avi'; use \.mp4, .*\.gif, a pattern"
    ):
        require_output(tmp_path / "a.avi")
    with pytest.raises(MediaError, match="unknown kind of video ''; use"):
        require_output(tmp_path / "a")
    with pytest.raises(MediaError, match="does not exist; create it first"):
        require_output(tmp_path / "none" / "a.gif")
    assert list(tmp_path.iterdir()) == []
