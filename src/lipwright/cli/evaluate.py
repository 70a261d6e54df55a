"""``lipwright evaluate``: render, measure, report."""

from pathlib import Path

from lipwright.checkpoints import DEFAULT_EXPERT, DEFAULT_MODEL
from lipwright.cli.progress import bars
from lipwright.errors import ConfigError
from lipwright.evaluation.evaluate import EvaluationConfig, evaluate
from lipwright.evaluation.pairs import read_pairs
from lipwright.evaluation.report import baseline_faults, to_markdown, write_report


def evaluate_command(  # noqa: PLR0913 - a flag each
    pairs: Path,
    *,
    to: Path,
    model: str = DEFAULT_MODEL,
    rendered: Path | None = None,
    expert: str = DEFAULT_EXPERT,
    landmarks: Path | None = None,
    syncnet: str | None = None,
    lpips: Path | None = None,
    identity: Path | None = None,
    inception: Path | None = None,
    accept_licence: str | None = None,
    max_seconds: float = 20.0,
    seed: int = 1,
    title: str = "",
    workers: int = 2,
) -> None:
    """Render pairs of a face and a speech, and measure how good the result is.

    Parameters
    ----------
    pairs:
        A folder: each video in it is rendered from the still of its first frame and its own
        speech, and held against itself. Or a TSV file with the columns face and speech, and as
        needed name, truth (a video of that person saying this), motion (of somebody else saying
        it), rendered, group, at (seconds: use the still of the face video at this time).
    to:
        Folder of the report: report.html, report.md, report.json, videos, contact sheets. Run
        again, it goes on where it stopped.
    model:
        The generator: a name, or a path.
    rendered:
        Folder of videos that were rendered before, perhaps by another tool: NAME.mp4 for each
        pair.
    expert:
        The expert that judges sync: a name, or the path of an ONNX file.
    landmarks:
        MediaPipe's face_landmark.tflite, to judge by it; by default Lipwright's own network.
    syncnet:
        SyncNet v2 as lipwright convert made it, for LSE-D and LSE-C by the published protocol: a
        name, or the path of an ONNX file.
    lpips:
        ONNX file of an LPIPS network: two pictures in [-1, 1] to their distance.
    identity:
        ONNX file of a face embedding network.
    inception:
        ONNX file of a network whose features make an FID.
    accept_licence:
        Licence that you accept for a model that is not permissively licensed.
    max_seconds:
        Of each video; what is longer is rendered but not looked at.
    seed:
        Chooses the baseline that says something else.
    title:
        Of the report.
    workers:
        Processes.
    """
    if pairs.is_dir() and to.resolve().is_relative_to(pairs.resolve()):
        raise ConfigError(
            f"the report {str(to)!r} would lie among the pairs of {str(pairs)!r}, and its videos "
            f"would be pairs next time; write it elsewhere"
        )
    config = EvaluationConfig(
        model=model,
        accept_licence=accept_licence,
        expert=expert,
        landmarks=landmarks,
        syncnet=syncnet,
        lpips=lpips,
        identity=identity,
        inception=inception,
        max_seconds=max_seconds,
        seed=seed,
    )
    chosen = read_pairs(pairs, rendered=rendered)
    with bars() as advance:
        report = evaluate(
            chosen,
            to,
            config=config,
            title=title,
            num_workers=workers,
            on_progress=lambda done, total: advance("measuring pairs", done, total),
        )
    page = write_report(report, to)
    print(to_markdown(report).split("\n## Protocol")[0])
    if faults := baseline_faults(report):
        print(f"{len(faults)} times a metric does not order the baselines: see the report")
    for failure in report.failures:
        print(f"not measured: {failure.name}: {failure.reason}")
    print(f"report: {page}")
