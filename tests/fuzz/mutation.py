"""Damage files on purpose, the same way for the same number."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator

_LARGEST = 1 << 21  # bytes of a mutant
_HEAD = 1024  # bytes in which most headers lie
_EXTREMES = (0, 1, -1, 2, -2, 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE)
_MOST_DAMAGES = 3


def mutant(number: int, seeds: Sequence[bytes], *, of: int) -> bytes:
    """One damaged copy of a seed.

    Args:
        number: The same number gives the same damage.
        seeds: All seeds; parts of others may be spliced in.
        of: Index of the seed that is damaged.
    """
    rng = np.random.default_rng([number, of])
    damaged = seeds[of]
    for _ in range(rng.integers(1, _MOST_DAMAGES + 1)):
        if len(damaged) < 16:
            return damaged
        damage = _DAMAGES[rng.integers(len(_DAMAGES))]
        donor = seeds[rng.integers(len(seeds))]
        damaged = damage(damaged, donor, rng)[:_LARGEST]
    return damaged


def _flip_bits(raw: bytes, _: bytes, rng: Generator) -> bytes:
    bits = bytearray(raw)
    for place in rng.integers(0, _end(raw, rng), rng.integers(1, 33)):
        bits[place] ^= 1 << int(rng.integers(8))
    return bytes(bits)


def _truncate(raw: bytes, _: bytes, rng: Generator) -> bytes:
    return raw[: rng.integers(1, len(raw))]


def _remove(raw: bytes, _: bytes, rng: Generator) -> bytes:
    start, end = _stretch(raw, rng)
    return raw[:start] + raw[end:]


def _duplicate(raw: bytes, _: bytes, rng: Generator) -> bytes:
    start, end = _stretch(raw, rng)
    return raw[:start] + raw[start:end] * int(rng.integers(2, 9)) + raw[end:]


def _swap(raw: bytes, _: bytes, rng: Generator) -> bytes:
    start, end = _stretch(raw, rng)
    middle = int(rng.integers(start, end))
    return raw[:start] + raw[middle:end] + raw[start:middle] + raw[end:]


def _splice(raw: bytes, donor: bytes, rng: Generator) -> bytes:
    return raw[: rng.integers(1, len(raw))] + donor[rng.integers(len(donor)) :]


def _put_extreme(raw: bytes, _: bytes, rng: Generator) -> bytes:
    return _with_extreme(raw, int(rng.integers(_end(raw, rng))), rng)


def _put_extreme_after_name(raw: bytes, _: bytes, rng: Generator) -> bytes:
    """Overwrite a field behind four letters, which name a box or chunk in most containers."""
    letters = np.frombuffer(raw, np.uint8)
    is_letter = ((letters | 0x20) >= ord("a")) & ((letters | 0x20) <= ord("z"))
    names = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(is_letter, 4).all(axis=1))
    if not names.size:
        return _put_extreme(raw, b"", rng)
    place = int(names[rng.integers(names.size)]) + int(rng.integers(-4, 32))
    return _with_extreme(raw, max(0, place), rng)


def _with_extreme(raw: bytes, place: int, rng: Generator) -> bytes:
    width = int(rng.choice([1, 2, 4, 8]))
    order = "big" if rng.random() < 0.5 else "little"
    value = _EXTREMES[rng.integers(len(_EXTREMES))] % (1 << 8 * width)
    return raw[:place] + value.to_bytes(width, order) + raw[place + width :]


def _end(raw: bytes, rng: Generator) -> int:
    """Damage headers as often as the rest, which is longer."""
    return min(_HEAD, len(raw)) if rng.random() < 0.5 else len(raw)


def _stretch(raw: bytes, rng: Generator) -> tuple[int, int]:
    start = int(rng.integers(len(raw) - 1))
    longest = max(2, min(len(raw) - start, len(raw) // 4))
    return start, start + int(rng.integers(1, longest))


_DAMAGES: tuple[Callable[[bytes, bytes, Generator], bytes], ...] = (
    _flip_bits,
    _flip_bits,
    _truncate,
    _remove,
    _duplicate,
    _swap,
    _splice,
    _put_extreme,
    _put_extreme_after_name,
    _put_extreme_after_name,
)
