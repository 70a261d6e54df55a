import csv
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipwright.errors import ConfigError, EvaluationError
from lipwright.evaluation.pairs import Pair, read_pairs, write_pairs


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def table(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.tsv"
    path.write_text("".join(line.replace(" ", "\t") + "\n" for line in lines), encoding="utf-8")
    return path


def video(path: Path, *, with_sound: bool = True) -> Path:
    """Five small frames, and a fifth of a second of sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=Fraction(25))
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("aac", rate=16_000, layout="mono") if with_sound else None
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 3200), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 16_000
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


# --- tables


def test_table_needs_only_a_face_and_a_speech(tmp_path: Path) -> None:
    files(tmp_path, "faces/anna.jpg", "hello.wav")
    (pair,) = read_pairs(table(tmp_path, "face speech", "faces/anna.jpg hello.wav"))
    assert pair == Pair(
        name="anna_hello", face=tmp_path / "faces/anna.jpg", speech=tmp_path / "hello.wav"
    )


def test_table_may_say_everything(tmp_path: Path) -> None:
    files(tmp_path, "a.mp4", "b.wav", "c.mp4", "d.mp4", "e.mp4")
    path = table(
        tmp_path,
        "group at rendered motion truth speech face name",
        "hard 1.25 e.mp4 d.mp4 c.mp4 b.wav a.mp4 first-1",
    )
    assert read_pairs(path) == [
        Pair(
            name="first-1",
            face=tmp_path / "a.mp4",
            speech=tmp_path / "b.wav",
            truth=tmp_path / "c.mp4",
            motion=tmp_path / "d.mp4",
            rendered=tmp_path / "e.mp4",
            group="hard",
            at=1.25,
        )
    ]


def test_empty_cells_and_missing_ends_of_lines_are_left_out(tmp_path: Path) -> None:
    files(tmp_path, "a.mp4")
    path = table(tmp_path, "face speech truth at name", "a.mp4 a.mp4   x", "a.mp4 a.mp4")
    first, second = read_pairs(path)
    assert (first.truth, first.at, first.name) == (None, None, "x")
    assert (second.truth, second.at, second.name) == (None, None, "a")


def test_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    files(tmp_path, "a b.mp4", "c.wav")
    path = tmp_path / "pairs.tsv"
    path.write_bytes('\ufeffface\tspeech\tgroup\r\na b.mp4\tc.wav\t"one\ttwo"\r\n'.encode())
    (pair,) = read_pairs(path)
    assert (pair.name, pair.face, pair.group) == ("a_b_c", tmp_path / "a b.mp4", "one\ttwo")


def test_absolute_paths_stay(tmp_path: Path) -> None:
    files(tmp_path / "elsewhere", "a.mp4")
    (tmp_path / "here").mkdir()
    face = tmp_path / "elsewhere" / "a.mp4"
    (pair,) = read_pairs(table(tmp_path / "here", "face speech", f"{face} {face}"))
    assert pair.face == face


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["face speach", "a.mp4 a.mp4"], r"unknown column 'speach'; did you mean 'speech'\?"),
        (["Face speech", "a.mp4 a.mp4"], r"unknown column 'Face'; did you mean 'face'\?"),
        (["face speech xyz"], "unknown column 'xyz'; known: name, face, speech"),
        (["face", "a.mp4"], "no column 'speech'; the first line names the columns"),
        (["face speech face", "a.mp4 a.mp4 a.mp4"], "column 'face' stands there twice"),
        ([], "no column 'face'"),
        (["face speech"], "no pairs in .*lines below its header"),
        (["face speech", "a.mp4 "], "line 2: no speech; each pair needs one"),
        (["face speech", "a.mp4 a.mp4", "a.mp4 b.wav"], "line 3: speech: no such file: 'b.wav'"),
        (["face speech truth", "a.mp4 a.mp4 t"], "line 2: truth: no such file: 't'; paths are"),
        (["face speech motion", "a.mp4 a.mp4 ."], r"line 2: motion: no such file: '\.'"),
        (["face speech", "a.mp4 a.mp4 a.mp4"], "line 2: more values than columns"),
        (
            ["face speech at", "a.mp4 a.mp4 soon"],
            "line 2: at must be seconds from 0 on, got 'soon'",
        ),
        (["face speech at", "a.mp4 a.mp4 -1"], "got '-1'"),
        (["face speech at", "a.mp4 a.mp4 nan"], "got 'nan'"),
        (["face speech at", "a.mp4 a.mp4 inf"], "got 'inf'"),
        (["face speech name", "a.mp4 a.mp4 ../b"], r"line 2: name: '\.\./b' .*such as '_b'"),
        (["face speech name", "a.mp4 a.mp4 .b"], "name: '.b' is no name for a file"),
        (["face speech", "a.mp4 a.mp4", "a.mp4 a.mp4"], "two pairs are called 'a'.*column name"),
        (["face speech name", "a.mp4 a.mp4 x", "a.mp4 a.mp4 X"], "two pairs are called 'X'"),
    ],
)
def test_mistake_in_a_table_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = table(files(tmp_path, "a.mp4"), *lines)
    with pytest.raises(ConfigError, match=message) as caught:
        read_pairs(path)
    assert str(path) in str(caught.value)


def test_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the table of pairs '.*none\.tsv'"):
        read_pairs(tmp_path / "none.tsv")
    (tmp_path / "picture.tsv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ConfigError, match=r"picture\.tsv.*text file in UTF-8"):
        read_pairs(tmp_path / "picture.tsv")
    (tmp_path / "open.tsv").write_text('face\tspeech\n"a\tb\n')
    with pytest.raises(ConfigError, match=r"open\.tsv"):
        read_pairs(tmp_path / "open.tsv")


@given(stem=st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1))
def test_name_that_is_made_of_files_is_safe(
    stem: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    path = folder / f"{stem[:40]}.mp4"
    path.touch()
    with (folder / "pairs.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["face", "speech"], [path, path]])
    (pair,) = read_pairs(folder / "pairs.tsv")
    assert pair.name
    assert not set(pair.name) & set('/\\:*?"<>| \t\r\n')
    assert not pair.name.startswith(".")


def test_pairs_read_back_as_they_were_written(tmp_path: Path) -> None:
    files(tmp_path, 'a "1".mp4', "b\t2.wav", "-.mp4")
    pairs = [
        Pair(
            name="x.1",
            face=tmp_path / 'a "1".mp4',
            speech=tmp_path / "b\t2.wav",
            truth=tmp_path / "-.mp4",
            motion=tmp_path / "-.mp4",
            rendered=tmp_path / "-.mp4",
            group='"own" speech,\nünd tabs\t',
            at=1 / 3,
        ),
        Pair(name="y", face=tmp_path / "-.mp4", speech=tmp_path / "-.mp4", at=0.0),
    ]
    write_pairs(pairs, tmp_path / "pairs.tsv")
    assert read_pairs(tmp_path / "pairs.tsv") == pairs
    assert not list(tmp_path.glob(".*"))


def test_written_table_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, "a.mp4")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "elsewhere" / "pairs.tsv"
    write_pairs([Pair(name="a", face=Path("a.mp4"), speech=Path("a.mp4"))], path)
    assert read_pairs(path)[0].face == tmp_path / "a.mp4"


def test_table_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "nowhere").write_text("a file, no folder")
    with pytest.raises(EvaluationError, match=r"cannot write .*nowhere"):
        write_pairs([], tmp_path / "nowhere" / "pairs.tsv")


# --- folders


def test_folder_gives_a_pair_for_each_video_with_sound(tmp_path: Path) -> None:
    top, deep = video(tmp_path / "top.mp4"), video(tmp_path / "s 1" / "b" / "one.MKV")
    files(tmp_path, "notes.txt", "still.jpg")
    assert read_pairs(tmp_path) == [
        Pair(name="s_1_b_one", face=deep, speech=deep, truth=deep, group="s 1/b", at=0.0),
        Pair(name="top", face=top, speech=top, truth=top, group="", at=0.0),
    ]


def test_sound_beside_a_silent_video_is_its_speech(tmp_path: Path) -> None:
    silent = video(tmp_path / "a.mp4", with_sound=False)
    files(tmp_path, "a.wav")
    (pair,) = read_pairs(tmp_path)
    assert (pair.face, pair.speech, pair.truth) == (silent, tmp_path / "a.wav", silent)


def test_own_sound_comes_before_that_of_a_file_beside(tmp_path: Path) -> None:
    own = video(tmp_path / "a.mp4")
    files(tmp_path, "a.wav")
    assert read_pairs(tmp_path)[0].speech == own


def test_silent_video_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video(tmp_path / "a.mp4")
    video(tmp_path / "mute.mp4", with_sound=False)
    assert [pair.name for pair in read_pairs(tmp_path)] == ["a"]
    assert "mute.mp4: left out, it has no sound" in caplog.text


def test_damaged_video_stays_so_that_the_evaluation_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    assert [pair.name for pair in read_pairs(tmp_path)] == ["a"]


def test_videos_that_differ_by_suffix_alone_are_told(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    video(tmp_path / "a.mkv")
    with pytest.raises(ConfigError, match=r"two pairs are called 'a': .*a\.mkv.*a\.mp4"):
        read_pairs(tmp_path)


def test_folder_without_videos_is_an_error(tmp_path: Path) -> None:
    files(tmp_path, "notes.txt")
    with pytest.raises(ConfigError, match=r"no pairs in .*a folder needs videos that have sound"):
        read_pairs(tmp_path)
    video(tmp_path / "mute.mp4", with_sound=False)
    with pytest.raises(ConfigError, match="no pairs in"):
        read_pairs(tmp_path)


# --- rendered by others


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_rendered_videos_are_found_by_name(tmp_path: Path, suffix: str) -> None:
    files(tmp_path, "a.mp4", "b.mp4", "old.mp4", f"done/x{suffix}")
    path = table(tmp_path, "face speech name rendered", "a.mp4 b.mp4 x old.mp4")
    (pair,) = read_pairs(path, rendered=tmp_path / "done")
    assert pair == replace(read_pairs(path)[0], rendered=tmp_path / f"done/x{suffix}")


def test_missing_rendered_video_is_named_with_its_places(tmp_path: Path) -> None:
    files(tmp_path, "a.mp4", "done/y.mp4")
    path = table(tmp_path, "face speech name", "a.mp4 a.mp4 x")
    with pytest.raises(ConfigError, match=r"no rendered video of 'x': .*done/x' .*\.mp4, \.mkv"):
        read_pairs(path, rendered=tmp_path / "done")
