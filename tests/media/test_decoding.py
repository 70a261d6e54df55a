from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_makers import stripes, write_interlaced, write_video

from lipwright.media import probe, read_frames, read_native


def rows_of(path: Path) -> list[np.ndarray]:
    return [frame.planes()[0].astype(int) for frame in read_native(path)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_interlaced_frame_shows_the_moment_of_its_first_field(
    tmp_path: Path, suffix: str
) -> None:
    path = write_interlaced(tmp_path / f"a{suffix}")
    with av.open(str(path)) as container:
        combed = [frame.to_ndarray()[:96].astype(int) for frame in container.decode(video=0)]
    pictures = rows_of(path)
    assert len(pictures) == len(combed) == 12
    for index, (picture, comb) in enumerate(zip(pictures, combed, strict=True)):
        shown = stripes(2 * index).astype(int)
        assert np.abs(picture - shown).mean() < 1
        assert np.abs(comb - shown).mean() > 5  # the maker makes what has to be undone
        np.testing.assert_array_equal(picture[::2], comb[::2])


def test_the_rate_and_the_time_stamps_of_interlaced_video_stay(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "a.mp4")
    assert [frame.time for frame in read_native(path)] == [Fraction(k, 25) for k in range(12)]
    assert [frame.time for frame in read_frames(path)] == [Fraction(k, 25) for k in range(12)]
    assert probe(path).fps == 25


def test_progressive_pictures_are_not_touched(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray()[:48] for frame in container.decode(video=0)]
    for picture, expected in zip(rows_of(path), decoded, strict=True):
        np.testing.assert_array_equal(picture, expected)
