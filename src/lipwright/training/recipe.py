"""What a training run is: read from TOML into nested dataclasses; every unknown key is an error."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lipwright.errors import ConfigError

T = TypeVar("T")


def require_positive(owner: object, *names: str) -> None:
    """Raise a ConfigError that names the first of some fields that is not above 0."""
    for name in names:
        value = getattr(owner, name)
        if not value > 0:  # catches NaN too
            raise ConfigError(f"{name} must be above 0, got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """Which network, and its dimensions."""

    architecture: str = "compact"
    """``compact`` or ``wav2lip`` (the released one)."""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Dimensions, as the architecture's config names them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where windows come from."""

    corpus: Path
    """What ``lipwright prepare`` wrote."""
    batch_size: int = 64
    """Windows in a step."""
    workers: int = 1
    """Processes that make batches; 0 for none."""
    seed: int = 1
    """Of everything drawn."""
    with_speech_changes: bool = True
    """Augment the speech: band shift, tilt, gain, noise."""
    with_picture_changes: bool = True
    """Augment the picture: colour, mirror, small affine."""
    speaker_balance: float = 0.5
    """0 draws clips alike, 1 draws speakers alike."""
    puppet_share: float | None = None
    """Share of the windows that come from puppets; by default they are speakers like others."""
    description: str = ""
    """What the corpus is, with attributions; goes into the weights."""
    licence: str = "unknown"
    """Of the weights that come of it, as an SPDX name where there is one."""

    def __post_init__(self) -> None:
        require_positive(self, "batch_size")
        if self.workers < 0 or self.seed < 0:
            raise ConfigError(
                f"workers and seed must be at least 0, got {self.workers} and {self.seed}"
            )
        if not 0 <= self.speaker_balance <= 1:
            raise ConfigError(f"speaker_balance must be from 0 to 1, got {self.speaker_balance}")
        if self.puppet_share is not None and not 0 <= self.puppet_share <= 1:
            raise ConfigError(f"puppet_share must be from 0 to 1, got {self.puppet_share}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Adam."""

    learning_rate: float = 1e-4
    """At the start."""
    final_learning_rate: float | None = None
    """At the end of the run, reached along half a cosine; constant when not given."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's."""
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    weight_decay: float = 0.0
    """AdamW's; of experts only."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "clip_norm")
        if self.final_learning_rate is not None and not self.final_learning_rate >= 0:
            raise ConfigError(
                f"final_learning_rate must be at least 0, got {self.final_learning_rate}"
            )
        if not self.weight_decay >= 0:
            raise ConfigError(f"weight_decay must be at least 0, got {self.weight_decay}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas must be from 0 to below 1, got {list(self.betas)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """How long, and what is written when."""

    steps: int
    """Length of the run."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the arithmetic."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where."""
    threads: int | None = None
    """Of the CPU; by default all."""
    log_every: int = 20
    """Steps between two lines of the log."""
    evaluate_every: int = 500
    """Steps between two evaluations on the held-out speakers."""
    evaluate_batches: int = 8
    """Batches of an evaluation."""
    save_every: int = 250
    """Steps between two checkpoints."""

    def __post_init__(self) -> None:
        require_positive(
            self, "steps", "log_every", "evaluate_every", "evaluate_batches", "save_every"
        )
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads must be at least 1, got {self.threads}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """When a term of the loss comes in, and how much it weighs."""

    weight: float = 0.0
    """Its final weight."""
    start: int = 0
    """First step with the term."""
    ramp: int = 0
    """Steps over which it grows to its weight."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight < 1 or self.start < 0 or self.ramp < 0:
            raise ConfigError(
                f"a term needs a weight from 0 to below 1, and start and ramp from 0 on, got "
                f"{self.weight}, {self.start}, {self.ramp}"
            )

    def at(self, step: int) -> float:
        """The weight at a step."""
        if step < self.start:
            return 0.0
        share = 1.0 if self.ramp == 0 else min(1.0, (step - self.start + 1) / self.ramp)
        return self.weight * share


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertRecipe:
    """A run that trains a lip-sync expert."""

    data: DataConfig
    """Where windows come from."""
    run: RunConfig
    """How long."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """What is trained."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How."""
    objective: Literal["cosine", "contrastive"] = "cosine"
    """``cosine``: in sync or not, cosine similarity and cross-entropy (the paper's).
    ``contrastive``: which speech of the same clip is it (for small data); other clips of the batch
    are told apart by voice and room, so they are left out."""
    windows_per_clip: int = 1
    """Windows of a batch that come from one clip."""
    temperature: float = 0.07
    """Of the contrastive objective."""

    def __post_init__(self) -> None:
        require_positive(self, "windows_per_clip", "temperature")
        if self.objective == "contrastive" and self.windows_per_clip < 2:
            raise ConfigError(
                f"the contrastive objective needs windows_per_clip of at least 2, got "
                f"{self.windows_per_clip}"
            )
        if self.data.batch_size % self.windows_per_clip:
            raise ConfigError(
                f"windows_per_clip must divide batch_size, got {self.windows_per_clip} and "
                f"{self.data.batch_size}"
            )
        if self.network.architecture not in ("compact", "motion", "wav2lip"):
            raise ConfigError(
                f"an expert to be trained is compact, motion or wav2lip, got "
                f"{self.network.architecture!r}"
            )
        if self.network.architecture == "motion" and self.objective != "contrastive":
            raise ConfigError(
                "the expert on landmarks learns by the contrastive objective: objective = "
                '"contrastive"'
            )
        if self.objective == "contrastive" and self.network.architecture == "wav2lip":
            raise ConfigError(
                "the released expert ends in a ReLU that only the cosine objective needs; use "
                'architecture = "compact" for the contrastive one'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorRecipe:
    """A run that trains a generator.

    L = (1 - sync - adversarial) reconstruction + sync E_sync + adversarial L_gen
    (Prajwal et al. 2020, section 3.4).
    """

    data: DataConfig
    """Where windows come from; the batch is ``batch_size`` windows of five frames."""
    run: RunConfig
    """How long."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """What is trained."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The generator's."""
    discriminator: NetworkConfig = field(default_factory=NetworkConfig)
    """The quality discriminator."""
    discriminator_optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The quality discriminator's."""
    expert: Path | None = None
    """Weights of the frozen expert; needed once the sync term has weight."""
    with_speech_of_expert: bool = False
    """Start the generator's speech encoder from the expert's: with little data, a generator that
    has to learn to hear takes the mean of all mouths for a long time."""
    sync: Term = field(default_factory=Term)
    """The expert's term."""
    adversarial: Term = field(default_factory=Term)
    """The discriminator's term."""
    articulation: float = 0.0
    """Weight of the articulation loss: the speech encoder also has to tell how the mouth moves, as
    landmarks saw it. Needs a corpus that was prepared with landmarks."""
    reading: Term = field(default_factory=Term)
    """The term of the mouth that was drawn: a network that learns from true faces what landmarks
    say of them reads its shape. Needs such a corpus too."""
    single_until: int = 0
    """Batches before this step hold single frames of five times as many windows."""
    mouth_factor: float = 1.0
    """Weight of the mouth's pixels in the reconstruction over that of the corners; 1 is the
    paper's plain mean."""
    ema_decay: float = 0.999
    """Of the running mean of the weights, which is what is saved for use."""

    def __post_init__(self) -> None:
        require_positive(self, "mouth_factor")
        if not self.articulation >= 0 or self.single_until < 0:
            raise ConfigError(
                f"articulation and single_until must be at least 0, got {self.articulation} and "
                f"{self.single_until}"
            )
        if self.sync.weight > 0 and self.single_until > self.sync.start:
            raise ConfigError(
                f"the expert judges five frames in a row: single_until must not be after the "
                f"start of sync, got {self.single_until} and {self.sync.start}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must be from 0 to below 1, got {self.ema_decay}")
        if self.sync.weight + self.adversarial.weight >= 1:
            raise ConfigError(
                f"the weights of sync and adversarial must leave some for the reconstruction, "
                f"got {self.sync.weight} and {self.adversarial.weight}"
            )
        if self.expert is None and (self.sync.weight > 0 or self.with_speech_of_expert):
            raise ConfigError('sync has weight but no expert is given: expert = "FILE"')

    @property
    def needs_landmarks(self) -> bool:
        """Whether a term looks at the mouths' landmarks."""
        return self.articulation > 0 or self.reading.weight > 0


def load_recipe(path: Path, kind: type[T]) -> T:
    """Read a recipe.

    Args:
        path: TOML file.
        kind: :class:`ExpertRecipe`, :class:`GeneratorRecipe` or another dataclass of these parts.

    Returns:
        The recipe; relative paths in it are as written, relative to the working directory.

    Raises:
        ConfigError: If the file cannot be read, a key is unknown (with the nearest known one), or
            a value is missing or of the wrong type or range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as err:
        raise ConfigError(f"cannot read the recipe {path}: {err}") from err
    try:
        return from_table(kind, table)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err


def from_table(kind: type[T], table: Mapping[str, object], *, where: str = "") -> T:
    """Build a dataclass from a table, refusing what it does not know.

    Args:
        kind: The dataclass.
        table: Keys and values as TOML gives them.
        where: Name of the table, for messages.

    Returns:
        The dataclass.

    Raises:
        ConfigError: If a key is unknown or missing, or a value of the wrong type or range.
    """
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            near = get_close_matches(key, hints, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(hints)}"
            raise ConfigError(f"unknown key {where + key!r}; {hint}")
    values = {key: _value(hints[key], value, where=where + key) for key, value in table.items()}
    try:
        return kind(**values)
    except TypeError as err:
        missing = str(err).rsplit(":", 1)[-1].strip()
        raise ConfigError(f"missing key in {where.rstrip('.') or 'the recipe'}: {missing}") from err


def _value(hint: object, value: object, *, where: str) -> object:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (option for option in get_args(hint) if option is not NoneType)
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, dict):
        return from_table(hint, value, where=f"{where}.")
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ConfigError(f"{where} must be one of {', '.join(get_args(hint))}; got {value!r}")
    if get_origin(hint) is tuple and isinstance(value, list) and len(value) == len(get_args(hint)):
        return tuple(_value(float, item, where=where) for item in value)
    if not _fits(hint, value):
        raise ConfigError(f"{where} must be {_describe(hint)}, got {value!r}")
    if hint is Path:
        return Path(str(value))
    return float(value) if isinstance(value, int) and hint is float else value


def _fits(hint: object, value: object) -> bool:
    """Whether a plain value is of the type asked for; true and false are not numbers."""
    if hint is float:
        return type(value) in (int, float)
    if hint is Path:
        return isinstance(value, str)
    if get_origin(hint) is Mapping:
        return isinstance(value, dict)
    return get_origin(hint) is Literal or type(value) is hint


def _describe(hint: object) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if isinstance(hint, type) and hint in names:
        return names[hint]
    if hint is Path:
        return "a path"
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} numbers"
    return "a table"


def to_record(recipe: object) -> dict[str, object]:
    """A recipe as plain values, for a log.

    Args:
        recipe: A recipe.

    Returns:
        Nested dictionaries of numbers and text.
    """
    if not is_dataclass(recipe) or isinstance(recipe, type):
        raise TypeError(f"not a recipe: {recipe!r}")
    return {item.name: _plain(getattr(recipe, item.name)) for item in fields(recipe)}


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in asdict(value).items()}
    if isinstance(value, Path):
        return str(value)
    return value
