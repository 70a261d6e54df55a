"""``lipwright sync``: render a video of a face saying a speech."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, default_name_transform

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.cli.progress import bars
from lipwright.inference import Progress, SyncOptions, sync

DEFAULTS = SyncOptions()
_FLAGS = {"use_cache": "cache"}  # so that the other one is --no-cache
_LABELS = {"track": "tracking the face", "render": "rendering"}


def _flag(name: str) -> str:
    """Of a field of the options: its name with dashes, but for a few."""
    return default_name_transform(_FLAGS.get(name, name))


def sync_command(
    face: Path,
    speech: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    model: str = DEFAULT_MODEL,
    options: Annotated[SyncOptions, Parameter(name="*", name_transform=_flag)] = DEFAULTS,
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
