"""Weights files in and out; knows no network."""

from lipwright.checkpoints.onnx import read_onnx, read_onnx_metadata
from lipwright.checkpoints.registry import (
    DEFAULT_EXPERT,
    DEFAULT_MODEL,
    ModelEntry,
    available_models,
    model_path,
)
from lipwright.checkpoints.weights import (
    Metadata,
    read_metadata,
    read_tensors,
    read_weights,
    write_tensors,
    write_weights,
)

__all__ = [
    "DEFAULT_EXPERT",
    "DEFAULT_MODEL",
    "Metadata",
    "ModelEntry",
    "available_models",
    "model_path",
    "read_metadata",
    "read_onnx",
    "read_onnx_metadata",
    "read_tensors",
    "read_weights",
    "write_tensors",
    "write_weights",
]
