"""Tell by names and shapes which network a file of weights holds, and bring it to our names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from lipwright.checkpoints.weights import Kind
from lipwright.errors import CheckpointError
from lipwright.models.build import Options, build_network
from lipwright.speech import FRONT_END
from lipwright.speech.mfcc import CEPSTRA_FRONT_END

Arrays = Mapping[str, NDArray[np.generic]]
Shapes = dict[str, tuple[int, ...]]

_COUNTER = "num_batches_tracked"  # of a batch norm: old files lack it, and inference ignores it
_NUM_SHOWN = 5  # names in a message
_RELATED = 0.5  # share of a network's names from which a file is taken for a flawed copy of it

# Prefixes that wrappers leave on every name, old -> new; tried in turn until none fits.
_PREFIXES = {"module.": "", "_orig_mod.": "", "generator.": "", "netG.": "", "syncnet.": ""}

# Networks that people mistake for a lip-sync model: a piece of a name -> what it is.
_OTHERS = {
    "netcnnlip": "a SyncNet of another shape than SyncNet v2, the judge of LSE-D and LSE-C",
    "netcnnaud": "a SyncNet of another shape than SyncNet v2, the judge of LSE-D and LSE-C",
    "conv4_3_norm": "the S3FD face detector",
    "fpn.merge1": "the RetinaFace detector",
    "ssh1.": "the RetinaFace detector",
    "stylegan_decoder": "GFPGAN, a face restorer",
    "quantize.embedding": "CodeFormer, a face restorer",
    "body.0.rdb1": "Real-ESRGAN, an upscaler",
    "down_blocks.0": "a diffusion U-Net, as MuseTalk and LatentSync have it",
    "sam.sa.conv1": "a Wav2Lip generator with spatial attention, which is not supported yet",
    "blocks.0.attn": "a vision transformer",
    "encoder.layers.0": "a transformer",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownNetwork:
    """A network that Lipwright can build."""

    title: str
    """In words."""
    kind: Kind
    """What it does."""
    architecture: str = "wav2lip"
    """Name that ``models.build`` knows."""
    options: Options = field(default_factory=dict)
    """Dimensions."""
    front_end: str = FRONT_END
    """What its speech goes through first."""


KNOWN = (
    KnownNetwork(title="Wav2Lip generator, 96 px", kind="generator", options={"resolution": 96}),
    KnownNetwork(title="Wav2Lip generator, 256 px", kind="generator", options={"resolution": 256}),
    KnownNetwork(title="Wav2Lip generator, 288 px", kind="generator", options={"resolution": 288}),
    KnownNetwork(
        title="Wav2Lip generator, 288 px, PReLU",
        kind="generator",
        options={"resolution": 288, "activation": "prelu"},
    ),
    KnownNetwork(
        title="compressed Wav2Lip generator, 96 px (Nota)",
        kind="generator",
        options={"resolution": 96, "layout": "compressed"},
    ),
    KnownNetwork(title="Wav2Lip lip-sync expert", kind="expert"),
    KnownNetwork(title="Wav2Lip visual quality discriminator", kind="discriminator"),
    KnownNetwork(
        title="SyncNet v2, the judge of LSE-D and LSE-C",
        kind="expert",
        architecture="syncnet-v2",
        options={"resolution": 224},
        front_end=CEPSTRA_FRONT_END,
    ),
)


def recognise(tensors: Arrays) -> tuple[KnownNetwork, dict[str, NDArray[np.generic]]]:
    """Tell which network some tensors are, and give them our names and types.

    Args:
        tensors: Name -> array, as a file has them.

    Returns:
        The network, and all its tensors: floating ones as float32, with counters of the batch
        norms at 0 where the file lacks them.

    Raises:
        CheckpointError: If they are no network known here; says what they look like, or which
            names are missing, too many or of another shape (the first five of each, and how many).
    """
    named = _strip_prefixes(tensors)
    found = _shapes(named)
    for known in KNOWN:
        if found == _expected(known):
            return known, _complete(known, named)
    raise CheckpointError(_why_not(found))


def _strip_prefixes(tensors: Arrays) -> dict[str, NDArray[np.generic]]:
    named = dict(tensors)
    while named:
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in named)), None)
        if prefix is None:
            break
        named = {_PREFIXES[prefix] + name.removeprefix(prefix): a for name, a in named.items()}
    return named


def _shapes(tensors: Arrays) -> Shapes:
    return {n: a.shape for n, a in tensors.items() if n.rpartition(".")[2] != _COUNTER}


@cache
def _full_state(index: int) -> Mapping[str, torch.Tensor]:
    known = KNOWN[index]
    with torch.device("meta"):
        return build_network(known.kind, known.architecture, known.options).state_dict()


def _expected(known: KnownNetwork) -> Shapes:
    state = _full_state(KNOWN.index(known))
    return {n: tuple(t.shape) for n, t in state.items() if n.rpartition(".")[2] != _COUNTER}


def _complete(known: KnownNetwork, named: Arrays) -> dict[str, NDArray[np.generic]]:
    complete: dict[str, NDArray[np.generic]] = {}
    for name in _full_state(KNOWN.index(known)):
        if name.rpartition(".")[2] == _COUNTER:
            complete[name] = np.asarray(named.get(name, np.int64(0)), dtype=np.int64)
        else:
            complete[name] = np.asarray(named[name], dtype=np.float32)
    return complete


def _why_not(found: Shapes) -> str:
    def share(known: KnownNetwork) -> float:
        expected = _expected(known)
        return sum(found.get(name) == shape for name, shape in expected.items()) / len(expected)

    nearest = max(KNOWN, key=share)
    if share(nearest) < _RELATED:
        return f"no network of the Wav2Lip family: it looks like {_looks_like(found)}"
    expected = _expected(nearest)
    flaws = [
        _listed("missing", (n for n in expected if n not in found)),
        _listed("unexpected", (n for n in found if n not in expected)),
        _listed(
            "of another shape",
            (
                f"{n} {list(found[n])} for {list(shape)}"
                for n, shape in expected.items()
                if n in found and found[n] != shape
            ),
        ),
    ]
    return f"almost a {nearest.title}, but " + "; ".join(flaw for flaw in flaws if flaw)


def _listed(what: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = f", and {len(names) - _NUM_SHOWN} more" if len(names) > _NUM_SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:_NUM_SHOWN])}{more}"


def _looks_like(found: Shapes) -> str:
    for piece, other in _OTHERS.items():
        if any(piece in name for name in found):
            return other
    if any(n.startswith("face_encoder.") for n in found):
        return "a lip-sync expert of another shape than the released one"
    if any(n.startswith("face_encoder_blocks.") for n in found):
        return "a relative of the Wav2Lip generator or discriminator that is not known here"
    num = sum(int(np.prod(shape)) for shape in found.values())
    names = ", ".join(list(found)[:3])
    return f"another network ({len(found)} tensors, {num / 1e6:.1f} M values: {names}, ...)"
