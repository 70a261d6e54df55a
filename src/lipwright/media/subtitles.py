"""Bring the text of subtitles from one container's form into another's."""

import re

# What encoders of subtitles want to know of the style, whether their codec keeps it or not.
ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, \
Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
TEXT_CODECS = {"srt", "subrip", "ass", "ssa", "mov_text", "webvtt", "text"}
_WRITTEN = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_KEPT = {".mp4": {"mov_text"}, ".mov": {"mov_text"}, ".webm": {"webvtt"}}
_COMMAS_BEFORE_TEXT = 8  # in an event of ASS, as Matroska stores it
_LONGEST_MOV_TEXT = 65535  # bytes; the length takes two


def is_kept(codec: str, suffix: str) -> bool:
    """Whether a container may hold subtitles of a codec as they are; Matroska may hold any."""
    return suffix not in _KEPT or codec in _KEPT[suffix]


def written_codec(suffix: str) -> str:
    """The codec for text in a container, a key of `CONTAINERS`."""
    return _WRITTEN[suffix]


def plain_text(codec: str, stored: bytes) -> str:
    """The text of one subtitle, without style.

    Args:
        codec: One of `TEXT_CODECS`.
        stored: A packet.
    """
    if codec == "mov_text":
        stored = stored[2 : 2 + int.from_bytes(stored[:2], "big")]
    text = stored.decode("utf-8", errors="replace").replace("\r\n", "\n")
    if codec in {"ass", "ssa"}:
        text = text.split(",", _COMMAS_BEFORE_TEXT)[-1]
        text = re.sub(r"\{[^}]*\}", "", text)
        text = text.replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    elif codec != "mov_text":
        text = re.sub(r"</?[^<>]+>", "", text)
    return text.strip()


def packed(codec: str, text: str) -> bytes:
    """One subtitle as a packet.

    Args:
        codec: As `written_codec` gives it.
        text: May have several lines.
    """
    stored = text.encode()
    if codec != "mov_text":
        return stored
    stored = stored[:_LONGEST_MOV_TEXT].decode(errors="ignore").encode()
    return len(stored).to_bytes(2, "big") + stored
