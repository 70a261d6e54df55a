"""Read a pickle without running it: a small machine for the instructions that checkpoints use.

The standard library's unpickler is not used, with or without ``find_class`` overridden: a file of
nine bytes makes it reserve 64 GB (the index of ``LONG_BINPUT``) and one of a hundred bytes keeps it
busy for ever (a tuple of tuples of tuples as a key). This machine knows no function to call but
those of ``stand_ins``, and its memory and time are bounded by the file's size.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from lipwright.checkpoints.stand_ins import (
    Builder,
    Element,
    NumpyType,
    ScriptClass,
    ScriptObject,
    Storage,
    size_of,
    stand_in,
)
from lipwright.errors import CheckpointError

# What a damaged file can make Python raise while it is read.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,  # also of text that is not UTF-8
    struct.error,
)
_MAX_INSTRUCTIONS = 2_000_000  # the optimizer of a network of ten thousand tensors takes less
_MAX_NAME = 512
_LARGEST_KEY = 1 << 63  # larger numbers can be chosen to collide in a dict


class Reader:
    """A file, or part of one, that is never asked for more than it has."""

    def __init__(self, stream: BinaryIO, num_bytes: int) -> None:
        self._stream = stream
        self._num_bytes = num_bytes
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            EOFError: If there are fewer.
        """
        if count > self._num_bytes - self.position:
            raise EOFError("it ends in the middle")
        chunk = self._stream.read(count)
        if len(chunk) != count:
            raise EOFError("it ends in the middle")
        self.position += count
        return chunk

    def number(self, count: int, *, is_signed: bool = False) -> int:
        """The next bytes as a number, small end first."""
        return int.from_bytes(self.take(count), "little", signed=is_signed)

    def line(self) -> str:
        """The next short line, without its end."""
        line = self._stream.readline(min(_MAX_NAME, self._num_bytes - self.position))
        self.position += len(line)
        if not line.endswith(b"\n"):
            raise EOFError("it ends in the middle of a name, or the name is too long")
        return line[:-1].decode()


def unpickle(reader: Reader, source: Path) -> tuple[object, dict[str, Storage]]:
    """Read one pickle up to its end.

    Args:
        reader: Where it starts.
        source: Name of the file, for messages.

    Returns:
        The object (dicts, lists, tuples, numbers, text, and what ``stand_ins`` makes), and the
        storages that it speaks of by their keys.

    Raises:
        CheckpointError: If the file names anything that is not in the table of ``stand_ins``, or
            uses an instruction that no checkpoint needs. Nothing was run.
        EOFError: If the pickle is cut short; other errors of ``DAMAGE`` if it is damaged.
    """
    machine = _Machine(reader, source)
    return machine.run(), machine.storages


