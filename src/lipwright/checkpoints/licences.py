"""Which licences of weights are free to use, and which ones somebody has to accept first."""

import json
import logging
import re
import tomllib
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from lipwright.checkpoints.home import settings_path, written_whole
from lipwright.errors import ConfigError, LicenceError

log = logging.getLogger(__name__)

PERMISSIVE = (  # SPDX names; any use, at most with attribution
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unlicense",
    "Zlib",
)
_PERMISSIVE = frozenset(name.casefold() for name in PERMISSIVE)  # SPDX names know no case
_KEY = "accepted_licences"


def is_permissive(licence: str) -> bool:
    """Whether anybody may use what is under a licence, for anything."""
    return licence.casefold() in _PERMISSIVE


def require_licence(model: str, licence: str, *, accept: str | None = None) -> None:
    """Make sure that a model may be used; what is accepted is recorded, and not asked again.

    Args:
        model: Its name, for the message.
        licence: Its licence.
        accept: The licence that the user says their use is within.

    Raises:
        LicenceError: If the licence is not permissive and nobody accepted it, or ``accept`` names
            another licence.
        ConfigError: If the settings cannot be read or written.
    """
    if accept is not None and accept.casefold() != licence.casefold():
        raise LicenceError(
            f"model {model} is licensed {licence}, not {accept}; to accept that: "
            f"--accept-licence {licence}"
        )
    if is_permissive(licence):
        return
    accepted = accepted_licences()
    if licence.casefold() in {name.casefold() for name in accepted}:
        return
    if accept is None:
        raise LicenceError(
            f"model {model} is licensed {licence}; if your use is within that, say so once: "
            f"--accept-licence {licence} (or {_assignment([licence])} in {settings_path()})"
        )
    _write_accepted([*accepted, licence])
    log.info("recorded in %s that %s is accepted", settings_path(), licence)


def accepted_licences() -> list[str]:
    """Licences that were accepted before.

    Raises:
        ConfigError: If the settings cannot be read or hold an unknown key or value.
    """
    return _accepted(_read(), settings_path())


def _read() -> str:
    path = settings_path()
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read the settings {path}: {err}") from err


def _accepted(text: str, path: Path) -> list[str]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"cannot read the settings {path}: {err}") from err
    for key in table:
        if key != _KEY:
            near = get_close_matches(key, [_KEY], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {_KEY}"
            raise ConfigError(f"{path}: unknown key {key!r}; {hint}")
    names = table.get(_KEY, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'{path}: {_KEY} must be a list such as ["research-only"], got {names!r}')
    return names


def _write_accepted(names: list[str]) -> None:
    path = settings_path()
    text = _replaced(_read(), _assignment(names))
    if _accepted(text, path) != names:
        raise ConfigError(f"cannot change {path}; write there by hand: {_assignment(names)}")
    try:
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as err:
        raise ConfigError(f"cannot write the settings {path}: {err}") from err


def _assignment(names: list[str]) -> str:
    # Strings of JSON are strings of TOML, save for characters that _write_accepted would notice.
    return f"{_KEY} = {json.dumps(names, ensure_ascii=False)}"


def _replaced(text: str, assignment: str) -> str:
    """The settings with the list set anew, and everything else, comments too, as it was."""
    start = re.search(rf"^[ \t]*[\"']?{_KEY}[\"']?[ \t]*=", text, re.MULTILINE)
    if start is None:
        return f"{assignment}\n{text}"  # at the front, where no table has begun
    for end in re.finditer(r"\]", text[start.end() :]):
        stop = start.end() + end.end()
        with suppress(tomllib.TOMLDecodeError):  # a bracket within a string or a comment
            tomllib.loads(text[start.start() : stop])
            return text[: start.start()] + assignment + text[stop:]
    return text
