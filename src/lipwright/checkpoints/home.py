"""Where Lipwright keeps what it downloads, converts and is told once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lipwright.errors import ConfigError


def home() -> Path:
    """The folder of everything that is kept; made when something is written.

    Returns:
        ``$LIPWRIGHT_HOME``, else ``$XDG_DATA_HOME/lipwright``, else ``~/.local/share/lipwright``.

    Raises:
        ConfigError: If there is no home folder to be found.
    """
    try:
        if chosen := os.environ.get("LIPWRIGHT_HOME"):
            return Path(chosen).expanduser()
        shared = Path(os.environ.get("XDG_DATA_HOME", ""))
        if not shared.is_absolute():  # unset, or to be ignored as the XDG specification says
            shared = Path.home() / ".local" / "share"
    except RuntimeError as err:
        raise ConfigError(f"no home folder: {err}; set LIPWRIGHT_HOME to a folder") from err
    return shared / "lipwright"


def models_folder() -> Path:
    """Downloaded and converted models."""
    return home() / "models"


def catalogue_path() -> Path:
    """The user's list of remote models."""
    return home() / "models.toml"


def settings_path() -> Path:
    """What the user has said once."""
    return home() / "settings.toml"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, which the block is given; then rename it.

    Args:
        path: File to write; its folder is made.

    Raises:
        OSError: If it cannot be written; what was there before then still is.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):  # where it cannot be removed it was not made
            temporary.unlink(missing_ok=True)
