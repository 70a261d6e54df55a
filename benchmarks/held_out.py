"""Write the pairs of the project's held-out test set, for `lipwright evaluate`.

Each held-out clip from the still of its first frame and its own speech; and held-out portraits,
each with the speech of a held-out clip, whose mouth the drawn one is held against.

    python benchmarks/held_out.py GRID_FOLDER PORTRAITS_FOLDER --to pairs.tsv
    lipwright evaluate pairs.tsv --to report
"""

import argparse
from pathlib import Path

from lipwright.corpus import load_split
from lipwright.corpus.sources import find_clips
from lipwright.evaluation.pairs import Pair, write_pairs


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--split", type=Path, default=Path("recipes/open_corpus.split.toml"))
    parser.add_argument("--num-portraits", type=int, default=20)
    arguments = parser.parse_args()
    rule = load_split(arguments.split)
    clips = [c for c in find_clips([arguments.clips]) if rule.split(c.clip) == "val"]
    portraits = [
        path
        for path in sorted(arguments.portraits.iterdir())
        if rule.split(f"{arguments.portraits.name}/{path.stem}") == "val"
    ]
    pairs = [
        Pair(
            name=clip.clip.replace("/", "_"),
            face=clip.picture,
            speech=clip.sound,
            truth=clip.picture,
            group="own speech, from a still",
            at=0.0,
        )
        for clip in clips
    ]
    for index, portrait in enumerate(portraits[: arguments.num_portraits]):
        clip = clips[index % len(clips)]
        pairs.append(
            Pair(
                name=f"{portrait.stem}_{Path(clip.clip).name}",
                face=portrait,
                speech=clip.sound,
                motion=clip.picture,
                group="portraits, speech of others",
            )
        )
    write_pairs(pairs, arguments.to)
    print(f"{len(pairs)} pairs: {arguments.to}")


if __name__ == "__main__":
    main()
