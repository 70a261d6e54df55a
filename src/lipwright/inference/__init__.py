"""From a face and a speech to a video of that face saying it. Runs without torch."""

from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.casting import Voice, read_voices
from lipwright.inference.engines import EngineChoice, open_generator
from lipwright.inference.job import Progress, Stretch, SyncOptions, SyncResult
from lipwright.inference.lipsync import LipSync
from lipwright.inference.openvino_backend import OpenVinoGenerator
from lipwright.inference.pipeline import sync
from lipwright.inference.preview import preview
from lipwright.inference.resume import sync_resumably

__all__ = [
    "EngineChoice",
    "GeneratorBackend",
    "LipSync",
    "OpenVinoGenerator",
    "Progress",
    "Stretch",
    "SyncOptions",
    "SyncResult",
    "Voice",
    "open_generator",
    "preview",
    "read_voices",
    "sync",
    "sync_resumably",
]
