"""From a face and a speech to a video of that face saying it. Runs without torch."""

from lipwright.inference.backend import GeneratorBackend, OpenVinoGenerator
from lipwright.inference.job import Progress, SyncOptions, SyncResult
from lipwright.inference.pipeline import sync

__all__ = [
    "GeneratorBackend",
    "OpenVinoGenerator",
    "Progress",
    "SyncOptions",
    "SyncResult",
    "sync",
]
