"""``lipwright sync``: render a video of a face saying a speech."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, default_name_transform

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.cli.progress import bars
from lipwright.errors import ConfigError
from lipwright.inference import Progress, SyncOptions, SyncResult, read_voices, sync
from lipwright.inference.joblist import ENCODING_FLAGS, OPTION_FLAGS
from lipwright.inference.pipeline import STANDARD_OUTPUT
from lipwright.inference.preview import PreviewFrame, preview
from lipwright.inference.resume import sync_resumably
from lipwright.media import Encoding

DEFAULTS = SyncOptions()
ENCODING = Encoding()
_LABELS = {"track": "tracking the face", "render": "rendering"}


def _flag(name: str) -> str:
    """Of a field of the options: its name with dashes, but for a few."""
    return default_name_transform(OPTION_FLAGS.get(name, name))


def _encoding_flag(name: str) -> str:
    return default_name_transform(ENCODING_FLAGS.get(name, name))


def _require_no_option(_type: object, value: object) -> None:
    """Leave ``-``, which is standard input, as the only name that begins like an option."""
    if isinstance(value, str) and value.startswith("-") and value != STANDARD_OUTPUT:
        raise ValueError(f"{value!r} is no option of this command; a file would be ./{value}")


_Input = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_require_no_option)]


def sync_command(  # noqa: PLR0913 - a flag each
    face: _Input,
    speech: _Input | None = None,
    /,
    *,
    out: Annotated[str, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)],
    voices: Annotated[Path | None, Parameter(name="--map")] = None,
    model: str = DEFAULT_MODEL,
    options: Annotated[SyncOptions, Parameter(name="*", name_transform=_flag)] = DEFAULTS,
    encoding: Annotated[Encoding, Parameter(name="*", name_transform=_encoding_flag)] = ENCODING,
    num_shown: Annotated[int | None, Parameter(name="--preview")] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Render a video of a face saying a speech.

    Parameters
    ----------
    face:
        Video or picture that shows the face: a file, an http address, - for standard input, or
        pictures (a folder, or a pattern such as frames/%05d.png).
    speech:
        Recording, or video whose sound is the speech.
    out:
        What to write: .mp4, .mkv, .mov, .webm, .gif, pictures (a pattern, or a folder), or - for
        standard output.
    voices:
        TOML file that says who says what, instead of SPEECH: a table [[voice]] each, with face
        (index:1, point:320,180, ...), speech (a file) and perhaps offset (seconds).
    model:
        Name of a model (see: lipwright models), or path of an .onnx file or of a checkpoint such
        as wav2lip_gan.pth, which is converted once and kept.
    num_shown:
        Write no video but a picture (a .png) with so many frames of it, spread evenly: a quick look
        before a long job.
    resume:
        Finish ten seconds after ten seconds, each in a file of its own in a hidden folder beside
        the output, so that the same command goes on where one that was killed ended; with other
        inputs or settings it begins anew. At the end the parts are joined and the folder removed.
    as_json:
        Print what was made as JSON: what was synced, what was passed through and why, timings,
        model and settings.
    """
    if (speech is None) == (voices is None):
        raise ConfigError("give either SPEECH or --map, which says who says what")
    if resume and num_shown is not None:
        raise ConfigError("a preview is too short to be resumed; leave out --resume or --preview")
    said = read_voices(voices) if voices is not None else str(speech)
    with bars() as advance:

        def show(progress: Progress) -> None:
            advance(_LABELS[progress.stage], progress.done, progress.total)

        if num_shown is not None:
            frames = preview(
                face,
                said,
                out,
                num_frames=num_shown,
                model=model,
                options=options,
                on_progress=show,
            )
            told = _sheet_as_json(out, frames) if as_json else _sheet_in_words(out, frames)
        else:
            render = sync_resumably if resume else sync
            result = render(
                face,
                said,
                out,
                model=model,
                options=options,
                encoding=encoding,
                on_progress=show,
            )
            told = _as_json(result, options, encoding) if as_json else _in_words(result)
    # What is piped out must be the video alone.
    print(told, file=sys.stderr if out == STANDARD_OUTPUT else sys.stdout)


def _in_words(result: SyncResult) -> str:
    lines = [
        f"{result.path}: {float(result.duration):.2f} s, {result.num_synced} of "
        f"{result.num_frames} frames synced, in {result.seconds:.1f} s",
        f"drawn by {result.model} in {result.engine}",
    ]
    lines += [
        f"{stretch.reason} from {float(stretch.start):.2f} s to {float(stretch.end):.2f} s: passed "
        f"through unchanged"
        for stretch in result.passed_through
    ]
    return "\n".join(lines)


def _sheet_in_words(out: str, frames: Sequence[PreviewFrame]) -> str:
    num_synced = sum(frame.reason == "synced" for frame in frames)
    return f"{out}: {num_synced} of {len(frames)} frames shown are synced"


def _sheet_as_json(out: str, frames: Sequence[PreviewFrame]) -> str:
    shown = [{"time": float(frame.time), "reason": frame.reason} for frame in frames]
    return json.dumps({"path": out, "frames": shown}, indent=2)


def _as_json(result: SyncResult, options: SyncOptions, encoding: Encoding) -> str:
    return json.dumps(
        {
            "path": str(result.path),
            "duration": float(result.duration),
            "num_frames": result.num_frames,
            "num_synced": result.num_synced,
            "stretches": [
                {"start": float(s.start), "end": float(s.end), "reason": s.reason}
                for s in sorted((*result.synced, *result.passed_through))
            ],
            "seconds": round(result.seconds, 3),
            "model": result.model,
            "engine": asdict(result.engine),
            "options": asdict(options),
            "encoding": asdict(encoding),
        },
        indent=2,
        default=str,  # paths
    )
