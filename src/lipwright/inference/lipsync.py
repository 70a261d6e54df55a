"""Render many videos with networks that are loaded once: the front door for programs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.errors import ConfigError
from lipwright.inference.casting import Voice
from lipwright.inference.engines import DeviceChoice, EngineChoice, PrecisionChoice
from lipwright.inference.job import Progress, SyncOptions, SyncResult
from lipwright.inference.networks import Models
from lipwright.inference.pipeline import run_job
from lipwright.media import Encoding

USUAL = SyncOptions()


class LipSync:
    """A model that is loaded once and renders as many videos as it is asked for.

    ``sync`` may be called from several threads at once; the frames are those that each job would
    have had by itself. Jobs then draw in turns, and look for faces side by side.

        lip_sync = lipwright.LipSync()
        for speech in speeches:
            lip_sync.sync("anna.mp4", speech, speech.with_suffix(".mp4"))
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: DeviceChoice = "auto",
        precision: PrecisionChoice = "auto",
        accept_licence: str | None = None,
    ) -> None:
        """Load the generator, the landmark network and the detector.

        Args:
            model: Name of a model, or path of an ``.onnx`` file or of a checkpoint, which is
                converted.
            device: Where the generator runs; see :class:`SyncOptions`.
            precision: Of its arithmetic; see there.
            accept_licence: Licence that the user accepts, where the model needs it.

        Raises:
            CheckpointError: If the model is unknown or damaged.
            LicenceError: If the model's licence was not accepted; nothing is loaded then.
            ConfigError: If the device or the precision is unknown or not there.
            MissingExtraError: If the device that is asked for needs a library that is not
                installed.
        """
        options = SyncOptions(device=device, precision=precision, accept_licence=accept_licence)
        self._models = Models(model, options)
        _, self._engine = self._models.generator("lipwright")
        self._models.warm(USUAL.min_face)

    @property
    def model(self) -> str:
        """Which model draws: its name or path."""
        return self._models.name

    @property
    def engine(self) -> EngineChoice:
        """What it runs in, and why; in mode ``released`` that may be another."""
        return self._engine

    def sync(
        self,
        face: str | Path,
        speech: str | Path | Sequence[Voice],
        out: str | Path,
        *,
        options: SyncOptions | None = None,
        encoding: Encoding | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> SyncResult:
        """Render a video of a face saying a speech, as :func:`lipwright.sync` does.

        Args:
            face: A video or a picture that shows the face; see :func:`lipwright.sync`.
            speech: A recording or a video whose sound is the speech, or several voices.
            out: What to write. Two jobs that run at once need two.
            options: How. Device and precision are those of this object.
            encoding: How pictures are encoded.
            on_progress: Called after every frame rendered, in the thread of the job.

        Returns:
            What was made.

        Raises:
            MediaError: If an input cannot be read or used, or the output cannot be written.
            NoFaceError: If no frame shows a face.
            ConfigError: If a setting is out of range, or asks for another device or precision.
        """
        options = options or USUAL
        own, engine = self._models.options, self._engine
        pairs = {
            "device": (options.device, (own.device, engine.device)),
            "precision": (options.precision, (own.precision, engine.precision)),
        }
        for name, (asked, there) in pairs.items():
            if asked not in ("auto", *there):
                raise ConfigError(
                    f"options ask for {name} {asked!r}, this LipSync has {there[1]!r}; make "
                    f"another one: LipSync({self.model!r}, {name}={asked!r})"
                )
        return run_job(
            self._models,
            face,
            speech,
            out,
            options=options,
            encoding=encoding,
            on_progress=on_progress,
        )
