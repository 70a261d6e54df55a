from pathlib import Path

import pytest
from clip_makers import babble, talking, write_clip


@pytest.fixture(scope="session")
def talking_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.6 s of a face and of sound."""
    path = tmp_path_factory.mktemp("clips") / "anna" / "hello.mp4"
    return write_clip(path, talking(40), babble(1.6))


@pytest.fixture(scope="session")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small expert with random weights, exported to ONNX; the weights lie beside it."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from lipwright.checkpoints import Metadata  # noqa: PLC0415
    from lipwright.conversion.export import export_onnx  # noqa: PLC0415
    from lipwright.models.build import build_network, save_network  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("expert")
    options = {"resolution": 96, "width": 4, "embedding": 16, "objective": "contrastive"}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_network("expert", "compact", options)
    meta = Metadata(kind="expert", architecture="compact", config=options)
    save_network(network, folder / "expert.safetensors", meta)
    export_onnx(folder / "expert.safetensors", folder / "expert.onnx")
    return folder / "expert.onnx"
