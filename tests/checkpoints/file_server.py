"""A server of this machine whose faults are chosen, and which remembers what it was asked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Answer:
    """What is given at a path."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    knows_ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection is cut, one for each of the first requests."""
    is_chunked: bool = False
    """Does not say beforehand how much comes."""


@dataclass
class Asked:
    path: str
    range: str | None
    sent: int = 0
    """Bytes of the answer."""


class FileServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []

    def handle_error(self, *_: object) -> None:
        pass  # the other side hung up, which some tests are about

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def put(self, path: str, answer: Answer | bytes) -> str:
        """Give this at a path; returns its URL."""
        self.answers[path] = answer if isinstance(answer, Answer) else Answer(answer)
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        asked = Asked(self.path, self.headers.get("Range"))
        self.server.asked.append(asked)
        answer = self.server.answers.get(self.path, Answer(b"not here", status=404))
        content, status, headers = answer.content, answer.status, dict(answer.headers)
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.range or "")
        if wanted and answer.knows_ranges and status == 200:
            start = int(wanted[1])
            if start >= len(content):
                content, status = b"", 416
            else:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                content, status = content[start:], 206
        self.send_response(status)
        headers.setdefault("Content-Type", "application/octet-stream")
        if not answer.is_chunked:
            headers.setdefault("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.cuts:
            content = content[: answer.cuts.pop(0)]
        asked.sent = len(content)
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[FileServer]:
    with FileServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
