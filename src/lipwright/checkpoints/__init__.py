"""Weights files in and out; knows no network."""

from lipwright.checkpoints.catalogue import RemoteModel, load_catalogue
from lipwright.checkpoints.download import sha256_of
from lipwright.checkpoints.home import models_folder, written_whole
from lipwright.checkpoints.licences import is_permissive, require_licence
from lipwright.checkpoints.onnx import openvino_core, read_onnx, read_onnx_metadata
from lipwright.checkpoints.registry import (
    DEFAULT_EXPERT,
    DEFAULT_LANDMARKS,
    DEFAULT_MODEL,
    TINY_MODEL,
    ModelEntry,
    available_models,
    model_path,
    pull_model,
    register_model,
    require_free_name,
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
    "DEFAULT_LANDMARKS",
    "DEFAULT_MODEL",
    "TINY_MODEL",
    "Metadata",
    "ModelEntry",
    "RemoteModel",
    "available_models",
    "is_permissive",
    "load_catalogue",
    "model_path",
    "models_folder",
    "openvino_core",
    "pull_model",
    "read_metadata",
    "read_onnx",
    "read_onnx_metadata",
    "read_tensors",
    "read_weights",
    "register_model",
    "require_free_name",
    "require_licence",
    "sha256_of",
    "write_tensors",
    "write_weights",
    "written_whole",
]
