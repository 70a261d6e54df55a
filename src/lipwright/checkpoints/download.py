"""Fetch a file over HTTPS: go on where it stopped, try the mirrors, check what came."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from lipwright.errors import ConfigError, DownloadError

log = logging.getLogger(__name__)

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and, once known, the bytes of the whole file."""

TIMEOUT = 30.0  # seconds without an answer, or without a byte more of it
_CHUNK = 1 << 16  # bytes
_MAX_ATTEMPTS = 4  # at one mirror, as long as each one brings something
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOTHING_MORE = 416  # "range not satisfiable"


class _MirrorError(Exception):
    """Why one mirror did not do."""


class _NoRedirects(HTTPRedirectHandler):
    """Leaves redirects to :func:`_open`, which looks at where they lead."""

    def redirect_request(self, *_: object) -> None:
        return None


def download(
    urls: Sequence[str],
    to: Path,
    *,
    sha256: str,
    size: int | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Fetch a file, unless it is there already.

    What has come so far lies beside the file as ``.NAME.part``; an interrupted download goes on
    from there.

    Args:
        urls: Mirrors, in the order in which they are tried.
        to: File to write; its folder is made.
        sha256: What the file must have, in lower case.
        size: Its bytes, if known: a mirror that offers another number is not tried further.
        on_progress: Called as bytes come; steps back only where a mirror has to start over.

    Returns:
        The file.

    Raises:
        ConfigError: If a URL is neither https nor http of this machine.
        DownloadError: If no mirror gave the file (lists each with its reason), or it cannot be
            written.
    """
    for url in urls:
        require_url(url)
    reasons = []
    if to.is_file():
        found = sha256_of(to)
        if found == sha256:
            return to
        reasons.append(f"{to}: is another file (SHA-256 {found}, expected {sha256})")
    part = to.with_name(f".{to.name}.part")
    fetch = partial(_fetch, part=part, size=size, on_progress=on_progress or _ignore)
    for url in urls:
        try:
            _fetch_whole(partial(fetch, url), part, sha256=sha256)
            part.replace(to)
        except _MirrorError as err:
            log.info("%s: %s", url, err)
            reasons.append(f"{url}: {err}")
        except OSError as err:
            raise DownloadError(
                f"cannot write {to}: {err}; check the folder and the free space"
            ) from err
        else:
            return to
    raise DownloadError(
        "\n  ".join([f"cannot download {to.name}:", *reasons])
        + f"\nCheck the connection (behind a proxy, set HTTPS_PROXY) and run this again: it goes "
        f"on where it stopped. Or download the file on another machine, put it at {to}, and run "
        f"this again: it is checked and needs no network."
    )


def require_url(url: str) -> None:
    """Make sure that a file can be fetched from a URL without anybody listening or meddling.

    Raises:
        ConfigError: If it is neither https nor http of this machine, or malformed.
    """
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise ConfigError(f"not a URL: {url!r}; percent-encode spaces and letters beyond ASCII")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as err:
        raise ConfigError(f"not a URL: {url!r}: {err}") from err
    if not host or "@" in parts.netloc:
        raise ConfigError(f"a URL must name a host, and no user or password: {url!r}")
    if parts.scheme != "https" and not _is_local(url):
        raise ConfigError(f"a URL must be https (http only for this machine): {url!r}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ignore(_done: int, _total: int | None) -> None:
    pass


def _fetch_whole(fetch: Callable[[], int], part: Path, *, sha256: str) -> None:
    """Fetch until the part file is the whole file, as long as each attempt brings something."""
    for attempt in range(_MAX_ATTEMPTS):
        before = _num_bytes(part)
        try:
            first = fetch()
        except _MirrorError:
            if attempt + 1 < _MAX_ATTEMPTS and _num_bytes(part) > before:
                continue
            raise
        found = sha256_of(part)
        if found == sha256:
            return
        part.unlink()
        if first == 0:
            raise _MirrorError(f"gave another file (SHA-256 {found}, expected {sha256})")
        # The beginning may have come from a worse mirror: once more, all of it from this one.
    raise _MirrorError("was cut too often")


def _fetch(url: str, *, part: Path, size: int | None, on_progress: OnProgress) -> int:
    """Add to the part file what is missing; return the byte from which this mirror gave it."""
    part.parent.mkdir(parents=True, exist_ok=True)
    start = _num_bytes(part)
    response = _open(url, start)
    if response is None:
        return start
    with response:
        first, total = _extent(response, start)
        _require_file(response)
        if size is not None and total not in (None, size):
            raise _MirrorError(f"offers {total} bytes, expected {size}")
        done, total = first, size if total is None else total
        chunks = _chunks(response, first)
        head = next(chunks, b"")  # before the file is opened: a web page must not replace a part
        with part.open("ab" if first else "wb") as file:
            done += _write(head, file)
            on_progress(done, total)
            for chunk in chunks:
                done += _write(chunk, file)
                on_progress(done, total)
                if total is not None and done > total:
                    raise _MirrorError(f"gave more than the {total} bytes expected")
    if total is not None and done < total:
        raise _MirrorError(f"was cut after {done} of {total} bytes")
    return first


def _write(chunk: bytes, file: IO[bytes]) -> int:
    file.write(chunk)
    return len(chunk)


def _num_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _open(url: str, start: int) -> HTTPResponse | None:
    """Ask for a file from a byte on, through redirects; None if nothing is left to give."""
    headers = {"User-Agent": "lipwright", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    target = url
    for _ in range(_MAX_REDIRECTS + 1):
        handlers = [_NoRedirects(), *([ProxyHandler({})] if _is_local(target) else [])]
        try:
            request = Request(target, headers=headers)  # noqa: S310 - require_url has seen it
            response: HTTPResponse = build_opener(*handlers).open(request, timeout=TIMEOUT)
        except HTTPError as err:
            with err:
                if err.code == _NOTHING_MORE and start:
                    return None
                target = _redirected(target, err)
        except (HTTPException, OSError, UnicodeError) as err:
            raise _MirrorError(_reason(err)) from err
        else:
            return response
    raise _MirrorError(f"redirects more than {_MAX_REDIRECTS} times")


def _redirected(url: str, answer: HTTPError) -> str:
    location = answer.headers.get("Location", "")
    if answer.code not in _REDIRECTS or not location:
        raise _MirrorError(f"HTTP {answer.code} {answer.reason}")
    target = urljoin(url, location)
    try:
        require_url(target)
    except ConfigError as err:
        raise _MirrorError(f"redirects elsewhere: {err}") from err
    if _is_local(target) and not _is_local(url):
        raise _MirrorError(f"redirects to this machine: {target!r}")
    return target


def _extent(response: HTTPResponse, start: int) -> tuple[int, int | None]:
    """First byte of the answer, and bytes of the whole file where the server tells."""
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    told = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told)
    if response.status != 206 or match is None or int(match[1]) != start:
        raise _MirrorError(
            f"asked for the bytes from {start} on, it answered HTTP {response.status} {told!r}"
        )
    return start, None if match[2] == "*" else int(match[2])


def _require_file(response: HTTPResponse) -> None:
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml"):
        raise _web_page()
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise _MirrorError(f"answered in the encoding {encoding!r} though none was asked for")


def _chunks(response: HTTPResponse, first: int) -> Iterator[bytes]:
    try:
        chunk = response.read(_CHUNK)
        if first == 0 and re.match(rb"\s*<(!doctype\s+)?html", chunk, re.IGNORECASE):
            raise _web_page()
        while chunk:
            yield chunk
            chunk = response.read(_CHUNK)
    except (HTTPException, OSError) as err:
        raise _MirrorError(_reason(err)) from err


def _web_page() -> _MirrorError:
    return _MirrorError(
        "answered with a web page (HTML), not a model: it may want a login, or a page opened first"
    )


def _reason(err: Exception) -> str:
    cause = err.reason if isinstance(err, URLError) else err
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return f"no connection: {cause or type(cause).__name__}"


def _is_local(url: str) -> bool:
    """Whether a URL is http of this machine, where nobody can listen."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"
