"""Render every situation of the matrix through the command line, to be looked at.

python benchmarks/situations.py OUT_FOLDER

Writes each situation's clips and result into a folder of its own, ``results.json`` (exit code,
what was told, the JSON of the command), ``sheets/*.png`` (source above result) and ``matrix.md``:
situation, what happens, and the test that holds it. The clips are those of
``tests/e2e/situations.py``, which lies beside the tests and is found by its path.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media import read_frames

TESTS = Path(__file__).parents[1] / "tests" / "e2e"
sys.path.insert(0, str(TESTS))

from situations import SITUATIONS, Played, play  # noqa: E402 - found by the line above

COLUMNS, TILE = 10, 160  # pictures beside each other, and their height in pixels


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    parser.add_argument("--only", default="", help="situations whose names hold this")
    arguments = parser.parse_args()
    sheets = arguments.out / "sheets"
    sheets.mkdir(parents=True)
    results = []
    for number, (name, situation) in enumerate(SITUATIONS.items()):
        if arguments.only not in name:
            continue
        played = play(situation, arguments.out / f"{number:02d}")
        results.append({"situation": name, **_record(played)})
        print(f"{number:02d} {name}: exit code {played.code}")
        if played.code == 0:
            cv2.imwrite(str(sheets / f"{number:02d}.png"), _sheet(played)[..., ::-1])
    (arguments.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (arguments.out / "matrix.md").write_text(matrix())


def matrix() -> str:
    """The table, in Markdown."""
    rows = ["| situation | what happens | test |", "|---|---|---|"]
    rows += [f"| {row.name} | {row.happens} | `{row.test}` |" for row in SITUATIONS.values()]
    return "\n".join(rows) + "\n"


def _record(played: Played) -> dict[str, object]:
    told = [line for line in played.told.splitlines() if line.startswith(("WARNING", "error"))]
    return {
        "exit_code": played.code,
        "told": told,
        "result": played.result if played.code == 0 else None,
    }


def _sheet(played: Played) -> NDArray[np.uint8]:
    """Frames of the result, spread evenly, below those of the source at their place."""
    rows = [_strip(path) for path in (played.face, played.out)]
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(r, ((0, 4), (0, width - r.shape[1]), (0, 0))) for r in rows])


def _strip(path: Path) -> NDArray[np.uint8]:
    try:
        frames = [frame.pixels for frame in read_frames(path)]
    except MediaError:  # pictures and pipes
        return np.zeros((TILE, TILE, 3), dtype=np.uint8)
    places = np.unique(np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int))
    tiles = [
        cv2.resize(
            frames[place],
            (round(TILE * frames[place].shape[1] / frames[place].shape[0]), TILE),
            interpolation=cv2.INTER_AREA,
        )
        for place in places
    ]
    return np.asarray(np.hstack(tiles), dtype=np.uint8)


if __name__ == "__main__":
    main()
