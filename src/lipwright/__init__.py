"""Lipwright: make any face say any speech.

The front doors are :func:`sync` for one video and :class:`LipSync`, which keeps its networks, for
many; everything raised on purpose is a :class:`LipwrightError`.
"""

from lipwright.checkpoints import ModelEntry, available_models
from lipwright.errors import LipwrightError
from lipwright.inference import LipSync, Progress, Stretch, SyncOptions, SyncResult, Voice, sync
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
    "sync",
]
