"""From a face and a speech to a video of that face saying it. Runs without torch."""

from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.engines import EngineChoice, open_generator
from lipwright.inference.job import Progress, SyncOptions, SyncResult
from lipwright.inference.lipsync import LipSync
from lipwright.inference.openvino_backend import OpenVinoGenerator
from lipwright.inference.pipeline import sync

__all__ = [
    "EngineChoice",
    "GeneratorBackend",
    "LipSync",
    "OpenVinoGenerator",
    "Progress",
    "SyncOptions",
    "SyncResult",
    "open_generator",
    "sync",
]
