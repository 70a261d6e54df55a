"""Tell how the held-out portraits fare by what is to be seen of them: no group should lag behind.

    lipwright evaluate pairs.tsv --to report     # of benchmarks/held_out.py
    python benchmarks/groups.py report PORTRAITS_FOLDER

Each portrait says another clip, and clips differ more than faces do; so the table also gives each
group's mean share of what the same clips reach on the person who spoke them.
"""

import argparse
import json
import tomllib
from pathlib import Path

import cv2
import numpy as np

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.faces import Mtcnn, crop_box
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import GROUPS

METRIC = "opening_correlation"
SEEN = Path(__file__).parent / "held_out_groups.toml"
LARGEST_LAG = 0.15  # of the mean by which a group may be behind


def main() -> None:
    """Print a row for each group."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("portraits", type=Path)
    arguments = parser.parse_args()
    report = json.loads((arguments.report / "report.json").read_text(encoding="utf-8"))
    found = {clip["name"]: clip["scores"]["drawn"][METRIC] for clip in report["clips"]}
    own = {name.rpartition("_")[2]: score for name, score in found.items() if is_own(name)}
    portraits = {name.partition("_")[0]: name for name in found if not is_own(name)}
    groups: dict[str, list[str]] = tomllib.loads(SEEN.read_text(encoding="utf-8"))
    shades = {who: brightness(arguments.portraits / f"{who}.jpg") for who in portraits}
    order = sorted(shades, key=lambda who: shades[who])
    groups["darker skin"], groups["lighter skin"] = (
        order[: len(order) // 2],
        order[len(order) // 2 :],
    )
    everybody = float(np.mean([found[name] for name in portraits.values()]))
    print(f"| group | portraits | {METRIC} | over the mean of all | over the clips' own |")
    print("|---|---|---|---|---|")
    for group, people in {"all": list(portraits), **groups}.items():
        names = [portraits[who] for who in people]
        mean = float(np.mean([found[name] for name in names]))
        clips = float(np.mean([own[name.rpartition("_")[2]] for name in names]))
        note = "" if mean >= (1 - LARGEST_LAG) * everybody else " (behind)"
        print(
            f"| {group} | {len(names)} | {mean:.3f} | {mean / everybody:.2f}{note} | "
            f"{mean / clips:.2f} |"
        )


def is_own(name: str) -> bool:
    """Whether a pair shows the person who spoke."""
    return name.startswith(("s26_", "mixed_"))


def brightness(portrait: Path) -> float:
    """Of the cheeks: L* of CIE Lab, 0 to 255."""
    picture = cv2.cvtColor(cv2.imread(str(portrait)), cv2.COLOR_BGR2RGB)
    face = max(Mtcnn(min_face=0.1).detect(picture), key=lambda found: found.score)
    points = (
        Landmarker(model_path(DEFAULT_LANDMARKS)).find(picture, crop_box(face.landmarks)).points
    )
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    places = points[list(GROUPS["cheeks"])].round().astype(int)
    return float(np.median([lab[y - 4 : y + 5, x - 4 : x + 5, 0].mean() for x, y in places]))


if __name__ == "__main__":
    main()
