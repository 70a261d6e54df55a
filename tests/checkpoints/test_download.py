import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Answer, FileServer, serving

from lipwright.checkpoints import download as downloading
from lipwright.checkpoints.download import download, require_url
from lipwright.errors import ConfigError, DownloadError

CONTENT = bytes(range(256)) * 1200  # some chunks and a bit
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    # A proxy that is not there: files of this machine must not be asked of it.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as server:
        yield server


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "models" / "far.pth"


@pytest.fixture
def dead() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}/far.pth"


def part_of(to: Path) -> Path:
    return to.with_name(".far.pth.part")


def write_part(to: Path, content: bytes) -> None:
    to.parent.mkdir(parents=True)
    part_of(to).write_bytes(content)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_whole_file_arrives_and_nothing_else(
    is_chunked: bool, server: FileServer, to: Path
) -> None:
    url = server.put("/far.pth", Answer(CONTENT, is_chunked=is_chunked))
    assert download([url], to, sha256=SHA256) == to
    assert to.read_bytes() == CONTENT
    assert list(to.parent.iterdir()) == [to]
    assert [asked.range for asked in server.asked] == [None]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_progress_rises_to_the_size(size: int | None, server: FileServer, to: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    url = server.put("/far.pth", CONTENT)
    download([url], to, sha256=SHA256, size=size, on_progress=lambda *step: seen.append(step))
    done = [step[0] for step in seen]
    assert done == sorted(set(done))
    assert len(done) > 2
    assert done[-1] == len(CONTENT)
    assert {step[1] for step in seen} == {len(CONTENT)}


def test_a_file_that_is_there_is_checked_and_not_fetched(server: FileServer, to: Path) -> None:
    to.parent.mkdir()
    to.write_bytes(CONTENT)
    assert download([server.put("/far.pth", CONTENT)], to, sha256=SHA256) == to
    assert server.asked == []


def test_a_cut_connection_is_taken_up_where_it_broke(server: FileServer, to: Path) -> None:
    seen: list[int] = []
    url = server.put("/far.pth", Answer(CONTENT, cuts=[100_000, 50_000]))
    download([url], to, sha256=SHA256, on_progress=lambda done, _: seen.append(done))
    assert to.read_bytes() == CONTENT
    assert [asked.range for asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert sum(asked.sent for asked in server.asked) == len(CONTENT)
    assert seen == sorted(seen)


def test_a_later_run_asks_for_the_missing_bytes_only(server: FileServer, to: Path) -> None:
    url = server.put("/far.pth", Answer(CONTENT, cuts=[200_000, 0]))
    with pytest.raises(DownloadError, match=f"was cut after 200000 of {len(CONTENT)} bytes"):
        download([url], to, sha256=SHA256)
    assert part_of(to).read_bytes() == CONTENT[:200_000]
    assert not to.exists()
    server.asked.clear()
    download([url], to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert [(asked.range, asked.sent) for asked in server.asked] == [
        ("bytes=200000-", len(CONTENT) - 200_000)
    ]


def test_attempts_at_one_mirror_are_counted(server: FileServer, to: Path) -> None:
    url = server.put("/far.pth", Answer(CONTENT, cuts=[1000] * 100))
    with pytest.raises(DownloadError, match="was cut after 4000 of"):
        download([url], to, sha256=SHA256)
    assert len(server.asked) == 4


def test_another_mirror_goes_on_where_the_first_stopped(
    server: FileServer, to: Path, dead: str
) -> None:
    first = server.put("/first", Answer(CONTENT, cuts=[70_000, 0]))
    second = server.put("/second", CONTENT)
    download([dead, first, second], to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert (server.asked[-1].path, server.asked[-1].range) == ("/second", "bytes=70000-")


def test_an_interrupt_keeps_what_has_come(server: FileServer, to: Path) -> None:
    def interrupt(done: int, _total: int | None) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    url = server.put("/far.pth", CONTENT)
    with pytest.raises(KeyboardInterrupt):
        download([url], to, sha256=SHA256, on_progress=interrupt)
    size = part_of(to).stat().st_size
    assert 100_000 < size < len(CONTENT)
    download([url], to, sha256=SHA256)
    assert server.asked[-1].range == f"bytes={size}-"
    assert to.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: FileServer, to: Path) -> None:
    write_part(to, b"x" * 1000)
    download([server.put("/far.pth", Answer(CONTENT, knows_ranges=False))], to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert [asked.range for asked in server.asked] == ["bytes=1000-"]


@pytest.mark.parametrize("start", [b"x" * 1000, b"x" * len(CONTENT), b"x" * 2 * len(CONTENT)])
def test_a_part_of_something_else_is_thrown_away(
    start: bytes, server: FileServer, to: Path
) -> None:
    write_part(to, start)
    download([server.put("/far.pth", CONTENT)], to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert [asked.range for asked in server.asked] == [f"bytes={len(start)}-", None]
    assert list(to.parent.iterdir()) == [to]


def test_a_part_that_is_whole_needs_only_its_name(server: FileServer, to: Path) -> None:
    write_part(to, CONTENT)
    download([server.put("/far.pth", CONTENT)], to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert [asked.sent for asked in server.asked] == [0]


@pytest.mark.parametrize("told", ["bytes 7-299999/307200", "bytes 5-/307200", "", "lines 5-9/10"])
def test_another_range_than_asked_for_is_not_taken(told: str, server: FileServer, to: Path) -> None:
    write_part(to, CONTENT[:5])
    url = server.put("/far.pth", Answer(b"junk", status=206, headers={"Content-Range": told}))
    with pytest.raises(DownloadError, match="asked for the bytes from 5 on, it answered HTTP 206"):
        download([url], to, sha256=SHA256)
    assert part_of(to).read_bytes() == CONTENT[:5]


def test_a_wrong_file_is_thrown_away_and_the_next_mirror_asked(
    server: FileServer, to: Path
) -> None:
    urls = [server.put("/bad", b"?" * len(CONTENT)), server.put("/good", CONTENT)]
    download(urls, to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert [(asked.path, asked.range) for asked in server.asked] == [
        ("/bad", None),
        ("/good", None),
    ]


def test_a_wrong_file_everywhere_is_said_with_both_hashes(server: FileServer, to: Path) -> None:
    with pytest.raises(DownloadError, match="gave another file") as caught:
        download([server.put("/bad", b"bad")], to, sha256=SHA256)
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(b"bad").hexdigest() in str(caught.value)
    assert list(to.parent.iterdir()) == []


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_file_of_another_size_is_not_fetched_to_its_end(
    is_chunked: bool, server: FileServer, to: Path
) -> None:
    url = server.put("/far.pth", Answer(CONTENT * 20, is_chunked=is_chunked))
    with pytest.raises(DownloadError, match=f"(expected {len(CONTENT)}|more than the)"):
        download([url], to, sha256=SHA256, size=len(CONTENT))
    assert not part_of(to).exists() or part_of(to).stat().st_size < 3 * len(CONTENT)


def test_when_no_mirror_answers_each_reason_and_the_way_out_are_said(
    server: FileServer, to: Path, dead: str
) -> None:
    with pytest.raises(DownloadError) as caught:
        download([dead, server.url("/none")], to, sha256=SHA256)
    told = str(caught.value)
    assert f"{dead}: no connection: " in told
    assert f"{server.url('/none')}: HTTP 404 Not Found" in told
    assert "HTTPS_PROXY" in told
    assert f"put it at {to}, and run this again" in told


def test_a_file_put_there_by_hand_that_is_another_one_is_said(to: Path, dead: str) -> None:
    to.parent.mkdir()
    to.write_bytes(b"saved as a web page")
    with pytest.raises(DownloadError, match=f"{to}: is another file .*expected {SHA256}"):
        download([dead], to, sha256=SHA256)
    assert to.read_bytes() == b"saved as a web page"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"Please log in", headers={"Content-Type": "text/html; charset=utf-8"}),
        Answer(b"\n<!DOCTYPE html><html><body>Please log in"),
        Answer(b"<HTML>"),
    ],
)
def test_a_web_page_is_named_and_takes_nothing_away(
    answer: Answer, server: FileServer, to: Path
) -> None:
    write_part(to, CONTENT[:5])
    answer.knows_ranges = False
    with pytest.raises(DownloadError, match=r"answered with a web page \(HTML\)"):
        download([server.put("/far.pth", answer)], to, sha256=SHA256)
    assert part_of(to).read_bytes() == CONTENT[:5]


def test_a_packed_answer_is_refused(server: FileServer, to: Path) -> None:
    url = server.put("/far.pth", Answer(CONTENT, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DownloadError, match="encoding 'gzip'"):
        download([url], to, sha256=SHA256)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_the_range(status: int, server: FileServer, to: Path) -> None:
    write_part(to, CONTENT[:5])
    server.put("/there/far.pth", CONTENT)
    headers = {"Location": "there/far.pth"}
    download([server.put("/far.pth", Answer(status=status, headers=headers))], to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert server.asked[-1].range == "bytes=5-"


@pytest.mark.parametrize(
    "target",
    ["http://example.org/far.pth", "ftp://127.0.0.1/far.pth", "file:///etc/passwd", "//x.org/y"],
)
def test_a_redirect_to_what_is_not_safe_is_refused(
    target: str, server: FileServer, to: Path
) -> None:
    url = server.put("/far.pth", Answer(status=302, headers={"Location": target}))
    with pytest.raises(DownloadError, match=f"redirects elsewhere: .*{target}"):
        download([url], to, sha256=SHA256)
    assert len(server.asked) == 1


def test_redirects_in_a_circle_end(server: FileServer, to: Path) -> None:
    url = server.put("/far.pth", Answer(status=302, headers={"Location": "/far.pth"}))
    with pytest.raises(DownloadError, match="redirects more than 5 times"):
        download([url], to, sha256=SHA256)
    assert len(server.asked) == 6


def test_a_server_that_says_nothing_is_left(to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/far.pth"
        with pytest.raises(DownloadError, match=r"no answer within 0\.05 s"):
            download([url], to, sha256=SHA256)


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org/x", "file:///x", "x", "", "https://"]
)
def test_what_is_not_safe_is_refused_before_anything_is_asked(
    url: str, server: FileServer, to: Path
) -> None:
    with pytest.raises(ConfigError, match="URL"):
        download([server.put("/far.pth", CONTENT), url], to, sha256=SHA256)
    assert server.asked == []


def test_the_rest_of_the_loopback_network_is_this_machine() -> None:
    require_url("http://127.3.2.1/x")
    for host in ("127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "2130706433"):
        with pytest.raises(ConfigError, match="must be https"):
            require_url(f"http://{host}/x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(server: FileServer, to: Path) -> None:
    to.parent.mkdir(mode=0o500)
    with pytest.raises(DownloadError, match=f"cannot write {to}.*free space"):
        download([server.put("/far.pth", CONTENT)], to, sha256=SHA256)


def test_a_file_where_the_folder_should_be_is_said(server: FileServer, to: Path) -> None:
    to.parent.write_text("")
    with pytest.raises(DownloadError, match=f"cannot write {to}.*free space"):
        download([server.put("/far.pth", CONTENT)], to, sha256=SHA256)
