"""Lipwright: make any face say any speech.

The front doors are :func:`sync` for one video and :class:`LipSync`, which keeps its networks, for
many; everything raised on purpose is a :class:`LipwrightError`.
"""

from lipwright.checkpoints import ModelEntry, available_models
from lipwright.errors import LipwrightError
from lipwright.inference import LipSync, Progress, SyncOptions, SyncResult, sync

__all__ = [
    "LipSync",
    "LipwrightError",
    "ModelEntry",
    "Progress",
    "SyncOptions",
    "SyncResult",
    "available_models",
    "sync",
]
