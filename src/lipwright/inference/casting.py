"""Who says what: speeches for the people of a video, as mel to draw from and as sound to hear."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from pathlib import Path

from lipwright.errors import ConfigError, MediaError
from lipwright.faces.choose import FaceChoice, parse_choice
from lipwright.inference.utterance import Utterance
from lipwright.media import SPEECH_RATE, SoundTrack, local_file, read_sound, read_speech_blocks
from lipwright.media.mix import Layer, mixed
from lipwright.speech import MEL_RATE, WINDOW_LENGTH, MelReader, activity_of

_SHORTEST = Fraction(WINDOW_LENGTH, MEL_RATE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """One person of a video, and what this person is to say."""

    speech: str | Path
    """A recording, or a video whose sound is the speech."""
    face: str = "largest"
    """Whose face: ``largest``, ``central``, ``leftmost`` or ``rightmost``, chosen anew in every
    shot; or a person, looked for in every shot: ``index:N``, ``point:X,Y`` or ``speaking``."""
    offset: float = 0.0
    """Seconds of the video at which the speech begins; negative leaves its beginning out."""
    stream: int | None = None
    """Which of several streams of sound in the file, 0 for the first."""
    isolated: str | Path | None = None
    """The voice of the speech alone, of the same length, where music or noise lies under it: the
    mouth follows this, the speech is what is heard."""

    def __post_init__(self) -> None:
        parse_choice(self.face)
        if not isfinite(self.offset):
            raise ConfigError(f"offset must be in seconds, got {self.offset}")
        if self.stream is not None and self.stream < 0:
            raise ConfigError(f"streams of sound are counted from 0, got {self.stream}")

    @property
    def choice(self) -> FaceChoice:
        """Whose face."""
        return parse_choice(self.face)


def read_voices(path: Path) -> tuple[Voice, ...]:
    """Read who says what from a file.

        [[voice]]
        face = "index:1"
        speech = "anna.wav"

        [[voice]]
        face = "index:2"
        speech = "ben.wav"
        offset = 2.5

    Args:
        path: A TOML file; the speeches' paths in it count from its folder.

    Raises:
        ConfigError: If it cannot be read, names nobody, or has a key that means nothing.
    """
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as err:
        raise ConfigError(f"cannot read the map '{path}': {err}") from err
    entries = held.pop("voice", [])
    if held or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(
            f"the map '{path}' must hold tables [[voice]] and nothing else, each with face and "
            f"speech; found {', '.join(sorted(held)) or 'none'}"
        )
    return tuple(_voice(entry, path) for entry in entries)


def _voice(entry: dict[str, object], path: Path) -> Voice:
    kinds: dict[str, tuple[type, ...]] = {
        "speech": (str,),
        "face": (str,),
        "offset": (int, float),
        "stream": (int,),
        "isolated": (str,),
    }
    for key, value in entry.items():
        if key not in kinds:
            raise ConfigError(f"'{path}': unknown key {key!r}; a voice has {', '.join(kinds)}")
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise ConfigError(f"'{path}': {key} cannot be {value!r}")
    for key in ("speech", "face"):
        if key not in entry:
            raise ConfigError(f"'{path}': a voice has no {key}; each needs face and speech")
    offset, stream, isolated = (entry.get(key) for key in ("offset", "stream", "isolated"))
    return Voice(
        speech=_beside(path, str(entry["speech"])),
        isolated=_beside(path, isolated) if isinstance(isolated, str) else None,
        face=str(entry["face"]),
        offset=float(offset) if isinstance(offset, (int, float)) else 0.0,
        stream=stream if isinstance(stream, int) else None,
    )


def _beside(path: Path, name: str) -> str | Path:
    """What a file names: an address, or another file from its folder on."""
    return name if "://" in name else path.parent / name


@contextmanager
def at_hand(voices: Sequence[Voice]) -> Iterator[tuple[Voice, ...]]:
    """Voices whose speeches are local files for the time of a block; see `media.local_file`."""
    with ExitStack() as held:
        yield tuple(
            replace(
                voice,
                speech=held.enter_context(local_file(voice.speech)),
                isolated=voice.isolated and held.enter_context(local_file(voice.isolated)),
            )
            for voice in voices
        )


def utterance_of(
    voice: Voice, *, start: Fraction, amplitude: float, rests_in_pauses: bool
) -> Utterance:
    """Hear a voice.

    Args:
        voice: Its speech is a file.
        start: When it begins in the video, in seconds.
        amplitude: How far the mouth moves.
        rests_in_pauses: Whether the mouth comes to rest where nothing is said.

    Raises:
        MediaError: If it cannot be read, or is too short, or nothing of it is left.
    """
    path, stream = Path(voice.speech), voice.stream
    if voice.isolated is not None:
        path, stream = Path(voice.isolated), None
    heard = MelReader(lambda: read_speech_blocks(path, stream=stream))
    duration = Fraction(heard.num_samples, SPEECH_RATE)
    if duration < _SHORTEST:
        raise MediaError(
            f"'{path}' has {float(duration):.3f} s of sound; at least {float(_SHORTEST)} s are "
            f"needed"
        )
    if start + duration <= 0:
        raise MediaError(
            f"'{path}' lasts {float(duration):.2f} s, so with an offset of {float(start):.2f} s "
            f"nothing of it is left"
        )
    activity = activity_of(heard.levels) if rests_in_pauses else None
    return Utterance(
        heard=heard, duration=duration, start=start, amplitude=amplitude, activity=activity
    )


def sound_of(
    voices: Sequence[tuple[Voice, Fraction]],
    *,
    under: Layer | None = None,
    until: Fraction | None = None,
) -> SoundTrack:
    """What is heard of all voices together.

    Args:
        voices: Each with when it begins, in seconds.
        under: A sound that lies below them.
        until: When they end at the latest, in seconds.

    Raises:
        MediaError: If one cannot be read.
    """
    layers = [
        Layer(track=read_sound(Path(voice.speech), stream=voice.stream), start=start, end=until)
        for voice, start in voices
    ]
    return mixed(layers if under is None else [under, *layers])
