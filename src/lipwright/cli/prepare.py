"""``lipwright prepare``: prepare folders of videos for training."""

from pathlib import Path

from lipwright.checkpoints import DEFAULT_EXPERT, model_path
from lipwright.cli.progress import bars
from lipwright.corpus import LEDGER_NAME, PrepareConfig, load_split, prepare_corpus, summary
from lipwright.corpus.audit import read_audit


def prepare_command(  # noqa: PLR0913 - a flag each
    *folders: Path,
    to: Path,
    split: Path | None = None,
    workers: int = 2,
    resolution: int = 128,
    min_face: float = 0.15,
    offset_check: bool = True,
    audit: Path | None = None,
    landmarks: Path | None = None,
) -> None:
    """Prepare folders of videos for training.

    Parameters
    ----------
    folders:
        Where the clips are.
    to:
        Corpus folder to write.
    split:
        Who is trained on and who is kept for judging: a TOML file, or a folder with train.txt,
        val.txt and test.txt. By default, folders named train, val and test decide.
    workers:
        Processes.
    resolution:
        Side of the stored face in pixels.
    min_face:
        Height of the smallest face looked for, as a share of the picture's shorter side.
    offset_check:
        Measure each clip's offset between sound and picture with the shipped expert, and turn
        down those that are out of sync.
    audit:
        What lipwright audit wrote of these folders; instead of the offset check. Clips that it
        says to leave out are turned down, the sound of the others is moved as it advises.
    landmarks:
        MediaPipe's face_landmark.tflite: stores the points of each face, which puppets and the
        articulation loss need.
    """
    rule = None if split is None else load_split(split)
    expert = model_path(DEFAULT_EXPERT) if offset_check and audit is None else None
    with bars() as advance:
        lines = prepare_corpus(
            folders,
            to,
            rule=rule,
            config=PrepareConfig(resolution=resolution, min_face=min_face, landmarks=landmarks),
            offsets=expert if audit is None else read_audit(audit),
            num_workers=workers,
            on_progress=lambda done, total: advance("preparing clips", done, total),
        )
    print(summary(lines))
    print(f"ledger: {to / LEDGER_NAME}")
