"""Lipwright: make any face say any speech.

The front door is :func:`sync`; everything raised on purpose is a :class:`LipwrightError`.
"""

from lipwright.checkpoints import ModelEntry, available_models
from lipwright.errors import LipwrightError
from lipwright.inference import Progress, SyncOptions, SyncResult, sync

__all__ = [
    "LipwrightError",
    "ModelEntry",
    "Progress",
    "SyncOptions",
    "SyncResult",
    "available_models",
    "sync",
]
