"""Know a job again: one key of everything that decides on what comes of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import av

from lipwright.checkpoints import sha256_of
from lipwright.errors import MediaError
from lipwright.inference.casting import Voice
from lipwright.inference.engines import EngineChoice
from lipwright.inference.job import SyncOptions
from lipwright.media import Encoding

# Fields of the options that change how a result is come by, and not the result.
_OF_NO_MATTER = ("use_cache", "accept_licence")


def job_key(
    face: Path,
    voices: Sequence[Voice],
    *,
    options: SyncOptions,
    encoding: Encoding,
    model: Path,
    engine: EngineChoice | None = None,
) -> str:
    """Hash inputs, settings, model and versions; all bytes of all files are read.

    Args:
        face: A file.
        voices: Whose speeches are files.
        options: How.
        encoding: How pictures are encoded.
        model: File of the generator.
        engine: What it runs in, where that is known already.

    Returns:
        64 hexadecimal digits.

    Raises:
        MediaError: If a file cannot be read.
    """
    parts = {
        "lipwright": version("lipwright"),
        "av": av.__version__,
        "face": _content(face),
        "voices": [
            asdict(voice)
            | {
                "speech": _content(Path(voice.speech)),
                "isolated": voice.isolated and _content(Path(voice.isolated)),
            }
            for voice in voices
        ],
        "options": {
            name: _content(value) if isinstance(value, Path) else value
            for name, value in asdict(options).items()
            if name not in _OF_NO_MATTER
        },
        "encoding": asdict(encoding),
        "model": _content(model),
        "engine": None if engine is None else [engine.device, engine.precision],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as err:
        raise MediaError(f"'{path}' cannot be read ({err.strerror}); check the name") from err
