"""Learn from a larger generator too: load the one that teaches (Hinton et al. 2015)."""

from pathlib import Path

from lipwright.errors import ConfigError
from lipwright.models.articulated import ArticulatedGenerator
from lipwright.models.build import load_network


def load_teacher(path: Path) -> ArticulatedGenerator:
    """Load a generator whose two parts teach smaller ones.

    Args:
        path: Weights that ``lipwright join`` wrote.

    Returns:
        The generator, in evaluation mode and without gradients.

    Raises:
        CheckpointError: If the file is damaged or holds no generator.
        ConfigError: If it is a generator of one piece.
    """
    teacher, meta = load_network(path, kind="generator")
    if not isinstance(teacher, ArticulatedGenerator):
        raise ConfigError(
            f"{path} holds a {meta.architecture} generator; only an articulated one has parts that "
            f"hear and draw, to teach others"
        )
    return teacher.eval().requires_grad_(False)


def require_alike(path: Path, what: str, teacher: int, pupil: int) -> None:
    """Make sure that a teacher takes what its pupil takes.

    Args:
        path: Of the teacher.
        what: Which dimension.
        teacher: The teacher's.
        pupil: The pupil's.

    Raises:
        ConfigError: If they differ.
    """
    if teacher != pupil:
        raise ConfigError(
            f"the teacher {path} has {what} = {teacher}, the network has {pupil}; they must be "
            f"the same"
        )
