"""From an architecture's name and dimensions to a network, and the way back from a weights file."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from lipwright.checkpoints import Metadata, read_weights, write_weights
from lipwright.checkpoints.weights import Kind
from lipwright.errors import CheckpointError, ConfigError
from lipwright.models.articulated import (
    ArticulatedConfig,
    ArticulatedGenerator,
    Drawing,
    DrawingConfig,
)
from lipwright.models.compact import (
    CompactExpert,
    CompactExpertConfig,
    CompactGenerator,
    CompactGeneratorConfig,
)
from lipwright.models.discriminator import (
    CompactDiscriminator,
    CompactDiscriminatorConfig,
    QualityDiscriminator,
)
from lipwright.models.hearing import Hearing, HearingConfig
from lipwright.models.landmarks import LandmarkConfig, LandmarkNet
from lipwright.models.motion_expert import MotionExpert, MotionExpertConfig
from lipwright.models.patches import PatchDiscriminator, PatchDiscriminatorConfig
from lipwright.models.syncnet import SyncNet
from lipwright.models.syncnet_v2 import RESOLUTION as SYNCNET_V2_RESOLUTION
from lipwright.models.syncnet_v2 import SyncNetV2
from lipwright.models.wav2lip import Wav2LipConfig, Wav2LipGenerator

C = TypeVar("C")
Options = Mapping[str, str | int | float | bool]
RELEASED_RESOLUTION = 96  # pixels: the only size of the released Wav2Lip networks


def _without_options(
    network: Callable[[], nn.Module], *, resolution: int = RELEASED_RESOLUTION
) -> Callable[[Options], nn.Module]:
    def build(options: Options) -> nn.Module:
        if set(options) - {"resolution"} or resolution_of(options) != resolution:
            raise ConfigError(
                f"the released network takes no options but resolution = {resolution}, got "
                f"{dict(options)}"
            )
        return network()

    return build


_BUILDERS: dict[Kind, dict[str, Callable[[Options], nn.Module]]] = {
    "generator": {
        "articulated": lambda options: ArticulatedGenerator(_config(ArticulatedConfig, options)),
        "compact": lambda options: CompactGenerator(_config(CompactGeneratorConfig, options)),
        "wav2lip": lambda options: Wav2LipGenerator(_config(Wav2LipConfig, options)),
    },
    "expert": {
        "compact": lambda options: CompactExpert(_config(CompactExpertConfig, options)),
        "motion": lambda options: MotionExpert(_config(MotionExpertConfig, options)),
        "wav2lip": _without_options(SyncNet),
        "syncnet-v2": _without_options(SyncNetV2, resolution=SYNCNET_V2_RESOLUTION),
    },
    "discriminator": {
        "compact": lambda options: CompactDiscriminator(
            _config(CompactDiscriminatorConfig, options)
        ),
        "patches": lambda options: PatchDiscriminator(_config(PatchDiscriminatorConfig, options)),
        "wav2lip": _without_options(QualityDiscriminator),
    },
    "hearing": {
        "articulated": lambda options: Hearing(_config(HearingConfig, options)),
    },
    "drawing": {
        "articulated": lambda options: Drawing(_config(DrawingConfig, options)),
    },
    "landmarks": {
        "compact": lambda options: LandmarkNet(_config(LandmarkConfig, options)),
    },
}


def build_network(kind: Kind, architecture: str, options: Options) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        kind: ``generator``, ``expert`` or ``discriminator``.
        architecture: ``compact`` or ``wav2lip``; of an expert also ``syncnet-v2``.
        options: Dimensions, as the architecture's config names them.

    Returns:
        The network.

    Raises:
        ConfigError: If the architecture or an option is unknown.
    """
    builders = _BUILDERS.get(kind, {})
    if architecture not in builders:
        known = ", ".join(builders)
        raise ConfigError(f"unknown {kind} architecture {architecture!r}; known: {known}")
    return builders[architecture](options)


def _config(kind: Callable[..., C], options: Options) -> C:
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown network option {key!r}; {hint}")
    for item in fields(kind):  # type: ignore[arg-type]
        value = options.get(item.name, item.default)
        if type(value) is not type(item.default) and (type(item.default), type(value)) != (
            float,
            int,
        ):
            raise ConfigError(
                f"network option {item.name} must be of type {type(item.default).__name__}, got "
                f"{value!r}"
            )
    return kind(**options)


def resolution_of(options: Options) -> int:
    """Height and width of the faces that a network with these options takes, in pixels."""
    return int(options.get("resolution", RELEASED_RESOLUTION))


def load_network(path: Path, *, kind: Kind) -> tuple[nn.Module, Metadata]:
    """Build the network that a weights file describes and give it those weights.

    Args:
        path: A file that ``checkpoints.write_weights`` wrote.
        kind: What is expected.

    Returns:
        The network in evaluation mode, and the file's metadata.

    Raises:
        CheckpointError: If the file is damaged or its weights do not fit the network.
    """
    tensors, meta = read_weights(path, kind=kind)
    try:
        network = build_network(kind, meta.architecture, meta.config)
    except ConfigError as err:
        raise CheckpointError(f"{path} describes an impossible network: {err}") from err
    try:
        network.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
        )
    except RuntimeError as err:
        raise CheckpointError(f"{path} does not fit a {meta.architecture} {kind}: {err}") from err
    return network.eval(), meta


def save_network(network: nn.Module, path: Path, meta: Metadata) -> None:
    """Write a network's weights.

    Args:
        network: Whose.
        path: File to write.
        meta: What it is.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    state = network.state_dict()
    write_weights(path, {key: t.detach().cpu().numpy() for key, t in state.items()}, meta)
