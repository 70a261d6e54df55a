"""``lipwright audit``: are sound and picture of a data set together?"""

from pathlib import Path

from lipwright.checkpoints import DEFAULT_EXPERT, model_path
from lipwright.cli.progress import bars
from lipwright.corpus.audit import AuditRule, audit_clips, write_audit


def audit_command(
    *folders: Path,
    to: Path | None = None,
    expert: str = DEFAULT_EXPERT,
    min_confidence: float = 0.15,
    max_offset: int = 2,
    workers: int = 2,
) -> None:
    """Measure by how much sound and picture of every clip are apart.

    Parameters
    ----------
    folders:
        Where the clips are.
    to:
        JSON file to write, for lipwright prepare --audit.
    expert:
        Who measures: name of an expert, or path of its ONNX file.
    min_confidence:
        From where on a measured offset is taken to be sure.
    max_offset:
        Frames by which a clip may differ from the rest of its folder.
    workers:
        Processes.
    """
    with bars() as advance:
        audit = audit_clips(
            folders,
            expert=model_path(expert),
            rule=AuditRule(min_confidence=min_confidence, max_offset=max_offset),
            num_workers=workers,
            on_progress=lambda done, total: advance("measuring clips", done, total),
        )
    print("offset (frames of 40 ms by which the sound comes too early), clips measured surely")
    print(audit.histogram())
    print("\nfolder: clips, sure, within a frame of the median, move the sound later by")
    for name, advice in audit.advice().items():
        print(
            f"{name or '.'}: {advice.num_clips}, {advice.num_sure}, {advice.agreement:.0%}, "
            f"{advice.shift_frames:+d} frames"
        )
    dropped = audit.to_drop()
    print(f"\nto leave out: {len(dropped)} of {len(audit.clips)} clips")
    for clip, reason in dropped.items():
        print(f"  {clip}: {reason}")
    if to is not None:
        write_audit(audit, to)
        print(f"written: {to}")
