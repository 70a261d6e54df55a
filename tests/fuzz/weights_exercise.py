"""All that the product does with a file of weights before it runs them."""

from pathlib import Path

import numpy as np
from fuzz_child import Step

from lipwright.checkpoints import read_metadata, read_onnx_metadata, read_tensors
from lipwright.checkpoints.containers import read_container
from lipwright.conversion.convert import convert
from lipwright.inference import OpenVinoGenerator
from lipwright.models.build import load_network


def exercise_weights(path: Path, out: Path) -> dict[str, Step]:
    """What is done with a file of this suffix."""
    if path.suffix == ".onnx":
        return {
            "metadata": lambda: read_onnx_metadata(path),
            "convert": lambda: convert(path, out / "converted"),
            "load": lambda: _draw(path),
        }
    steps: dict[str, Step] = {"read": lambda: read_container(path)}
    if path.suffix == ".safetensors":
        steps["metadata"] = lambda: read_metadata(path)
        steps["tensors"] = lambda: read_tensors(path)
        steps["load"] = lambda: load_network(path, kind="generator")
    else:
        steps["convert"] = lambda: convert(path, out / "converted")
    return steps


def _draw(path: Path) -> None:
    generator = OpenVinoGenerator(path, num_threads=1)
    side = generator.resolution
    faces = np.zeros((1, side, side, 3), dtype=np.uint8)
    generator.draw(faces, faces, np.zeros((1, 1, 80, 16), dtype=np.float32))
