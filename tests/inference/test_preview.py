"""A sheet of some frames of a job, of which no more than these are drawn."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.cli import main
from lipwright.errors import ConfigError, LipwrightError, MediaError
from lipwright.faces import Mtcnn
from lipwright.faces.landmarks import FaceLandmarks, Landmarker
from lipwright.inference import SyncOptions, sync
from lipwright.inference.lending import TakingTurns
from lipwright.inference.preview import contact_sheet, preview
from lipwright.media import read_frames

CAPTION = 26  # pixels


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "12", "preset": "ultrafast"}
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def views(astronaut: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Eight seconds of a face that drifts by; a bar at the top tells the second."""
    frames = []
    for index in range(200):
        left = 70 + abs(50 - index % 100)
        view = np.ascontiguousarray(astronaut[:256, left : left + 256])
        view[:8] = 30 * (index // 25)
        frames.append(view)
    return frames


@pytest.fixture(scope="module")
def face(views: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("face") / "face.mp4", views)


@pytest.fixture
def num_drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many faces each call of the generator draws."""
    counts: list[int] = []
    draw = TakingTurns.draw

    def counted(self: TakingTurns, targets: NDArray[np.uint8], *more: object) -> object:
        counts.append(len(targets))
        return draw(self, targets, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(TakingTurns, "draw", counted)
    return counts


def tiles_of(sheet: Path, *, rows: int, columns: int, size: int = 256) -> list[NDArray[np.uint8]]:
    pixels = cv2.cvtColor(cv2.imread(str(sheet)), cv2.COLOR_BGR2RGB)
    assert pixels.shape == (rows * (size + CAPTION), columns * size, 3)
    return [
        pixels[row * (size + CAPTION) : row * (size + CAPTION) + size, column * size :][:, :size]
        for row in range(rows)
        for column in range(columns)
    ]


def test_the_frames_are_spread_over_the_job_and_nothing_else_is_drawn(
    face: Path,
    demo_speech: Path,
    views: list[NDArray[np.uint8]],
    num_drawn: list[int],
    tmp_path: Path,
) -> None:
    out = tmp_path / "strip.png"
    frames = preview(face, demo_speech, out)
    assert sum(num_drawn) == len(frames) == 8
    assert [frame.reason for frame in frames] == ["synced"] * 8
    times = [float(frame.time) for frame in frames]
    np.testing.assert_allclose(times, (np.arange(8) + 0.5) * 6.53 / 8, atol=0.05)
    for frame, tile in zip(frames, tiles_of(out, rows=2, columns=4), strict=True):
        source = views[int(frame.time * 25)]
        assert np.abs(tile[:100].astype(int) - source[:100]).mean() < 4  # the frame of that time
    assert list(tmp_path.iterdir()) == [out]


def test_a_preview_looks_like_the_video(face: Path, demo_speech: Path, tmp_path: Path) -> None:
    frames = preview(face, demo_speech, tmp_path / "strip.png", num_frames=4)
    sync(face, demo_speech, tmp_path / "video.mp4")
    video = {frame.time: frame.pixels for frame in read_frames(tmp_path / "video.mp4")}
    original = {frame.time: frame.pixels for frame in read_frames(face)}
    for frame, tile in zip(
        frames, tiles_of(tmp_path / "strip.png", rows=1, columns=4), strict=True
    ):
        x0, y0, x1, y1 = (int(side) for side in Mtcnn().detect(original[frame.time])[0].box[:4])
        mouth = slice((y0 + 2 * y1) // 3, y1), slice(x0, x1)
        drawn, left = (
            float(np.abs(tile[mouth].astype(int) - other[frame.time][mouth]).mean())
            for other in (video, original)
        )
        assert drawn < left  # nearer to what the job draws than to what was there


def test_a_speech_that_outlasts_the_video_shows_its_end_to_and_fro(
    views: list[NDArray[np.uint8]], demo_speech: Path, tmp_path: Path
) -> None:
    short = write_video(tmp_path / "short.mp4", views[:60])
    frames = preview(short, demo_speech, tmp_path / "strip.png", num_frames=6)
    assert [frame.reason for frame in frames] == ["synced"] * 6
    assert frames[-1].time > 5


def test_a_photo_is_previewed(astronaut_file: Path, demo_speech: Path, tmp_path: Path) -> None:
    frames = preview(astronaut_file, demo_speech, tmp_path / "strip.png", num_frames=3)
    assert [frame.reason for frame in frames] == ["synced"] * 3
    tiles_of(tmp_path / "strip.png", rows=1, columns=3, size=480)


def test_a_frame_without_a_face_is_shown_and_said_to_be_as_it_was(
    views: list[NDArray[np.uint8]], demo_speech: Path, tmp_path: Path
) -> None:
    wall = np.full_like(views[0], 90)
    video = write_video(tmp_path / "v.mp4", [*views[:80], *[wall] * 120])
    frames = preview(video, demo_speech, tmp_path / "strip.png", num_frames=4)
    assert [frame.reason for frame in frames] == ["synced", "synced", "no face", "no face"]
    last = tiles_of(tmp_path / "strip.png", rows=1, columns=4)[-1]
    assert np.abs(last.astype(int) - 90).max() < 8


def test_faces_are_followed_only_where_a_frame_is_shown(
    face: Path, demo_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    locate = Landmarker.locate

    def counted(self: Landmarker, *seen: NDArray[np.generic]) -> FaceLandmarks:
        looks.append(None)
        return locate(self, *seen)  # type: ignore[arg-type]

    monkeypatch.setattr(Landmarker, "locate", counted)
    options = SyncOptions(use_cache=False)
    num_looks = []
    for render in (
        lambda: preview(face, demo_speech, tmp_path / "strip.png", num_frames=2, options=options),
        lambda: sync(face, demo_speech, tmp_path / "video.mp4", options=options),
    ):
        looks.clear()
        render()
        num_looks.append(len(looks))
    assert 0 < num_looks[0] < num_looks[1] / 4


@pytest.mark.parametrize(
    ("name", "num_frames", "options", "error"),
    [
        ("a.mp4", 8, SyncOptions(), MediaError),
        ("none/a.png", 8, SyncOptions(), MediaError),
        ("a.png", 0, SyncOptions(), ConfigError),
        ("a.png", 65, SyncOptions(), ConfigError),
        ("a.png", 8, SyncOptions(segment="1-2"), ConfigError),
        ("a.png", 8, SyncOptions(mode="released"), ConfigError),
    ],
)
def test_what_cannot_be_previewed_is_said(
    name: str,
    num_frames: int,
    options: SyncOptions,
    error: type[LipwrightError],
    face: Path,
    demo_speech: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        preview(face, demo_speech, tmp_path / name, num_frames=num_frames, options=options)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_holds_each_picture_above_its_caption() -> None:
    tiles = [np.full((20, 90, 3), 40 * k, np.uint8) for k in range(5)]
    sheet = contact_sheet(tiles, ["0.5 s", "", "a caption that is much too long", "", ""])
    assert sheet.shape == (2 * (20 + CAPTION), 4 * 90, 3)
    for place, tile in enumerate(tiles):
        top, left = place // 4 * (20 + CAPTION), place % 4 * 90
        np.testing.assert_array_equal(sheet[top : top + 20, left : left + 90], tile)
    assert sheet[20 : 20 + CAPTION, :90].max() > 200  # something is written
    assert np.ptp(sheet[20 : 20 + CAPTION, 90:180]) == 0
    assert np.ptp(sheet[20 : 20 + CAPTION, 270:]) == 0  # the long one does not run over


def test_the_flag_writes_a_sheet(
    face: Path, demo_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "strip.png"
    main(["sync", str(face), str(demo_speech), "-o", str(out), "--preview", "2"])
    assert "2 of 2 frames shown are synced" in capsys.readouterr().out
    tiles_of(out, rows=1, columns=2)
    assert preview(face, demo_speech, out, num_frames=2)[0].time == Fraction(41, 25)


def test_the_sheet_does_not_replace_the_photo(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(astronaut_file.read_bytes())
    with pytest.raises(MediaError, match="is also an input"):
        preview(photo, demo_speech, photo)
    assert photo.read_bytes() == astronaut_file.read_bytes()
