"""From a part that hears and a part that draws to one generator."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from lipwright.checkpoints import Metadata
from lipwright.errors import ConfigError
from lipwright.models.articulated import (
    ArticulatedConfig,
    ArticulatedGenerator,
    Drawing,
)
from lipwright.models.build import load_network, save_network
from lipwright.models.hearing import Hearing


def join_generator(hearing: Path, drawings: Sequence[Path], out: Path) -> Metadata:
    """Put the two parts of an articulated generator together.

    Args:
        hearing: Weights that ``lipwright train hearing`` wrote.
        drawings: Weights that ``lipwright train drawing`` wrote; of several runs that began alike
            the mean is taken, which draws unknown people better than each (Wortsman et al. 2022).
        out: Weights of a generator to write; its name ends in ``.safetensors``.

    Returns:
        What the generator says of itself.

    Raises:
        CheckpointError: If a file is damaged or holds something else, or ``out`` cannot be
            written.
        ConfigError: If the name of ``out`` ends otherwise, or several drawings differ in shape.
    """
    if out.suffix != ".safetensors":
        raise ConfigError(f"weights are written as .safetensors, got {str(out)!r}")
    hears, heard = load_network(hearing, kind="hearing")
    draws, drawn = _mean_drawing(drawings)
    assert isinstance(hears, Hearing) and isinstance(draws, Drawing)  # noqa: S101, PT018 - by kind
    config = ArticulatedConfig(**asdict(hears.config), **asdict(draws.config))
    generator = ArticulatedGenerator(config)
    generator.hearing, generator.drawing = hears, draws
    meta = Metadata(
        kind="generator",
        architecture="articulated",
        config=asdict(config),
        step=drawn.step,
        licence=_joined(" AND ", heard.licence, drawn.licence),
        training_data=_joined("; ", heard.training_data, drawn.training_data),
        notes={"hearing_step": str(heard.step)},
    )
    save_network(generator, out, meta)
    return meta


def _mean_drawing(paths: Sequence[Path]) -> tuple[nn.Module, Metadata]:
    network, meta = load_network(paths[0], kind="drawing")
    others = [load_network(path, kind="drawing") for path in paths[1:]]
    for path, (other, _) in zip(paths[1:], others, strict=True):
        if other.config != network.config:
            raise ConfigError(
                f"{path} is {other.config}, {paths[0]} is {network.config}; only drawings of one "
                f"shape have a mean"
            )
    states = [network.state_dict(), *(other.state_dict() for other, _ in others)]
    network.load_state_dict(
        {
            name: torch.stack([state[name].float() for state in states]).mean(dim=0).to(value.dtype)
            for name, value in states[0].items()
        }
    )
    return network, replace(meta, step=max(meta.step, *(m.step for _, m in others), 0))


def _joined(between: str, *texts: str) -> str:
    return between.join(dict.fromkeys(text for text in texts if text))
