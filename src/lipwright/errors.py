"""Everything that Lipwright raises on purpose: one tree, caught in one place."""

from importlib import import_module
from types import ModuleType


class LipwrightError(Exception):
    """Base of every error that Lipwright raises on purpose; its text is meant for the user."""


class MediaError(LipwrightError):
    """A video, picture or sound cannot be read or written, or lacks what is needed of it."""


class NoFaceError(LipwrightError):
    """No face was found where one is needed."""


class ConfigError(LipwrightError):
    """A setting, recipe or command-line value is not acceptable."""


class CheckpointError(LipwrightError):
    """A weights file is missing, damaged, or holds something else than was asked for."""


class DownloadError(LipwrightError):
    """A file cannot be fetched from anywhere it is said to be."""


class LicenceError(LipwrightError):
    """A model's licence does not permit every use, and nobody has accepted it."""


class CorpusError(LipwrightError):
    """A training corpus is missing, damaged, or too small for what was asked of it."""


class TrainingError(LipwrightError):
    """A training run cannot start or must stop."""


class EvaluationError(LipwrightError):
    """An evaluation cannot be made of what it was given, or its report cannot be written."""


class MissingExtraError(LipwrightError):
    """An optional library is needed and not installed."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: Name to import, for example ``"torch"``.
        extra: The extra of Lipwright that installs it, for example ``"train"``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: If the library is not installed; says what to install.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as err:
        if err.name is not None and err.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise  # the library is there, and broken
        raise MissingExtraError(
            f"this needs {module!r}, which is not installed: pip install 'lipwright[{extra}]'"
        ) from err
