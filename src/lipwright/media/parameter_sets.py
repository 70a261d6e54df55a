"""Take apart the units of H.264 and H.265, and let two encoders' parameters stand side by side."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lipwright.errors import MediaError

LENGTH_SIZE = 4  # bytes before each unit, in MP4 and Matroska
IDR_H264, SPS_H264, PPS_H264 = 5, 7, 8  # ITU-T H.264, table 7-1
IDR_H265 = (19, 20)  # ITU-T H.265, table 7-1
DELIMITER_H265 = 35
PARAMETERS_H265 = (32, 33, 34)  # video, sequence, picture
_LARGEST_NUMBER = 31  # of a sequence parameter set
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")


@dataclass(frozen=True, kw_only=True, slots=True)
class AvcRecord:
    """The decoder's configuration of H.264 (ISO/IEC 14496-15, 5.3.3.1)."""

    profile: int
    """Number of the profile."""
    compatibility: int
    """Flags of the profile."""
    level: int
    """Ten times the level."""
    sps: tuple[bytes, ...]
    """Sequence parameter sets."""
    pps: tuple[bytes, ...]
    """Picture parameter sets."""
    rest: bytes
    """What high profiles add."""

    @property
    def free_number(self) -> int:
        """The largest number that no set of parameters has; -1 without any."""
        # The number follows three bytes of profile in a sequence's set, nothing in a picture's.
        taken = {_exp_golomb(unit[4:]) for unit in self.sps}
        taken |= {_exp_golomb(unit[1:]) for unit in self.pps}
        return max(set(range(_LARGEST_NUMBER + 1)) - taken, default=-1)

    def packed(self) -> bytes:
        """As containers store it."""
        head = bytes([1, self.profile, self.compatibility, self.level, 0xFC | LENGTH_SIZE - 1])
        sps = bytes([0xE0 | len(self.sps)]) + _sized(self.sps)
        return head + sps + bytes([len(self.pps)]) + _sized(self.pps) + self.rest


def _exp_golomb(stored: bytes) -> int:
    """The first number of a unit, coded as ue(v) (ITU-T H.264, 9.1)."""
    bits = "".join(f"{byte:08b}" for byte in stored[:8])
    num_zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[num_zeros : 2 * num_zeros + 1] or "1", 2) - 1


def _sized(units: tuple[bytes, ...]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def avc_record(stored: bytes) -> AvcRecord:
    """Read a configuration of H.264.

    Raises:
        MediaError: If it is none, or units have another size of length than `LENGTH_SIZE`.
    """
    try:
        if stored[0] != 1 or stored[4] & 3 != LENGTH_SIZE - 1:
            raise MediaError("its parameters are stored in a way that cannot be added to")
        sps, at = _units(stored, 6, stored[5] & 0x1F)
        pps, end = _units(stored, at + 1, stored[at])
    except IndexError as err:
        raise MediaError("its parameters are cut short") from err
    profile, compatibility, level = stored[1:4]
    return AvcRecord(
        profile=profile,
        compatibility=compatibility,
        level=level,
        sps=sps,
        pps=pps,
        rest=stored[end:],
    )


def _units(stored: bytes, at: int, num: int) -> tuple[tuple[bytes, ...], int]:
    found = []
    for _ in range(num):
        length = stored[at] << 8 | stored[at + 1]
        found.append(stored[at + 2 : at + 2 + length])
        at += 2 + length
    return tuple(found), at


def joined(source: AvcRecord, ours: tuple[bytes, ...]) -> AvcRecord:
    """One configuration for the source's pictures and ours.

    Args:
        source: The source's.
        ours: Units that our encoder says first, whose parameter sets have other numbers.

    Raises:
        MediaError: If our profile is another.
    """
    sps = tuple(unit for unit in ours if kind_h264(unit) == SPS_H264)
    pps = tuple(unit for unit in ours if kind_h264(unit) == PPS_H264)
    if not sps or any(unit[1] != source.profile for unit in sps):
        raise MediaError(f"its profile {source.profile} cannot be encoded here")
    return AvcRecord(
        profile=source.profile,
        compatibility=source.compatibility & sps[0][2],  # what holds for both
        level=max(source.level, sps[0][3]),
        sps=(*source.sps, *sps),
        pps=(*source.pps, *pps),
        rest=source.rest,
    )


def hevc_units(stored: bytes) -> tuple[bytes, ...]:
    """The parameter sets in a configuration of H.265 (ISO/IEC 14496-15, 8.3.3.1).

    Raises:
        MediaError: If it is none, or units have another size of length than `LENGTH_SIZE`.
    """
    try:
        if stored[0] != 1 or stored[21] & 3 != LENGTH_SIZE - 1:
            raise MediaError("its parameters are stored in a way that cannot be added to")
        found: tuple[bytes, ...] = ()
        at = 23
        for _ in range(stored[22]):
            units, at = _units(stored, at + 3, stored[at + 1] << 8 | stored[at + 2])
            found += units
    except IndexError as err:
        raise MediaError("its parameters are cut short") from err
    return tuple(unit for unit in found if kind_h265(unit) in PARAMETERS_H265)


def kind_h264(unit: bytes) -> int:
    """The type of a unit of H.264."""
    return unit[0] & 0x1F


def kind_h265(unit: bytes) -> int:
    """The type of a unit of H.265."""
    return unit[0] >> 1 & 0x3F


def is_delimiter_h265(unit: bytes) -> bool:
    """Whether a unit of H.265 only says that a picture begins."""
    return kind_h265(unit) == DELIMITER_H265


def units_of(packet: bytes) -> Iterator[bytes]:
    """The units of a packet of MP4 or Matroska."""
    at = 0
    while at + LENGTH_SIZE < len(packet):
        length = int.from_bytes(packet[at : at + LENGTH_SIZE], "big")
        at += LENGTH_SIZE
        yield packet[at : at + length]
        at += length


def units_of_stream(stored: bytes) -> tuple[bytes, ...]:
    """The units of what an encoder makes, each after a start code."""
    parts = _START_CODE.split(stored)
    return tuple(part.rstrip(b"\x00") for part in parts if part.strip(b"\x00"))


def packet_of(units: tuple[bytes, ...]) -> bytes:
    """Units as a packet of MP4 or Matroska."""
    return b"".join(len(unit).to_bytes(LENGTH_SIZE, "big") + unit for unit in units)
