"""From a part that hears and a part that draws to one generator."""

from dataclasses import asdict
from pathlib import Path

from lipwright.checkpoints import Metadata
from lipwright.errors import ConfigError
from lipwright.models.articulated import (
    ArticulatedConfig,
    ArticulatedGenerator,
    Drawing,
    Hearing,
)
from lipwright.models.build import load_network, save_network


def join_generator(hearing: Path, drawing: Path, out: Path) -> Metadata:
    """Put the two parts of an articulated generator together.

    Args:
        hearing: Weights that ``lipwright train hearing`` wrote.
        drawing: Weights that ``lipwright train drawing`` wrote.
        out: Weights of a generator to write; its name ends in ``.safetensors``.

    Returns:
        What the generator says of itself.

    Raises:
        CheckpointError: If a file is damaged or holds something else, or ``out`` cannot be
            written.
        ConfigError: If the name of ``out`` ends otherwise.
    """
    if out.suffix != ".safetensors":
        raise ConfigError(f"weights are written as .safetensors, got {str(out)!r}")
    hears, heard = load_network(hearing, kind="hearing")
    draws, drawn = load_network(drawing, kind="drawing")
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


def _joined(between: str, *texts: str) -> str:
    return between.join(dict.fromkeys(text for text in texts if text))
