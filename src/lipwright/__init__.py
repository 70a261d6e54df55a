"""Lipwright: make any face say any speech.

The front doors are :func:`sync` for one video and :class:`LipSync`, which keeps its networks, for
many; :func:`sync_resumably` survives a kill, :func:`preview` draws a few frames only. Everything
raised on purpose is a :class:`LipwrightError`.
"""

from lipwright.checkpoints import ModelEntry, available_models
from lipwright.errors import LipwrightError
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
