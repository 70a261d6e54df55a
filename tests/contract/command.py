"""Run a command line within the tests' own process."""

from pathlib import Path

from lipwright.cli import main


def run(*words: str | Path) -> int:
    """Exit code of a command line."""
    try:
        main([str(word) for word in words])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0
