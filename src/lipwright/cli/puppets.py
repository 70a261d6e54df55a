"""``lipwright puppets``: add talking portraits to a corpus."""

from pathlib import Path

from lipwright.cli.progress import bars
from lipwright.corpus import LEDGER_NAME, PuppetConfig, add_puppets, load_split, summary


def puppets_command(
    portraits: Path,
    *,
    to: Path,
    landmarks: Path,
    split: Path | None = None,
    clips_per_portrait: int = 4,
    max_opening: float = 0.06,
    workers: int = 2,
) -> None:
    """Add talking portraits to a corpus.

    Parameters
    ----------
    portraits:
        Folder of pictures, each of somebody else.
    to:
        Corpus that prepare wrote with --landmarks: its clips drive the portraits.
    landmarks:
        MediaPipe's face_landmark.tflite.
    split:
        Who is trained on and who is kept for judging: a TOML file. By default all are trained on.
    clips_per_portrait:
        Clips that each portrait repeats.
    max_opening:
        Widest mouth of a portrait, in distances between the outer corners of the eyes.
    workers:
        Processes.
    """
    rule = None if split is None else load_split(split)
    with bars() as advance:
        lines = add_puppets(
            portraits,
            to,
            landmarks=landmarks,
            rule=rule,
            config=PuppetConfig(clips_per_portrait=clips_per_portrait, max_opening=max_opening),
            num_workers=workers,
            on_progress=lambda done, total: advance("moving portraits", done, total),
        )
    print(summary(lines))
    print(f"ledger: {to / LEDGER_NAME}")
