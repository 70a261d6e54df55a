"""Lipwright: make any face say any speech.

The front doors are :func:`sync` for one video and :class:`LipSync`, which keeps its networks, for
many; :func:`sync_resumably` survives a kill, :func:`preview` draws a few frames only. Everything
raised on purpose is a :class:`LipwrightError`. What is behind a door is loaded when it is opened.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from lipwright.errors import LipwrightError

# OpenVINO and NNCF tell their makers of each use through this package, where they find it. Whose
# face says what is nobody's business, so for whoever uses Lipwright they do not find it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from lipwright.checkpoints import ModelEntry, available_models
    from lipwright.inference import (
        LipSync,
        Progress,
        Stretch,
        SyncOptions,
        SyncResult,
        Voice,
        preview,
        sync,
        sync_resumably,
    )
    from lipwright.media import Encoding

__all__ = [
    "Encoding",
    "LipSync",
    "LipwrightError",
    "ModelEntry",
    "Progress",
    "Stretch",
    "SyncOptions",
    "SyncResult",
    "Voice",
    "available_models",
    "preview",
    "sync",
    "sync_resumably",
]

_ROOMS = {"Encoding": "media", "ModelEntry": "checkpoints", "available_models": "checkpoints"}


def __getattr__(name: str) -> object:
    """Load what is asked for: its room, which for most is ``inference``."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'inference')}"), name)


def __dir__() -> list[str]:
    """Everything that can be asked for."""
    return sorted({*globals(), *__all__})
