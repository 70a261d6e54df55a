from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clip_makers import babble, levels, number_of, talking, write_clip, write_released

from lipwright.corpus.sources import ClipSource, find_clips
from lipwright.errors import CorpusError, MediaError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_clips_are_named_by_their_path_below_the_folder(tmp_path: Path) -> None:
    touch(tmp_path / "main" / "5535415699068794046" / "00002.mp4")
    touch(tmp_path / "main" / "5535415699068794046" / "00001.mp4")
    touch(tmp_path / "s1" / "take.2.MKV")
    for other in ("notes.txt", "s1/take.2.wav", "s1/picture.jpg"):
        touch(tmp_path / other)
    (tmp_path / "folder.mp4").mkdir()
    sources = find_clips([tmp_path])
    assert [source.clip for source in sources] == [
        "main/5535415699068794046/00001",
        "main/5535415699068794046/00002",
        "s1/take.2",
    ]
    assert sources[2].picture == sources[2].sound == tmp_path / "s1" / "take.2.MKV"


def test_clip_right_in_the_folder_gets_the_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "anna" / "a.mp4")
    touch(tmp_path / "anna" / "at home" / "b.mp4")
    monkeypatch.chdir(tmp_path / "anna")
    for folder in (tmp_path / "anna", Path(), Path("at home") / ".."):
        assert [source.clip for source in find_clips([folder])] == ["anna/a", "at home/b"]


def test_released_layout_is_a_clip_of_numbered_pictures(tmp_path: Path) -> None:
    folder = write_released(tmp_path / "id" / "00001", levels(12), babble(0.5))
    touch(folder / "².jpg")
    touch(folder / "cover.jpg")
    (source,) = find_clips([tmp_path])
    assert source.clip == "id/00001"
    assert source.sound == folder / "audio.wav"
    frames = list(source.frames())
    assert [number_of(frame.pixels) for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(12)]


def test_sound_without_pictures_beside_it_is_no_clip(tmp_path: Path) -> None:
    touch(tmp_path / "id" / "audio.wav")
    with pytest.raises(CorpusError, match="no clips in"):
        find_clips([tmp_path])


def test_released_pictures_are_rgb_and_scaled_to_the_first(tmp_path: Path) -> None:
    pictures = talking(3)
    pictures[2] = np.asarray(cv2.resize(pictures[2], (100, 90)), dtype=np.uint8)
    folder = write_released(tmp_path / "00001", pictures, babble(0.5))
    frames = list(ClipSource(clip="a", picture=folder, sound=folder / "audio.wav").frames())
    for frame, picture in zip(frames, talking(3), strict=True):
        assert frame.pixels.shape == picture.shape
        assert np.abs(frame.pixels.astype(int) - picture).mean() < 8


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xd8\xff\xe0 torn"])
def test_damaged_released_picture_is_a_media_error(tmp_path: Path, content: bytes) -> None:
    folder = write_released(tmp_path / "00001", levels(3), babble(0.5))
    (folder / "1.jpg").write_bytes(content)
    with pytest.raises(MediaError, match=r"1\.jpg"):
        list(ClipSource(clip="a", picture=folder, sound=folder / "audio.wav").frames())


def test_video_gives_its_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a" / "b.mp4", levels(5), None)
    (source,) = find_clips([tmp_path])
    assert source.picture == path
    assert [number_of(frame.pixels) for frame in source.frames()] == list(range(5))


def test_two_clips_of_one_name_are_refused_with_both_places(tmp_path: Path) -> None:
    for folder in ("disk1", "disk2"):
        touch(tmp_path / folder / "s1" / "a.mp4")
    with pytest.raises(CorpusError, match="two clips are called 's1/a'") as caught:
        find_clips([tmp_path / "disk1", tmp_path / "disk2"])
    for folder in ("disk1", "disk2"):
        assert str(tmp_path / folder / "s1" / "a.mp4") in str(caught.value)
    assert [source.clip for source in find_clips([tmp_path])] == ["disk1/s1/a", "disk2/s1/a"]


def test_one_name_with_two_suffixes_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "s1" / "a.mp4")
    touch(tmp_path / "s1" / "a.avi")
    with pytest.raises(CorpusError, match="rename one"):
        find_clips([tmp_path])


def test_missing_and_empty_folders_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no such folder: .*gone"):
        find_clips([tmp_path / "gone"])
    with pytest.raises(CorpusError, match="no such folder"):
        find_clips([touch(tmp_path / "a.mp4")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"no clips in .*empty.*expected videos such as \.mp4"):
        find_clips([tmp_path / "empty"])
