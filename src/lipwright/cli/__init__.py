"""The command line: parse, call one function of the package, print the outcome."""

from lipwright.cli.app import main

__all__ = ["main"]
