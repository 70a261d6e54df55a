"""Small honest files of weights in every container, to be damaged."""

import io
import json
import pickle  # noqa: TID251 - written as others write it, never read
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from lipwright.checkpoints import Metadata
from lipwright.models.build import build_network, save_network

_TINY = {"width": 2, "speech_width": 8, "patch": 8, "resolution": 96}
_SIDE = 96  # pixels: the faces of the ONNX generator


def weights_seeds(folder: Path) -> dict[str, bytes]:
    """Write every seed; names end in the suffix that says how it is read."""
    tensors = _tensors()
    record = {"state_dict": tensors, "optimizer": {"step": 1}, "global_step": 7}
    torch.save(record, folder / "zip.pth")
    torch.save(record, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)  # else damage ends at the checksums
    torch.save(record, folder / "unchecked.pth")
    torch.serialization.set_crc32_options(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old files stay what they are
        torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(3, 2))), folder / "script.pt")
    save_network(
        build_network("generator", "compact", _TINY),
        folder / "own.safetensors",
        Metadata(kind="generator", architecture="compact", config=_TINY),
    )
    torch.save(build_network("generator", "compact", _TINY).state_dict(), folder / "whole.pth")
    (folder / "generator.onnx").write_bytes(_onnx_generator())
    np.savez(folder / "numbers.npz", **{name: t.float().numpy() for name, t in tensors.items()})
    (folder / "plain.pkl").write_bytes(pickle.dumps({"weights": [1.0, 2.0]}, protocol=2))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "module.first.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "module.first.bias": torch.randn(4, generator=generator).half(),
        "module.second.weight": torch.randn(2, 4, generator=generator).bfloat16().t(),
        "module.count": torch.tensor(5),
    }


def _onnx_generator() -> bytes:
    """Draws the faces' first three channels, and adds a number that depends on the speech."""
    make = onnx.helper
    first = onnx.numpy_helper.from_array(np.eye(3, 6, dtype=np.float32)[..., None, None], "first")
    shapes = {"mel": [None, 1, 80, 16], "faces": [None, 6, _SIDE, _SIDE]}
    inputs = [
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    output = make.make_tensor_value_info("drawn", onnx.TensorProto.FLOAT, [None, 3, _SIDE, _SIDE])
    nodes = [
        make.make_node("GlobalAveragePool", ["mel"], ["loudness"]),
        make.make_node("Conv", ["faces", "first"], ["face"]),
        make.make_node("Add", ["face", "loudness"], ["sum"]),
        make.make_node("Sigmoid", ["sum"], ["drawn"]),
    ]
    graph = make.make_graph(nodes, "generator", inputs, [output], [first])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    meta = Metadata(kind="generator", architecture="onnx", config={"resolution": _SIDE})
    record = {"kind": "generator", "resolution": str(_SIDE), "lipwright": json.dumps(asdict(meta))}
    make.set_model_props(model, record)
    written = io.BytesIO()
    onnx.save(model, written)
    return written.getvalue()
