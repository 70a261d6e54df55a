import io
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from media_makers import level_of, noise, picture, write_video, write_wav
from PIL import Image

from lipwright.errors import MediaError
from lipwright.media import local_file, probe, read_frames, read_native, read_speech
from lipwright.media.native_rgb import rgb


@contextmanager
def served(
    files: dict[str, bytes], *, cut: int = 0, hangs: bool = False, word: str = ""
) -> Iterator[str]:
    """The address of a server on this machine."""
    done = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path.partition("?")[0])
            if body is None:
                self.send_error(404)
                return
            if word and self.headers.get("Authorization") != f"Basic {word}":
                self.send_error(401)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if hangs:
                done.wait()
            self.wfile.write(body[: len(body) - cut])

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        done.set()
        server.shutdown()
        thread.join()
        server.server_close()


def write_pictures(folder: Path, *, first: int = 1, num: int = 4, suffix: str = ".png") -> Path:
    folder.mkdir()
    for index in range(num):
        bgr = picture(level_of(index))[..., ::-1]
        cv2.imwrite(str(folder / f"{first + index:05d}{suffix}"), bgr)
    return folder


def test_a_file_is_given_back_as_it_is(tmp_path: Path) -> None:
    for path in (write_video(tmp_path / "a.mp4"), tmp_path / "none.mp4", tmp_path / "50%.mp4"):
        with local_file(path) as local:
            assert local == path
        with local_file(str(path)) as local:
            assert local == path


@pytest.mark.parametrize("as_path", [False, True])
def test_an_address_is_read_like_its_file(tmp_path: Path, as_path: bool) -> None:
    sound = noise(16_000, 1.0)
    path = write_video(tmp_path / "a.mp4", num_frames=25, sound=sound)
    with served({"/b/a.mp4": path.read_bytes()}) as address:
        source = f"{address}/b/a.mp4?key=1"
        with local_file(Path(source) if as_path else source) as local:
            assert local.suffix == ".mp4"
            assert local.read_bytes() == path.read_bytes()
            assert len(list(read_native(local))) == 25
            np.testing.assert_array_equal(read_speech(local), read_speech(path))
    assert not local.exists()


def test_an_address_that_has_nothing_is_told_without_its_secrets() -> None:
    with served({}) as address:
        source = address.replace("//", "//user:word@") + "/a.mp4?key=secret"
        with (
            pytest.raises(MediaError, match=r"/a\.mp4' answers 404 \(Not Found\)") as caught,
            local_file(source),
        ):
            pass
    assert "secret" not in str(caught.value)
    assert "word" not in str(caught.value)


def test_user_and_password_of_an_address_are_said_to_the_server(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    word = b64encode(b"me:p w").decode()
    with served({"/a.mp4": path.read_bytes()}, word=word) as address:
        with local_file(address.replace("//", "//me:p%20w@") + "/a.mp4") as local:
            assert local.read_bytes() == path.read_bytes()
        with pytest.raises(MediaError, match="answers 401"), local_file(f"{address}/a.mp4"):
            pass


def test_an_address_that_nobody_serves_is_told() -> None:
    with served({}) as address:
        pass
    with pytest.raises(MediaError, match="cannot be reached"), local_file(f"{address}/a.mp4"):
        pass


def test_an_address_that_stays_silent_is_given_up(tmp_path: Path) -> None:
    body = write_video(tmp_path / "a.mp4").read_bytes()
    with (
        served({"/a.mp4": body}, hangs=True) as address,
        pytest.raises(MediaError, match=r"was silent for 0\.2 s"),
        local_file(f"{address}/a.mp4", timeout=0.2),
    ):
        pass


def test_an_answer_that_is_cut_short_is_told(tmp_path: Path) -> None:
    body = write_video(tmp_path / "a.mp4").read_bytes()
    with (
        served({"/a.mp4": body}, cut=100) as address,
        pytest.raises(MediaError, match=rf"ended after {len(body) - 100} of {len(body)} bytes"),
        local_file(f"{address}/a.mp4"),
    ):
        pass


@pytest.mark.parametrize("source", ["rtsp://host/a", "ftp://host/a.mp4", "concat:/a"])
def test_other_addresses_are_refused(source: str) -> None:
    with pytest.raises(MediaError, match="cannot be read; use http"), local_file(source):
        pass


def test_standard_input_is_copied_and_can_be_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = write_wav(tmp_path / "a.wav", noise(16_000, 1.0), 16_000)
    stdin = SimpleNamespace(buffer=io.BytesIO(wav.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    with local_file("-") as local:
        for _ in range(2):
            np.testing.assert_array_equal(read_speech(local), read_speech(wav))
    assert not local.exists()


def test_a_copy_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"x" * 2000)))
    with (
        pytest.raises(MediaError, match="standard input holds more than 1000 bytes"),
        local_file("-", most_bytes=1000),
    ):
        pass
    with (
        served({"/a": b"x" * 2000}) as address,
        pytest.raises(MediaError, match="/a' holds more than 1000 bytes"),
        local_file(f"{address}/a", most_bytes=1000),
    ):
        pass


