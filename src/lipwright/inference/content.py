"""Know a file by its content, without making a job wait for it.

A file is known by the BLAKE2b of all its bytes. Small files are hashed at once. Larger ones are
hashed in a thread while the first job on them runs, so that its first frame is not late, and are
known from then on by path, size and time stamps; where hashing would take longer than the job, it
is given up, and the next job begins again.
"""

import hashlib
import logging
import os
import stat
import time
from pathlib import Path
from threading import Event, Thread

from lipwright.checkpoints import written_whole

log = logging.getLogger(__name__)

HASHED_AT_ONCE = 16 * 2**20  # bytes of a file that is hashed first: 0.02 s, 0.08 s on a busy core
_CHUNK = 4 * 2**20  # bytes read at a time
_DIGEST_BYTES = 32
_SETTLED = 2.0  # seconds after a change within which time stamps may not tell the next one


class FileContent:
    """The digest of a file's content: known at once, or a while after."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Look at a file; a large one that was not seen before is hashed in a thread.

        Args:
            path: The file; one that is no regular file has no digest.
            folder: Where the digests of large files are kept.
        """
        self._path, self._stop = path, Event()
        self.digest: str | None = None
        """Of content and size; None as long as it is not known."""
        self._memo: Path | None = None
        self._before = _identity(path)
        if self._before is None:
            return
        if self._before[0] <= HASHED_AT_ONCE:
            self._hash()
            return
        place = f"{path.resolve()}\n{self._before}"
        name = hashlib.blake2b(place.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        memo = folder / f"{name}.known"
        self.digest = _remembered(memo)
        if self.digest is None:
            is_settled = time.time() - self._before[1] / 1e9 > _SETTLED
            self._memo = memo if is_settled else None
            Thread(target=self._hash, name="lipwright-hash", daemon=True).start()

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was looked at."""
        return self._before is not None and _identity(self._path) == self._before

    def remember(self) -> None:
        """Keep the digest of a large file, so that the next job need not hash it."""
        if self._memo is not None and self.digest is not None:
            try:
                with written_whole(self._memo) as temporary:
                    temporary.write_text(self.digest, encoding="ascii")
            except OSError as err:
                log.info("the digest of %s is not kept: %s", self._path, err)

    def close(self) -> None:
        """Give up hashing, if it still goes on."""
        self._stop.set()

    def _hash(self) -> None:
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        num_bytes = 0
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    if self._stop.is_set():
                        return
                    digest.update(chunk)
                    num_bytes += len(chunk)
        except OSError as err:
            log.info("%s cannot be hashed, its track is not kept: %s", self._path, err)
            return
        digest.update(str(num_bytes).encode())
        self.digest = digest.hexdigest()


def _identity(path: Path) -> tuple[int, int, int, int, int] | None:
    """What changes when a file is written to, its size first; None if it is no regular file."""
    try:
        about = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(about.st_mode):
        return None
    return (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_dev)


def _remembered(memo: Path) -> str | None:
    try:
        digest = memo.read_text(encoding="ascii")
        if len(bytes.fromhex(digest)) != _DIGEST_BYTES:
            return None
        os.utime(memo)
    except (OSError, ValueError):  # not there, or damaged: made anew
        return None
    return digest
