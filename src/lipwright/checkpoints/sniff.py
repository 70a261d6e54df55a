"""Tell what a file is by its first bytes, and what to do if it is no checkpoint."""

import codecs
import re
from pathlib import Path
from typing import Literal

from lipwright.errors import CheckpointError

Family = Literal["zip", "pickle", "safetensors"]
_MAX_HEADER = 16 << 20  # of safetensors: names, shapes and free text
_HEAD = 1024
_WEB_PAGE = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<(!doctype\s+html|html)\b", re.IGNORECASE)
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x2a\x32\x3a\x42]")  # version, any next field
_UNPACK = "unpack it first and give the file inside"
_OTHERS = {
    b"\x1f\x8b": f"is a gzip archive; {_UNPACK}",
    b"7z\xbc\xaf\x27\x1c": f"is a 7z archive; {_UNPACK}",
    b"Rar!\x1a\x07": f"is a RAR archive; {_UNPACK}",
    b"BZh": f"is a bzip2 archive; {_UNPACK}",
    b"\xfd7zXZ\x00": f"is an xz archive; {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"is a zstd archive; {_UNPACK}",
    b"PK\x05\x06": "is an empty zip archive; download it again",
    b"version https://git-lfs": (
        "is only a Git LFS pointer, the weights are not there; run `git lfs pull` in its "
        "repository, or download the file itself"
    ),
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file (Keras), which is not read; convert it to safetensors",
}


def family_of(path: Path) -> Family:
    """Tell how a checkpoint is to be read.

    Args:
        path: Any file.

    Returns:
        Its family.

    Raises:
        CheckpointError: If it is missing, empty, or something else; says what, and the way out.
    """
    if not path.is_file():
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder; give the weights file inside")
        raise CheckpointError(f"no such weights file: {str(path)!r}")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as err:
        raise CheckpointError(f"cannot read {path}: {err}; check its permissions") from err
    _refuse_others(path, head)
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(b"\x80"):
        return "pickle"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER:
        return "safetensors"
    if path.suffix == ".onnx" or _ONNX.match(head):
        raise CheckpointError(
            f"{path} is an ONNX network, not a file of weights only; ONNX files are read as they "
            f"are: give it where a model's .onnx file is asked for"
        )
    raise CheckpointError(
        f"{path} ({path.stat().st_size} bytes) is no checkpoint that can be read: it begins with "
        f"{head[:32]!r}; give a .pth or .pt file of torch.save, a TorchScript archive, or "
        f"safetensors"
    )


def _refuse_others(path: Path, head: bytes) -> None:
    if not head:
        raise CheckpointError(f"{path} is empty; download it again")
    if _WEB_PAGE.match(head.removeprefix(codecs.BOM_UTF8)):
        raise CheckpointError(
            f"{path} is a web page, not weights: the download link is dead or needs a login; "
            f"download it again in the browser and look at it"
        )
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise CheckpointError(f"{path} {what}")
    if head[257:262] == b"ustar":
        raise CheckpointError(f"{path} is a tar archive; {_UNPACK}")