def test_empty_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    with pytest.raises(MediaError, match="standard input holds nothing"), local_file("-"):
        pass


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
@pytest.mark.parametrize("name", ["", "%05d"])
def test_pictures_are_a_video_with_the_very_pixels(tmp_path: Path, suffix: str, name: str) -> None:
    folder = write_pictures(tmp_path / "frames", first=7, suffix=suffix)
    (folder / "notes.txt").write_text("no picture")
    source = folder / f"{name}{suffix}" if name else folder
    fps = Fraction(30000, 1001)
    with local_file(source, fps=fps) as local:
        info = probe(local)
        assert (info.width, info.height, info.fps) == (64, 48, fps)
        frames = list(read_native(local))
    assert [frame.time for frame in frames] == [k / fps for k in range(4)]
    tolerance = 3 if suffix == ".jpg" else 0
    for index, frame in enumerate(frames):
        difference = rgb(frame)[24:].astype(int) - picture(level_of(index))[24:]
        assert np.abs(difference).max() <= tolerance


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_of_a_camera_are_turned_as_it_says(tmp_path: Path, orientation: int) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(2):
        photo = Image.fromarray(picture(120))
        exif = photo.getexif()
        exif[0x0112] = orientation
        photo.save(folder / f"{index}.jpg", exif=exif, quality=95)
    alone = next(read_frames(folder / "0.jpg")).pixels
    with local_file(folder) as local:
        for frame in read_frames(local):
            assert frame.pixels.shape == alone.shape
            assert np.abs(frame.pixels.astype(int) - alone).mean() < 3
        assert np.abs(rgb(next(read_native(local))).astype(int) - alone).mean() < 3


def test_pictures_come_at_25_per_second_if_nothing_is_said(tmp_path: Path) -> None:
    with local_file(write_pictures(tmp_path / "frames")) as local:
        assert [frame.time for frame in read_frames(local)] == [Fraction(k, 25) for k in range(4)]


def test_numbers_in_names_count_by_value(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (2, 10, 1):
        cv2.imwrite(str(folder / f"a{number}.png"), picture(20 * number, corner=False))
    with local_file(folder) as local:
        assert [frame.pixels[0, 0, 0] for frame in read_frames(local)] == [20, 40, 200]


def test_a_number_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames")
    (folder / "00002.png").unlink()
    with (
        pytest.raises(MediaError, match=r"00002\.png' is missing"),
        local_file(folder / "%05d.png"),
    ):
        pass


def test_pictures_that_make_no_video_are_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MediaError, match="holds no picture; use"), local_file(empty):
        pass
    with pytest.raises(MediaError, match=r"no picture is named.*'0001\.png'"):
        local_file(empty / "%04d.png").__enter__()
    folder = write_pictures(tmp_path / "mixed")
    (folder / "00003.png").write_bytes(b"\xff\xd8\xff" + b"x" * 50)
    with pytest.raises(MediaError, match=r"00003\.png' is of another format"), local_file(folder):
        pass
    with (
        pytest.raises(MediaError, match="positive rate, got 0"),
        local_file(folder, fps=Fraction(0)),
    ):
        pass
