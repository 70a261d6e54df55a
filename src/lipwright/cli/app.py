"""The table of commands; each is loaded only when it is called."""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from rich.console import Console

from lipwright.cli.leaving import Stopped, flush_output, stoppable
from lipwright.cli.notices import notices
from lipwright.errors import LipwrightError

EXIT_OK, EXIT_FAILED, EXIT_WRONG_USE, EXIT_INTERRUPTED = 0, 1, 2, 130

app = App(
    name="lipwright",
    help="Make any face say any speech.",
    help_epilogue="Start with: lipwright sync FACE SPEECH -o OUT.mp4",
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command(
    add_to_startup=False,
    help="""Write a file that lets the shell complete commands and options, and say where it is.""",
)
app.command(
    "lipwright.cli.sync:sync_command",
    name="sync",
    help="""Render a video of a face saying a speech.

    The video is as long as the speech: a longer source is cut, a shorter one continued by playing
    its end to and fro (--extend, --after-speech). Only the lower face changes; where no face is
    seen, or it is turned away or covered, the picture stays as it is.

    For example:

    lipwright sync portrait.jpg speech.wav -o talking.mp4

    lipwright sync interview.mp4 translation.mp3 -o dubbed.mp4

    lipwright sync panel.mp4 answer.wav -o dubbed.mp4 --face speaking

    lipwright sync film.mp4 line.wav -o fixed.mp4 --segment 12.0-18.5

    lipwright sync interview.mp4 translation.mp3 -o look.png --preview 8
    """,
)
app.command(
    "lipwright.cli.batch:batch_command",
    name="batch",
    help="""Render many videos that a file lists, with networks that are loaded once.

    One that fails does not stop the others. Run again, it renders only what is missing, or has
    other inputs or settings by now.

    For example: lipwright batch jobs.toml --retries 1
    """,
)
app.command(
    "lipwright.cli.evaluate:evaluate_command",
    name="evaluate",
    help="""Render pairs of a face and a speech, and measure how good the result is.

    Writes a page with tables, plots and contact sheets, worst clips first; beside the drawn video
    stand the true one, a static mouth, the true video five frames late, and another speech.

    For example: lipwright evaluate clips --to report
    """,
)
app.command(
    "lipwright.cli.models:models_app",
    name="models",
    help="""List the models that can be used, or fetch one.

    Besides those that come with Lipwright: converted ones, and those that models.toml in
    Lipwright's home describes (LIPWRIGHT_HOME, by default ~/.local/share/lipwright).

    For example: lipwright models pull NAME --accept-licence research-only
    """,
)
app.command(
    "lipwright.cli.cache:cache_app",
    name="cache",
    help="""Show what is kept to make the next job faster, or clear it.

    Where faces are in videos that were rendered before, compiled networks, verdicts on precision,
    converted models; all in Lipwright's home.

    For example: lipwright cache clear tracks
    """,
)
app.command(
    "lipwright.cli.doctor:doctor_command",
    name="doctor",
    help="""Say what this machine has, what will be used of it, and how fast that is.

    Lists engines, devices and precisions, what to install for those that are missing, and measures
    each step of a job: can 720p be expected in real time?

    For example: lipwright doctor --seconds 10
    """,
)
app.command(
    "lipwright.cli.convert:convert_command",
    name="convert",
    help="""Bring a checkpoint of the Wav2Lip family into Lipwright's form.

    Reads pickles, TorchScript archives, safetensors and ONNX files, and runs nothing that is in
    them. Says which network it found.

    For example: lipwright convert wav2lip_gan.pth
    """,
)
app.command(
    "lipwright.cli.audit:audit_command",
    name="audit",
    help="""Measure by how much sound and picture of every clip are apart.

    Says which folders are off by a constant, and which clips should be left out of training.

    For example: lipwright audit recordings --to audit.json
    """,
)
app.command(
    "lipwright.cli.prepare:prepare_command",
    name="prepare",
    help="""Prepare folders of videos for training.

    Takes loose videos (the folder that a video lies in is its speaker), the folders of LRS2, and
    the released preprocessed layout. Every clip that is turned down stands in the ledger with the
    reason. Run again, it goes on where it stopped.

    For example: lipwright prepare recordings --to corpus --split split.toml
    """,
)
app.command(
    "lipwright.cli.puppets:puppets_command",
    name="puppets",
    help="""Add talking portraits to a corpus.

    Each portrait says what some clips of the corpus say, so that a network sees many faces where
    the recordings show few. Portraits that smile with open mouths are turned down.

    For example: lipwright puppets portraits --to corpus --landmarks face_landmark.tflite
    """,
)
app.command(
    "lipwright.cli.label:label_command",
    name="label",
    help="""Label faces with landmarks, to train a landmark network on.

    For example: lipwright label recordings portraits --to faces --landmarks face_landmark.tflite
    --split split.toml
    """,
)
app.command(
    "lipwright.cli.train:train_app",
    name="train",
    help="""Train an expert, a generator or a part of one, or a landmark network.

    Run again with the same folder, it goes on where it stopped.

    For example: lipwright train expert recipes/default_expert.toml -o runs/expert
    """,
)
app.command(
    "lipwright.cli.join:join_command",
    name="join",
    help="""Put the two parts of a generator, one that hears and one that draws, together.

    For example: lipwright join hearing.safetensors drawing.safetensors -o generator.safetensors
    """,
)
app.command(
    "lipwright.cli.export:export_command",
    name="export",
    help="""Turn trained weights into a model that sync can use.

    For example: lipwright export runs/generator/generator.safetensors -o mine.onnx
    """,
)


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    That is 0 ok, 1 failed, 2 wrong use, or 128 and the number of the signal that stopped it.

    Args:
        tokens: Words of the command; by default those of the process.
    """
    with stoppable(), notices():
        code = _run(tokens)
        unsent = flush_output()
    if unsent is not None and code == EXIT_OK:
        code = _failed(unsent)
    if code != EXIT_OK:
        sys.exit(code)


def _run(tokens: Sequence[str] | None) -> int:
    try:
        app(tokens, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return EXIT_WRONG_USE  # cyclopts has printed what is wrong
    except LipwrightError as err:
        _say(f"error: {err}", style="red")
        return EXIT_FAILED
    except OSError as err:  # of what is printed, for example; of media it is a LipwrightError
        return _failed(err)
    except KeyboardInterrupt as err:
        _say("interrupted; nothing half-written is left under its final name")
        return err.exit_code if isinstance(err, Stopped) else EXIT_INTERRUPTED
    return EXIT_OK


def _failed(err: OSError) -> int:
    if not isinstance(err, BrokenPipeError):  # a reader that has gone is no news
        _say(f"error: {err.strerror or err}", style="red")
    return EXIT_FAILED


def _say(text: str, *, style: str | None = None) -> None:
    errors = Console(stderr=True, soft_wrap=True)
    errors.print(text, style=style, markup=False, highlight=False)
