"""Bring what people name as an input to one local file that can be sought and read repeatedly."""

import re
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from lipwright.errors import MediaError
from lipwright.media.picture_sequence import is_pattern, pack_pictures, pictures_of
from lipwright.media.video import STILL_FPS

STANDARD_INPUT = "-"
TIMEOUT = 30.0  # seconds that an address may stay silent
MOST_BYTES = 8 << 30  # of a copy: hours of video
_PIECE = 1 << 20  # bytes
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/(?P<rest>/?[^/].*)", re.IGNORECASE)


@contextmanager
def local_file(
    source: str | Path,
    *,
    fps: Fraction = STILL_FPS,
    timeout: float = TIMEOUT,
    most_bytes: int = MOST_BYTES,
) -> Iterator[Path]:
    """Have an input as a file for the time of a block.

    A file is given back as it is. ``-`` (standard input) and an ``http://`` or ``https://``
    address are copied to a temporary file first, for a video is opened several times and sought
    in: what never ends, such as a live stream, cannot be taken. A folder of pictures and a
    pattern such as ``frames/%05d.png`` become a temporary video that holds the very files.

    Args:
        source: Name, address, ``-``, folder or pattern. A path is taken for an address too, for
            a path has one slash where an address has two.
        fps: Of a folder or pattern: pictures per second.
        timeout: Seconds that an address may stay silent.
        most_bytes: The largest copy that is made.

    Yields:
        A file, which need not exist if it was named so.

    Raises:
        MediaError: If an address does not answer, or not in full, a copy would be too large, or
            the pictures make no video.
    """
    path = Path(source)
    address = _address(str(source))
    is_video = address is None and str(source) != STANDARD_INPUT
    if is_video and not path.is_dir() and not is_pattern(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lipwright-") as folder:
        copy = Path(folder) / "input"
        if address is not None:
            copy = copy.with_suffix(PurePosixPath(urlsplit(address).path).suffix[:8])
            _download(address, copy, timeout=timeout, most_bytes=most_bytes)
        elif str(source) == STANDARD_INPUT:
            _spool(sys.stdin.buffer, copy, "standard input", most_bytes=most_bytes)
        else:
            copy = copy.with_suffix(".mov")
            pack_pictures(pictures_of(path), copy, fps=fps)
        yield copy


def _address(source: str) -> str | None:
    """The address that a text is; None for a file's name."""
    match = _ADDRESS.fullmatch(source)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    if scheme not in {"http", "https"}:
        raise MediaError(
            f"addresses of {scheme}:// cannot be read; use http:// or https://, or a file"
        )
    return f"{scheme}://{match['rest'].lstrip('/')}"


def _download(address: str, copy: Path, *, timeout: float, most_bytes: int) -> None:
    shown = _without_secrets(address)
    try:
        request = _request(address)
        with cast(HTTPResponse, urlopen(request, timeout=timeout)) as answer:  # noqa: S310
            claimed = answer.length
            if claimed is not None and claimed > most_bytes:
                raise _too_large(f"'{shown}'", most_bytes)
            copied = _spool(answer, copy, f"'{shown}'", most_bytes=most_bytes)
    except HTTPError as err:
        raise MediaError(f"'{shown}' answers {err.code} ({err.reason}); check the address") from err
    except TimeoutError as err:
        raise MediaError(f"'{shown}' was silent for {timeout:g} s; try again later") from err
    except URLError as err:
        if isinstance(err.reason, TimeoutError):
            raise MediaError(f"'{shown}' was silent for {timeout:g} s; try again later") from err
        raise MediaError(f"'{shown}' cannot be reached ({err.reason}); check the address") from err
    except (HTTPException, ConnectionError, ValueError) as err:
        why = str(err) or type(err).__name__
        raise MediaError(f"'{shown}' does not answer as it should ({why})") from err
    if claimed is not None and copied < claimed:
        raise MediaError(f"'{shown}' ended after {copied} of {claimed} bytes; try again")


def _request(address: str) -> Request:
    """Ask for an address; user and password in it go where a server looks for them."""
    parts = urlsplit(address)
    headers = {"User-Agent": "lipwright"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    host = parts.netloc.rpartition("@")[2]
    return Request(  # noqa: S310 (http or https by now)
        urlunsplit((parts.scheme, host, parts.path, parts.query, "")), headers=headers
    )


def _without_secrets(address: str) -> str:
    """An address without user, password and query, which are not for messages."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _spool(stream: BinaryIO | HTTPResponse, copy: Path, name: str, *, most_bytes: int) -> int:
    """Copy a stream to its end; how many bytes it had."""
    num_bytes = 0
    try:
        with copy.open("wb") as file:
            while piece := stream.read(_PIECE):
                num_bytes += len(piece)
                if num_bytes > most_bytes:
                    raise _too_large(name, most_bytes)
                file.write(piece)
    except TimeoutError:
        raise
    except OSError as err:
        raise MediaError(f"{name} cannot be copied to a temporary file ({err.strerror})") from err
    if num_bytes == 0:
        raise MediaError(f"{name} holds nothing (0 bytes)")
    return num_bytes


def _too_large(name: str, most_bytes: int) -> MediaError:
    return MediaError(f"{name} holds more than {most_bytes} bytes; save it as a file first")
