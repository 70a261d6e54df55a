"""Open the containers of torch: the zip of ``torch.save`` and ``torch.jit.save``, and the old form.

The old form is five pickles one after the other (a magic number, a version, the writer's machine,
the object, the keys of its storages), then for each key the number of elements and the elements.
"""

import copy
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lipwright.checkpoints.elements import Order, largest_total
from lipwright.checkpoints.stand_ins import Storage
from lipwright.checkpoints.unpickle import DAMAGE, Reader, unpickle
from lipwright.errors import CheckpointError

_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL_HEADER = b"PK\x03\x04"
_IS_ENCRYPTED, _HAS_SIZES_BEHIND = 1, 8  # flags of a zip entry
_SIZE_ELSEWHERE = 0xFFFFFFFF
_BYTE_ORDERS: dict[bytes, Order] = {b"little": "<", b"big": ">"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A container whose object is known and whose numbers can be asked for while it is open."""

    root: object
    """The object, with ``TensorPlan`` for tensors."""
    order: Order
    """Byte order of the numbers."""
    load: Callable[[Storage], bytes]
    """Reads all that is stored under a storage's key."""


@contextmanager
def open_zip(path: Path) -> Iterator[Opened]:
    """Open what ``torch.save`` or ``torch.jit.save`` wrote as a zip.

    Args:
        path: A file that begins as a zip.

    Yields:
        Its object.

    Raises:
        CheckpointError: If it is cut short, holds no checkpoint or is refused; errors of
            ``DAMAGE``, or of :mod:`zipfile`, if it is damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as err:
        raise _broken_zip(path) from err
    with archive:
        entries = _Entries(archive, path)
        folder = entries.folder()
        raw = entries.read(f"{folder}data.pkl")
        root, _ = unpickle(Reader(io.BytesIO(raw), len(raw)), path)
        yield Opened(
            root,
            entries.byte_order(folder),
            lambda storage: entries.storage(f"{folder}data/{storage.key}", storage.num_bytes),
        )


@contextmanager
def open_legacy(path: Path) -> Iterator[Opened]:
    """Open what ``torch.save`` wrote before the zip.

    Args:
        path: A file that begins as a pickle.

    Yields:
        Its object.

    Raises:
        CheckpointError: If it is cut short, is another pickle or is refused; errors of ``DAMAGE``
            if it is damaged.
    """
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        reader = Reader(file, num_bytes)
        if unpickle(reader, path)[0] != _MAGIC:
            raise CheckpointError(
                f"{path} is a pickle, but not of torch.save; nothing was run; ask its maker for a "
                f"file of weights: safetensors, or torch.save of a state_dict"
            )
        unpickle(reader, path)  # version of the form
        unpickle(reader, path)  # of the writer's machine; the numbers have the small end first
        root, storages = unpickle(reader, path)
        in_storages = sum(8 + storage.num_bytes for storage in storages.values())
        try:
            keys, _ = unpickle(reader, path)
        except EOFError as err:
            raise cut_short(path, f"more than {reader.position + in_storages}") from err
        if num_bytes < reader.position + in_storages:
            raise cut_short(path, f"{reader.position + in_storages}")
        places = _places(reader.position, keys, storages)
        yield Opened(root, "<", lambda storage: _numbers_at(file, places[storage.key], storage))


def cut_short(path: Path, expected: str) -> CheckpointError:
    """The error of a file that ends too early; ``expected`` is a number of bytes, in words."""
    return CheckpointError(
        f"{path} is cut short: {path.stat().st_size} bytes found, {expected} expected; "
        f"download it again"
    )


def _places(start: int, keys: object, storages: dict[str, Storage]) -> dict[str, int]:
    if not isinstance(keys, list) or len(keys) != len(storages):
        raise ValueError("its list of storages is not that of its object")
    places = {}
    for key in keys:
        places[key] = start
        start += 8 + storages[key].num_bytes
    return places


def _numbers_at(file: BinaryIO, place: int, storage: Storage) -> bytes:
    file.seek(place)
    num_elements = int.from_bytes(file.read(8), "little")
    if num_elements != storage.num_stored:
        raise ValueError(
            f"a storage has {num_elements} elements where {storage.num_stored} are expected"
        )
    return file.read(storage.num_bytes)


class _Entries:
    """The files in a zip, never more bytes than an honest one holds."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        self._num_bytes = path.stat().st_size
        self._left = largest_total(self._num_bytes)
        self._names = frozenset(archive.namelist())

    def folder(self) -> str:
        names = self._archive.namelist()
        pickles = [name for name in names if name.split("/")[-1] == "data.pkl"]
        if not pickles:
            found = ", ".join(repr(name)[:60] for name in names[:5])
            raise CheckpointError(
                f"{self._path} is a zip archive without a checkpoint's data.pkl; it holds "
                f"{len(names)} files: {found}; if weights are among them, unpack it and give those"
            )
        return min(pickles, key=lambda name: name.count("/")).removesuffix("data.pkl")

    def byte_order(self, folder: str) -> Order:
        name = f"{folder}byteorder"
        return _BYTE_ORDERS[self.read(name)] if name in self._names else "<"

    def storage(self, name: str, num_bytes: int) -> bytes:
        raw = self.read(name)
        if len(raw) != num_bytes:
            raise ValueError(f"{name!r} in it has {len(raw)} bytes where {num_bytes} are expected")
        return raw

    def read(self, name: str) -> bytes:
        entry = copy.copy(self._archive.getinfo(name))
        if entry.flag_bits & _IS_ENCRYPTED:
            raise CheckpointError(f"{self._path} is a zip with a password; {_REPACK}")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise CheckpointError(f"{self._path} is a zip of an unusual compression; {_REPACK}")
        self._left -= entry.file_size
        if self._left < 0 or entry.compress_size > self._num_bytes:
            raise CheckpointError(
                f"{self._path}: refused: {self._num_bytes} bytes on disk claim to be "
                f"{entry.file_size} bytes or more; {_REPACK}"
            )
        if entry.CRC == 0:  # torch was told to leave the checksums out
            del entry.CRC
        with self._archive.open(entry) as file:
            # With a count: without one, what lies about its size is unpacked to 2 GB.
            return file.read(entry.file_size)


_REPACK = "if you trust it, unpack it and zip it without compression"


def _broken_zip(path: Path) -> CheckpointError:
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        least = _least_zip_bytes(file, num_bytes, path)
    if least is not None and least > num_bytes:
        return cut_short(path, f"more than {least}")
    return CheckpointError(
        f"{path} ({num_bytes} bytes) is a zip without its end: it is cut short or damaged; "
        f"download it again"
    )


def _least_zip_bytes(file: BinaryIO, num_bytes: int, path: Path) -> int | None:
    """Add up what the entries say of their sizes, or what the pickle says of its storages."""
    position = 0
    least = None
    while True:
        file.seek(position)
        header = file.read(30)
        if len(header) < 30 or not header.startswith(_LOCAL_HEADER):
            return least
        flags, stored, name_length, extra_length = (
            int.from_bytes(header[start:end], "little")
            for start, end in ((6, 8), (18, 22), (26, 28), (28, 30))
        )
        name = file.read(name_length)
        position += 30 + name_length + extra_length
        if flags & _HAS_SIZES_BEHIND or stored == _SIZE_ELSEWHERE:
            return _least_by_pickle(file, position, num_bytes, path) if _is_pickle(name) else least
        position += stored
        least = position


def _is_pickle(name: bytes) -> bool:
    return name.split(b"/")[-1] == b"data.pkl"


def _least_by_pickle(file: BinaryIO, start: int, num_bytes: int, path: Path) -> int | None:
    # torch writes no sizes before the entries, but the pickle comes first.
    if start >= num_bytes:
        return None
    file.seek(start)
    reader = Reader(file, num_bytes - start)
    try:
        _, storages = unpickle(reader, path)
    except DAMAGE:
        return None
    return start + reader.position + sum(storage.num_bytes for storage in storages.values())
