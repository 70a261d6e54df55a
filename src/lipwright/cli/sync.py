"""``lipwright sync``: render a video of a face saying a speech."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.cli.progress import bars
from lipwright.inference import Progress, SyncOptions, sync

DEFAULTS = SyncOptions()
_LABELS = {"track": "tracking the face", "render": "rendering"}


def sync_command(
    face: Path,
    speech: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    model: str = DEFAULT_MODEL,
    options: Annotated[SyncOptions, Parameter(name="*")] = DEFAULTS,
) -> None:
    """Render a video of a face saying a speech.

    Parameters
    ----------
    face:
        Video or picture that shows the face.
    speech:
        Recording, or video whose sound is the speech.
    out:
        Video to write: .mp4, .mkv or .mov.
    model:
        Name of a model (see: lipwright models), or path of an .onnx file or of a checkpoint such
        as wav2lip_gan.pth, which is converted once and kept.
    """
    with bars() as advance:

        def show(progress: Progress) -> None:
            advance(_LABELS[progress.stage], progress.done, progress.total)

        result = sync(
            face,
            speech,
            out,
            model=model,
            options=options,
            on_progress=show,
        )
    print(
        f"{result.path}: {float(result.duration):.2f} s, {result.num_synced} of "
        f"{result.num_frames} frames synced, in {result.seconds:.1f} s"
    )
    print(f"drawn by {result.model} in {result.engine}")
    for start, end in result.passed_through:
        print(f"no face from {float(start):.2f} s to {float(end):.2f} s: passed through unchanged")
