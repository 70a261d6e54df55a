"""A list of jobs is read whole, and everything that is wrong in it is said before anything runs."""

from pathlib import Path

import pytest

from lipwright.errors import ConfigError
from lipwright.inference import SyncOptions
from lipwright.inference.joblist import BatchJob, read_jobs
from lipwright.media import Encoding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4", "a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"there")
    (tmp_path / "who.toml").write_text(
        '[[voice]]\nface = "index:1"\nspeech = "a.wav"\n'
        '[[voice]]\nface = "index:2"\nspeech = "b.wav"\noffset = 1.5\n'
    )
    return tmp_path


def jobs_of(folder: Path, text: str) -> tuple[BatchJob, ...]:
    path = folder / "jobs.toml"
    path.write_text(text)
    return read_jobs(path)


MINIMAL = '[[job]]\nface = "a.mp4"\nspeech = "a.wav"\nout = "o.mp4"\n'


def test_a_job_takes_every_option_by_the_name_of_its_flag(folder: Path) -> None:
    (job,) = jobs_of(
        folder,
        MINIMAL
        + "min-face = 0.05\nwhose-face = 'leftmost'\non-no-face = 'hold'\namplitude = 1\n"
        + "keep-sound = true\ncache = false\nspeech-stream = 1\n"
        + "crf = 20\npreset = 'fast'\nvideo-codec = 'libx265'\n",
    )
    assert job.options == SyncOptions(
        min_face=0.05,
        face="leftmost",
        on_no_face="hold",
        amplitude=1.0,
        keep_sound=True,
        use_cache=False,
        speech_stream=1,
    )
    assert job.encoding == Encoding(crf=20, preset="fast", codec="libx265")
    assert (job.face, job.speech, job.out) == (
        folder / "a.mp4",
        folder / "a.wav",
        folder / "o.mp4",
    )


def test_defaults_hold_for_all_jobs_that_say_nothing_else(folder: Path) -> None:
    first, second, third = jobs_of(
        folder,
        '[defaults]\nspeech = "a.wav"\ncrf = 30\nmodel = "x"\n'
        '[[job]]\nface = "a.mp4"\nout = "1.mp4"\n'
        '[[job]]\nface = "b.mp4"\nspeech = "b.wav"\ncrf = 10\nmodel = "y"\nout = "2.mp4"\n'
        '[[job]]\nface = "b.mp4"\nmap = "who.toml"\nout = "3.mp4"\n',
    )
    assert (first.speech, first.encoding.crf, first.model) == (folder / "a.wav", 30, "x")
    assert (second.speech, second.encoding.crf, second.model) == (folder / "b.wav", 10, "y")
    assert isinstance(third.speech, tuple)
    assert [voice.offset for voice in third.speech] == [0, 1.5]


def test_addresses_and_models_that_are_files(folder: Path) -> None:
    (folder / "mine.onnx").write_bytes(b"there")
    (job,) = jobs_of(
        folder,
        '[[job]]\nface = "https://example.org/a.mp4"\nspeech = "a.wav"\nout = "o.mp4"\n'
        'model = "mine.onnx"\n',
    )
    assert job.face == "https://example.org/a.mp4"
    assert job.model == str(folder / "mine.onnx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "presset = 'fast'\n", "job 1: unknown key 'presset'; did you mean 'preset'?"),
        (MINIMAL + "min_face = 0.1\n", "did you mean 'min-face'?"),
        (MINIMAL + "crf = 'good'\n", "crf cannot be 'good'; it takes a whole number"),
        (MINIMAL + "crf = true\n", "crf cannot be True"),
        (MINIMAL + "amplitude = true\n", "amplitude cannot be True; it takes a number"),
        (MINIMAL + "keep-sound = 1\n", "keep-sound cannot be 1; it takes true or false"),
        (MINIMAL + "on-no-face = 'go'\n", "it takes one of pass, hold, fail"),
        (MINIMAL + "crf = 99\n", "job 1: crf must be 0"),
        (MINIMAL + "model = 5\n", "model must be a text"),
        (MINIMAL + "map = 'who.toml'\n", "it needs either speech or map"),
        ('[[job]]\nspeech = "a.wav"\nout = "o.mp4"\n', "job 1: it has no face"),
        ('[[job]]\nface = "a.mp4"\nspeech = "a.wav"\n', "job 1: it has no out"),
        ('[[job]]\nface = "a.mp4"\nout = "o.mp4"\n', "it needs either speech or map"),
        (MINIMAL + MINIMAL, "job 2: '"),
        (MINIMAL + MINIMAL.replace("o.mp4", "./o.mp4"), "is written by a job before it too"),
        (MINIMAL.replace("a.mp4", "c.mp4"), "no such file"),
        (MINIMAL.replace("a.mp4", "-"), "would be standard input"),
        (MINIMAL.replace("o.mp4", "-"), "not standard output"),
        (MINIMAL.replace("o.mp4", "o.avi"), "unknown kind of video"),
        (MINIMAL.replace("o.mp4", "none/o.mp4"), "does not exist; create it first"),
        ('[defaults]\nout = "o.mp4"\n' + MINIMAL, "[defaults]: out is one job's alone"),
        ("", "found no job"),
        ("jobs = 3\n" + MINIMAL, "found jobs"),
        ("[job]\nface = 'a.mp4'\n", "must hold tables [[job]]"),
        ("[[job\n", "cannot read the jobs"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs_of(folder, text)
    assert message in str(caught.value)


def test_every_wrong_job_is_named_at_once(folder: Path) -> None:
    wrong = MINIMAL.replace("o.mp4", "p.mp4") + "presset = 'fast'\n"
    with pytest.raises(ConfigError) as caught:
        jobs_of(folder, MINIMAL + wrong + '[[job]]\nface = "a.mp4"\nout = "q.mp4"\n')
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["job 2", "job 3"]


def test_a_list_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the jobs"):
        read_jobs(tmp_path / "none.toml")
