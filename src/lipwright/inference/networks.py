"""The networks of jobs that one model draws: found, loaded once, shared."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock

from lipwright.checkpoints import (
    DEFAULT_LANDMARKS,
    model_path,
    read_metadata,
    read_onnx_metadata,
    require_licence,
    sha256_of,
)
from lipwright.errors import CheckpointError, ConfigError
from lipwright.faces import Mtcnn
from lipwright.faces.landmarks import Landmarker
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.engines import EngineChoice, PrecisionChoice, open_generator
from lipwright.inference.job import Mode, SyncOptions
from lipwright.inference.lending import EyesOnDemand, Pool, TakingTurns
from lipwright.inference.model import licence_of, runnable_model
from lipwright.inference.restore import OnnxRestorer, Restorer
from lipwright.inference.sight import NativeEyes
from lipwright.inference.trackcache import TrackCache, tracks_folder

log = logging.getLogger(__name__)


class Models:
    """The networks of jobs that one model draws: loaded when first needed, then kept.

    May be used from several threads: drawing is done in turns, and each job has eyes of its own.
    """

    def __init__(self, model: str | Path, options: SyncOptions) -> None:
        """Load nothing yet.

        Args:
            model: Name or path.
            options: Say device, precision and accepted licence; what else they say does not count.
        """
        self.name = str(model)
        """Which model draws."""
        self.options = options
        """As given."""
        self._loading = Lock()
        self._file: Path | None = None
        self._generators: dict[tuple[str, bool], tuple[GeneratorBackend, EngineChoice]] = {}
        # Of networks this small a second thread costs more than it brings, and other stages wait
        # for a core: a job at 1280x720 on two cores takes 3 % less.
        self._detectors: Pool[float, Mtcnn] = Pool(
            lambda min_face: Mtcnn(min_face=min_face, num_threads=1)
        )
        self._landmarkers: Pool[Path, Landmarker] = Pool(
            lambda path: Landmarker(path, num_threads=1)
        )
        self._restorers: dict[Path, Restorer] = {}
        self._tracks: TrackCache | None = None

    def find(self) -> Path:
        """The file of the generator; a foreign one is converted first.

        Raises:
            CheckpointError: If there is no such model, or it cannot be converted.
            MissingExtraError: If it needs to be converted and torch is not installed.
        """
        with self._loading:
            if self._file is None:
                self._file = _file_for(self.name, self.options)
            return self._file

    def generator(self, mode: Mode) -> tuple[GeneratorBackend, EngineChoice]:
        """The generator and what it runs in, once its licence is accepted.

        Args:
            mode: Of the job: a released one is drawn whole, and in fp32 if no precision is asked
                for; in the default one only what is drawn of the lower half of a crop is used.

        Raises:
            LicenceError: If the licence was not accepted.
            CheckpointError: If the file is damaged or holds something else.
            ConfigError: If the device or precision is not there.
            MissingExtraError: If the engine that is asked for is not installed.
        """
        options = self.options
        whole = mode == "released"
        is_plain = whole and options.precision == "auto"
        precision: PrecisionChoice = "fp32" if is_plain else options.precision
        key = precision, whole
        file = self.find()
        with self._loading:
            if key not in self._generators:
                _require_licence(self.name, file, accept=options.accept_licence)
                backend, engine = open_generator(
                    file, device=options.device, precision=precision, whole=whole
                )
                log.info("%s runs in %s", self.name, engine)
                self._generators[key] = TakingTurns(backend), engine
            return self._generators[key]

    def warm(self, min_face: float) -> None:
        """Load what sees faces, so that no job waits for it.

        Args:
            min_face: See :class:`SyncOptions`.
        """
        with (
            self._detectors.lent(min_face),
            self._landmarkers.lent(model_path(DEFAULT_LANDMARKS)),
        ):
            return

    @contextmanager
    def detector(self, min_face: float) -> Iterator[Mtcnn]:
        """A detector for the time of one job.

        Args:
            min_face: See :class:`SyncOptions`.

        Raises:
            ConfigError: If ``min_face`` is out of range.
        """
        with self._detectors.lent(min_face) as detector:
            yield detector

    @contextmanager
    def eyes(self, min_face: float) -> Iterator[EyesOnDemand]:
        """Eyes for the time of one job; networks are taken when something is first looked at.

        Args:
            min_face: See :class:`SyncOptions`.
        """
        with ExitStack() as lent:

            def opened() -> NativeEyes:
                detector = lent.enter_context(self._detectors.lent(min_face))
                landmarks = self._landmarkers.lent(model_path(DEFAULT_LANDMARKS))
                return NativeEyes(detector, lent.enter_context(landmarks), min_face=min_face)

            yield EyesOnDemand(opened)

    def restorer(self, path: Path | None) -> Restorer | None:
        """A face restorer, which jobs use in turns.

        Args:
            path: Of its ONNX file; None for none.

        Raises:
            CheckpointError: If the file is missing, damaged, or no face restorer.
        """
        if path is None:
            return None
        with self._loading:
            if path not in self._restorers:
                self._restorers[path] = OnnxRestorer(path)
            return self._restorers[path]

    def tracks(self) -> TrackCache | None:
        """The tracks that these networks made; None where there is no home to keep them in."""
        with self._loading:
            if self._tracks is None:
                with suppress(ConfigError):
                    landmarks = sha256_of(model_path(DEFAULT_LANDMARKS))
                    self._tracks = TrackCache(tracks_folder(), landmarks=landmarks)
            return self._tracks


def _file_for(model: str | Path, options: SyncOptions) -> Path:
    """The file to open: Lipwright's own weights for torch's devices, else a graph."""
    if options.device in ("cuda", "mps") and Path(model).suffix.lower() == ".safetensors":
        path = model_path(str(model))
        with suppress(CheckpointError):  # somebody else's weights: they are converted
            if read_metadata(path).kind == "generator":
                return path
    return runnable_model(model)


def _licence_in(file: Path) -> str:
    """What a file says of its licence, read without loading the network."""
    if file.suffix.lower() == ".safetensors":
        return read_metadata(file).licence
    return read_onnx_metadata(file).get("licence", "unknown")


def _require_licence(model: str, file: Path, *, accept: str | None) -> None:
    licence = licence_of(model, "") or _licence_in(file)
    if licence == "unknown" and accept is None:
        log.warning("%s does not say its licence; make sure that your use is within it", model)
        return
    require_licence(model, licence, accept=accept)