class _Machine:
    """Reads one pickle; remembers the storages that it speaks of."""

    def __init__(self, reader: Reader, source: Path) -> None:
        self.reader = reader
        self.source = source
        self.stack: list[object] = []
        self.outer: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.storages: dict[str, Storage] = {}

    def run(self) -> object:
        for _ in range(_MAX_INSTRUCTIONS):
            code = self.reader.take(1)
            if code == b".":
                return self.stack.pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise CheckpointError(
                    f"{self.source}: refused: its pickle has the instruction {code!r}, which no "
                    f"weights need; nothing was run; it is damaged or was not made by torch.save: "
                    f"download it again, or take it as safetensors"
                )
            instruction(self)
        raise ValueError(f"its pickle has more than {_MAX_INSTRUCTIONS} instructions")

    # Values

    def push(self, value: object) -> None:
        self.stack.append(value)

    def push_text(self, raw: bytes) -> None:
        self.stack.append(raw.decode())

    def push_sized(self, width: int, *, is_text: bool) -> None:
        raw = self.reader.take(self.reader.number(width))
        if is_text:
            self.push_text(raw)
        else:
            self.push(raw)

    def push_number(self, width: int, *, is_signed: bool = False) -> None:
        self.push(self.reader.number(width, is_signed=is_signed))

    def push_long(self, width: int) -> None:
        self.push_number(self.reader.number(width), is_signed=True)

    def push_float(self) -> None:
        self.push(struct.unpack(">d", self.reader.take(8))[0])

    def check_protocol(self) -> None:
        version = self.reader.number(1)
        if version > 5:
            raise ValueError(f"its pickle is of the unknown protocol {version}")

    def skip_frame(self) -> None:
        self.reader.take(8)

    # Containers

    def mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[object]:
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def push_tuple(self, size: int) -> None:
        if len(self.stack) < size:
            raise IndexError("its pickle takes from an empty stack")
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.push(items)

    def push_marked_tuple(self) -> None:
        items = tuple(self.pop_to_mark())
        self.push(items)

    def extend(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("its pickle appends to what is no list")
        target.extend(items)

    def update(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise TypeError("its pickle sets an item of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not _is_plain_key(key):
                raise TypeError("a dict in its pickle has a key that is no text or number")
            target[key] = value

    def pop_pair(self) -> list[object]:
        value, key = self.stack.pop(), self.stack.pop()
        return [key, value]

    # Memory

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.push(self.memo[index])

    # Names and what is made of them

    def push_global(self, module: str, name: str) -> None:
        found = stand_in(module, name)
        if found is None:
            raise CheckpointError(
                f"{self.source}: refused: the file wants to run "
                f"{f'{module}.{name}'[:_MAX_NAME]!r}, which no weights need; nothing was run; ask "
                f"its maker for a file of weights only: safetensors, or torch.save of a state_dict"
            )
        self.push(found)

    def push_global_of_lines(self) -> None:
        module = self.reader.line()
        self.push_global(module, self.reader.line())

    def push_global_of_stack(self) -> None:
        module, name = self.pop_pair()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError("its pickle names something by what is no text")
        self.push_global(module, name)

    def reduce(self) -> None:
        builder, arguments = self.pop_pair()
        if not (isinstance(builder, Builder) and isinstance(arguments, tuple)):
            raise TypeError("its pickle calls what is no function")
        self.push(builder.build(arguments))

    def make_object(self) -> None:
        kind, _ = self.pop_pair()
        if not isinstance(kind, ScriptClass):
            raise TypeError("its pickle makes an object of what is no class")
        self.push(ScriptObject())

    def build(self) -> None:
        target, state = self.pop_pair()
        if isinstance(target, ScriptObject) and isinstance(state, dict):
            target.state = state
        elif isinstance(target, NumpyType) and isinstance(state, tuple):
            target.order = _byte_order(state[1])
        elif not isinstance(target, dict):  # a state_dict's own attributes: versions of its layers
            raise TypeError("its pickle gives a state to what has none")
        self.push(target)

    def push_storage(self) -> None:
        reference = self.stack.pop()
        if not isinstance(reference, tuple) or len(reference) not in {5, 6}:
            raise TypeError("its pickle refers to something that is no storage")
        kind, element, key, _, size, *view = reference
        if kind != "storage" or not isinstance(element, Element) or not isinstance(key, str):
            raise TypeError("its pickle refers to something that is no storage")
        storage = Storage(key, element, size_of(size), 0, size_of(size))
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("its pickle speaks of one storage in two ways")
        if view and view[0] is not None:
            storage = _stretch(storage, view[0])
        self.push(storage)


def _stretch(storage: Storage, view: object) -> Storage:
    if not isinstance(view, tuple) or len(view) != 3:
        raise TypeError("its pickle has a view of a storage that is none")
    start, length = size_of(view[1]), size_of(view[2])
    if start + length > storage.num_stored:
        raise ValueError("its pickle has a view that reaches outside of its storage")
    return Storage(storage.key, storage.element, storage.num_stored, start, length)


def _is_plain_key(key: object) -> bool:
    if isinstance(key, int):
        return -_LARGEST_KEY <= key < _LARGEST_KEY
    return key is None or isinstance(key, str | float)


def _byte_order(order: object) -> str:
    if not isinstance(order, str) or order not in {"<", ">", "|", "="}:
        raise ValueError("a number of numpy in its pickle has no byte order")
    return order


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.check_protocol,
    b"\x95": _Machine.skip_frame,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push_number(1),
    b"M": lambda m: m.push_number(2),
    b"J": lambda m: m.push_number(4, is_signed=True),
    b"\x8a": lambda m: m.push_long(1),
    b"\x8b": lambda m: m.push_long(4),
    b"G": _Machine.push_float,
    b"U": lambda m: m.push_sized(1, is_text=True),  # texts of Python 2
    b"T": lambda m: m.push_sized(4, is_text=True),
    b"\x8c": lambda m: m.push_sized(1, is_text=True),
    b"X": lambda m: m.push_sized(4, is_text=True),
    b"\x8d": lambda m: m.push_sized(8, is_text=True),
    b"C": lambda m: m.push_sized(1, is_text=False),
    b"B": lambda m: m.push_sized(4, is_text=False),
    b"\x8e": lambda m: m.push_sized(8, is_text=False),
    b"(": _Machine.mark,
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push_tuple(1),
    b"\x86": lambda m: m.push_tuple(2),
    b"\x87": lambda m: m.push_tuple(3),
    b"t": _Machine.push_marked_tuple,
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.extend([m.stack.pop()]),
    b"e": lambda m: m.extend(m.pop_to_mark()),
    b"}": lambda m: m.push({}),
    b"s": lambda m: m.update(m.pop_pair()),
    b"u": lambda m: m.update(m.pop_to_mark()),
    b"q": lambda m: m.remember(m.reader.number(1)),
    b"r": lambda m: m.remember(m.reader.number(4)),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"h": lambda m: m.recall(m.reader.number(1)),
    b"j": lambda m: m.recall(m.reader.number(4)),
    b"c": _Machine.push_global_of_lines,
    b"\x93": _Machine.push_global_of_stack,
    b"R": _Machine.reduce,
    b"\x81": _Machine.make_object,
    b"b": _Machine.build,
    b"Q": _Machine.push_storage,
}
